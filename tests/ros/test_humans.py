"""REP-155: the topics of each face as libhri reads them."""

import time

import numpy as np
import pytest

pytest.importorskip("hri_msgs.msg")

from face_attributes.msg import Gender
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D, SoftBiometrics
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image

from conftest import DEADLINE_SECS, image_message

TRACKED = "/humans/faces/tracked"
FACE_TOPICS = {"roi", "cropped", "expression", "softbiometrics"}


class Listener:
    """Listens as libhri does: to the ids, and then to each face, with the default QoS."""

    def __init__(self, client):
        self.client = client
        self.lists = []
        self.messages = {}
        self.subscription = client.node.create_subscription(IdsList, TRACKED, self.lists.append, 10)
        client.spin_until(lambda: client.node.count_publishers(TRACKED) == 1)

    def listen(self, name):
        types = dict(
            roi=NormalizedRegionOfInterest2D, cropped=Image, expression=Expression, softbiometrics=SoftBiometrics
        )
        for topic in FACE_TOPICS:
            messages = self.messages.setdefault(topic, [])
            full = f"/humans/faces/{name}/{topic}"
            self.client.node.create_subscription(types[topic], full, messages.append, 10)


# Of the node's labels.
SOFT_BIOMETRICS = {Gender.WOMAN: SoftBiometrics.FEMALE, Gender.MAN: SoftBiometrics.MALE}


@pytest.fixture
def node(start_node):
    """A doubtful gender is a label here too, so that all topics of a face are published."""
    process = start_node("-p", "gender.min_confidence:=0.3")
    process.wait_for_line("waiting for images")
    return process


@pytest.fixture
def listener(client):
    return Listener(client)


def face_topics(client):
    names = [name for name, _ in client.node.get_topic_names_and_types()]
    parts = [name.removeprefix("/humans/faces/").split("/") for name in names if name.startswith("/humans/faces/")]
    published = [part for part in parts if len(part) == 2 and client.node.count_publishers("/humans/faces/" + "/".join(part))]
    return {tuple(part) for part in published}


def show_until(client, picture, condition):
    """Shows a picture until the condition holds; the times of the images are near to each other."""
    deadline = time.monotonic() + DEADLINE_SECS
    show_until.nanosec = getattr(show_until, "nanosec", 0)
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        show_until.nanosec += 10_000_000
        image = image_message(picture, "bgr8")
        image.header.stamp.sec = 5000 + show_until.nanosec // 1_000_000_000
        image.header.stamp.nanosec = show_until.nanosec % 1_000_000_000
        client.publish(image)
        client.executor.spin_once(timeout_sec=0.1)


def set_parameter(client, name, value):
    parameter = Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value))
    assert client.call(SetParameters, "set_parameters", SetParameters.Request(parameters=[parameter])).results[0].successful


def test_faces_are_as_libhri_reads_them(client, listener, portrait):
    show_until(client, portrait, lambda: listener.lists and listener.lists[-1].ids)
    (name,) = listener.lists[-1].ids
    assert name[0].isalpha() and listener.lists[-1].header.frame_id == "camera_optical_frame"
    listener.listen(name)
    show_until(client, portrait, lambda: len(listener.messages) == 4 and all(listener.messages.values()))
    assert face_topics(client) == {(name, topic) for topic in FACE_TOPICS}

    face = next(answer.faces[0] for answer in reversed(client.answers) if answer.faces)
    assert face.id == name
    roi = listener.messages["roi"][-1]
    height, width = portrait.shape[:2]
    # The filtered box moves by less than some pixels from image to image.
    assert abs(roi.xmin - face.roi.x_offset / width) < 0.02
    assert abs(roi.ymin - face.roi.y_offset / height) < 0.02
    assert abs(roi.xmax - roi.xmin - face.roi.width / width) < 0.02
    assert abs(roi.ymax - roi.ymin - face.roi.height / height) < 0.02
    assert 0.5 < roi.c <= 1

    crop = listener.messages["cropped"][-1]
    assert (crop.width, crop.height, crop.encoding, crop.step) == (128, 128, "bgr8", 384)
    pixels = np.frombuffer(bytes(crop.data), np.uint8).reshape(128, 128, 3)
    x, y, side = face.roi.x_offset, face.roi.y_offset, face.roi.width
    middle = portrait[y + side // 2 - 4 : y + side // 2 + 4, x + side // 2 - 4 : x + side // 2 + 4].mean((0, 1))
    assert np.abs(pixels[60:68, 60:68].mean((0, 1)) - middle).max() < 25

    expression = listener.messages["expression"][-1]
    assert expression.expression == "happy" and expression.confidence > 0.5
    biometrics = listener.messages["softbiometrics"][-1]
    assert biometrics.gender == SOFT_BIOMETRICS[face.gender.label]
    assert abs(biometrics.gender_confidence - max(face.gender.probabilities)) < 0.1
    assert (biometrics.age, biometrics.age_confidence) == (0, 0.0)
    for messages in listener.messages.values():
        assert messages[-1].header.stamp.sec >= 5000 and messages[-1].header.frame_id == "camera_optical_frame"


def test_the_ids_are_published_for_every_image_and_the_topics_of_a_face_end_with_it(client, listener, portrait):
    show_until(client, portrait, lambda: len(face_topics(client)) == 4)
    stamps = len({(ids.header.stamp.sec, ids.header.stamp.nanosec) for ids in listener.lists})
    assert stamps == len(listener.lists)
    # The face is missed, and after tracking.max_age its id ends.
    blank = np.full_like(portrait, 90)
    show_until(client, blank, lambda: not face_topics(client))
    assert listener.lists[-1].ids == []
    count = len(listener.lists)
    show_until(client, blank, lambda: len(listener.lists) > count)


def test_without_a_listener_there_are_no_topics_of_faces(client, portrait):
    show_until(client, portrait, lambda: any(answer.faces for answer in client.answers))
    assert not face_topics(client)
    listener = Listener(client)
    show_until(client, portrait, lambda: len(face_topics(client)) == 4)
    client.node.destroy_subscription(listener.subscription)
    show_until(client, portrait, lambda: not face_topics(client))


def test_it_can_be_switched_off_and_so_can_gender(client, listener, portrait):
    show_until(client, portrait, lambda: listener.lists and listener.lists[-1].ids)
    listener.listen(listener.lists[-1].ids[0])
    set_parameter(client, "outputs.softbiometrics", False)
    show_until(client, portrait, lambda: listener.messages["expression"])
    heard = len(listener.messages["softbiometrics"])
    count = len(listener.messages["roi"])
    show_until(client, portrait, lambda: len(listener.messages["roi"]) > count + 3)
    # Those that were on the way when it was switched off.
    assert len(listener.messages["softbiometrics"]) <= heard + 1

    set_parameter(client, "outputs.humans", False)
    show_until(client, portrait, lambda: not face_topics(client))
    client.spin_until(lambda: listener.lists[-1].ids == [])


def test_nobody_is_there_once_the_node_is_deactivated_and_at_its_end(node, client, listener, portrait):
    show_until(client, portrait, lambda: listener.lists and listener.lists[-1].ids)

    def change(label):
        request = ChangeState.Request()
        request.transition.label = label
        assert client.call(ChangeState, "change_state", request).success

    change("deactivate")
    client.spin_until(lambda: listener.lists[-1].ids == [])
    client.spin_until(lambda: not face_topics(client))
    change("activate")
    show_until(client, portrait, lambda: listener.lists[-1].ids)
    node.stop()
    client.spin_until(lambda: listener.lists[-1].ids == [])


def test_nodes_side_by_side_have_ids_of_their_own(start_node, make_client, portrait):
    lists = []
    clients = []
    for namespace in ["front", "rear"]:
        process = start_node("-r", f"__ns:=/{namespace}")
        process.wait_for_line("waiting for images")
        clients.append(make_client(image_topic=f"/{namespace}/image", node_name=f"/{namespace}/face_attributes"))
    clients[0].node.create_subscription(IdsList, TRACKED, lists.append, 20)
    for client in clients:
        client.connect()
    seen = lambda: {name for ids in lists for name in ids.ids}

    def both_are_seen():
        clients[1].publish(image_message(portrait, "bgr8"))
        return {name.split("_")[0] for name in seen()} == {"front", "rear"}

    show_until(clients[0], portrait, both_are_seen)


def test_nobody_is_seen_by_a_camera_that_sends_nothing_any_more(start_node, make_client, portrait):
    start_node("-p", "cameras:=[front, rear]").wait_for_line("waiting for images")
    front, rear = [make_client(image_topic=f"/{name}/image", node_name=f"/face_attributes/{name}") for name in ["front", "rear"]]
    listener = Listener(front)
    for client in [front, rear]:
        client.connect()

    def both_are_seen():
        rear.publish(image_message(portrait, "bgr8"))
        return listener.lists and len(listener.lists[-1].ids) == 2

    show_until(front, portrait, both_are_seen)

    def is_only_rear_seen():
        rear.publish(image_message(portrait, "bgr8"))
        front.executor.spin_once(timeout_sec=0.1)
        return listener.lists[-1].ids and all(name.startswith("camera2_") for name in listener.lists[-1].ids)

    rear.spin_until(is_only_rear_seen)
