"""Figures from measured times. Needs the standard library alone."""

import math


def percentile(values, share):
    """The smallest value that is not below `share` (0 to 1) of all values."""
    if not values:
        raise ValueError("a percentile of no values")
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


class Costs:
    """Wall times and CPU times of the same work, in milliseconds."""

    def __init__(self):
        self.wall_ms, self.cpu_ms = [], []

    def add(self, wall_ms, cpu_ms):
        self.wall_ms += wall_ms
        self.cpu_ms += cpu_ms

    def summary(self):
        """The figures of a table's row, or `None` where nothing was measured."""
        if not self.cpu_ms:
            return None
        figures = {"count": len(self.cpu_ms), "cpu_mean": sum(self.cpu_ms) / len(self.cpu_ms), "cpu_max": max(self.cpu_ms)}
        for name, values in (("cpu", self.cpu_ms), ("wall", self.wall_ms)):
            figures |= {f"{name}_p50": percentile(values, 0.5), f"{name}_p99": percentile(values, 0.99)}
        return figures


class Turns:
    """Says which frames of a sequence a peer gets, so that a slow one takes about `budget_secs` for all of them.

    It gets every n-th frame. Were the next frame chosen by the time that is left, frames that cost little would be chosen more
    often. There are at least `LEAST` frames, however slow it is.
    """

    LEAST = 12

    def __init__(self, frames, budget_secs):
        self.frames, self.budget_secs = frames, budget_secs
        self.step = 1

    def plan(self, frame_secs):
        """Decides by what a frame of the warm-up took."""
        wanted = math.ceil(self.frames * frame_secs / self.budget_secs)
        self.step = max(min(wanted, self.frames // self.LEAST), 1)

    def is_due(self, frame_number):
        return frame_number % self.step == 0
