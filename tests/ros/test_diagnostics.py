"""What the node reports on /diagnostics, as a diagnostic aggregator reads it."""

import hashlib
import time

import numpy as np
import pytest
from conftest import DEADLINE_SECS, ROOT, image_message
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
CAMERA_TASKS = ["image frequency", "image time stamps", "image input", "processing"]


class Diagnostics:
    """The last report of each task."""

    def __init__(self, client):
        self.client = client
        self.reports = []
        self.subscription = client.node.create_subscription(DiagnosticArray, "/diagnostics", self.reports.append, 10)

    def next(self, publish=None, rate=30):
        """The statuses of the next report by the names of their tasks, while images are published."""
        count = len(self.reports)
        begin = due = time.monotonic()
        while len(self.reports) == count:
            assert time.monotonic() < begin + DEADLINE_SECS, "no report came"
            if publish is not None:
                publish()
            due += 1 / rate
            while (left := due - time.monotonic()) > 0:
                self.client.executor.spin_once(timeout_sec=left)
        return {status.name.split(": ", 1)[1]: status for status in self.reports[-1].status}

    def wait_for(self, task, level, text="", publish=None):
        """The status of the task, once it has this level and this text in its message."""
        for _ in range(20):
            status = self.next(publish)[task]
            if status.level == level and text in status.message:
                return status
        raise AssertionError(f"{task}: {status.level} {status.message}")


def values(status):
    return {value.key: value.value for value in status.values}


@pytest.fixture
def diagnostics(client):
    return Diagnostics(client)


@pytest.fixture
def now(client):
    """Publishes an image that is stamped with the time now, plus some seconds."""

    def publish(offset_secs=0.0):
        image = image_message(np.zeros((48, 64), np.uint8), "mono8")
        stamp = client.node.get_clock().now().nanoseconds + round(1e9 * offset_secs)
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp, 10**9)
        client.publish(image)

    return publish


def test_reports_are_those_of_diagnostic_updater(client, diagnostics, now):
    statuses = diagnostics.next(now)
    assert list(statuses) == [*CAMERA_TASKS, "models", "lifecycle"]
    report = diagnostics.reports[-1]
    assert abs(report.header.stamp.sec - time.time()) < 10
    assert all(status.name.startswith("face_attributes: ") and status.hardware_id for status in report.status)
    [publisher] = client.node.get_publishers_info_by_topic("/diagnostics")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert publisher.qos_profile.durability == DurabilityPolicy.VOLATILE
    # Once per second: the stamps of three reports are two seconds apart.
    for _ in range(3):
        diagnostics.next(now)
    stamps = [report.header.stamp.sec + report.header.stamp.nanosec / 1e9 for report in diagnostics.reports[-3:]]
    assert 1.5 < stamps[2] - stamps[0] < 2.5


def test_a_camera_that_is_well_is_reported_with_its_figures(client, diagnostics, now):
    frequency = diagnostics.wait_for("image frequency", OK, "Desired frequency met", now)
    for _ in range(6):
        statuses = diagnostics.next(now)
    frequency = values(statuses["image frequency"])
    assert int(frequency["Events in window"]) > 50
    assert float(frequency["Actual frequency (Hz)"]) == pytest.approx(float(frequency["Target frequency (Hz)"]), rel=0.2)
    assert statuses["image time stamps"].level == OK
    assert statuses["image time stamps"].message == "Timestamps are reasonable."
    assert 0 <= float(values(statuses["image time stamps"])["Latest timestamp delay:"]) < 1
    incoming = statuses["image input"]
    assert (incoming.level, incoming.message) == (OK, "receiving from /image")
    assert incoming.hardware_id == "/image"
    figures = values(incoming)
    assert figures["topic"] == "/image" and figures["reliability"] == "best_effort"
    assert figures["publisher"] == "/test_client (best_effort, volatile)"
    assert int(figures["received"]) > 100
    assert figures["size and encoding"] == "64x48 mono8"
    processing = values(statuses["processing"])
    assert processing["listeners"] == "faces" and processing["faces"] == "0"
    for stage in ("decode", "find", "publish"):
        assert 0 <= float(processing[f"{stage} p50 (ms)"]) <= float(processing[f"{stage} p99 (ms)"])


@pytest.mark.parametrize(
    ("offset_secs", "message"),
    [
        (-20.0, "Timestamps too far in past seen."),
        (20.0, "Timestamps too far in future seen."),
    ],
)
def test_stamps_that_are_not_of_now_are_reported(diagnostics, now, offset_secs, message):
    diagnostics.wait_for("image time stamps", ERROR, message, lambda: now(offset_secs))


def test_images_without_a_stamp_are_reported_and_processed(client, diagnostics, portrait):
    image = image_message(portrait, "bgr8")
    image.header.stamp.sec = image.header.stamp.nanosec = 0
    answers = len(client.answers)
    diagnostics.wait_for("image time stamps", ERROR, "Zero timestamp seen.", lambda: client.publish(image))
    assert len(client.answers) > answers


def test_a_camera_that_stops_is_reported_soon_and_one_that_comes_back_as_well(client, diagnostics, now):
    diagnostics.wait_for("image input", OK, publish=now)
    status = diagnostics.wait_for("image input", ERROR, "no image on /image")
    # The first report after a silent second says it.
    assert float(values(status)["time since the last image (s)"]) < 3
    client.node.destroy_publisher(client.images)
    status = diagnostics.wait_for("image input", ERROR, "nobody publishes on /image")
    assert values(status)["publishers"] == "0"
    diagnostics.wait_for("image frequency", ERROR, "No events recorded.")
    # Another camera, with another QoS, size and encoding.
    client.images = client.node.create_publisher(Image, "/image", 10)

    def publish():
        client.publish(image_message(np.zeros((72, 96, 3), np.uint8), "rgb8"))

    diagnostics.wait_for("image input", OK, publish=publish)
    figures = values(diagnostics.next(publish)["image input"])
    assert (figures["size and encoding"], figures["reliability"]) == ("96x72 rgb8", "reliable")


def test_lost_images_are_reported_and_logged(client, node, diagnostics):
    rng = np.random.default_rng(3)
    clock = iter(np.arange(0, 1000, 1 / 30))
    start = client.node.get_clock().now().nanoseconds

    def publish():
        # Three of ten images are lost on the way.
        stamp = next(clock)
        while rng.random() < 0.3:
            stamp = next(clock)
        image = image_message(np.zeros((48, 64), np.uint8), "mono8")
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(start + round(1e9 * stamp), 10**9)
        client.publish(image)

    status = diagnostics.wait_for("image input", WARN, "were lost on the way", publish)
    assert int(values(status)["lost on the way"]) >= 3
    line = node.wait_for_line("were lost on the way")
    assert "/test_client offers best_effort" in line


def test_two_cameras_on_one_topic_are_no_losses(client, diagnostics, now):
    client.node.create_publisher(Image, "/image", 5)

    def is_known():
        return values(diagnostics.next(now)["image input"])["publishers"] == "2"

    while not is_known():
        pass
    lost = values(diagnostics.next(now)["image input"])["lost on the way"]

    def publish():
        # The stamps of the second camera are 5 ms behind those of the first.
        now()
        now(0.005)

    for _ in range(5):
        status = diagnostics.next(publish)["image input"]
        assert (status.level, values(status)["lost on the way"]) == (OK, lost), status.message


def test_a_malformed_image_is_the_last_fault(client, diagnostics):
    image = image_message(np.zeros((48, 64), np.uint8), "mono8")
    image.encoding = "32FC1"
    status = diagnostics.wait_for("image input", WARN, "were skipped", lambda: client.publish(image))
    figures = values(status)
    assert "32FC1" in figures["last fault"] and int(figures["dropped: failed"]) >= 1


def test_the_models_are_reported_with_their_checksums(diagnostics):
    models = values(diagnostics.next()["models"])
    for task, file in [
        ("search", "search/centerface.onnx"),
        ("emotion", "emotion_mini_xception.onnx"),
        ("gender", "gender_mini_xception.onnx"),
    ]:
        checksum = hashlib.sha256((ROOT / "models" / file).read_bytes()).hexdigest()
        assert models[task].startswith("built in, ") and models[task].endswith(f"SHA-256 {checksum}")


def test_a_node_that_is_not_active_reports_that_all_is_well(start_node, make_client):
    start_node("-p", "autostart:=false")
    client = make_client()
    diagnostics = Diagnostics(client)

    def assert_is_quiet(label, number):
        def is_quiet():
            statuses = diagnostics.next()
            lifecycle = values(statuses["lifecycle"])
            return lifecycle == {"state": label, "id": str(number)} and all(
                (statuses[task].level, statuses[task].message) == (OK, "inactive") for task in CAMERA_TASKS
            )

        client.spin_until(is_quiet)

    assert_is_quiet("unconfigured", 1)
    for number, label, state in [
        (Transition.TRANSITION_CONFIGURE, "inactive", 2),
        (Transition.TRANSITION_ACTIVATE, None, None),
        (Transition.TRANSITION_DEACTIVATE, "inactive", 2),
        (Transition.TRANSITION_CLEANUP, "unconfigured", 1),
    ]:
        request = ChangeState.Request(transition=Transition(id=number))
        assert client.call(ChangeState, "change_state", request).success
        if label is not None:
            assert_is_quiet(label, state)
        else:
            diagnostics.wait_for("image input", ERROR)


def test_several_cameras_are_reported_one_by_one(start_node, make_client):
    start_node("-p", "cameras:=[front, rear]").wait_for_line("waiting for images")
    diagnostics = Diagnostics(make_client(image_topic="/rear/image", node_name="/face_attributes/rear"))

    def publish():
        diagnostics.client.publish(image_message(np.zeros((48, 64), np.uint8), "mono8"))

    diagnostics.wait_for("rear image input", OK, "receiving from /rear/image", publish)
    statuses = diagnostics.next(publish)
    assert [name for name in statuses if name.startswith("front ")] == [f"front {task}" for task in CAMERA_TASKS]
    assert statuses["front image input"].level == ERROR


