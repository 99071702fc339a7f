"""Which pixels support the answers, as pictures beside them."""

import itertools

import numpy as np
from conftest import image_message
from test_faces import FACE_SIDE, FACE_X, FACE_Y
from test_parameters import set_parameter

# src/draw/sheet.rs: the rows' names, then tiles of 128 x 128 with a gap of 4 around and 18 below for the caption.
NAME, TILE, ROW = 84, 128 + 8, 128 + 8 + 18


def pixels_of(image):
    assert (image.step, image.encoding) == (3 * image.width, "bgr8")
    return np.array(image.data, np.uint8).reshape(image.height, image.width, 3).astype(int)


def tile(sheet, row, column):
    return sheet[row * ROW + 4 :, NAME + column * TILE + 4 :][:128, :128]


_stamps_back = itertools.count(1_000_000, -1)


def ask_for(client, picture, images):
    """The next of `images` about `picture`, which is sent until one comes."""
    stamps = []

    def has_come():
        image = image_message(picture, "bgr8", padding=5)
        # Where time goes back, nothing is known of earlier images: the same image has the same answer.
        image.header.stamp.sec = next(_stamps_back)
        stamps.append(image.header.stamp)
        client.ask(image)
        return images and images[-1].header.stamp in stamps

    client.spin_until(has_come)
    assert any(answer.header == images[-1].header for answer in client.answers)
    return pixels_of(images[-1])


def test_each_face_is_explained_while_somebody_listens(client, portrait):
    images = client.subscribe_image("image_saliency")
    assert set_parameter(client, "saliency.rate", 100.0).successful
    predicted = ask_for(client, portrait, images)
    assert predicted.shape == (ROW, NAME + 4 * TILE, 3)
    # The networks see grey crops; the second is the wider one. Saliency is grey where pixels do not matter.
    for column in range(4):
        assert np.ptp(tile(predicted, 0, column), axis=2).max() == 0
    assert np.median(tile(predicted, 0, 1)) in range(118, 139)
    assert tile(predicted, 0, 1).std() > 10
    assert (tile(predicted, 0, 0) != tile(predicted, 0, 2)).any()

    # Another class: another saliency of the network that knows it, the same of the other.
    assert set_parameter(client, "saliency.target", "sad").successful
    sad = ask_for(client, portrait, images)
    assert (tile(sad, 0, 0) == tile(predicted, 0, 0)).all()
    assert (tile(sad, 0, 1) != tile(predicted, 0, 1)).any()
    assert (tile(sad, 0, 3) == tile(predicted, 0, 3)).all()

    assert set_parameter(client, "saliency.method", "grad-cam").successful
    coarse = ask_for(client, portrait, images)
    assert (tile(coarse, 0, 3) != tile(predicted, 0, 3)).any()


def test_a_sheet_has_a_row_for_each_face_and_is_blank_without(client, portrait):
    images = client.subscribe_image("image_saliency")
    assert set_parameter(client, "saliency.rate", 100.0).successful
    both = np.hstack([portrait, portrait])
    assert ask_for(client, both, images).shape[0] == 2 * ROW
    assert (ask_for(client, np.full((120, 200, 3), 90, np.uint8), images) == 255).all()


def test_an_overlay_colours_the_face_only(client, portrait):
    images = client.subscribe_image("image_annotated")
    without = ask_for(client, portrait, images)
    assert set_parameter(client, "saliency.overlay", True).successful
    assert set_parameter(client, "saliency.rate", 100.0).successful
    changed = np.zeros((480, 640), bool)

    def has_an_overlay():
        changed[:] = (ask_for(client, portrait, images) != without).any(axis=2)
        return changed.any()

    client.spin_until(has_an_overlay)
    face = np.zeros_like(changed)
    # Half a side from the centre, and a little more, as the box moves a little from image to image.
    reach = round(0.7 * FACE_SIDE)
    face[FACE_Y - reach : FACE_Y + reach, FACE_X - reach : FACE_X + reach] = True
    assert changed[face].mean() > 0.3
    # Above the face, the caption may differ in the face's number.
    assert not (changed & ~face)[FACE_Y - reach :].any()


def test_the_annotated_image_never_goes_back_in_time(client, portrait):
    images = client.subscribe_image("image_annotated")
    assert set_parameter(client, "saliency.rate", 100.0).successful
    # Several faces, so that an explanation takes longer than an image.
    four = np.vstack([np.hstack([portrait, portrait])] * 2)
    for overlay in [True, False] * 5:
        assert set_parameter(client, "saliency.overlay", overlay).successful
        count = len(images)
        for _ in range(5):
            client.publish(image_message(four, "bgr8"))
        client.spin_until(lambda: len(images) > count)
    stamps = [image.header.stamp.sec for image in images]
    assert stamps == sorted(stamps)
