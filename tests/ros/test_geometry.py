"""Where faces are: directions and positions by the camera's calibration, transforms and markers."""

import math
import time

import numpy as np
import pytest
import rclpy.qos
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from conftest import DEADLINE_SECS, image_message
from face_attributes.msg import FaceAttributes

# An asymmetric camera whose lens bends by several degrees at the border of the image.
K = [565.0, 0.0, 371.5, 0.0, 570.0, 208.5, 0.0, 0.0, 1.0]
D = [-0.31, 0.12, 0.0013, -0.0021, -0.018]


def camera_info(image, **fields):
    info = CameraInfo(width=image.width, height=image.height, distortion_model="plumb_bob", d=D, k=K)
    info.header = image.header
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def ray(u, v):
    """The direction of a pixel, by fixed-point iteration as OpenCV's undistortPoints does it."""
    x0, y0 = (u - K[2]) / K[0], (v - K[5]) / K[4]
    x, y = x0, y0
    k1, k2, p1, p2, k3 = D
    for _ in range(200):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x = (x0 - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial
        y = (y0 - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / radial
    return np.array([x, y, 1.0]) / math.sqrt(x * x + y * y + 1)


def vector(message):
    return np.array([message.x, message.y, message.z])


def angle(a, b):
    return math.degrees(math.atan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))


@pytest.fixture
def infos(client):
    """Publishes calibrations beside the images."""
    publisher = client.node.create_publisher(CameraInfo, "/camera_info", rclpy.qos.qos_profile_sensor_data)
    client.spin_until(lambda: publisher.get_subscription_count() > 0)
    return publisher


def ask_until(client, infos, portrait, is_expected, **fields):
    """The first answer that is as expected. The calibration comes by another topic, before or after the image."""
    deadline = time.monotonic() + DEADLINE_SECS
    while time.monotonic() < deadline:
        image = image_message(portrait, "bgr8", padding=3)
        infos.publish(camera_info(image, **fields))
        answer = client.ask(image)
        if is_expected(answer):
            return answer
    raise AssertionError("no answer is as expected")


def has_direction(answer):
    return len(answer.faces) == 1 and not math.isnan(answer.faces[0].direction.x)


def test_a_face_has_the_direction_of_the_middle_of_its_box(client, infos, portrait):
    face = ask_until(client, infos, portrait, has_direction).faces[0]
    roi = face.roi
    expected = ray(roi.x_offset + roi.width / 2, roi.y_offset + roi.height / 2)
    assert angle(vector(face.direction), expected) < 0.01
    assert abs(np.linalg.norm(vector(face.direction)) - 1) < 1e-9
    # Without its distortion it would be somewhere else.
    pinhole = [(roi.x_offset + roi.width / 2 - K[2]) / K[0], (roi.y_offset + roi.height / 2 - K[5]) / K[4], 1.0]
    assert angle(expected, pinhole) > 0.1

    assert face.position_method == FaceAttributes.LANDMARKS
    position = vector(face.position)
    assert angle(position, vector(face.direction)) < 1e-6
    # The pupils are 54 pixels apart.
    assert 0.55 < np.linalg.norm(position) < 0.8
    assert 0.05 < face.position_error / np.linalg.norm(position) < 0.12
    assert face.frontal > 0.95


def test_without_a_calibration_there_is_no_direction(client, portrait):
    face = client.ask(image_message(portrait, "bgr8")).faces[0]
    assert all(math.isnan(part) for part in [*vector(face.direction), *vector(face.position), face.position_error])
    assert face.position_method == FaceAttributes.NONE
    assert face.frontal > 0.95


def test_a_calibration_that_does_not_fit_is_not_used_and_said(node, client, infos, portrait):
    ask_until(client, infos, portrait, has_direction)
    # Half of the size: the camera was calibrated at another resolution.
    small = np.ascontiguousarray(portrait[::2, ::2])
    image = image_message(small, "bgr8")
    infos.publish(camera_info(image, width=640, height=480))
    assert math.isnan(client.ask(image).faces[0].direction.x)
    node.wait_for_line("the images are 320x240")


def test_a_wrong_calibration_is_said_once_with_the_reason(node, client, infos, portrait):
    # From here on, the node hears the calibrations.
    ask_until(client, infos, portrait, has_direction)
    image = image_message(portrait, "bgr8")
    infos.publish(camera_info(image, distortion_model="spherical"))
    line = node.wait_for_line("spherical")
    assert "plumb_bob" in line and "WARN" in line
    infos.publish(camera_info(image, k=[0.0] * 9))
    assert "not calibrated" in node.wait_for_line("K[0] is 0")
    assert math.isnan(client.ask(image).faces[0].direction.x)


def change(client, label):
    request = ChangeState.Request()
    request.transition.label = label
    assert client.call(ChangeState, "change_state", request).success


@pytest.mark.parametrize("is_calibrated", [False, True])
def test_one_subscription_to_the_calibration_is_left_after_many_lives(client, infos, portrait, is_calibrated):
    for _ in range(4):
        change(client, "deactivate")
        change(client, "activate")
        if is_calibrated:
            ask_until(client, infos, portrait, has_direction)
    # r2r ends a subscription with its next message.
    image = image_message(portrait, "bgr8")

    def is_one_left():
        if is_calibrated:
            infos.publish(camera_info(image))
        client.executor.spin_once(timeout_sec=0.1)
        return client.node.count_subscribers("/camera_info") == 1

    client.spin_until(is_one_left)
    ask_until(client, infos, portrait, has_direction)


def test_transforms_are_published_on_request(start_node, make_client, portrait):
    process = start_node("-p", "outputs.tf:=true")
    process.wait_for_line("waiting for images")
    client = make_client()
    client.connect()
    infos = client.node.create_publisher(CameraInfo, "/camera_info", rclpy.qos.qos_profile_sensor_data)
    client.spin_until(lambda: infos.get_subscription_count() > 0)
    messages = []
    client.node.create_subscription(TFMessage, "/tf", messages.append, 100)
    client.spin_until(lambda: client.node.count_publishers("/tf") > 0)
    deadline = time.monotonic() + DEADLINE_SECS
    while not messages:
        assert time.monotonic() < deadline
        answer = ask_until(client, infos, portrait, has_direction)
        client.executor.spin_once(timeout_sec=0.2)
    face = answer.faces[0]
    transforms = {transform.child_frame_id: transform for transform in messages[-1].transforms}
    assert set(transforms) == {f"face_{face.id}", f"gaze_{face.id}"}
    for transform in transforms.values():
        assert transform.header.frame_id == "camera_optical_frame"
        # Between the eyes.
        assert np.linalg.norm(vector(transform.transform.translation) - vector(face.position)) < 0.05

    def rotated(name, axis):
        q = transforms[f"{name}_{face.id}"].transform.rotation
        u = np.array([q.x, q.y, q.z])
        t = 2 * np.cross(u, axis)
        return np.array(axis) + q.w * t + np.cross(u, t)

    # The face looks at the camera: its x is towards it, and its z up, which is -y in the optical frame.
    assert rotated("face", [1.0, 0, 0])[2] < -0.9
    assert rotated("face", [0, 0, 1.0])[1] < -0.9
    assert np.allclose(rotated("gaze", [0, 0, 1.0]), rotated("face", [1.0, 0, 0]), atol=1e-6)
    assert np.allclose(rotated("gaze", [0, 1.0, 0]), -rotated("face", [0, 0, 1.0]), atol=1e-6)


def test_markers_show_the_faces_and_go_with_them(client, infos, portrait):
    messages = []
    topic = f"{client.node_name}/markers"
    client.node.create_subscription(MarkerArray, topic, messages.append, 1)
    client.spin_until(lambda: client.node.count_publishers(topic) > 0)

    def answered(picture):
        image = image_message(picture, "bgr8")
        infos.publish(camera_info(image))
        client.ask(image)
        return messages and len(messages[-1].markers) == (4 if picture is portrait else 1)

    client.spin_until(lambda: answered(portrait))
    first, *markers = messages[-1].markers
    assert first.action == Marker.DELETEALL
    assert {marker.type for marker in markers} == {Marker.SPHERE, Marker.ARROW, Marker.TEXT_VIEW_FACING}
    assert all(marker.pose.position.z > 0.5 and marker.color.a > 0 for marker in markers)
    assert all(marker.header.frame_id == "camera_optical_frame" for marker in messages[-1].markers)
    client.spin_until(lambda: answered(np.zeros_like(portrait)))
    assert messages[-1].markers[0].action == Marker.DELETEALL
