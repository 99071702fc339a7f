#!/usr/bin/env python3
"""Trains networks on a GPU: teachers first, then small networks that learn their answers.

A teacher sees a face as it is. A small network sees the same view of it, often with glasses or with the faults of a robot's
camera, and learns the teachers' mean answer (Hinton, Vinyals, Dean 2015; Beyer et al. 2022, arXiv:2106.05237). All amounts
are in the recipe. Untrained networks come from the trainer, so each is described in one place.

    python3 training/gpu/train.py training/gpu/recipe.yaml --fer2013 fer2013 --utkface utkface --out build/gpu

It needs torch, numpy, onnx, opencv-python-headless and pyyaml, and a quarter of an hour on an NVIDIA H100. Without a GPU it
works too, for days. Numbers of a GPU are not the same twice. The same command goes on after a run that was ended: it
keeps each emotion teacher and each emotion student that is written. The part for gender begins anew.
"""

import argparse
import pathlib

import emotion
import gender
from work import Work

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def positive(number):
    def read(text):
        value = number(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return read


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=pathlib.Path, help="such as training/gpu/recipe.yaml")
    parser.add_argument("--fer2013", type=pathlib.Path, required=True, help="the folders train and validation of FER-2013")
    parser.add_argument("--utkface", type=pathlib.Path, required=True, help="the pictures of UTKFace")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where networks, recipe and log are written")
    trainer = REPOSITORY / "target/release/face_attributes_training"
    parser.add_argument("--trainer", type=pathlib.Path, default=trainer, help="the trainer, which makes untrained networks")
    parser.add_argument("--root", type=pathlib.Path, default=REPOSITORY, help="where the recipe's paths begin")
    parser.add_argument("--speed-up", type=positive(float), default=1.0, help="divides all numbers of epochs, for a try")
    parser.add_argument("--every", type=positive(int), default=1, help="learn from every n-th picture only, for a try")
    return parser.parse_args()


def main():
    options = arguments()
    work = Work(options)
    faces = emotion.Faces(work, options.fer2013)
    people = gender.read_people(work, options.utkface)
    work.say(f"to learn from: {len(faces.learned)} faces of FER-2013, {len(people)} people of UTKFace, on {work.device}")
    teachers = emotion.train_teachers(work, faces)
    emotion.train_students(work, faces, teachers)
    gender.train(work, people, faces.learned, teachers)


if __name__ == "__main__":
    main()
