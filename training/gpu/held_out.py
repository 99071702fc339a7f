"""Which pictures a training holds out, by their names."""

import hashlib
import pathlib


def place_in_split(name):
    """0 to 1: where a picture lies in the order in which pictures are held out (`tools/src/dataset/held_out.rs`)."""
    digest = hashlib.sha256(pathlib.PurePath(name).name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def is_held_out(names, start, end):
    """For each name whether it lies in that share of the pictures, as the trainer holds them out."""
    return [start <= place_in_split(name) < end for name in names]
