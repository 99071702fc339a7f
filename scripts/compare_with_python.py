"""Measures the CPU time per frame of this package and of the same work in Python, on the same frames, side by side.

The Python side is the original authors' pipeline (opencv-python, detectMultiScale with its original settings, one crop
and one network run per face and attribute) with ONNX Runtime in place of Keras. ONNX Runtime is ten times as fast. Decoding
and drawing are not measured. Started by scripts/compare_with_python.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
PORTRAIT = ROOT / "tests/data/astronaut.jpg"
# As in config/face_attributes.yaml: for each network the margin on each side of the face, as a fraction of its size.
MARGINS = {"emotion": 0.0, "gender": 0.2}


class PythonPipeline:
    """Grey, faces, crops, networks."""

    def __init__(self):
        self.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.networks = [
            (onnxruntime.InferenceSession(ROOT / f"models/{task}_mini_xception.onnx", options), margin)
            for task, margin in MARGINS.items()
        ]

    def process(self, bgr):
        """The probabilities of each network for each face."""
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        faces = self.cascade.detectMultiScale(gray, 1.3, 5)
        return [[classify(network, crop(gray, face, margin)) for network, margin in self.networks] for face in faces]


def crop(gray, face, margin):
    x, y, width, height = face
    pad_x, pad_y = round(margin * width), round(margin * height)
    return gray[max(y - pad_y, 0) : y + height + pad_y, max(x - pad_x, 0) : x + width + pad_x]


def classify(network, face):
    pixels = (cv2.resize(face, (64, 64)).astype(np.float32) / 255 - 0.5) * 2
    [probabilities] = network.run(None, {network.get_inputs()[0].name: pixels[None, None]})
    return probabilities[0]


def measure_python(pipeline, frames, threads):
    """`threads` is for OpenCV, negative for its default. The original searches each frame for faces of every size."""
    cv2.setNumThreads(threads)
    pipeline.process(frames[0])  # as on the Rust side, the first frame is not measured
    start = time.process_time()
    faces = sum(len(pipeline.process(frame)) for frame in frames)
    return {"cpu_ms_per_frame": 1e3 * (time.process_time() - start) / len(frames), "faces": faces}


def measure_rust(frame_cost, folder, *options):
    output = subprocess.run([frame_cost, "measure", folder, *options], check=True, stdout=subprocess.PIPE)
    return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frame_cost", help="the built example of that name")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each, in turns (default: 7)")
    parser.add_argument("--frames", type=int, default=60, help="frames of a measurement (default: 60)")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "frames"
        cascades = Path(temporary) / "cascades.yaml"
        cascades.write_text("/**: {ros__parameters: {search.rate: 0.0}}\n")
        size = ["--frames", str(args.frames), "--width", str(args.width), "--height", str(args.height)]
        subprocess.run([args.frame_cost, "render", PORTRAIT, folder, *size], check=True)
        frames = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
        pipeline = PythonPipeline()
        cv2.setNumThreads(-1)
        measurements = {
            "face_attributes": lambda: measure_rust(args.frame_cost, folder),
            "face_attributes, cascades alone": lambda: measure_rust(args.frame_cost, folder, "--params", cascades),
            "Python, original settings": lambda: measure_python(pipeline, frames, 1),
            f"Python, original, OpenCV with {cv2.getNumThreads()} threads": lambda: measure_python(pipeline, frames, -1),
        }
        # In turns, so that other load on the machine affects all of them.
        rounds = [{name: measure() for name, measure in measurements.items()} for _ in range(args.rounds)]

    print(f"{args.frames} frames of {args.width} x {args.height} pixels with one face, CPU time of all threads of the process,")
    print(f"median of {args.rounds} rounds (OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}):\n")
    print(f"{'':40}{'CPU ms per frame':>18}{'faces':>8}")
    for name in measurements:
        cpu_ms = statistics.median(measured[name]["cpu_ms_per_frame"] for measured in rounds)
        print(f"{name:40}{cpu_ms:18.1f}{rounds[0][name]['faces']:8}")
    print()
    ours, cascades_alone, python, _ = measurements
    for numerator, denominator in ((ours, python), (cascades_alone, python)):
        pairs = [(measured[numerator], measured[denominator]) for measured in rounds]
        ratios = sorted(a["cpu_ms_per_frame"] / b["cpu_ms_per_frame"] for a, b in pairs)
        print(f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}): {numerator} / {denominator}")


if __name__ == "__main__":
    main()
