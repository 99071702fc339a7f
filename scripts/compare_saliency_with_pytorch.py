"""Compares guided and plain gradients of `face_attributes explain` with an independent implementation in PyTorch.

The paper's networks are written here from the paper's tables. Only the weights come from the ONNX files, by name. The pixels are
those that the program reports as the network's input. PyTorch computes in float64.

A gradient is discontinuous where a rectifier's input is 0 or two pixels of a max-pool are equal. Some faces are so near to
such a point that rounding decides the side. For a face that differs, the gradients within a millionth of the pixel range are
compared as well. The closest one counts, and the face is named.

Exit status 1 where a difference is above 1e-4 of the largest gradient, or a probability differs by more than 1e-4. Started
by scripts/compare_saliency_with_pytorch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
MAX_DIFFERENCE = 1e-4
# Standard deviation, in units of the network's input, and number of the points around a face that differs.
NEIGHBOURHOOD = 1e-6
NEIGHBOURS = 40
# Each crop without its mirror image.
PARAMETERS = "/**: {ros__parameters: {emotion: {mirror: false}, gender: {mirror: false}}}"
# Keras' default, with which the authors trained.
BATCH_NORM_EPSILON = 1e-3


class Network(nn.Module):
    """Layers that keep their values by the name that they have in the ONNX file."""

    def __init__(self, weights, is_guided):
        super().__init__()
        self.weights = weights
        self.relu = nn.ReLU()
        if is_guided:
            # The ordinary backward pass has zeroed the gradient where the input was not positive.
            self.relu.register_full_backward_hook(lambda _, inputs, outputs: (inputs[0] * (outputs[0] > 0),))

    def forward(self, image):
        self.values = {}
        scores = self.layers(image).mean(dim=(2, 3))
        return scores, torch.softmax(scores, dim=1)

    def keep(self, name, value):
        self.values[name] = value
        return value

    def conv(self, name, x, groups=1, stride=1, pad=None):
        weight = self.weights[f"{name}.weight"]
        pad = weight.shape[-1] // 2 if pad is None else pad
        bias = self.weights.get(f"{name}.bias")
        return self.keep(name, nn.functional.conv2d(x, weight, bias, stride, pad, groups=groups))

    def batch_norm(self, name, x):
        scale, bias, mean, variance = (self.weights[f"{name}.{part}"] for part in ("scale", "bias", "mean", "variance"))
        return self.keep(name, nn.functional.batch_norm(x, mean, variance, scale, bias, eps=BATCH_NORM_EPSILON))

    def rectify(self, name, x):
        return self.keep(name, self.relu(x))


class MiniXception(Network):
    def layers(self, x):
        for number in (1, 2):
            x = self.rectify(f"relu_{number}", self.batch_norm(f"batch_norm_{number}", self.conv(f"conv_{number}", x, pad=0)))
        for number in (1, 2, 3, 4):
            x = self.module(f"module_{number}", x)
        return self.conv("conv_3", x)

    def module(self, name, x):
        shortcut = self.conv(f"{name}/shortcut/conv_1", x, stride=2, pad=0)
        shortcut = self.batch_norm(f"{name}/shortcut/batch_norm_1", shortcut)
        x = self.batch_norm(f"{name}/main/batch_norm_1", self.separable(f"{name}/main/separable_conv_1", x))
        x = self.rectify(f"{name}/main/relu_1", x)
        x = self.batch_norm(f"{name}/main/batch_norm_2", self.separable(f"{name}/main/separable_conv_2", x))
        # Padding as in TensorFlow for a window at every second pixel: the larger half is at the end.
        needed = max((-(-x.shape[-1] // 2) - 1) * 2 + 3 - x.shape[-1], 0)
        begin, end = needed // 2, needed - needed // 2
        x = nn.functional.pad(x, (begin, end, begin, end), value=-torch.inf)
        return self.keep(f"{name}/add", nn.functional.max_pool2d(x, 3, 2) + shortcut)

    def separable(self, name, x):
        x = self.conv(f"{name}/depthwise", x, groups=x.shape[1])
        return self.conv(f"{name}/pointwise", x)


class SequentialFullyCnn(Network):
    def layers(self, x):
        for pair in (1, 2, 3, 4):
            for number in (2 * pair - 1, 2 * pair):
                x = self.batch_norm(f"batch_norm_{number}", self.conv(f"conv_{number}", x))
            x = nn.functional.avg_pool2d(self.rectify(f"relu_{pair}", x), 2)
        return self.conv("conv_10", self.batch_norm("batch_norm_9", self.conv("conv_9", x)))


NETWORKS = {"mini_xception": MiniXception, "sequential_fully_cnn": SequentialFullyCnn}
# For each network, neurons as channel, row and column of a layer.
NEURONS = {
    "mini_xception": [("conv_2", (5, 30, 22)), ("module_2/add", (3, 7, 9)), ("module_4/add", (100, 1, 2))],
    "sequential_fully_cnn": [("batch_norm_2", (5, 30, 22)), ("relu_3", (40, 7, 9)), ("conv_9", (200, 1, 2))],
}


def explain(program, model, task, faces, *options):
    command = [program, "explain", "--json", "--cropped", "--task", task, "--model", model, *options, *faces]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as parameters:
        parameters.write(PARAMETERS)
        parameters.flush()
        command[2:2] = ["--params", parameters.name]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def image_of(report, pixel_range):
    pixels = np.array(report["pixels"], np.float32).reshape(1, 1, report["height"], report["width"]) / 255
    return torch.tensor(pixels if pixel_range == "0,1" else (pixels - 0.5) * 2).double()


def reference(network, image, report):
    """The gradient of the explained value, and the probabilities."""
    image = image.clone().requires_grad_()
    scores, probabilities = network(image)
    if report["layer"]:
        value = network.values[report["layer"]][(0, *report["neuron"])]
    else:
        value = scores[0, probabilities.argmax()]
    [gradient] = torch.autograd.grad(value, image)
    return gradient.flatten().numpy(), probabilities[0].detach().numpy()


def difference(report, gradient):
    """The largest difference, as a fraction of the largest gradient."""
    # A neuron after a rectifier that gives 0 has no gradient, and must have none here.
    return np.abs(np.array(report["saliency"]) - gradient).max() / (np.abs(gradient).max() or 1.0)


def smallest_difference_nearby(network, image, report):
    noise = torch.Generator().manual_seed(0)
    neighbours = (
        image + NEIGHBOURHOOD * torch.randn(image.shape, generator=noise, dtype=image.dtype) for _ in range(NEIGHBOURS)
    )
    return min(difference(report, reference(network, neighbour, report)[0]) for neighbour in neighbours)


def compare(program, path, faces):
    """Prints the largest difference per method and target, and returns the largest of all."""
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    weights = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)).double() for tensor in model.graph.initializer}
    print(f"{path}: {metadata['architecture']}, {metadata['task']}, {len(faces)} faces")
    worst = 0.0
    for method in ("guided", "gradient"):
        network = NETWORKS[metadata["architecture"]](weights, method == "guided").eval()
        targets = [("predicted class", [])] + [
            (f"{layer} {neuron}", ["--layer", layer, "--neuron", ",".join(map(str, neuron))])
            for layer, neuron in NEURONS[metadata["architecture"]]
        ]
        for name, options in targets:
            reports = explain(program, path, metadata["task"], faces, "--method", method, *options)
            assert len(reports) == len(faces), f"{len(reports)} answers for {len(faces)} faces"
            of_gradient, of_probability, peak = 0.0, 0.0, 0.0
            for report in reports:
                image = image_of(report, metadata["pixel_range"])
                gradient, probabilities = reference(network, image, report)
                of_face = difference(report, gradient)
                if of_face > MAX_DIFFERENCE:
                    nearby = smallest_difference_nearby(network, image, report)
                    print(f"  {method:8}  {name:26}  {of_face:.1e}, nearby {nearby:.1e}: {report['file']}")
                    of_face = nearby
                of_gradient = max(of_gradient, of_face)
                of_probability = max(of_probability, np.abs(np.array(report["probabilities"]) - probabilities).max())
                peak = max(peak, np.abs(gradient).max())
            print(
                f"  {method:8}  {name:26}  difference {of_gradient:.1e} of the largest gradient (at most {peak:.2g}),"
                f" of the probabilities {of_probability:.1e}"
            )
            worst = max(worst, of_gradient, of_probability)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the built face_attributes")
    parser.add_argument("folder", type=Path, help="images of faces")
    parser.add_argument("--faces", type=int, default=20, help="how many, spread evenly over the folder (default: 20)")
    args = parser.parse_args()

    images = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    if not images:
        parser.error(f"{args.folder}: holds no image")
    count = min(args.faces, len(images))
    faces = [str(images[(2 * n + 1) * len(images) // (2 * count)]) for n in range(count)]
    models = [path for network in NETWORKS for path in sorted(ROOT.glob(f"models/*_{network}.onnx"))]
    worst = max(compare(args.program, str(model), faces) for model in models)
    is_close = worst <= MAX_DIFFERENCE
    print(f"{'agreed' if is_close else 'NOT AGREED'}: {worst:.1e} at most, {MAX_DIFFERENCE:.0e} allowed")
    sys.exit(0 if is_close else 1)


if __name__ == "__main__":
    main()
