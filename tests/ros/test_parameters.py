"""Parameters: from a file, read and changed while the node runs, refused when wrong."""

import pytest
import yaml
from conftest import ROOT, image_message
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from face_attributes.msg import Emotion, Gender


def ros_value(value):
    match value:
        case bool():
            return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
        case int():
            return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
        case float():
            return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
        case str():
            return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        case list():
            return ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=value)


def set_parameter(client, name, value):
    request = SetParameters.Request(parameters=[Parameter(name=name, value=ros_value(value))])
    return client.call(SetParameters, "set_parameters", request).results[0]


def get_parameter(client, name):
    """The value; `None` where there is no such parameter, for which rclcpp's nodes answer with an empty list."""
    values = client.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values
    return values[0] if values else None


def dotted(group, prefix=""):
    """The dotted names of a nested mapping."""
    for name, value in group.items():
        yield from dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


def test_every_parameter_is_listed_and_described(client):
    names = client.call(ListParameters, "list_parameters", ListParameters.Request()).result.names
    shipped = yaml.safe_load((ROOT / "config" / "face_attributes.yaml").read_text())["/**"]["ros__parameters"]
    assert sorted(names) == sorted([*dotted(shipped), "use_sim_time", "start_type_description_service"])
    response = client.call(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=names))
    assert [descriptor.name for descriptor in response.descriptors] == names
    values = client.call(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    types = client.call(GetParameterTypes, "get_parameter_types", GetParameterTypes.Request(names=names)).types
    for descriptor, value, type_ in zip(response.descriptors, values, types, strict=True):
        assert descriptor.description, descriptor.name
        assert descriptor.type == value.type == type_, descriptor.name
    margin = next(d for d in response.descriptors if d.name == "gender.margin")
    assert (margin.floating_point_range[0].from_value, margin.floating_point_range[0].to_value) == (0, 1)
    read_only = {d.name for d in response.descriptors if d.read_only}
    assert read_only == {"autostart", "start_type_description_service"}
    at_configure = [d for d in response.descriptors if "unconfigured or inactive" in d.additional_constraints]
    assert {d.name for d in at_configure} == {
        "cameras",
        "detector.cascade",
        "detector.threads",
        "image_transport",
        "search.model",
        "emotion.model",
        "gender.model",
    }
    assert all(d.additional_constraints in d.description for d in response.descriptors)


def test_an_integer_that_is_set_for_a_double_is_reported_as_a_double(client):
    assert set_parameter(client, "gender.margin", 1).successful
    value = get_parameter(client, "gender.margin")
    assert (value.type, value.double_value) == (ParameterType.PARAMETER_DOUBLE, 1.0)


def test_a_change_takes_effect_from_the_next_image_on(client, portrait):
    assert set_parameter(client, "emotion.enabled", False).successful
    assert set_parameter(client, "gender.min_confidence", 1.0).successful
    face = client.ask(image_message(portrait, "bgr8")).faces[0]
    assert (face.emotion.label, face.emotion.confidence) == (Emotion.UNKNOWN, 0)
    assert list(face.emotion.probabilities) == [0] * 7
    assert face.gender.label == Gender.UNKNOWN
    assert sum(face.gender.probabilities) == pytest.approx(1, abs=1e-5)
    assert set_parameter(client, "emotion.enabled", True).successful
    assert client.ask(image_message(portrait, "bgr8")).faces[0].emotion.label == Emotion.HAPPY


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("saliency.rate", 0.0, "{saliency.rate} doesn't comply with floating point range. It takes 0.1 to 100, got 0.0."),
        ("saliency.target", "glad", "'saliency.target' takes one of predicted, angry"),
        ("gender.margin", 7.0, "{gender.margin} doesn't comply with floating point range. It takes 0 to 1, got 7.0."),
        (
            "gender.margin",
            "wide",
            "Wrong parameter type, parameter {gender.margin} is of type {double}, setting it to {string} is not allowed.",
        ),
        ("detector.min_neighbors", -1, "{detector.min_neighbors} doesn't comply with integer range. It takes 1 to 50"),
        ("detector.min_neighbours", 3, "parameter 'detector.min_neighbours' cannot be set because it was not declared"),
        ("gender.margin", float("nan"), "It takes 0 to 1, got NaN"),
        ("emotion.model", "other.onnx", "deactivate the node first"),
        ("detector.threads", 2, "deactivate the node first"),
        ("cameras", ["front"], "deactivate the node first"),
        ("cameras", ["front", "2"], "takes names of letters, digits and '_'"),
        ("autostart", False, "'autostart' cannot be set because it is read-only"),
        ("gender.enabled", "yes", "{gender.enabled} is of type {bool}, setting it to {string}"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason_and_the_old_one_stays(client, name, value, reason):
    before = get_parameter(client, name)
    result = set_parameter(client, name, value)
    assert not result.successful
    assert reason in result.reason
    assert get_parameter(client, name) == before


def test_changes_that_belong_together_are_made_together_or_not_at_all(client):
    parameters = [
        Parameter(name="detector.min_neighbors", value=ros_value(4)),
        Parameter(name="gender.margin", value=ros_value(-0.1)),
    ]
    request = SetParametersAtomically.Request(parameters=parameters)
    assert not client.call(SetParametersAtomically, "set_parameters_atomically", request).result.successful
    assert get_parameter(client, "detector.min_neighbors").integer_value == 3


def write_parameters(tmp_path, text):
    path = tmp_path / "parameters.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n    {text}\n")
    return path


def test_a_parameter_file_is_read(start_node, make_client, tmp_path):
    path = write_parameters(tmp_path, "detector: {min_neighbors: 7, scale_factor: 1.2}")
    start_node("--params-file", path, "-p", "gender.margin:=0.35").wait_for_line("waiting for images")
    client = make_client()
    assert get_parameter(client, "detector.min_neighbors").integer_value == 7
    assert get_parameter(client, "detector.scale_factor").double_value == 1.2
    assert get_parameter(client, "gender.margin").double_value == 0.35


@pytest.mark.parametrize(
    "section",
    [
        "/**: {ros__parameters: {%s}}",
        "/robot/face_attributes: {ros__parameters: {%s}}",
        "/robot: {face_attributes: {ros__parameters: {%s}}}",
        "/robot/*: {ros__parameters: {%s}}",
        "/**/face_attributes: {ros__parameters: {%s}}",
        "/*/face_attributes: {ros__parameters: {%s}}",
    ],
)
def test_every_form_of_section_is_read_in_a_namespace(start_node, make_client, tmp_path, section):
    path = tmp_path / "parameters.yaml"
    path.write_text(section % "detector: {min_neighbors: 7}" + "\n/other/*: {ros__parameters: {gender.margin: 9.0}}\n")
    start_node("-r", "__ns:=/robot", "--params-file", path).wait_for_line("waiting for images")
    client = make_client(node_name="/robot/face_attributes")
    assert get_parameter(client, "detector.min_neighbors").integer_value == 7


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("detector: {scale_factor: big}", "'detector.scale_factor' is of type double"),
        ("detector: {scale_factor: 0.5}", "'detector.scale_factor' takes 1.05 to 2"),
        ("detector: {cascade: /no/such/cascade.xml}", "/no/such/cascade.xml"),
        ("emotion: {model: /no/such/model.onnx}", "/no/such/model.onnx"),
        ("image: {reliability: perfect}", "'image.reliability' takes one of auto, best_effort, reliable"),
        ("detector: {", "parameters.yaml"),
    ],
)
def test_a_wrong_parameter_stops_the_start_and_is_named(start_node, tmp_path, text, reason):
    path = write_parameters(tmp_path, text)
    process = start_node("--params-file", path)
    assert process.wait() == 1
    output = "".join(process.output)
    # Said once, with the file where the value comes from it.
    assert output.count(reason) == 1
    assert "no/such" in reason or str(path) in output
    assert "panicked" not in output and "conversion failed" not in output


@pytest.mark.parametrize("off", ["off", "no", "False", "n"])
def test_every_boolean_of_ros_is_read(start_node, make_client, tmp_path, off):
    path = write_parameters(tmp_path, f"gender: {{enabled: {off}}}")
    start_node("--params-file", path).wait_for_line("waiting for images")
    assert get_parameter(make_client(), "gender.enabled").bool_value is False


def test_the_last_matching_section_of_a_file_wins(start_node, make_client, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(
        "/**: {ros__parameters: {gender: {enabled: true}, emotion.min_confidence: 0.1}}\n"
        "/robot/*: {ros__parameters: {gender: {enabled: false}}}\n"
        "/**: {ros__parameters: {detector: {min_neighbors: 7}}}\n"
    )
    start_node("-r", "__ns:=/robot", "--params-file", path).wait_for_line("waiting for images")
    client = make_client(node_name="/robot/face_attributes")
    assert get_parameter(client, "gender.enabled").bool_value is False
    assert get_parameter(client, "emotion.min_confidence").double_value == 0.1
    assert get_parameter(client, "detector.min_neighbors").integer_value == 7


def test_a_parameter_that_this_node_has_not_is_a_warning(start_node, make_client, tmp_path):
    path = write_parameters(tmp_path, "robot_name: cob4\n    detector: {min_neighbours: 3}")
    node = start_node("--params-file", path)
    warnings = [node.wait_for_line("this node has no parameter") for _ in range(2)]
    assert "'robot_name'" in warnings[0] and str(path) in warnings[0]
    assert "did you mean 'detector.min_neighbors'?" in warnings[1]
    node.wait_for_line("waiting for images")
    assert get_parameter(make_client(), "detector.min_neighbors").integer_value == 3


@pytest.mark.parametrize("text", ["face_atributes: {ros__parameters: {gender: {enabled: false}}}", ""])
def test_a_file_without_a_section_for_this_node_is_a_warning(start_node, tmp_path, text):
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    node = start_node("--params-file", path)
    warning = node.wait_for_line("no section for the node '/face_attributes'")
    assert str(path) in warning and ("face_atributes" in warning) == bool(text)
    node.wait_for_line("waiting for images")


@pytest.mark.parametrize(("kind", "key"), [("emotion", "model"), ("gender", "model"), ("search", "model"), ("detector", "cascade")])
def test_a_damaged_file_stops_the_start_and_is_named(start_node, tmp_path, kind, key):
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(bytes(range(256)) * 40)
    process = start_node("-p", f"{kind}.{key}:={damaged}")
    assert process.wait() == 1
    assert str(damaged) in "".join(process.output)
