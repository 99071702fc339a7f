"""The frames that all peers get: faces that move over a background, and videos."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .geometry import FACE_HEIGHT, FRAMES_PER_SECOND, MARGIN, placements, turned_ellipse_size

ROOT = Path(__file__).resolve().parents[3]

# Faces in pictures that come with this package, as left, top, right and bottom.
OWN_FACES = (
    (ROOT / "tests/data/astronaut.jpg", (184, 68, 268, 174)),
    (ROOT / "tests/data/signing.mkv", (270, 102, 342, 192)),
)
# What of the first picture shows no face: the first row.
OWN_BACKGROUND_TOP = 230

# Faces of a collection are taken from this height on, in pixels, so that they are not enlarged much.
LEAST_FACE_HEIGHT_PX = 100

VIDEO_ENDINGS = {".avi", ".gif", ".mkv", ".mov", ".mp4", ".webm"}


class NoPictures(Exception):
    """A folder does not have what is needed."""


@dataclass
class Portrait:
    """A face and what is around it."""

    bgr: np.ndarray
    # Opacity, 0 to 1: the edges fade into the background.
    alpha: np.ndarray
    face_width: float
    face_height: float

    @staticmethod
    def cut(picture, face):
        """The portrait around the box `face` of a picture. Beyond the picture's edge, its outermost pixels are repeated."""
        left, top, right, bottom = face
        width, height = right - left, bottom - top
        size = (round((1 + 2 * MARGIN) * width), round((1 + 2 * MARGIN) * height))
        middle = ((left + right) / 2, (top + bottom) / 2)
        shift = np.float32([[1, 0, size[0] / 2 - middle[0]], [0, 1, size[1] / 2 - middle[1]]])
        bgr = cv2.warpAffine(picture, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x = np.linspace(-1, 1, size[0])[None]
        y = np.linspace(-1, 1, size[1])[:, None]
        alpha = np.clip((1 - np.sqrt(x**2 + y**2)) / 0.15, 0, 1).astype(np.float32)
        return Portrait(bgr, alpha, width, height)

    def with_face_height(self, height):
        """The same portrait in about the size in which it is drawn. Where bilinear interpolation shrinks much, it skips pixels."""
        scale = height / self.face_height
        bgr, alpha = (
            cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for part in (self.bgr, self.alpha)
        )
        return Portrait(bgr, alpha, scale * self.face_width, scale * self.face_height)

    def mirrored(self):
        return Portrait(self.bgr[:, ::-1].copy(), self.alpha[:, ::-1].copy(), self.face_width, self.face_height)

    @property
    def aspect(self):
        return self.face_width / self.face_height

    def draw(self, frame, placement):
        """Draws the portrait with its face at the placement, with parts of pixels."""
        scale = placement.height / self.face_height
        height, width = self.bgr.shape[:2]
        covered = turned_ellipse_size(scale * width, scale * height, placement.tilt_degrees)
        left, top = (int(np.floor(at - side / 2)) for at, side in zip((placement.x, placement.y), covered))
        right, bottom = (int(np.ceil(at + side / 2)) for at, side in zip((placement.x, placement.y), covered))
        left, top = max(left, 0), max(top, 0)
        target = frame[top:bottom, left:right]
        size = target.shape[1::-1]
        # The middle of a pixel has whole coordinates in OpenCV.
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), placement.tilt_degrees, scale)
        turn[:, 2] += (placement.x - left - 0.5 - (width - 1) / 2, placement.y - top - 0.5 - (height - 1) / 2)
        bgr = cv2.warpAffine(self.bgr, turn, size, flags=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(self.alpha, turn, size, flags=cv2.INTER_LINEAR)[..., None]
        target[:] = np.rint(alpha * bgr + (1 - alpha) * target).astype(np.uint8)


class Sequence:
    """A composed sequence: `portraits` that move over `background`."""

    def __init__(self, size, portraits, background):
        self.size = size
        width, height = size
        self.portraits = [portrait.with_face_height(height * FACE_HEIGHT) for portrait in portraits]
        self.background = cover(background, size)

    def truth(self, number):
        """Where the faces are in a frame."""
        return placements(self.size, [portrait.aspect for portrait in self.portraits], number)

    def frame(self, number):
        """Frame `number` and the boxes of its faces."""
        frame = self.background.copy()
        truth = self.truth(number)
        for portrait, placement in zip(self.portraits, truth):
            portrait.draw(frame, placement)
        return frame, [placement.box for placement in truth]


def cover(picture, size):
    """The picture scaled until it covers `size`, and its middle cut out."""
    scale = max(side / pixels for side, pixels in zip(size, picture.shape[1::-1]))
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # Scaling rounds.
    scaled = cv2.copyMakeBorder(scaled, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    left, top = ((pixels - side) // 2 for pixels, side in zip(scaled.shape[1::-1], size))
    return scaled[top : top + size[1], left : left + size[0]].copy()


def read(path):
    """A picture, or the first frame of a video."""
    picture = cv2.imread(str(path))
    if picture is None:
        picture = next(frames_of(path), None)
    if picture is None:
        raise NoPictures(f"{path}: no picture can be read")
    return picture


def own_portraits():
    """Those that come with this package, and a background."""
    portraits = [Portrait.cut(read(path), face) for path, face in OWN_FACES]
    suit = read(OWN_FACES[0][0])[OWN_BACKGROUND_TOP:]
    return portraits, cv2.copyMakeBorder(suit, 0, len(suit), 0, suit.shape[1], cv2.BORDER_REFLECT)


def portraits_of(folder, count):
    """`count` portraits of a collection, and a picture of it without a face as the background.

    `boxes.json` lies in the folder. For each picture's name it has `faces`, each with left, top, right and bottom, and may have
    `ignore` (boxes of faces that do not count) and `tags` (for each face). The pictures lie beside it or in `pictures/`.
    """
    try:
        entries = json.loads((folder / "boxes.json").read_text())
    except OSError as error:
        raise NoPictures(f"{folder}: boxes.json with the boxes of the faces is needed ({error})") from error
    pictures = folder / "pictures" if (folder / "pictures").is_dir() else folder
    portraits, background = [], None
    for name, entry in sorted(entries.items()):
        if background is None and not entry["faces"] and not entry.get("ignore"):
            background = read(pictures / name)
        face = only_face(entry)
        if face is not None and len(portraits) < count:
            portraits.append(Portrait.cut(read(pictures / name), face))
    if not portraits or background is None:
        raise NoPictures(f"{folder}: a picture with one large face and one without a face are needed")
    return portraits, background


def only_face(entry):
    """The face of a picture that has one, if it is large and, where there are tags, plain and frontal.

    All detectors know such faces, so that the sequences cost each of them the same work.
    """
    if len(entry["faces"]) != 1 or entry.get("ignore"):
        return None
    [face] = entry["faces"]
    tags = entry.get("tags") or [["plain frontal"]]
    is_plain = "plain frontal" in tags[0] and "mask" not in tags[0]
    return face if is_plain and face[3] - face[1] >= LEAST_FACE_HEIGHT_PX else None


def filled(portraits, count):
    """`count` portraits: where there are fewer, their mirror images and then the same once more."""
    both = portraits + [portrait.mirrored() for portrait in portraits]
    return [both[number % len(both)] for number in range(count)]


def videos_in(folder):
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    if not videos:
        raise NoPictures(f"{folder}: no video ({', '.join(sorted(VIDEO_ENDINGS))})")
    return videos


def frames_of(path):
    """The frames of a video, blue, green and red."""
    video = cv2.VideoCapture(str(path))
    try:
        while True:
            is_read, frame = video.read()
            if not is_read:
                return
            yield frame
    finally:
        video.release()


def seconds_per_frame(path):
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return 1 / (rate if rate > 0 else FRAMES_PER_SECOND)


def crops(portraits, count, generator):
    """`count` grey pictures of faces, 64x64, as a network gets them: each portrait at random sizes and places."""
    pictures = []
    for number in range(count):
        portrait = portraits[number % len(portraits)]
        height, width = portrait.bgr.shape[:2]
        side = generator.uniform(1.0, 1.6) * portrait.face_width
        x, y = generator.uniform(-0.1, 0.1, 2) * side + (width / 2, height / 2)
        scale = 64 / side
        cut = np.float32([[scale, 0, 32 - scale * x], [0, scale, 32 - scale * y]])
        gray = cv2.cvtColor(portrait.bgr, cv2.COLOR_BGR2GRAY)
        pictures.append(cv2.warpAffine(gray, cut, (64, 64), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE))
    return pictures
