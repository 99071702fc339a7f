"""The installed node as a process, and a client of it that shares none of its code: rclpy with the generated messages."""

import itertools
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python.packages import get_package_prefix
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from face_attributes.msg import FaceAttributesArray

ROOT = Path(__file__).resolve().parents[2]
NODE_PROGRAM = Path(get_package_prefix("face_attributes")) / "lib" / "face_attributes" / "face_attributes_node"

# Far more than anything here takes: reached only when something hangs, so that a slow machine fails no test.
DEADLINE_SECS = 120

# Client and node must agree on a transport that large images fit through.
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fast_dds.xml")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# Runs beside each other begin at different domains, and each test takes the next one.
_domains = itertools.cycle(range(1, 101))
for _ in range(os.getpid() % 100):
    next(_domains)


class Process:
    """A process whose output is read as it comes."""

    def __init__(self, command, domain):
        self.popen = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for_line(self, text):
        """The first line from here on that holds `text`."""
        deadline = time.monotonic() + DEADLINE_SECS
        while True:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            assert line is not None, f"the process ended without saying '{text}':\n{''.join(self.output)}"
            self.output.append(line)
            if text in line:
                return line

    def wait(self):
        """The exit code."""
        code = self.popen.wait(timeout=DEADLINE_SECS)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.output.append(line)
        return code

    def stop(self):
        # Killed, it would leave its shared memory behind; at SIGTERM, `ros2 launch` leaves the node behind.
        self.popen.send_signal(signal.SIGINT)
        try:
            self.popen.wait(timeout=DEADLINE_SECS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise


class Client:
    """Publishes images and collects what the node answers."""

    def __init__(self, domain, image_topic="/image", node_name="/face_attributes"):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("test_client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.node_name = node_name
        self.images = self.node.create_publisher(Image, image_topic, qos_profile_sensor_data)
        self.images_sent = 0
        self.answers = []
        self.services = {}
        self.answer_subscription = self.node.create_subscription(
            FaceAttributesArray, f"{node_name}/faces", self.answers.append, 10
        )

    def subscribe_image(self, name):
        """The images of the node's topic `name`, in a list that grows as they come."""
        topic = f"{self.node_name}/{name}"
        images = []
        self.node.create_subscription(Image, topic, images.append, qos_profile_sensor_data)
        self.spin_until(lambda: self.node.count_publishers(topic) > 0)
        return images

    def spin_until(self, condition):
        deadline = time.monotonic() + DEADLINE_SECS
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, "what the test waits for did not happen"
            self.executor.spin_once(timeout_sec=min(left, 0.1))

    def publish(self, image):
        self.images.publish(image)
        self.images_sent += 1

    def connect(self):
        """Waits until an image gets an answer: from then on, all parts have found each other."""
        self.spin_until(lambda: self.images.get_subscription_count() > 0)

        def is_answered():
            self.publish(image_message(np.zeros((48, 64), np.uint8), "mono8"))
            self.executor.spin_once(timeout_sec=0.2)
            return bool(self.answers)

        self.spin_until(is_answered)

    def ask(self, image):
        """The node's answer to an image."""
        stamp = image.header.stamp
        self.publish(image)
        self.spin_until(lambda: any(answer.header.stamp == stamp for answer in self.answers))
        return next(answer for answer in self.answers if answer.header.stamp == stamp)

    def call(self, service_type, name, request):
        if name not in self.services:
            self.services[name] = self.node.create_client(service_type, f"{self.node_name}/{name}")
        service = self.services[name]
        assert service.wait_for_service(timeout_sec=DEADLINE_SECS)
        future = service.call_async(request)
        self.spin_until(future.done)
        return future.result()

    def close(self):
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


_stamps = itertools.count(1)


def image_message(pixels, encoding, padding=0, big_endian=False):
    """An image message of height x width (x channels) pixels whose rows are `padding` bytes longer than their pixels."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp.sec = next(_stamps)
    message.header.stamp.nanosec = 123456789
    message.header.frame_id = "camera_optical_frame"
    message.step = rows.shape[1]
    message.is_bigendian = int(big_endian)
    message.data.frombytes(rows.tobytes())
    return message


@pytest.fixture
def domain():
    return next(_domains)


@pytest.fixture
def start(domain):
    """Starts a program in the test's domain."""
    processes = []

    def start(*command):
        processes.append(Process(command, domain))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()


@pytest.fixture
def start_node(start):
    return lambda *arguments: start(NODE_PROGRAM, "--ros-args", *arguments)


@pytest.fixture
def make_client(domain):
    clients = []

    def make_client(**options):
        clients.append(Client(domain, **options))
        return clients[-1]

    yield make_client
    for client in clients:
        client.close()


@pytest.fixture
def node(start_node):
    process = start_node()
    process.wait_for_line("waiting for images")
    return process


@pytest.fixture
def client(node, make_client):
    client = make_client()
    client.connect()
    return client


@pytest.fixture(scope="session")
def portrait():
    """640 x 480, blue green red, with one face left of the middle; see FACE in test_faces.py."""
    picture = cv2.imread(str(ROOT / "tests" / "data" / "astronaut.jpg"))
    return np.ascontiguousarray(cv2.resize(picture, (640, 640))[:480])
