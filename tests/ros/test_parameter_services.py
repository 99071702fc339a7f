"""The parameter services under load and beside clients that go away, their events, and the clock that a parameter chooses."""

import os
import random
import subprocess
import sys
import time

import pytest
import yaml
from conftest import DEADLINE_SECS, image_message
from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterType
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_parameter_events
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from test_parameters import get_parameter, ros_value, set_parameter

MARGIN = Parameter(name="gender.margin", value=ros_value(0.5))
REQUESTS = [
    (GetParameters, "get_parameters", GetParameters.Request(names=["gender.margin"])),
    (GetParameterTypes, "get_parameter_types", GetParameterTypes.Request(names=["gender.margin"])),
    (DescribeParameters, "describe_parameters", DescribeParameters.Request(names=["gender.margin"])),
    (ListParameters, "list_parameters", ListParameters.Request()),
    (SetParameters, "set_parameters", SetParameters.Request(parameters=[MARGIN])),
    (SetParametersAtomically, "set_parameters_atomically", SetParametersAtomically.Request(parameters=[MARGIN])),
]


def ask_at_once(client, requests, count):
    """Sends all requests before the first answer is read."""
    clients = []
    for service_type, name, request in requests:
        # With rclpy's own QoS, a client keeps ten requests that were not received and ten answers that were not read.
        service = client.node.create_client(service_type, f"{client.node_name}/{name}")
        assert service.wait_for_service(timeout_sec=DEADLINE_SECS)
        # Until its first answer, a client knows only that it has found the node, not that the node has found it.
        first = service.call_async(request)
        client.spin_until(first.done)
        clients.append((service, request))
    futures = [service.call_async(request) for service, request in clients for _ in range(count)]
    client.spin_until(lambda: all(future.done() for future in futures))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request[1])
def test_of_many_requests_at_once_all_are_answered(client, request_):
    ask_at_once(client, [request_], 50)


def test_clients_that_are_gone_before_their_answers_end_nothing(client, domain):
    # Clients in a process of their own that ask and are killed at once.
    impatient = """
import os, sys, rclpy
sys.path.insert(0, sys.argv[1])
from test_parameter_services import REQUESTS
for i in range(20):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(f"impatient{i}", context=context)
    service_type, name, request = REQUESTS[i % len(REQUESTS)]
    client = node.create_client(service_type, f"/face_attributes/{name}")
    assert client.wait_for_service(timeout_sec=120)
    for _ in range(20):
        client.call_async(request)
os._exit(0)
"""
    command = [sys.executable, "-c", impatient, os.path.dirname(__file__)]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    subprocess.run(command, env=environment, check=True, timeout=DEADLINE_SECS)
    ask_at_once(client, REQUESTS, 50)


def subscribe_events(client):
    events = []
    client.node.create_subscription(ParameterEvent, "/parameter_events", events.append, qos_profile_parameter_events)
    # This client's own node publishes there as well.
    client.spin_until(lambda: client.node.count_publishers("/parameter_events") > 1)
    # What is sent before both sides have found each other does not arrive.
    client.spin_until(lambda: set_parameter(client, "tracking.max_age", 1.5).successful and events)
    return events


def changes(events):
    """What the events say of the node, in their order."""
    return [
        [(p.name, parameter_value_to_python(p.value)) for p in event.changed_parameters]
        for event in events
        if event.node == "/face_attributes" and event.changed_parameters
    ]


def test_each_set_is_told_in_one_event(client):
    events = subscribe_events(client)
    del events[:]
    parameters = [("search.rate", 2.0), ("gender.margin", 9.0), ("emotion.margin", 1), ("gender.width", 1.0)]
    request = SetParameters.Request(parameters=[Parameter(name=n, value=ros_value(v)) for n, v in parameters])
    results = client.call(SetParameters, "set_parameters", request).results
    assert [result.successful for result in results] == [True, False, True, False]
    refused = [MARGIN, Parameter(name="saliency.rate", value=ros_value(0.0))]
    together = [MARGIN, Parameter(name="saliency.method", value=ros_value("gradient"))]
    for parameters in (refused, together):
        request = SetParametersAtomically.Request(parameters=parameters)
        client.call(SetParametersAtomically, "set_parameters_atomically", request)
    expected = [[("search.rate", 2.0)], [("emotion.margin", 1.0)], [("gender.margin", 0.5), ("saliency.method", "gradient")]]
    # Events of the sets before may still come.
    told = lambda: [change for change in changes(events) if change != [("tracking.max_age", 1.5)]]
    client.spin_until(lambda: len(told()) >= len(expected))
    assert told() == expected
    assert all(abs(event.stamp.sec - time.time()) < 3600 for event in events)


def test_at_the_start_each_parameter_is_told_as_new(make_client, start_node):
    client = make_client()
    events = []
    client.node.create_subscription(ParameterEvent, "/parameter_events", events.append, qos_profile_parameter_events)
    start_node("-p", "gender.margin:=0.3")
    names = all_names(client)
    client.spin_until(lambda: len([event for event in events if event.node == "/face_attributes"]) >= len(names))
    new = [event.new_parameters for event in events if event.node == "/face_attributes"]
    assert sorted(parameter.name for [parameter] in new) == sorted(names)
    values = {parameter.name: parameter_value_to_python(parameter.value) for [parameter] in new}
    assert values["gender.margin"] == 0.3


def test_the_clock_follows_use_sim_time_while_the_node_runs(client):
    events = subscribe_events(client)
    clock = client.node.create_publisher(Clock, "/clock", 1)
    message = Clock()
    message.clock.sec = 1234

    def is_stamped(condition):
        clock.publish(message)
        del events[:]
        assert set_parameter(client, "tracking.max_age", 1.5).successful
        client.spin_until(lambda: changes(events))
        return condition(events[-1].stamp.sec)

    assert set_parameter(client, "use_sim_time", True).successful
    assert get_parameter(client, "use_sim_time").bool_value
    client.spin_until(lambda: is_stamped(lambda sec: sec == 1234))
    assert set_parameter(client, "use_sim_time", False).successful
    assert is_stamped(lambda sec: abs(sec - time.time()) < 3600)
    assert set_parameter(client, "use_sim_time", True).successful
    client.spin_until(lambda: is_stamped(lambda sec: sec == 1234))


def all_names(client):
    return client.call(ListParameters, "list_parameters", ListParameters.Request()).result.names


def state_of(client, names):
    values = client.call(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    return dict(zip(names, map(parameter_value_to_python, values), strict=True))


def test_what_is_dumped_can_be_loaded(client, tmp_path):
    names = all_names(client)
    state = state_of(client, names)
    dumped = {}
    for name, value in state.items():
        *groups, last = name.split(".")
        group = dumped
        for part in groups:
            group = group.setdefault(part, {})
        group[last] = list(value) if isinstance(value, (list, tuple)) else value
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.dump({"/face_attributes": {"ros__parameters": dumped}}))
    assert set_parameter(client, "gender.margin", 0.9).successful
    future = AsyncParameterClient(client.node, "face_attributes").load_parameter_file(path)
    client.spin_until(future.done)
    assert [(r.successful, r.reason) for r in future.result().results] == [(True, "")] * len(names)
    assert state_of(client, names) == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[]", []), ("[front, rear]", ["front", "rear"]), ("\n      - front\n      - 'rear'", ["front", "rear"])],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_an_array_of_strings_is_read(start_node, make_client, tmp_path, text, expected, is_file):
    path = tmp_path / "parameters.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n    cameras: {text}\n")
    if not is_file and "\n" in text:
        pytest.skip("an argument has one line")
    start_node(*(["--params-file", path] if is_file else ["-p", f"cameras:={text}"])).wait_for_line("active")
    value = get_parameter(make_client(), "cameras")
    assert (value.type, value.string_array_value) == (ParameterType.PARAMETER_STRING_ARRAY, expected)


class Guesser:
    """Random values of parameters, by their descriptors, and whether an active node takes them."""

    def __init__(self, seed, descriptors):
        self.random = random.Random(seed)
        self.descriptors = descriptors

    def guess(self, state):
        """A name, a value, and whether it is valid while the parameters have the values of `state`."""
        descriptor = self.random.choice(self.descriptors)
        name = descriptor.name
        kind = self.random.choices(["valid", "wrong", "of another type", "undeclared"], [7, 2, 1, 1])[0]
        if kind == "undeclared":
            return f"{name}_", state[name], False
        if kind == "of another type":
            return name, "text" if not isinstance(state[name], str) else 0.5, False
        value, is_valid = self.value_of_type(descriptor, state[name], kind == "valid")
        return name, value, is_valid

    def value_of_type(self, descriptor, current, is_valid):
        if descriptor.read_only or "unconfigured or inactive" in descriptor.additional_constraints:
            other = not current if isinstance(current, bool) else current + 1 if isinstance(current, int) else f"{current}x"
            return (other, False) if not (is_valid or isinstance(current, list)) else (current, True)
        for range_ in descriptor.integer_range:
            outside = [range_.from_value - 1, range_.to_value + 1, 2**62]
            inside = [range_.from_value, range_.to_value, self.random.randint(range_.from_value, range_.to_value)]
            return self.random.choice(inside if is_valid else outside), is_valid
        for range_ in descriptor.floating_point_range:
            outside = [range_.from_value - 0.01, range_.to_value + 0.01, float("nan"), float("-inf")]
            inside = [range_.from_value, range_.to_value, self.random.uniform(range_.from_value, range_.to_value)]
            return self.random.choice(inside if is_valid else outside), is_valid
        if isinstance(current, bool):
            return self.random.choice([True, False]), True
        choices = descriptor.additional_constraints.removeprefix("One of: ").removesuffix(".").split(", ")
        return (self.random.choice(choices), True) if is_valid else ("none of them", False)


def test_random_sets_while_images_come_leave_the_last_valid_state(client, node, portrait):
    names = all_names(client)
    descriptors = client.call(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=names)).descriptors
    state = state_of(client, names)
    guesser = Guesser(7, descriptors)
    # A reliable camera is heard whatever image.reliability is set to.
    camera = client.node.create_publisher(Image, "/image", 5)
    client.node.destroy_publisher(client.images)
    client.node.create_timer(1 / 30, lambda: camera.publish(image_message(portrait, "bgr8")))
    sets = 0
    while sets < 1000:
        # A name twice in one set would make the first of its values count for nothing.
        guesses = {guess[0]: guess for guess in [guesser.guess(state) for _ in range(guesser.random.randint(1, 3))]}
        guesses = list(guesses.values())
        sets += len(guesses)
        parameters = [Parameter(name=name, value=ros_value(value)) for name, value, _ in guesses]
        if guesser.random.choice([True, False]):
            request = SetParametersAtomically.Request(parameters=parameters)
            result = client.call(SetParametersAtomically, "set_parameters_atomically", request).result
            accepted = all(is_valid for _, _, is_valid in guesses)
            assert result.successful == accepted and bool(result.reason) != accepted, (guesses, result)
            state |= {name: value for name, value, _ in guesses if accepted}
        else:
            results = client.call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters)).results
            for (name, value, is_valid), result in zip(guesses, results, strict=True):
                assert result.successful == is_valid and bool(result.reason) != is_valid, (name, value, result)
                state |= {name: value} if is_valid else {}
        if sets % 10 == 0:
            assert state_of(client, names) == state
            # Whatever was set, images are answered.
            answers = len(client.answers)
            client.spin_until(lambda answers=answers: len(client.answers) > answers)
    assert state_of(client, names) == state
    node.stop()
    node.wait()
    output = "".join(node.output)
    assert "stopped after" in output
    for fault in ("image skipped", "processed in part", "cannot publish", "panicked"):
        assert fault not in output
