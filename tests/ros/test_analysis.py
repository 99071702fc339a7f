"""The service that answers for one image, given or the next that arrives."""

import numpy as np
from conftest import image_message
from face_attributes.srv import AnalyzeImage
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState


def analyze(client, **request):
    return client.call(AnalyzeImage, "analyze_image", AnalyzeImage.Request(**request))


def test_an_image_that_is_given_is_answered(client, portrait):
    image = image_message(portrait, "bgr8", padding=5)
    answer = analyze(client, image=image)
    assert answer.success and answer.message == ""
    assert answer.faces.header == image.header
    [face] = answer.faces.faces
    assert face.seen and face.id.startswith("still_face")
    assert sum(face.raw_emotion.probabilities) > 0.99
    # It has nothing to do with what the camera shows.
    assert client.ask(image_message(np.zeros((480, 640), np.uint8), "mono8")).faces == []
    assert analyze(client, image=image).faces.faces[0].id != face.id


def test_the_next_image_that_arrives_is_answered(client, portrait):
    service = client.node.create_client(AnalyzeImage, "/face_attributes/analyze_image")
    assert service.wait_for_service()
    future = service.call_async(AnalyzeImage.Request())
    images = []

    def is_answered():
        images.append(image_message(portrait, "bgr8"))
        client.publish(images[-1])
        client.executor.spin_once(timeout_sec=0.1)
        return future.done()

    client.spin_until(is_answered)
    answer = future.result()
    assert answer.success and len(answer.faces.faces) == 1
    assert answer.faces.header.stamp in [image.header.stamp for image in images]


def test_what_cannot_be_answered_is_refused_with_the_reason(client, portrait):
    bad = image_message(portrait, "bgr8")
    bad.encoding = "bgr7"
    answer = analyze(client, image=bad)
    assert not answer.success and "bgr7" in answer.message
    answer = analyze(client, image=image_message(portrait, "bgr8"), camera="left")
    assert not answer.success and "'left'" in answer.message
    # Who waits for an image is told that none will come.
    service = client.node.create_client(AnalyzeImage, "/face_attributes/analyze_image")
    waiting = service.call_async(AnalyzeImage.Request())
    analyze(client, image=image_message(portrait, "bgr8"))
    assert client.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=4))).success
    client.spin_until(waiting.done)
    assert not waiting.result().success and "deactivated" in waiting.result().message
    answer = analyze(client, image=image_message(portrait, "bgr8"))
    assert not answer.success and "inactive" in answer.message
