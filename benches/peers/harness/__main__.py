"""Measures all parts and writes the documents. Started by benches/peers/run."""

import itertools
import json
import os
import platform
import subprocess
import tempfile
from datetime import date
from importlib import metadata
from pathlib import Path

import numpy as np

from . import networks, peers, pictures, plot, report, sequences
from .options import PARTS, parse
from .peers import ROOT
from .worker import WorkerFailed

SIZES = ((640, 480), (1280, 720), (1920, 1080))
FACES = (1, 2, 4, 8)
CAMERAS = (1, 2, 4, 8)
# Of the probabilities of a network that was carried over to Keras.
MAX_KERAS_DIFFERENCE = 1e-4


class Plan:
    """How much is measured."""

    def __init__(self, is_quick):
        # Of 30 frames per second.
        self.frames = 40 if is_quick else 240
        # For each peer and sequence.
        self.budget_secs = 0.4 if is_quick else 4
        self.combinations = (
            [(SIZES[0], 1), (SIZES[0], 4), (SIZES[1], 1)] if is_quick else list(itertools.product(SIZES, FACES))
        )
        self.cameras = CAMERAS[:2] if is_quick else CAMERAS
        self.videos = 1 if is_quick else None
        self.starts = 1 if is_quick else 3
        # For each network: pictures of faces and random ones, passes through each, and the time for each engine.
        self.pictures, self.runs, self.network_secs = (10, 5, 1) if is_quick else (200, 10, 4)


class Bench:
    def __init__(self, options, folder):
        self.programs, self.folder = options, folder
        self.plan = Plan(options.quick)
        count = max(FACES)
        if options.faces:
            self.portraits, self.background = pictures.portraits_of(options.faces, count)
        else:
            self.portraits, self.background = pictures.own_portraits()
        self.videos = pictures.videos_in(options.videos) if options.videos else [pictures.OWN_FACES[1][0]]
        self.file = sequences.FrameFile(folder / "frame.raw")

    def sequence(self, size, faces, first=0):
        # The first face is another one for each camera.
        several = pictures.filled(self.portraits[first:] + self.portraits[:first], faces)
        return pictures.Sequence(size, several, self.background)

    def start(self, several):
        """Starts the programs. All but the last time is for the start-up time alone."""
        frame, _ = self.sequence(SIZES[0], 1).frame(0)
        request = self.file.request(frame, 0.0, begins=True)
        for number in range(self.plan.starts):
            for peer in several:
                peer.start(request)
                if number + 1 < self.plan.starts:
                    peer.stop()
        return several

    def check_keras(self, peer):
        """Keras gets its networks from the ONNX files, so they are compared first. Returns the largest difference."""
        generator = np.random.default_rng(1)
        several = pictures.crops(self.portraits, 5, generator) + list(generator.integers(0, 256, (5, 64, 64), np.uint8))
        try:
            difference = max(networks.keras_difference(file, several, self.folder) for file in peers.RELEASED)
        except WorkerFailed as error:
            peer.missing = f"failed: {error}"
            return None
        if difference > MAX_KERAS_DIFFERENCE:
            peer.missing = f"its networks differ from ONNX Runtime by {difference:.1e}"
        return difference

    def combinations(self, several):
        results = []
        for size, faces in self.plan.combinations:
            print(f"    {size[0]}x{size[1]}, {faces} face(s)", flush=True)
            sequence = self.sequence(size, faces)
            frames = map(sequence.frame, range(self.plan.frames))
            measured = sequences.measure(several, frames, self.plan.frames, self.plan.budget_secs, self.file)
            results.append({"size": size, "faces": faces, "peers": measured})
        return results

    def pipeline(self):
        return {"sequences": self.combinations(self.pipelines), "peers": about(self.pipelines)}

    def detection(self):
        several = self.start(peers.detectors(self.programs))
        results = self.combinations(several)
        said = about(several)
        for peer in several:
            peer.stop()
        return {"sequences": results, "peers": said}

    def video_clips(self):
        results = []
        for path in self.videos[: self.plan.videos]:
            print(f"    {path.name}", flush=True)
            frames = [(frame, None) for frame in pictures.frames_of(path)]
            measured = sequences.measure(
                self.pipelines, frames, len(frames), self.plan.budget_secs / 2, self.file, pictures.seconds_per_frame(path)
            )
            results.append(
                {"video": path.name, "size": frames[0][0].shape[1::-1], "frames": len(frames), "peers": measured}
            )
        return results

    def several_cameras(self):
        results = []
        for count in self.plan.cameras:
            print(f"    {count} camera(s)", flush=True)
            cameras = [self.sequence(SIZES[0], 1, number % len(self.portraits)) for number in range(count)]
            measured = sequences.measure_cameras(
                self.pipelines, cameras, self.plan.frames, self.plan.budget_secs, self.file
            )
            results.append({"cameras": count, "peers": measured})
        return results

    def network_engines(self):
        generator = np.random.default_rng(0)
        count = self.plan.pictures
        small = pictures.crops(self.portraits, count, generator)
        small += list(generator.integers(0, 256, (count, 64, 64), np.uint8))
        # Of faces and random ones in turns, so that a slow engine gets both.
        small = [picture for pair in zip(small[:count], small[count:]) for picture in pair]
        results = {"checker": networks.check_files(), "networks": {}}
        for network in networks.shipped_networks(self.folder):
            print(f"    {network.name}", flush=True)
            scenes = self.scenes(network, generator) if network.is_search else small
            results["networks"][network.name] = networks.measure(
                network, scenes, self.programs, self.folder, self.plan.network_secs, self.plan.runs
            )
        return results

    def scenes(self, network, generator):
        """Frames in the size of the search network's picture, and one of noise."""
        sequence = self.sequence((network.width, network.height), 4)
        frames = [sequence.frame(17 * number)[0] for number in range(max(self.plan.pictures // 5, 2))]
        return [*frames, generator.integers(0, 256, frames[0].shape, np.uint8)]

    def measure(self, parts, keep):
        """The results of all parts. `keep` gets them after each part: a later one may fail or be interrupted."""
        results = {}
        if {"pipeline", "videos", "cameras"} & set(parts):
            print("==> Starting the pipelines", flush=True)
            self.pipelines = peers.pipelines(self.programs)
            results["keras_difference"] = self.check_keras(self.pipelines[-1])
            self.start(self.pipelines)
        work = {
            "pipeline": self.pipeline,
            "videos": self.video_clips,
            "cameras": self.several_cameras,
            "detection": self.detection,
            "networks": self.network_engines,
        }
        for part, measure in work.items():
            if part in parts:
                print(f"==> Measuring: {part}", flush=True)
                results[part] = measure()
                keep(results)
        for peer in getattr(self, "pipelines", []):
            peer.stop()
        return results


def about(several):
    return {peer.name: {"missing": peer.missing, "start_secs": peer.start_secs} for peer in several}


def machine():
    info = Path("/proc/cpuinfo").read_text()
    [model, *_] = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")] or [
        platform.machine()
    ]
    return {
        "date": date.today().isoformat(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "commit": commit(),
    }


def commit():
    described = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    result = subprocess.run(described, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def versions():
    found = {name: installed_version(name) for name in (*required("requirements.txt"), *required("requirements-peers.txt"))}
    found["mediapipe"] = required("requirements-mediapipe.txt")["mediapipe"]
    for crate, lock in (("rten", peers.FOLDER / "rten/Cargo.lock"), ("tract-onnx", ROOT / "Cargo.lock")):
        found[crate] = lock.read_text().split(f'name = "{crate}"\nversion = "')[1].split('"')[0]
    return found


def required(file):
    """The packages of a requirements file and their versions."""
    lines = [line.split() for line in (peers.FOLDER / file).read_text().splitlines()]
    return dict(words[0].split("==") for words in lines if words and not words[0].startswith("#"))


def installed_version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def measured(options, folder):
    """All results, which are kept in `folder` too."""
    about_results = {
        "machine": machine(),
        "versions": versions(),
        "is_quick": options.quick,
        "faces": "a collection of portraits" if options.faces else "the two portraits that come with this package",
    }

    def keep(results):
        (folder / "peers.json").write_text(json.dumps(results | about_results, indent=1))

    with tempfile.TemporaryDirectory(prefix="peers_") as temporary:
        return Bench(options, Path(temporary)).measure(options.only or PARTS, keep) | about_results


def main():
    options = parse()
    is_whole = not (options.quick or options.only)
    out = options.out or (ROOT / "docs" if is_whole else ROOT / "build/peers/out")
    out.mkdir(parents=True, exist_ok=True)
    if options.results:
        results = json.loads(options.results.read_text())
    else:
        results = measured(options, out if out != ROOT / "docs" else ROOT / "build/peers")
    (out / "peers.md").write_text(report.document(results))
    if {"pipeline", "cameras", "networks"} <= set(results):
        plot.draw(results, out / "peers.png")
        if out == ROOT / "docs":
            readme = ROOT / "README.md"
            readme.write_text(report.fill_readme(readme.read_text(), results))
    print(f"==> Wrote {out / 'peers.md'}")


if __name__ == "__main__":
    main()
