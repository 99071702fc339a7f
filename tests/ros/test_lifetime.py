"""How the node starts and stops, by itself and from its launch file."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import NODE_PROGRAM, ROOT, image_message
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_node_cleanly(client, node, portrait, number):
    # While images are on their way.
    for _ in range(5):
        client.publish(image_message(portrait, "bgr8"))
    node.popen.send_signal(number)
    assert node.wait() == 0
    output = "".join(node.output)
    assert "stopped after" in output
    assert "image skipped" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_stops_the_node_cleanly(start_node, number):
    for _ in range(5):
        process = start_node()
        # No signal can be handled before the program says so to the kernel; from then on it must be.
        status = Path(f"/proc/{process.popen.pid}/status")
        while not caught_signals(status) & 1 << (number - 1):
            assert process.popen.poll() is None
        process.popen.send_signal(number)
        assert process.wait() == 0


def caught_signals(status):
    """The set of signals that a process handles itself."""
    return next(int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("SigCgt"))


def test_the_log_is_published(make_client, start_node):
    client = make_client()
    messages = []
    qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.node.create_subscription(Log, "/rosout", messages.append, qos)
    start_node()
    client.spin_until(lambda: any(m.name == "face_attributes" and "waiting for images" in m.msg for m in messages))


def test_the_log_on_rosout_has_the_level_of_the_console(make_client, start_node):
    client = make_client()
    messages = []
    qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.node.create_subscription(Log, "/rosout", messages.append, qos)
    node = start_node("--log-level", "warn", "-p", "robot_name:=cob4")
    client.spin_until(lambda: any("robot_name" in m.msg for m in messages))
    client.connect()
    node.popen.send_signal(signal.SIGINT)
    assert node.wait() == 0
    assert [m.msg for m in messages if m.level < Log.WARN] == []
    assert "waiting for images" not in "".join(node.output)


@pytest.mark.parametrize(
    "name", ["RCUTILS_COLORIZED_OUTPUT", "RCUTILS_LOGGING_USE_STDOUT", "RCUTILS_LOGGING_BUFFERED_STREAM"]
)
def test_a_setting_of_the_log_that_is_not_valid_is_ignored(start, monkeypatch, name):
    # rcutils takes 0 and 1, and cannot log at all with anything else.
    monkeypatch.setenv(name, "true")
    node = start(NODE_PROGRAM)
    assert "it takes 0 or 1" in node.wait_for_line(f"{name}=true is ignored")
    node.wait_for_line("waiting for images")
    node.popen.send_signal(signal.SIGINT)
    assert node.wait() == 0
    assert "error initializing logging" not in "".join(node.output)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--ros-args", "--prams-file", "x.yaml"], "'--prams-file'; did you mean '--params-file'?"),
        (["--nonsense"], "unknown argument '--nonsense'"),
        (["--ros-args", "-p", "gender.margin=0.1"], "gender.margin=0.1"),
    ],
)
def test_an_unknown_argument_is_refused_by_name(start, arguments, reason):
    process = start(NODE_PROGRAM, *arguments)
    assert process.wait() == 1
    assert "".join(process.output).count(reason) == 1


@pytest.mark.parametrize(("option", "text"), [("--help", "--params-file FILE"), ("--version", "face_attributes_node 0")])
def test_help_and_version_are_printed_and_the_node_does_not_start(start, option, text):
    process = start(NODE_PROGRAM, option)
    assert process.wait() == 0
    output = "".join(process.output)
    assert text in output and "waiting for images" not in output


COMMAND_LINE = NODE_PROGRAM.with_name("face_attributes")


@pytest.mark.skipif(not COMMAND_LINE.exists(), reason="built without FACE_ATTRIBUTES_TOOLS")
def test_the_command_line_needs_no_ros():
    program = COMMAND_LINE
    without_ros = {name: os.environ[name] for name in ("PATH", "HOME")}
    needed = subprocess.run(["readelf", "--dynamic", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"NEEDED.*\[(.*)\]", needed)
    assert any(library.startswith("libopencv") for library in libraries)
    assert not [library for library in libraries if re.match(r"lib(rcl|rcutils|rmw|rosidl|ament|.*__rosidl)", library)]
    subprocess.run([program, "--version"], env=without_ros, check=True)


def test_without_images_the_log_says_which_topics_have_some(node, make_client):
    client = make_client(image_topic="/elsewhere/image_raw")
    line = node.wait_for_line("no image for")
    assert "/elsewhere/image_raw (best_effort)" in line
    assert client.images.get_subscription_count() == 0


def test_the_launch_file_starts_the_node_where_its_arguments_say(start, make_client, portrait, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("/**:\n  ros__parameters:\n    gender: {enabled: false}\n")
    launch = start(
        ROOT / "scripts" / "launch",
        ROOT / "launch" / "face_attributes.launch.py",
        "image:=/head/camera/image_raw",
        "namespace:=robot",
        f"params_file:={parameters}",
    )
    launch.wait_for_line("waiting for images")
    client = make_client(image_topic="/head/camera/image_raw", node_name="/robot/face_attributes")
    client.connect()
    answer = client.ask(image_message(portrait, "bgr8"))
    assert len(answer.faces) == 1
    assert list(answer.faces[0].gender.probabilities) == [0, 0]
    launch.popen.send_signal(signal.SIGINT)
    assert launch.wait() == 0
