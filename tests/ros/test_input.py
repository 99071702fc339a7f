"""How the node receives images: reliability, transport, rate, and what it says where none come."""

import random
import time

import cv2
import numpy as np
import pytest
from conftest import DEADLINE_SECS, image_message
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from test_diagnostics import ERROR, Diagnostics, values
from test_faces import assert_is_the_portrait
from test_parameters import set_parameter

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


def subscriptions(client, topic="/image"):
    """What the node asks for on the topic."""
    infos = client.node.get_subscriptions_info_by_topic(topic)
    return [info.qos_profile.reliability for info in infos if info.node_name == "face_attributes"]


def add_camera(client, reliability, topic="/image", message_type=Image):
    return client.node.create_publisher(message_type, topic, QoSProfile(depth=5, reliability=reliability))


def small_image():
    return image_message(np.zeros((48, 64), np.uint8), "mono8")


def wait_for_subscriptions(client, expected, camera=None):
    """Waits for what the node asks for, while a camera publishes: r2r ends a subscription with its next image."""

    def is_there():
        if camera is not None:
            camera.publish(small_image())
        return subscriptions(client) == expected

    client.spin_until(is_there)


def change_state(client, number):
    request = ChangeState.Request(transition=Transition(id=number))
    assert client.call(ChangeState, "change_state", request).success


def test_the_reliability_follows_the_publishers(node, make_client):
    client = make_client(image_topic="/nowhere")
    wait_for_subscriptions(client, [BEST_EFFORT])
    camera = add_camera(client, RELIABLE)
    wait_for_subscriptions(client, [RELIABLE], camera)
    # A camera that is not reliable would not be heard by a reliable subscription.
    other = add_camera(client, BEST_EFFORT)
    wait_for_subscriptions(client, [BEST_EFFORT], camera)
    client.node.destroy_publisher(other)
    wait_for_subscriptions(client, [RELIABLE], camera)
    # Live, as a parameter.
    assert set_parameter(client, "image.reliability", "best_effort").successful
    wait_for_subscriptions(client, [BEST_EFFORT], camera)
    assert set_parameter(client, "image.reliability", "auto").successful
    wait_for_subscriptions(client, [RELIABLE], camera)


def test_no_image_is_answered_twice_while_subscriptions_change(client):
    camera = add_camera(client, RELIABLE)
    sent = []
    for setting in ["reliable", "best_effort", "auto", "best_effort", "reliable", "auto"]:
        assert set_parameter(client, "image.reliability", setting).successful
        expected = [BEST_EFFORT] if setting == "best_effort" else [RELIABLE]
        deadline = time.monotonic() + DEADLINE_SECS
        # The client's own publisher is best effort, so that auto is as well.
        expected = [BEST_EFFORT] if setting == "auto" else expected
        while subscriptions(client) != expected:
            assert time.monotonic() < deadline
            image = small_image()
            camera.publish(image)
            sent.append(image.header.stamp.sec)
            client.executor.spin_once(timeout_sec=0.02)
    assert client.ask(small_image())
    stamps = [answer.header.stamp.sec for answer in client.answers]
    assert len(stamps) == len(set(stamps))
    assert len(set(sent) & set(stamps)) > 5


@pytest.mark.parametrize("has_camera", [False, True])
def test_activations_leave_no_subscription_behind(start_node, make_client, has_camera):
    start_node("-p", "autostart:=false")
    client = make_client(image_topic="/image" if has_camera else "/nowhere")
    change_state(client, Transition.TRANSITION_CONFIGURE)
    for _ in range(50):
        change_state(client, Transition.TRANSITION_ACTIVATE)
        client.publish(small_image())
        change_state(client, Transition.TRANSITION_DEACTIVATE)
        client.publish(small_image())
        assert len(subscriptions(client)) <= 2
    if has_camera:
        wait_for_subscriptions(client, [], client.images)


def compressed(picture, extension, text):
    message = CompressedImage(format=text)
    message.header = image_message(np.zeros((1, 1), np.uint8), "mono8").header
    message.data.frombytes(cv2.imencode(extension, picture)[1].tobytes())
    return message


def set_transport(client, transport):
    """As the parameter is read when the node is configured."""
    refusal = set_parameter(client, "image_transport", transport)
    assert not refusal.successful and "active" in refusal.reason
    change_state(client, Transition.TRANSITION_DEACTIVATE)
    assert set_parameter(client, "image_transport", transport).successful
    change_state(client, Transition.TRANSITION_ACTIVATE)


def test_compressed_images_are_received_where_that_is_asked_for(client, node, portrait):
    set_transport(client, "compressed")
    raw_images = client.images
    client.images = add_camera(client, RELIABLE, "/image/compressed", CompressedImage)
    client.spin_until(lambda: RELIABLE in subscriptions(client, "/image/compressed"))
    client.spin_until(lambda: client.images.get_subscription_count() > 0)
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    for message in [
        compressed(portrait, ".jpg", "bgr8; jpeg compressed bgr8"),
        compressed(portrait, ".png", "png"),
        compressed(gray.astype(np.uint16) * 257, ".png", "mono16; png compressed "),
    ]:
        answer = client.ask(message)
        assert answer.header == message.header
        assert_is_the_portrait(answer)
    # The next one is received after one that is damaged.
    damaged = compressed(portrait, ".jpg", "jpeg")
    damaged.data = damaged.data[:5000]
    client.publish(damaged)
    assert "jpeg" in node.wait_for_line("image skipped")
    assert_is_the_portrait(client.ask(compressed(portrait, ".jpg", "jpeg")))
    # And back, to the first camera, which is best effort.
    client.images = raw_images
    set_transport(client, "raw")
    client.spin_until(lambda: subscriptions(client) == [BEST_EFFORT])
    client.spin_until(lambda: client.images.get_subscription_count() > 0)
    assert_is_the_portrait(client.ask(image_message(portrait, "bgr8")))


def test_images_above_the_rate_are_dropped(client):
    assert set_parameter(client, "max_rate_hz", 10.0).successful
    assert not set_parameter(client, "max_rate_hz", 241.0).successful
    first = client.ask(small_image()).header.stamp.sec + 100
    answers = len(client.answers)
    for number in range(31):
        image = small_image()
        image.header.stamp.sec, image.header.stamp.nanosec = first + number // 30, number % 30 * 33_333_333
        client.publish(image)
        client.executor.spin_once(timeout_sec=0.03)
    # After a pause, the next one is not dropped.
    image = small_image()
    image.header.stamp.sec = first + 100
    client.ask(image)
    assert 10 <= len(client.answers) - answers <= 13
    diagnostics = Diagnostics(client)
    assert 19 <= int(values(diagnostics.next()["image input"])["dropped: rate limit"]) <= 22


def test_a_qos_that_is_not_compatible_is_said_by_its_policy(start_node, make_client):
    node = start_node("-p", "image.reliability:=reliable")
    client = make_client()
    line = node.wait_for_line("not QoS compatible")
    assert "/image" in line and "/test_client" in line and "reliability" in line
    diagnostics = Diagnostics(client)
    status = diagnostics.wait_for("image input", ERROR, "not QoS compatible")
    assert values(status)["incompatible policy"] == "reliability (/test_client)"


def test_the_topics_that_carry_images_are_listed(node, make_client, portrait):
    client = make_client(image_topic="/elsewhere/image_raw")
    cameras = [add_camera(client, RELIABLE, "/elsewhere/image_raw/compressed", CompressedImage)]
    client.node.create_subscription(Image, "/dead/image", lambda _: None, 10)
    line = node.wait_for_line("no image for")
    assert "on /image (best_effort): nobody publishes there" in line
    assert "/elsewhere/image_raw (best_effort), /elsewhere/image_raw/compressed (reliable, compressed)" in line
    assert "/dead" not in line and "annotated" not in line
    del cameras


def test_a_publisher_of_another_type_is_named(node, make_client):
    client = make_client(image_topic="/nowhere")
    camera = add_camera(client, RELIABLE, "/image", CompressedImage)
    line = node.wait_for_line("which is not what image_transport expects there")
    assert "/test_client publishes sensor_msgs/msg/CompressedImage on /image" in line
    del camera


def test_the_node_goes_on_whatever_a_camera_sends(client, node, portrait):
    rng = random.Random(5)
    now = client.node.get_clock().now().nanoseconds // 10**9
    # Stamps back, zero and in the future, other sizes and encodings, at twice the usual rate.
    for number in range(240):
        picture = portrait[:: rng.choice([1, 2]), :: rng.choice([1, 2])]
        image = image_message(picture, "bgr8") if rng.random() < 0.5 else image_message(picture[..., 0].copy(), "mono8")
        image.header.stamp.sec = rng.choice([0, 1, now - 100, now, now + 100])
        image.header.stamp.nanosec = 0
        if number % 20 == 0:
            image.data = image.data[:100]
        client.publish(image)
        client.executor.spin_once(timeout_sec=1 / 60)
    assert_is_the_portrait(client.ask(image_message(portrait, "bgr8")))
    assert node.popen.poll() is None
