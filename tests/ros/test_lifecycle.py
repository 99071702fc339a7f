"""The managed node, driven as `ros2 lifecycle`, launch_ros and nav2's lifecycle manager drive it."""

import os
from pathlib import Path

import pytest
from bond.msg import Status
from conftest import ROOT, image_message
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile

LABELS = {
    State.PRIMARY_STATE_UNKNOWN: "unknown",
    State.PRIMARY_STATE_UNCONFIGURED: "unconfigured",
    State.PRIMARY_STATE_INACTIVE: "inactive",
    State.PRIMARY_STATE_ACTIVE: "active",
    State.PRIMARY_STATE_FINALIZED: "finalized",
    State.TRANSITION_STATE_CONFIGURING: "configuring",
    State.TRANSITION_STATE_CLEANINGUP: "cleaningup",
    State.TRANSITION_STATE_SHUTTINGDOWN: "shuttingdown",
    State.TRANSITION_STATE_ACTIVATING: "activating",
    State.TRANSITION_STATE_DEACTIVATING: "deactivating",
    State.TRANSITION_STATE_ERRORPROCESSING: "errorprocessing",
}


class Manager:
    """A client of a managed node."""

    def __init__(self, client):
        self.client = client
        self.events = []
        topic = f"{client.node_name}/transition_event"
        self.subscription = client.node.create_subscription(TransitionEvent, topic, self.events.append, 10)
        client.spin_until(lambda: client.node.count_publishers(topic) > 0)

    def change(self, number=0, label=""):
        request = ChangeState.Request(transition=Transition(id=number, label=label))
        return self.client.call(ChangeState, "change_state", request).success

    def state(self):
        state = self.client.call(GetState, "get_state", GetState.Request()).current_state
        assert LABELS[state.id] == state.label
        return state.label

    def available(self):
        """What can be asked for now, by label."""
        request = GetAvailableTransitions.Request()
        answer = self.client.call(GetAvailableTransitions, "get_available_transitions", request)
        return [described.transition.label for described in answer.available_transitions]

    def set(self, name, value):
        parameter = Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value))
        return self.client.call(SetParameters, "set_parameters", SetParameters.Request(parameters=[parameter])).results[0]

    def wait_for_events(self, expected):
        """Waits for as many events, each a way from state to state."""
        self.client.spin_until(lambda: len(self.events) >= len(expected))
        assert [(event.start_state.label, event.goal_state.label) for event in self.events] == expected


@pytest.fixture
def start_managed(start_node, make_client):
    def start(*arguments):
        node = start_node("-p", "autostart:=false", *arguments)
        return node, Manager(make_client())

    return start


def test_each_transition_is_taken_told_of_and_shown(start_managed):
    _, manager = start_managed()
    assert manager.state() == "unconfigured"
    assert manager.available() == ["configure", "shutdown"]
    steps = [
        ("configure", "configuring", "inactive", ["cleanup", "activate", "shutdown"]),
        ("activate", "activating", "active", ["deactivate", "shutdown"]),
        ("deactivate", "deactivating", "inactive", ["cleanup", "activate", "shutdown"]),
        ("cleanup", "cleaningup", "unconfigured", ["configure", "shutdown"]),
        ("shutdown", "shuttingdown", "finalized", []),
    ]
    before, expected = "unconfigured", []
    for label, between, after, available in steps:
        assert manager.change(label=label)
        assert manager.state() == after
        assert manager.available() == available
        expected += [(before, between), (between, after)]
        before = after
    manager.wait_for_events(expected)
    stamps = [event.timestamp for event in manager.events]
    assert stamps == sorted(stamps) and stamps[0] > 0
    numbers = [event.transition.id for event in manager.events]
    assert numbers == [1, 10, 3, 30, 4, 40, 2, 20, 5, 50]
    assert manager.events[1].transition.label == "transition_success"


@pytest.mark.parametrize("path", [[], [1], [1, 3]])
def test_the_node_can_be_shut_down_from_each_state(start_managed, path):
    node, manager = start_managed()
    assert all(manager.change(number) for number in path)
    assert manager.change(label="shutdown")
    assert manager.state() == "finalized"
    # It still answers, and it stops at a signal as ever.
    assert not manager.change(label="configure")
    node.stop()
    assert node.wait() == 0


def test_the_number_counts_where_the_label_is_empty_and_what_the_state_does_not_allow_is_refused(start_managed):
    node, manager = start_managed()
    # nav2's lifecycle manager asks by numbers.
    for number, state in [(1, "inactive"), (3, "active"), (4, "inactive"), (2, "unconfigured"), (5, "finalized")]:
        assert manager.change(number)
        assert manager.state() == state
    events = len(manager.events)
    for number, label in [(1, ""), (1, "activate"), (10, ""), (0, "transition_success"), (77, "nonsense")]:
        assert not manager.change(number, label)
    assert manager.state() == "finalized"
    assert len(manager.events) == events
    node.wait_for_line("there is no transition 'nonsense' from the state finalized")


def test_of_many_requests_at_once_each_is_answered(start_managed):
    _, manager = start_managed()
    # The first takes a while, in which the others wait.
    assert manager.change(label="configure") and manager.change(label="cleanup")
    service = manager.client.services["change_state"]
    labels = ["configure", "activate", "deactivate", "cleanup"] * 5
    futures = [service.call_async(ChangeState.Request(transition=Transition(label=label))) for label in labels]
    manager.client.spin_until(lambda: all(future.done() for future in futures))
    assert all(future.result().success for future in futures) and manager.state() == "unconfigured"


def test_all_states_and_transitions_are_listed(start_managed):
    _, manager = start_managed()
    states = manager.client.call(GetAvailableStates, "get_available_states", GetAvailableStates.Request())
    assert {state.id: state.label for state in states.available_states} == LABELS
    assert states.available_states[0].label == "unknown"
    graph = manager.client.call(GetAvailableTransitions, "get_transition_graph", GetAvailableTransitions.Request())
    assert len(graph.available_transitions) == 25
    deactivated = next(described for described in graph.available_transitions if described.transition.id == 40)
    assert (deactivated.start_state.label, deactivated.goal_state.label) == ("deactivating", "inactive")


def test_a_model_that_is_missing_fails_the_configuration_by_name_and_can_be_mended(start_managed, portrait):
    node, manager = start_managed("-p", "emotion.model:=/nowhere/emotion.onnx")
    client = manager.client
    assert not manager.change(label="configure")
    assert "/nowhere/emotion.onnx" in node.wait_for_line("cannot configure")
    assert manager.state() == "unconfigured"
    manager.wait_for_events([("unconfigured", "configuring"), ("configuring", "unconfigured")])
    assert manager.set("emotion.model", "").successful
    assert manager.change(label="configure") and manager.change(label="activate")
    client.connect()
    assert len(client.ask(image_message(portrait, "bgr8")).faces) == 1
    # What an active node works with cannot be changed below it.
    refusal = manager.set("emotion.model", "/nowhere/emotion.onnx")
    assert not refusal.successful and "active" in refusal.reason
    # An inactive one loads it with the next activation.
    assert manager.change(label="deactivate")
    assert manager.set("emotion.model", "/nowhere/emotion.onnx").successful
    assert not manager.change(label="activate")
    assert manager.state() == "inactive"
    node.wait_for_line("cannot activate")
    assert manager.set("emotion.model", "").successful
    assert manager.change(label="activate")
    assert len(client.ask(image_message(portrait, "bgr8")).faces) == 1


def test_the_number_of_threads_can_be_set_between_two_configurations(start_managed, portrait):
    _, manager = start_managed()
    for threads in (1, 2):
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=threads)
        request = SetParameters.Request(parameters=[Parameter(name="detector.threads", value=value)])
        assert manager.client.call(SetParameters, "set_parameters", request).results[0].successful
        assert manager.change(label="configure") and manager.change(label="activate")
        manager.client.connect()
        assert len(manager.client.ask(image_message(portrait, "bgr8")).faces) == 1
        assert manager.change(label="deactivate") and manager.change(label="cleanup")


def test_a_deactivated_node_says_that_nobody_is_there_and_works_no_more(client, portrait):
    manager = Manager(client)
    first = client.ask(image_message(portrait, "bgr8"))
    assert len(first.faces) == 1
    answers = len(client.answers)
    assert manager.change(label="deactivate")
    client.spin_until(lambda: len(client.answers) > answers)
    assert client.answers[-1].faces == []
    assert client.answers[-1].header.frame_id == first.header.frame_id
    answers = len(client.answers)
    # r2r ends the subscription at the next image.
    for _ in range(3):
        client.publish(image_message(portrait, "bgr8"))
    client.spin_until(lambda: client.images.get_subscription_count() == 0)
    assert len(client.answers) == answers
    assert manager.change(label="activate")
    client.spin_until(lambda: client.images.get_subscription_count() == 1)
    client.connect()
    again = client.ask(image_message(portrait, "bgr8"))
    # Ids are not used twice.
    assert again.faces[0].id not in ("", first.faces[0].id)


def test_rounds_through_all_states_leave_nothing_behind(start_managed, portrait):
    node, manager = start_managed()
    client = manager.client
    figures = []
    for _ in range(16):
        assert manager.change(label="configure") and manager.change(label="activate")
        answers = len(client.answers)

        def is_answered():
            client.publish(image_message(portrait, "bgr8"))
            client.executor.spin_once(timeout_sec=0.05)
            return len(client.answers) > answers

        client.spin_until(is_answered)
        assert manager.change(label="deactivate")

        def is_unsubscribed():
            client.publish(image_message(portrait, "bgr8"))
            client.executor.spin_once(timeout_sec=0.05)
            return client.images.get_subscription_count() == 0

        client.spin_until(is_unsubscribed)
        assert manager.change(label="cleanup")
        figures.append(figures_of(node.popen.pid, client))
    early, late = figures[4], figures[-1]
    assert late["threads"] <= early["threads"]
    assert late["files"] <= early["files"]
    assert late["endpoints"] == early["endpoints"]
    # What the allocator keeps differs a little from round to round; a round that loses its networks loses 10 MB.
    assert late["memory_mb"] < early["memory_mb"] + 20


def figures_of(pid, client):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    name, namespace = "face_attributes", "/"
    graph = client.node
    return {
        "threads": int(status["Threads"]),
        "memory_mb": int(status["VmRSS"].split()[0]) // 1024,
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        "endpoints": sorted(graph.get_publisher_names_and_types_by_node(name, namespace))
        + sorted(graph.get_subscriber_names_and_types_by_node(name, namespace)),
    }


def test_an_active_node_has_a_heartbeat_and_says_when_it_ends(start_managed):
    _, manager = start_managed()
    beats = []
    manager.client.node.create_subscription(Status, "/bond", beats.append, QoSProfile(depth=100))
    assert manager.change(label="configure")
    assert beats == []
    assert manager.change(label="activate")
    manager.client.spin_until(lambda: len(beats) >= 3)
    assert all(beat.id == "face_attributes" and beat.active for beat in beats)
    assert len({beat.instance_id for beat in beats}) == 1 and beats[0].instance_id
    assert (beats[0].heartbeat_timeout, round(beats[0].heartbeat_period, 3)) == (4.0, 0.1)
    stamps = [beat.header.stamp.sec + beat.header.stamp.nanosec / 1e9 for beat in beats]
    assert stamps == sorted(stamps)
    assert manager.change(label="deactivate")
    manager.client.spin_until(lambda: not beats[-1].active)


def test_the_cameras_of_a_node_work_side_by_side(start_node, make_client, portrait):
    start_node("-p", "cameras:=[front, rear]").wait_for_line("waiting for images on /front/image, /rear/image")
    front = make_client(image_topic="/front/image", node_name="/face_attributes/front")
    rear = make_client(image_topic="/rear/image", node_name="/face_attributes/rear")
    front.connect()
    rear.connect()
    [of_front] = front.ask(image_message(portrait, "bgr8")).faces
    [of_rear] = rear.ask(image_message(portrait[:, ::-1], "bgr8")).faces
    assert of_front.id.startswith("face") and of_rear.id.startswith("camera2_face")
    assert of_front.roi.x_offset < 320 < of_rear.roi.x_offset + of_rear.roi.width


@pytest.mark.parametrize(
    ("arguments", "front_node", "rear_node"),
    [
        (["processes:=one"], "/face_attributes/front", "/face_attributes/rear"),
        (["processes:=one_each"], "/front/face_attributes", "/rear/face_attributes"),
        (["processes:=one_each", "namespace:=robot"], "/robot/front/face_attributes", "/robot/rear/face_attributes"),
    ],
)
def test_the_launch_file_of_several_cameras_starts_one_process_or_one_each(
    start, make_client, portrait, arguments, front_node, rear_node
):
    file = ROOT / "launch" / "several_cameras.launch.py"
    start(ROOT / "scripts" / "launch", file, *arguments, "front:=/head/image_raw")
    front = make_client(image_topic="/head/image_raw", node_name=front_node)
    rear = make_client(image_topic="/rear/image", node_name=rear_node)
    for client in (front, rear):
        client.connect()
        assert len(client.ask(image_message(portrait, "bgr8")).faces) == 1


def test_the_launch_file_leaves_the_start_to_a_lifecycle_manager(start, make_client):
    start(ROOT / "scripts" / "launch", ROOT / "launch" / "face_attributes.launch.py", "autostart:=false")
    manager = Manager(make_client())
    assert manager.state() == "unconfigured"
    assert manager.change(label="configure") and manager.change(label="activate")
    manager.client.connect()
