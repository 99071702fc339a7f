"""The frame of all programs in Python that are measured: one JSON object per line, in and out, and the clocks."""

import json
import sys
import time

import numpy as np


class Times:
    """Wall times and CPU times of all threads of this process, in milliseconds."""

    def __init__(self):
        self.wall_ms, self.cpu_ms = [], []

    def measure(self, work, *arguments):
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        result = work(*arguments)
        self.cpu_ms.append((time.process_time_ns() - cpu) / 1e6)
        self.wall_ms.append((time.perf_counter_ns() - wall) / 1e6)
        return result


def serve(answer, **about):
    """Calls `answer(request, times)`, which returns what else the answer holds, for each line of standard input."""
    print(json.dumps({"ready": True, **about}), flush=True)
    for line in sys.stdin:
        times = Times()
        rest = answer(json.loads(line), times)
        print(json.dumps({"wall_ms": times.wall_ms, "cpu_ms": times.cpu_ms, **rest}), flush=True)


def read_frame(request):
    pixels = np.fromfile(request["picture"], np.uint8)
    return pixels.reshape(request["height"], request["width"], 3)


def corners(box):
    """Left, top, right and bottom of left, top, width and height."""
    x, y, width, height = (float(value) for value in box)
    return [x, y, x + width, y + height]
