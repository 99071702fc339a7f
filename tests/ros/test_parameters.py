"""Parameters: from a file, read and changed while the node runs, refused when wrong."""

import pytest
from conftest import image_message
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically

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


def set_parameter(client, name, value):
    request = SetParameters.Request(parameters=[Parameter(name=name, value=ros_value(value))])
    return client.call(SetParameters, "set_parameters", request).results[0]


def get_parameter(client, name):
    return client.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values[0]


def test_every_parameter_is_listed_and_described(client):
    names = client.call(ListParameters, "list_parameters", ListParameters.Request()).result.names
    assert {"detector.min_face_size", "emotion.enabled", "gender.margin", "image.reliability"} <= set(names)
    response = client.call(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=names))
    for descriptor in response.descriptors:
        assert descriptor.description, descriptor.name
    margin = next(d for d in response.descriptors if d.name == "gender.margin")
    assert margin.type == ParameterType.PARAMETER_DOUBLE
    assert "From 0 to 1" in margin.description


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
        ("saliency.rate", 0.0, "'saliency.rate' takes 0.1 to 100, got 0.0"),
        ("saliency.target", "glad", "'saliency.target' takes one of predicted, angry"),
        ("gender.margin", 7.0, "'gender.margin' takes 0 to 1, got 7.0"),
        ("gender.margin", "wide", "'gender.margin' is of type double"),
        ("detector.min_neighbors", -1, "'detector.min_neighbors' takes 1 to 50"),
        ("detector.min_neighbours", 3, "no parameter 'detector.min_neighbours'"),
        ("gender.margin", float("nan"), "NaN is not a finite number"),
        ("emotion.model", "other.onnx", "read at the start only"),
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
        Parameter(name="detector.min_neighbors", value=ros_value(3)),
        Parameter(name="gender.margin", value=ros_value(-0.1)),
    ]
    request = SetParametersAtomically.Request(parameters=parameters)
    assert not client.call(SetParametersAtomically, "set_parameters_atomically", request).result.successful
    assert get_parameter(client, "detector.min_neighbors").integer_value == 5


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
        "face_attributes: {ros__parameters: {%s}}",
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
        ("detector: {scale: 1.2}", "no parameter 'detector.scale'"),
        ("detector: {cascade: /no/such/cascade.xml}", "/no/such/cascade.xml"),
        ("emotion: {model: /no/such/model.onnx}", "/no/such/model.onnx"),
        ("image: {reliability: perfect}", "'image.reliability' takes one of best_effort, reliable"),
        ("detector: {", "parameters.yaml"),
    ],
)
def test_a_wrong_parameter_stops_the_start_and_is_named(start_node, tmp_path, text, reason):
    process = start_node("--params-file", write_parameters(tmp_path, text))
    assert process.wait() == 1
    output = "".join(process.output)
    assert reason in output
    assert "panicked" not in output


@pytest.mark.parametrize(("kind", "key"), [("emotion", "model"), ("gender", "model"), ("detector", "cascade")])
def test_a_damaged_file_stops_the_start_and_is_named(start_node, tmp_path, kind, key):
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(bytes(range(256)) * 40)
    process = start_node("-p", f"{kind}.{key}:={damaged}")
    assert process.wait() == 1
    assert str(damaged) in "".join(process.output)
