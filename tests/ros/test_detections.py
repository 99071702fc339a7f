"""The faces as vision_msgs/Detection2DArray."""

import math

import numpy as np
import pytest

pytest.importorskip("vision_msgs.msg")

from vision_msgs.msg import Detection2DArray

from conftest import image_message
from test_parameters import set_parameter


def test_a_face_is_a_detection_with_its_attributes(client, portrait):
    # A doubtful gender is a label here too; unknown attributes are left out.
    assert set_parameter(client, "gender.min_confidence", 0.3).successful
    messages = []
    topic = f"{client.node_name}/detections"
    client.node.create_subscription(Detection2DArray, topic, messages.append, 10)
    client.spin_until(lambda: client.node.count_publishers(topic) > 0)

    def found():
        client.ask(image_message(portrait, "bgr8"))
        return any(message.detections for message in messages)

    client.spin_until(found)
    message = next(message for message in messages if message.detections)
    answer = next(answer for answer in client.answers if answer.header.stamp == message.header.stamp)
    (detection,), (face,) = message.detections, answer.faces
    assert message.header == answer.header == detection.header
    assert detection.id == face.id
    box, roi = detection.bbox, face.roi
    assert (box.size_x, box.size_y) == (roi.width, roi.height)
    assert (box.center.position.x, box.center.position.y) == (
        roi.x_offset + roi.width / 2,
        roi.y_offset + roi.height / 2,
    )
    scores = {result.hypothesis.class_id: result.hypothesis.score for result in detection.results}
    assert detection.results[0].hypothesis.class_id == "face"
    assert math.isclose(scores["face"], face.confidence, abs_tol=1e-6)
    assert math.isclose(scores["emotion:happy"], face.emotion.probabilities[3], abs_tol=1e-6)
    assert math.isclose(scores["gender:woman"], face.gender.probabilities[0], abs_tol=1e-6)
    assert len(scores) == 10

    answer = client.ask(image_message(np.zeros_like(portrait), "bgr8"))
    client.spin_until(lambda: messages[-1].header.stamp == answer.header.stamp)
    assert messages[-1].detections == []
