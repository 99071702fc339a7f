"""Images in, typed face attributes out."""

import re
import signal
import time

import cv2
import numpy as np
import pytest
from conftest import image_message

from face_attributes.msg import Emotion, Gender

# The face in the portrait: centre and side in pixels, from OpenCV's cascade with the original settings.
FACE_X, FACE_Y, FACE_SIDE = 279, 142, 119


def assert_is_the_portrait(answer):
    assert len(answer.faces) == 1
    face = answer.faces[0]
    roi = face.roi
    assert abs(roi.x_offset + roi.width / 2 - FACE_X) < 0.15 * FACE_SIDE
    assert abs(roi.y_offset + roi.height / 2 - FACE_Y) < 0.15 * FACE_SIDE
    assert 0.75 < roi.width / FACE_SIDE < 1.35
    assert face.id[0].isalpha()
    assert face.emotion.label == Emotion.HAPPY
    assert face.gender.label == Gender.WOMAN
    for estimate in (face.emotion, face.gender):
        assert sum(estimate.probabilities) == pytest.approx(1, abs=1e-5)
        assert estimate.confidence == max(estimate.probabilities) == estimate.probabilities[estimate.label]


def test_a_face_is_described_under_the_header_of_its_image(client, portrait):
    image = image_message(portrait, "bgr8")
    answer = client.ask(image)
    assert answer.header == image.header
    assert_is_the_portrait(answer)


def test_an_image_without_a_face_is_answered_with_none(client):
    rng = np.random.default_rng(1)
    image = image_message(rng.integers(0, 255, (120, 200), np.uint8), "mono8")
    answer = client.ask(image)
    assert answer.header == image.header
    assert list(answer.faces) == []


def test_a_camera_at_30_hz_loses_no_image(client, node, portrait):
    sent_before = client.images_sent
    images = [image_message(np.roll(portrait, shift, axis=1), "bgr8") for shift in range(90)]
    due = time.monotonic()
    for image in images:
        client.publish(image)
        due += 1 / 30
        while (left := due - time.monotonic()) > 0:
            client.executor.spin_once(timeout_sec=left)
    client.ask(image_message(portrait, "bgr8"))
    node.popen.send_signal(signal.SIGINT)
    assert node.wait() == 0
    # Slow inference may drop images once they are here; on the way none may be lost.
    received = int(re.search(r"stopped after (\d+) images", "".join(node.output)).group(1))
    assert len(images) + 1 < received <= sent_before + len(images) + 1


def test_an_image_of_12_megapixels_arrives(client, portrait):
    answer = client.ask(image_message(cv2.resize(portrait, (4000, 3000)), "bgr8"))
    assert len(answer.faces) == 1


def test_camera_images_are_answered_one_by_one_and_a_face_keeps_its_id(client, portrait):
    ids = set()
    for shift in range(60):
        answer = client.ask(image_message(np.roll(portrait, shift, axis=1), "bgr8"))
        ids.update(face.id for face in answer.faces)
    assert len(ids) == 1


def yuv422(bgr, first_is_luma):
    """4:2:2 with the colour of every second pixel, in the order Y U Y V or U Y V Y."""
    yuv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV)
    luma, chroma = yuv[..., 0], yuv[..., 1].copy()
    chroma[:, 1::2] = yuv[:, 0::2, 2]
    return np.dstack([luma, chroma] if first_is_luma else [chroma, luma])


def bayer(bgr, pattern):
    """One colour a pixel; `pattern` names those of the first two pixels of the first two rows."""
    mosaic = np.empty(bgr.shape[:2], np.uint8)
    for index, color in enumerate(pattern):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = bgr[row::2, column::2, "bgr".index(color)]
    return mosaic


ENCODINGS = {
    "mono8": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
    "mono16": lambda bgr: (cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.uint16) << 8).astype("<u2"),
    "bgr8": lambda bgr: bgr,
    "rgb8": lambda bgr: bgr[..., ::-1],
    "bgra8": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA),
    "rgba8": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA),
    "yuv422": lambda bgr: yuv422(bgr, first_is_luma=False),
    "yuv422_yuy2": lambda bgr: yuv422(bgr, first_is_luma=True),
    "bayer_rggb8": lambda bgr: bayer(bgr, "rggb"),
    "bayer_bggr8": lambda bgr: bayer(bgr, "bggr"),
    "bayer_gbrg8": lambda bgr: bayer(bgr, "gbrg"),
    "bayer_grbg8": lambda bgr: bayer(bgr, "grbg"),
}


def test_every_encoding_is_read_with_odd_strides(client, portrait):
    for encoding, encode in ENCODINGS.items():
        for padding in (0, 13):
            assert_is_the_portrait(client.ask(image_message(encode(portrait), encoding, padding)))


def test_the_byte_order_of_16_bit_samples_is_read(client, portrait):
    samples = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY).astype(np.uint16) << 8
    # What is left in the low byte would show if it were taken for the high one.
    samples |= np.random.default_rng(2).integers(0, 255, samples.shape, np.uint16)
    for order, big_endian in ((">u2", True), ("<u2", False)):
        image = image_message(samples.astype(order), "mono16", padding=1, big_endian=big_endian)
        assert_is_the_portrait(client.ask(image))


def test_a_malformed_image_is_named_and_costs_only_itself(client, node, portrait):
    def truncate(image):
        image.data = image.data[:1000]

    def widen(image):
        image.width = 700

    def rename(image):
        image.encoding = "32FC1"

    def empty(image):
        image.width = image.height = 0

    faults = [
        (truncate, "data holds 1000 bytes"),
        (widen, "step 1920 is smaller than the 2100 bytes of 700 bgr8 pixels"),
        (rename, '"32FC1" is not supported'),
        (empty, "0 x 0"),
    ]
    for damage, reason in faults:
        image = image_message(portrait, "bgr8")
        damage(image)
        client.publish(image)
        node.wait_for_line(reason)
        assert_is_the_portrait(client.ask(image_message(portrait, "bgr8")))


def test_the_annotated_image_is_drawn_while_somebody_listens(client, portrait):
    annotated = client.subscribe_image("image_annotated")

    def is_annotated():
        client.ask(image_message(portrait, "rgb8", padding=3))
        return annotated

    client.spin_until(is_annotated)
    image = annotated[-1]
    assert (image.width, image.height, image.step, image.encoding) == (640, 480, 1920, "bgr8")
    assert any(answer.header == image.header for answer in client.answers)
    pixels = np.array(image.data, np.uint8).reshape(480, 640, 3).astype(int)
    # `portrait` was sent under the name of another order of channels, so that red and blue are swapped.
    changed = np.abs(pixels - portrait[..., ::-1].astype(int)).sum(axis=2) > 0
    face = np.zeros_like(changed)
    # The box, and the caption above it.
    face[: FACE_Y + FACE_SIDE, FACE_X - FACE_SIDE : FACE_X + FACE_SIDE] = True
    assert changed.any() and not (changed & ~face).any()
    # Woman blue: most of what was drawn is.
    blue, green, red = pixels[changed].T
    assert np.median(blue - red) > 100
