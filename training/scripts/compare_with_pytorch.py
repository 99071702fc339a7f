#!/usr/bin/env python3
"""Compares the time of a training epoch with PyTorch's, on the same cores, one after the other, several times.

Both train mini-Xception (1x64x64, 7 classes) with Adam in batches of 32. PyTorch gets its batches as tensors in memory. The
trainer of this project augments and validates as usual. Where other programs run too, compare the CPU time. The trainer's CPU
time includes start, reading and writing; that of PyTorch does not.

    python -m venv venv && venv/bin/pip install torch numpy opencv-python-headless

    cargo build --release -p face_attributes_training
    venv/bin/python training/scripts/compare_with_pytorch.py target/release/face_attributes_training
"""

import argparse
import csv
import pathlib
import resource
import subprocess
import tempfile
import time

import cv2
import numpy
import torch
from torch import nn
from torch.nn import functional

EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
BATCH_SIZE = 32


def separable(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1, bias=False)
    )


def batch_norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Module(nn.Module):
    """A residual module; TensorFlow's padding of the pooling: what is missing, the larger half at the end."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), batch_norm(outputs))
        self.main = nn.Sequential(
            separable(inputs, outputs), batch_norm(outputs), nn.ReLU(), separable(outputs, outputs), batch_norm(outputs)
        )

    def forward(self, x):
        total = 2 if x.shape[-1] % 2 else 1
        before = total // 2
        pads = (before, total - before, before, total - before)
        main = functional.max_pool2d(functional.pad(self.main(x), pads, value=-torch.inf), 3, stride=2)
        return main + self.shortcut(x)


def mini_xception():
    stem = []
    for inputs in (1, 8):
        stem += [nn.Conv2d(inputs, 8, 3, bias=False), batch_norm(8), nn.ReLU()]
    modules = [Module(inputs, outputs) for inputs, outputs in ((8, 16), (16, 32), (32, 64), (64, 128))]
    return nn.Sequential(*stem, *modules, nn.Conv2d(128, 7, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class PyTorch:
    def __init__(self, count):
        self.model = mini_xception().to(memory_format=torch.channels_last)
        trainable = sum(parameter.numel() for parameter in self.model.parameters())
        assert trainable == 56_951, trainable
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, eps=1e-7)
        self.images = (torch.rand(count, 1, 64, 64) * 2 - 1).contiguous(memory_format=torch.channels_last)
        self.classes = torch.randint(0, 7, (count,))

    def epoch(self):
        """Seconds on the clock and on the processors."""
        start = time.perf_counter(), time.process_time()
        for images, classes in zip(self.images.split(BATCH_SIZE), self.classes.split(BATCH_SIZE)):
            self.optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(self.model(images), classes).backward()
            self.optimizer.step()
        return time.perf_counter() - start[0], time.process_time() - start[1]


class Trainer:
    def __init__(self, program, folder, count):
        self.program, self.folder, self.runs = program, folder, 0
        random = numpy.random.default_rng(0)
        for number in range(count):
            path = folder / "data" / EMOTIONS[number % 7] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), random.integers(0, 255, (48, 48), dtype=numpy.uint8))

    def epoch(self):
        """Seconds on the clock, as the trainer says, and on the processors, for all that it does."""
        recipe = self.folder / "recipe.yaml"
        recipe.write_text("task: emotion\nepochs: 1\ndata: {validation_fraction: 0.01}\n")
        self.runs += 1
        out = self.folder / f"run_{self.runs}"
        command = [self.program, "train", recipe, "--data", self.folder / "data", "--out", out]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        with open(out / "metrics.csv", newline="") as file:
            return float(next(csv.DictReader(file))["seconds"]), cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the project's trainer, built for release")
    parser.add_argument("--images", type=int, default=2048, help="number of images of an epoch")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each; the fastest counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(arguments.program, pathlib.Path(folder), arguments.images)
        pytorch = PyTorch(arguments.images)
        pytorch.epoch()
        rounds = [(pytorch.epoch(), trainer.epoch()) for _ in range(arguments.rounds)]
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.images} images")
    for position, clock in enumerate(("wall", "CPU")):
        theirs, ours = (1000 * min(it[position] for it in seconds) / arguments.images for seconds in zip(*rounds))
        print(f"{clock} time an image: PyTorch {theirs:.2f} ms, this trainer {ours:.2f} ms, {ours / theirs:.2f} times as long")


if __name__ == "__main__":
    main()
