"""Where the faces of a composed sequence are in each frame. Needs the standard library alone.

Boxes are (left, top, right, bottom) in pixels.
"""

import math
from dataclasses import dataclass

FRAMES_PER_SECOND = 30

# Intersection over union from which a detection and a face are the same.
SAME_FACE_IOU = 0.4

# What a portrait shows around the face, on each side, as a fraction of the face's width or height.
MARGIN = 0.4

# Height of a face in the middle of its motion, as a fraction of the frame's height, and how much it grows and shrinks.
FACE_HEIGHT = 1 / 6
SIZE_CHANGE = 0.2

# Columns and rows of the cells in which the faces move, by number of faces. No face leaves its cell, so none hides another one.
GRIDS = {1: (1, 1), 2: (2, 1), 4: (2, 2), 8: (4, 2)}


@dataclass(frozen=True)
class Placement:
    """A face in one frame: the middle and the size of its box, in pixels, and its tilt."""

    x: float
    y: float
    width: float
    height: float
    tilt_degrees: float

    @property
    def box(self):
        return (self.x - self.width / 2, self.y - self.height / 2, self.x + self.width / 2, self.y + self.height / 2)


def intersection_over_union(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (_area(a) + _area(b) - common)


def _area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def fit(detection, face):
    """How well a detection marks a face, 0 to 1.

    Detectors mark different parts of a head: the box of the face, a square of that area, or a larger square as OpenCV's
    cascade. The best of the three counts.
    """
    side = math.sqrt(_area(face))
    middle = ((face[0] + face[2]) / 2, (face[1] + face[3]) / 2)
    squares = [_square(middle, side * scale) for scale in (1.0, 1.15)]
    return max(intersection_over_union(detection, box) for box in (face, *squares))


def _square(middle, side):
    return (middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2)


def found(detections, faces):
    """How many of `faces` the `detections` mark. Each detection counts for one face, the best pairs first."""
    pairs = ((fit(detection, face), i, j) for i, detection in enumerate(detections) for j, face in enumerate(faces))
    used_detections, used_faces = set(), set()
    for fits, i, j in sorted(pairs, reverse=True):
        if fits < SAME_FACE_IOU:
            break
        if i not in used_detections and j not in used_faces:
            used_detections.add(i)
            used_faces.add(j)
    return len(used_faces)


def placements(frame_size, aspects, frame_number):
    """Where each face is in a frame: one `Placement` per entry of `aspects`, the widths of the faces by their heights.

    The faces move smoothly and not by whole pixels, each in its own cell of a grid. They grow, shrink and tilt.
    """
    width, height = frame_size
    columns, rows = GRIDS[len(aspects)]
    cell = (width / columns, height / rows)
    seconds = frame_number / FRAMES_PER_SECOND
    return [
        _placement(number, aspect, (cell[0] * (number % columns), cell[1] * (number // columns)), cell, height, seconds)
        for number, aspect in enumerate(aspects)
    ]


def _placement(number, aspect, corner, cell, frame_height, seconds):
    def wave(period_secs, phase):
        # Each face has periods and phases of its own.
        return math.sin(math.tau * (seconds / (period_secs + 0.37 * number) + phase + 0.29 * number))

    face_height = frame_height * FACE_HEIGHT * (1 + SIZE_CHANGE * wave(5.3, 0.1))
    size = (aspect * face_height, face_height)
    tilt_degrees = 8 * wave(4.1, 0.6)
    shown = turned_ellipse_size(*((1 + 2 * MARGIN) * side for side in size), tilt_degrees)
    room = [max(cell_side - side, 0) / 2 for cell_side, side in zip(cell, shown)]
    x = corner[0] + cell[0] / 2 + room[0] * wave(7.1, 0.0)
    y = corner[1] + cell[1] / 2 + room[1] * wave(6.3, 0.35)
    return Placement(x, y, *size, tilt_degrees)


def turned_ellipse_size(width, height, degrees):
    """Width and height of what a turned ellipse covers. Portraits are ellipses."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return (math.hypot(width * cosine, height * sine), math.hypot(width * sine, height * cosine))
