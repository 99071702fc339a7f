"""The pictures of a training: all of a data set in one tensor, so that a GPU holds them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy
import torch

from utkface import person_of

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@dataclass
class FaceLayout:
    """Where the eyes are in aligned pictures, as fractions of the side. Those of `tools/src/occlusion/mask.rs`."""

    eye_distance: float
    eyes_y: float


FER2013 = FaceLayout(0.38, 0.38)
UTKFACE = FaceLayout(0.39, 0.29)


@dataclass
class Pictures:
    """Square grey pictures of one face each."""

    # Names of the files, in the order of the other fields.
    names: list
    # uint8, [count, side, side].
    pixels: torch.Tensor
    # The class of each; int64.
    classes: torch.Tensor
    layout: FaceLayout
    # Years, and 0 to 4 for White, Black, Asian, Indian and other; None where the data do not say so.
    ages: torch.Tensor = None
    races: torch.Tensor = None

    def __len__(self):
        return len(self.names)

    def chosen(self, mask):
        """Those where `mask` is true."""
        names = [name for name, is_chosen in zip(self.names, mask.tolist()) if is_chosen]
        rest = (None if values is None else values[mask.to(values.device)] for values in (self.ages, self.races))
        mask = mask.to(self.pixels.device)
        return Pictures(names, self.pixels[mask], self.classes[mask], self.layout, *rest)

    def to(self, device):
        move = lambda values: None if values is None else values.to(device)
        tensors = map(move, (self.pixels, self.classes, self.ages, self.races))
        pixels, classes, ages, races = tensors
        return Pictures(self.names, pixels, classes, self.layout, ages, races)


def read_fer2013(folder):
    """The pictures in a folder for each emotion, 48 x 48 pixels."""
    for name in EMOTIONS:
        if not (folder / name).is_dir():
            raise SystemExit(f"error: {folder / name}: no such folder")
    paths = [(path, number) for number, name in enumerate(EMOTIONS) for path in sorted((folder / name).iterdir())]
    pixels = read([path for path, _ in paths], 48)
    names = [f"{path.parent.name}/{path.name}" for path, _ in paths]
    return Pictures(names, pixels, torch.tensor([number for _, number in paths]), FER2013)


def read_utkface(folder, min_age_years, side_px):
    """The pictures of people of that age, scaled down to `side_px`. The file name says age, gender and race."""
    people = [(path, person_of(path.name)) for path in sorted(folder.rglob("*.jpg"))]
    people = [(path, person) for path, person in people if person and person.age >= min_age_years]
    if not people:
        raise SystemExit(f"error: {folder}: no pictures of UTKFace of people of {min_age_years} years and more")
    paths = [path for path, _ in people]
    ages, genders, races = torch.tensor([person for _, person in people]).T.contiguous()
    return Pictures([path.name for path in paths], read(paths, side_px), genders, UTKFACE, ages, races)


def read(paths, side_px):
    """Grey pixels of all files, scaled by area. Raises with the name of a file that is no picture."""

    def one(path):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise SystemExit(f"error: {path}: not a picture")
        if picture.shape[0] != picture.shape[1]:
            raise SystemExit(f"error: {path}: {picture.shape[1]} x {picture.shape[0]} pixels; faces must be square")
        if picture.shape != (side_px, side_px):
            picture = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
        return picture

    with ThreadPoolExecutor() as pool:
        return torch.from_numpy(numpy.stack(list(pool.map(one, paths, chunksize=256))))
