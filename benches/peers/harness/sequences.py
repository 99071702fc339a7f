"""Frames through several peers, frame by frame in turns."""

from dataclasses import dataclass, field

from .geometry import FRAMES_PER_SECOND, found
from .summary import Costs, Turns

# The first frames are not counted: a new recording is searched at once, and faces become known.
WARM_UP_FRAMES = FRAMES_PER_SECOND // 2


@dataclass
class Measured:
    """What one peer did with one sequence."""

    costs: Costs = field(default_factory=Costs)
    faces: int = 0
    found: int = 0
    frames_with_a_face: int = 0
    resident_mib: float = None

    def summary(self):
        figures = self.costs.summary()
        if figures is None:
            return None
        parts = {"faces": self.faces, "found": self.found, "frames_with_a_face": self.frames_with_a_face}
        return {**figures, **parts, "resident_mib": self.resident_mib}


class FrameFile:
    """The file in which the programs find the frame."""

    def __init__(self, path):
        self.path = path

    def request(self, frame, seconds, begins, camera=0):
        self.path.write_bytes(frame.tobytes())
        height, width = frame.shape[:2]
        return {
            "picture": str(self.path),
            "width": width,
            "height": height,
            "time_us": round(1e6 * seconds),
            "begins": begins,
            "camera": camera,
        }


def measure(peers, frames, count, budget_secs, file, seconds_per_frame=1 / FRAMES_PER_SECOND):
    """Gives `frames` to the peers in turns: each frame is a picture and the boxes of its faces, or `None` where they are unknown.

    A peer that does not follow faces gets every n-th frame, as `budget_secs` allow. Returns the summary of each by its name.
    """
    measured = {peer.name: Measured() for peer in peers}
    schedule = Schedule(peers, count, budget_secs)
    for number, (frame, truth) in enumerate(frames):
        request = file.request(frame, number * seconds_per_frame, begins=number == 0)
        for peer in in_turns(peers, number):
            if not schedule.is_due(peer, number):
                continue
            answer = peer.ask(**request)
            if answer is None:
                continue
            if schedule.is_warm_up(number):
                schedule.warmed_up(peer, sum(answer["wall_ms"]))
            else:
                count_answer(measured[peer.name], answer, truth)
    for peer in peers:
        if peer.worker is not None:
            measured[peer.name].resident_mib = peer.worker.resident_mib()
    return {name: figures.summary() for name, figures in measured.items()}


class Schedule:
    """Who gets which frame of a sequence of `count` frames."""

    # Frames of the warm-up for peers that do not follow faces. The first one of a new size may take longer.
    TRIALS = 3

    def __init__(self, peers, count, budget_secs):
        self.warm_up = min(WARM_UP_FRAMES, count // 4)
        self.turns = {peer.name: Turns(count - self.warm_up, budget_secs) for peer in peers}
        self.trials_ms = {peer.name: [] for peer in peers}

    def is_warm_up(self, number):
        return number < self.warm_up

    def is_due(self, peer, number):
        if peer.follows:
            return True
        if self.is_warm_up(number):
            return number < self.TRIALS
        return self.turns[peer.name].is_due(number - self.warm_up)

    def warmed_up(self, peer, wall_ms):
        trials = self.trials_ms[peer.name]
        trials.append(wall_ms)
        self.turns[peer.name].plan(min(trials) / 1000)


def in_turns(peers, number):
    """Nobody is always the first one after the frame was written."""
    first = number % len(peers)
    return peers[first:] + peers[:first]


def count_answer(measured, answer, truth):
    measured.costs.add(answer["wall_ms"], answer["cpu_ms"])
    measured.frames_with_a_face += bool(answer["faces"])
    if truth is not None:
        measured.faces += len(truth)
        measured.found += found([face["box"] for face in answer["faces"]], truth)


def measure_cameras(peers, sequences, count, budget_secs, file):
    """As `measure`, with one sequence per camera. The cost is that of one frame of each camera."""
    costs = {peer.name: Costs() for peer in peers}
    schedule = Schedule(peers, count, budget_secs)
    for number in range(count):
        due = [peer for peer in peers if schedule.is_due(peer, number)]
        sums = {peer.name: [0.0, 0.0] for peer in due}
        for camera, sequence in enumerate(sequences):
            # Cameras do not look at the same face.
            frame, _ = sequence.frame(number + 31 * camera)
            request = file.request(frame, number / FRAMES_PER_SECOND, begins=number == 0, camera=camera)
            for peer in in_turns(due, number):
                answer = peer.ask(**request)
                if answer is None:
                    sums.pop(peer.name, None)
                elif peer.name in sums:
                    sums[peer.name][0] += answer["wall_ms"][0]
                    sums[peer.name][1] += answer["cpu_ms"][0]
        for peer in due:
            if peer.name not in sums:
                continue
            wall_ms, cpu_ms = sums[peer.name]
            if schedule.is_warm_up(number):
                schedule.warmed_up(peer, wall_ms)
            else:
                costs[peer.name].add([wall_ms], [cpu_ms])
    return {name: cost.summary() for name, cost in costs.items()}
