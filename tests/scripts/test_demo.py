"""However the demo ends, none of its processes stays behind, also where `ros2 launch` is the real one."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import DEADLINE_SECS, ROOT, write_program

# Each line is written at once, as others write to the same pipe.

# As the real one: SIGINT stops what was launched, SIGTERM ends it without its children.
ROS2 = f"""#!{sys.executable}
import os, signal, subprocess, sys
if "--help" in sys.argv:
    sys.exit(0)
node = subprocess.Popen([os.environ["NODE"]], start_new_session="NODE_SESSION" in os.environ)
def stop(*_):
    node.send_signal(signal.SIGINT)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
os.write(1, b"launch %d\\n" % os.getpid())
sys.exit(node.wait())
"""

# Says which signals it gets, and ends at the first, as the node does.
NODE = f"""#!{sys.executable}
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
os.write(1, b"node %d\\n" % os.getpid())
number = signal.sigwait([signal.SIGINT, signal.SIGTERM])
os.write(1, b"node got %s\\n" % signal.Signals(number).name.encode())
"""

CAMERA = """#!/bin/sh
echo "camera options: $* ."
echo "camera $$"
exec sleep infinity
"""

CLIENT = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
os.write(1, b"client %d\\n" % os.getpid())
# SIGUSR1 stands for a node that stays silent.
sys.exit(signal.sigwait([signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]) == signal.SIGUSR1)
"""

PROGRAMS = ["camera", "launch", "node", "client"]


@pytest.fixture(autouse=True)
def deadline():
    """Ends a test that hangs."""

    def fail(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, fail)
    signal.alarm(DEADLINE_SECS)
    yield
    signal.alarm(0)


class Demo:
    """A running demo whose programs say their process ids."""

    def __init__(self, command, mark, **options):
        self.mark = mark
        self.output = ""
        reading, writing = os.pipe()
        self._stream = open(reading)
        self.process = subprocess.Popen(command, stdout=writing, stderr=writing, **options)
        os.close(writing)

    def wait_for(self, *programs):
        """The process ids of the programs, once all of them run."""
        ids = {}
        while not ids.keys() >= set(programs):
            line = self._stream.readline()
            assert line, f"the demo ended too early:\n{self.output}"
            self.output += line
            name, *rest = line.split()
            if name in programs and len(rest) == 1:
                ids[name] = int(rest[0])
        return ids

    def wait(self):
        """The exit code. What the processes print until then is in `output`."""
        code = self.process.wait()
        left = self.mark.processes()
        assert not left, f"left behind: {left}\n{self.output}"
        self.output += self._stream.read()
        return code


@pytest.fixture
def start_demo(package, mark, tmp_path, monkeypatch):
    """Starts the demo with the programs above in place of what it starts."""
    write_program(package / "scripts" / "build", "#!/bin/sh\n")
    write_program(package / "scripts" / "environment.bash", "")
    write_program(package / "scripts" / "demo_client.py", CLIENT)
    write_program(package / "install/lib/face_attributes/camera_publisher", CAMERA)
    write_program(tmp_path / "node", NODE)
    write_program(tmp_path / "bin" / "ros2", ROS2)
    monkeypatch.setenv("NODE", str(tmp_path / "node"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv(mark.variable, mark.value)

    def start(*arguments, stdin=subprocess.DEVNULL, **options):
        return Demo([package / "scripts" / "demo", *arguments], mark, stdin=stdin, **options)

    return start


@pytest.fixture(params=["in one session", "in a session of its own"])
def node_session(request, monkeypatch):
    """No group of processes holds all that a launch file starts."""
    if request.param != "in one session":
        monkeypatch.setenv("NODE_SESSION", "1")


@pytest.mark.usefixtures("node_session")
@pytest.mark.parametrize(
    ("program", "number", "code"),
    [
        ("demo", signal.SIGINT, 0),
        ("demo", signal.SIGTERM, 0),
        ("demo", signal.SIGHUP, 0),
        ("client", signal.SIGTERM, 0),  # as at the end of --frames
        ("client", signal.SIGUSR1, 1),
        ("client", signal.SIGKILL, 128 + signal.SIGKILL),
        ("camera", signal.SIGKILL, 1),
        ("node", signal.SIGTERM, 1),
        ("launch", signal.SIGTERM, 1),
        ("launch", signal.SIGKILL, 1),
    ],
)
def test_nothing_stays_behind(start_demo, program, number, code):
    demo = start_demo()
    ids = demo.wait_for(*PROGRAMS) | {"demo": demo.process.pid}
    os.kill(ids[program], number)
    assert demo.wait() == code


@pytest.mark.usefixtures("node_session")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_node_is_asked_once_to_stop(start_demo, number):
    demo = start_demo()
    demo.wait_for(*PROGRAMS)
    demo.process.send_signal(number)
    assert demo.wait() == 0
    assert demo.output.count("node got") == demo.output.count("node got SIGINT") == 1


def test_a_killed_demo_leaves_nothing_behind(start_demo, mark):
    demo = start_demo()
    demo.wait_for(*PROGRAMS)
    demo.process.kill()
    demo.process.wait()
    while mark.processes():
        pass


def test_a_background_process_of_a_script_heeds_sigint(start_demo):
    # Shells start such processes with SIGINT ignored.
    demo = start_demo(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    demo.wait_for(*PROGRAMS)
    demo.process.send_signal(signal.SIGINT)
    assert demo.wait() == 0


def test_ctrl_c_in_a_terminal(start_demo):
    controller, terminal = pty.openpty()
    demo = start_demo(
        stdin=terminal, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    )
    demo.wait_for(*PROGRAMS)
    os.write(controller, b"\x03")
    assert demo.wait() == 0
    assert demo.output.count("node got") == demo.output.count("node got SIGINT") == 1
    os.close(terminal)
    os.close(controller)


@pytest.mark.parametrize("option", ["--picture", "--video", "--camera", None])
def test_the_camera_shows_what_is_asked_for(start_demo, package, option):
    # By default, a video that comes with the package beside the portrait.
    clip = Path("tests", "data", "signing.mkv")
    file = package / "Cargo.toml"
    arguments, options = {
        "--camera": (["--camera", "2"], "--camera 2"),
        None: ([], f"--beside {package / clip}"),
    }.get(option, ([option, file], f"{option} {file}"))
    assert (ROOT / clip).is_file()
    demo = start_demo(*arguments)
    demo.wait_for(*PROGRAMS)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.wait() == 0
    assert f"camera options: {options} .\n" in demo.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_build_ends_the_build(start_demo, package, number):
    write_program(package / "scripts" / "build", '#!/bin/sh\n"$CAMERA"\n')
    os.environ["CAMERA"] = str(package / "install/lib/face_attributes/camera_publisher")
    demo = start_demo()
    demo.wait_for("camera")
    demo.process.send_signal(number)
    assert demo.wait() == 128 + number


def test_a_failed_build_ends_the_demo(start_demo, package):
    write_program(package / "scripts" / "build", "#!/bin/sh\nexit 3\n")
    demo = start_demo()
    assert demo.wait() == 3
    assert "Starting" not in demo.output


def test_a_process_can_be_stopped_as_soon_as_it_is_started(mark):
    # One that stays deaf to SIGINT, as background processes of a shell are at first, would never end.
    script = f"""
        source {ROOT}/scripts/lib/processes.bash
        stop_grace_secs=1000
        start camera INT sleep infinity
        stop_processes
    """
    environment = {**os.environ, mark.variable: mark.value}
    subprocess.run(["bash", "-c", script], env=environment, check=True)
    assert not mark.processes()


def test_a_process_that_ignores_signals_is_killed(mark):
    script = f"""
        source {ROOT}/scripts/lib/processes.bash
        stop_grace_secs=1
        start stubborn TERM sh -c 'trap "" INT TERM; echo ready; while :; do sleep 0.1; done'
        read -r
        stop_processes
    """
    environment = {**os.environ, mark.variable: mark.value}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["bash", "-c", script], env=environment, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        process.wait()
        assert not mark.processes()
