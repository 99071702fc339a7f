"""The networks alone: every engine gets the same numbers and its outputs are compared with those of ONNX Runtime."""

import shutil
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from .peers import OURS, ROOT, Peer, python_worker
from .summary import Costs
from .worker import Worker

REFERENCE = "ONNX Runtime"
# Of pictures of a 640x480 frame; the last one is what a camera's image gets.
SEARCH_SIZES = ((320, 256), (480, 352), (512, 384))


@dataclass
class Network:
    name: str
    task: str
    file: Path
    width: int
    height: int
    # Grey, or blue, green and red.
    channels: int

    @property
    def shape(self):
        return [1, self.channels, self.height, self.width]

    @property
    def is_search(self):
        return self.task == "search"

    def values(self, picture):
        """What the network takes for an 8-bit picture: as the files' metadata and models/README.md say."""
        if self.is_search:
            planes = np.moveaxis(picture[..., ::-1], -1, 0).astype(np.float32)
        else:
            planes = (picture[None].astype(np.float32) / 255 - 0.5) * 2
        return np.ascontiguousarray(planes)[None]


def shipped_networks(folder):
    """The files that this package ships, the search network in the sizes that are measured."""
    networks = [
        Network(task, task, ROOT / f"models/{task}_mini_xception.onnx", 64, 64, 1) for task in ("emotion", "gender")
    ]
    for width, height in SEARCH_SIZES:
        file = folder / f"centerface_{width}x{height}.onnx"
        write_with_size(ROOT / "models/search/centerface.onnx", file, (1, 3, height, width))
        networks.append(Network(f"search, {width}x{height}", "search", file, width, height, 3))
    return networks


def write_with_size(source, target, shape):
    """The same network for pictures of another size. Most engines take only the size that the file names."""
    model = onnx.load(source)
    weights = {tensor.name for tensor in model.graph.initializer}
    [image] = [value for value in model.graph.input if value.name not in weights]
    # Weights that are inputs too could be replaced from outside, so that engines do not fold them.
    del model.graph.input[:]
    model.graph.input.append(image)
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape):
        dimension.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), target)


def check_files():
    """What onnx's checker says of each shipped file."""
    files = [*sorted((ROOT / "models").glob("*.onnx")), *sorted((ROOT / "models").glob("*/*.onnx"))]
    said = {}
    for file in files:
        try:
            onnx.checker.check_model(str(file), full_check=True)
            said[str(file.relative_to(ROOT))] = "passed"
        except onnx.checker.ValidationError as error:
            said[str(file.relative_to(ROOT))] = f"refused: {error}"
    return said


def engines(network, programs, folder):
    task = [network.task]
    rten = Peer("rten", [programs.rten, str(network.file)])
    rten.missing = programs.missing.get("rten")
    keras = Peer("Keras, `predict`", python_worker("network", "keras", network.file))
    if network.is_search:
        keras.missing = "the network is not available for Keras"
    return [
        Peer(OURS, [programs.rust, "network", *task, "kernels"]),
        Peer(REFERENCE, python_worker("network", "onnxruntime", network.file)),
        Peer("OpenVINO", python_worker("network", "openvino", network.file)),
        converted(Peer("ncnn", []), to_ncnn, network, folder),
        converted(Peer("MNN", []), to_mnn, network, folder),
        Peer("tract", [programs.rust, "network", *task, "tract"]),
        rten,
        keras,
    ]


def converted(peer, convert, network, folder):
    try:
        peer.command = python_worker("network", *convert(network, folder))
    except (OSError, subprocess.CalledProcessError) as error:
        words = (getattr(error, "stdout", None) or str(error)).split("\n")
        peer.missing = f"the conversion failed: {' / '.join(words[-3:])}"[:300]
    return peer


def to_ncnn(network, folder):
    # The program in the package, without its Python module, which needs PyTorch.
    program = Path(sysconfig.get_path("purelib")) / "pnnx/pnnx"
    target = folder / f"{network.file.stem}_ncnn"
    # It writes more files beside the one that it reads.
    copy = folder / f"{network.file.stem}_to_convert.onnx"
    shutil.copy(network.file, copy)
    run(
        [
            program,
            copy,
            "fp16=0",
            f"inputshape=[{','.join(map(str, network.shape))}]f32",
            f"ncnnparam={target}.param",
            f"ncnnbin={target}.bin",
            *(f"{name}={folder / name}" for name in ("pnnxparam", "pnnxbin", "pnnxonnx", "pnnxpy", "ncnnpy")),
        ],
        folder,
    )
    return ["ncnn", target]


def to_mnn(network, folder):
    program = Path(sysconfig.get_path("scripts")) / "mnnconvert"
    target = folder / f"{network.file.stem}.mnn"
    run([program, "-f", "ONNX", "--modelFile", network.file, "--MNNModel", target, "--bizCode", "peers"], folder)
    graph = onnx.load(network.file).graph
    return ["mnn", target, *(value.name for value in (*graph.input, *graph.output))]


def run(command, folder):
    subprocess.run(
        list(map(str, command)), cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


class Comparison:
    """The outputs of one engine beside those of the reference."""

    def __init__(self):
        self.pictures = self.agreeing = 0
        self.largest_difference = 0.0

    def add(self, network, expected, got, faces):
        if network.is_search and got is None:
            difference, agrees = compare_faces(network, expected, faces)
        else:
            difference = float(np.abs(expected - got).max()) if expected.shape == got.shape else float("inf")
            agrees = expected.shape == got.shape and best(network, expected) == best(network, got)
        self.pictures += 1
        self.agreeing += agrees
        self.largest_difference = max(self.largest_difference, difference)

    def summary(self):
        return {"pictures": self.pictures, "agreeing": self.agreeing, "difference": self.largest_difference}


def best(network, outputs):
    """The most probable class, or the most probable cell of the search network's first output."""
    return int(np.argmax(heat(network, outputs) if network.is_search else outputs))


def heat(network, outputs):
    return outputs[: network.width // 4 * (network.height // 4)]


def compare_faces(network, expected, faces):
    """This project's search answers with faces: the most probable one is compared with the most probable cell."""
    surest = max(faces, key=lambda face: face["confidence"], default=None)
    cell = best(network, expected)
    row, column = divmod(cell, network.width // 4)
    if surest is None:
        return float(heat(network, expected)[cell]), False
    left, top, right, bottom = surest["box"]
    agrees = left <= 4 * column + 2 <= right and top <= 4 * row + 2 <= bottom
    return abs(float(heat(network, expected)[cell]) - surest["confidence"]), agrees


def keras_difference(file, pictures, folder):
    """The largest difference of a network's outputs in Keras and in ONNX Runtime."""
    network = Network(file.stem, "", file, 64, 64, 1)
    requests = Requests(network, folder)
    outputs = []
    for engine in ("keras", "onnxruntime"):
        with Worker(python_worker("network", engine, file)) as worker:
            several = []
            for picture in pictures:
                worker.ask(**requests.of(picture, 1))
                several.append(requests.outputs())
            outputs.append(np.array(several))
    return float(np.abs(outputs[0] - outputs[1]).max())


def measure(network, pictures, programs, folder, budget_secs, runs):
    """Gives the pictures to the engines in turns. Returns the figures of each by its name."""
    peers = engines(network, programs, folder)
    costs = {peer.name: Costs() for peer in peers}
    comparisons = {peer.name: Comparison() for peer in peers}
    requests = Requests(network, folder)
    for peer in peers:
        peer.start(requests.of(pictures[0], 1))
    spent, begin = {peer.name: 0.0 for peer in peers}, time.perf_counter()
    for picture in pictures:
        if time.perf_counter() - begin > budget_secs * len(peers):
            break
        outputs = {}
        for peer in peers:
            if spent[peer.name] > budget_secs:
                continue
            started = time.perf_counter()
            answer = peer.ask(**requests.of(picture, runs))
            spent[peer.name] += time.perf_counter() - started
            if answer is not None:
                costs[peer.name].add(answer["wall_ms"], answer["cpu_ms"])
                outputs[peer.name] = (requests.outputs(), answer["faces"])
        if REFERENCE in outputs:
            expected = outputs[REFERENCE][0]
            for name, (got, faces) in outputs.items():
                comparisons[name].add(network, expected, got, faces)
    results = {}
    for peer in peers:
        results[peer.name] = {
            "missing": peer.missing,
            "costs": costs[peer.name].summary(),
            "comparison": comparisons[peer.name].summary() if comparisons[peer.name].pictures else None,
        }
        peer.stop()
    return results


class Requests:
    """The files through which the engines get their inputs and give their outputs."""

    def __init__(self, network, folder):
        self.network, self.folder = network, folder
        self.written = None

    def of(self, picture, runs):
        picture_file, values_file = self.folder / "picture.raw", self.folder / "values.raw"
        if self.written is not picture:
            picture_file.write_bytes(np.ascontiguousarray(picture).tobytes())
            values_file.write_bytes(self.network.values(picture).tobytes())
            self.written = picture
        self.outputs_file.unlink(missing_ok=True)
        return {
            "picture": str(picture_file),
            "values": str(values_file),
            "width": self.network.width,
            "height": self.network.height,
            "shape": self.network.shape,
            "runs": runs,
            "outputs": str(self.outputs_file),
        }

    @property
    def outputs_file(self):
        return self.folder / "outputs.raw"

    def outputs(self):
        """`None` where the engine writes none: this project's search answers with faces."""
        return np.fromfile(self.outputs_file, np.float32) if self.outputs_file.exists() else None
