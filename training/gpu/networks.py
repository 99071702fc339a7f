"""The networks that learn: those of the trainer, read from its ONNX files, and larger teachers."""

import math

import numpy
import onnx
import torch
from torch import nn
from torch.nn import functional

BATCH_NORM_MOMENTUM = 0.01


class OnnxNetwork(nn.Module):
    """A network in a file that `face_attributes_training export` wrote. It gives the logits, before the softmax."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.model = onnx.load(str(path))
        graph = self.model.graph
        tensors = {it.name: torch.from_numpy(onnx.numpy_helper.to_array(it).copy()) for it in graph.initializer}
        self.steps, self.layers = [], nn.ModuleDict()
        # Where each tensor of the file is in this module.
        self.places = {}
        for node in graph.node:
            attributes = {it.name: onnx.helper.get_attribute_value(it) for it in node.attribute}
            make = getattr(self, f"_{node.op_type.lower()}", None)
            if make is None:
                raise SystemExit(f"error: {path}: {node.name} is a {node.op_type}, which is not known here")
            inputs, names = list(node.input), []
            if node.op_type in ("Conv", "BatchNormalization"):
                inputs, names = inputs[:1], inputs[1:]
            step = make(node, attributes, [tensors[name] for name in names], names)
            if step is not None:
                self.steps.append((step, inputs, node.output[0]))
        self.last = self.steps[-1][2]

    def forward(self, images):
        """Logits, [count, classes], of images in -1 to 1, [count, channels, height, width]."""
        values = {self.model.graph.input[0].name: images}
        for step, inputs, output in self.steps:
            values[output] = step(*(values[name] for name in inputs))
        return values[self.last]

    def write(self, path, metadata):
        """Writes the file with the present weights. `metadata` replace those of the same keys."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for tensor in model.graph.initializer:
            name, field = self.places[tensor.name]
            value = getattr(self.layers[name], field).detach().float().cpu().contiguous().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(numpy.float32), tensor.name))
        kept = [it for it in model.metadata_props if it.key not in metadata]
        entries = [(it.key, it.value) for it in kept] + list(metadata.items())
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, dict(entries))
        onnx.save(model, str(path))

    def _add_layer(self, node, layer, fields, names):
        key = node.name.replace(".", "_")
        self.layers[key] = layer
        for name, field in zip(names, fields):
            self.places[name] = (key, field)
        return layer

    def _conv(self, node, attributes, tensors, names):
        weight = tensors[0]
        filters, inputs, height, width = weight.shape
        groups = attributes["group"]
        before, after = attributes["pads"][:2], attributes["pads"][2:]
        padding = tuple(before) if before == after else 0
        layer = nn.Conv2d(
            inputs * groups, filters, (height, width), attributes["strides"], padding, groups=groups, bias=len(tensors) > 1
        )
        for field, tensor in zip(("weight", "bias"), tensors):
            getattr(layer, field).data.copy_(tensor)
        self._add_layer(node, layer, ("weight", "bias"), names)
        return layer if before == after else nn.Sequential(Pad(attributes["pads"], 0.0), layer)

    def _batchnormalization(self, node, attributes, tensors, names):
        layer = nn.BatchNorm2d(len(tensors[0]), eps=attributes["epsilon"], momentum=BATCH_NORM_MOMENTUM)
        fields = ("weight", "bias", "running_mean", "running_var")
        for field, tensor in zip(fields, tensors):
            getattr(layer, field).data.copy_(tensor)
        return self._add_layer(node, layer, fields, names)

    def _relu(self, *_):
        return functional.relu

    def _add(self, *_):
        return torch.add

    def _maxpool(self, node, attributes, *_):
        pool = nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"])
        return nn.Sequential(Pad(attributes["pads"], -math.inf), pool)

    def _averagepool(self, node, attributes, *_):
        if any(attributes["pads"]):
            raise SystemExit(f"error: {node.name} pads, which is not known here")
        return nn.AvgPool2d(attributes["kernel_shape"], attributes["strides"])

    def _reducemean(self, node, attributes, *_):
        return lambda values: values.mean(list(attributes["axes"]))

    def _softmax(self, *_):
        return None


def copy_weights(source, target):
    """Copies all weights; but where the tasks have other numbers of classes, those of the last convolution stay."""
    weights, others = source.state_dict(), target.state_dict()
    changed = {name for name in weights if name in others and others[name].shape != weights[name].shape}
    layers = {name.rpartition(".")[0] for name in changed}
    if weights.keys() != others.keys() or len(layers) > 1:
        raise SystemExit(f"error: {source.path}: a network of another architecture than {target.path}")
    target.load_state_dict({name: weight for name, weight in weights.items() if name not in changed}, strict=False)


class Pad(nn.Module):
    """Pads by ONNX' top, left, bottom, right."""

    def __init__(self, pads, value):
        super().__init__()
        top, left, bottom, right = pads
        self.pads, self.value = (left, right, top, bottom), value

    def forward(self, values):
        return functional.pad(values, self.pads, value=self.value) if any(self.pads) else values


class Block(nn.Module):
    """A basic residual block (He et al. 2016)."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        conv = lambda inputs, stride: nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.main = nn.Sequential(
            conv(inputs, stride), nn.BatchNorm2d(filters), nn.ReLU(True), conv(filters, 1), nn.BatchNorm2d(filters)
        )
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, values):
        return functional.relu(self.main(values) + self.shortcut(values), True)


class Teacher(nn.Module):
    """A residual network of 18 layers for grey faces of 64 x 64 pixels; `width` filters in its first stage.

    `outputs` numbers for several questions, one after the other.
    """

    def __init__(self, width, outputs, dropout):
        super().__init__()
        stem = [nn.Conv2d(1, width // 2, 3, 1, 1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(True)]
        stem += [nn.Conv2d(width // 2, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        blocks, inputs = [], width
        for stage in range(4):
            for stride in (1 if stage == 0 else 2, 1):
                blocks.append(Block(inputs, width << stage, stride))
                inputs = width << stage
        self.trunk = nn.Sequential(*stem, *blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, images):
        return self.head(self.dropout(self.trunk(images).mean((2, 3))))


def revive_dead_filters(network, images):
    """Lets filters of the first convolution that give 0 for all images begin anew. Returns their number.

    What reads them begins at 0, so that the answers do not change. `images` are [count, side, side] in 0 to 1. The network
    begins with a convolution, a batch normalization and a ReLU, and one convolution reads that.
    """
    (conv, *_), (norm, *_), (relu, _, read), (reader, *_) = network.steps[:4]
    if any(read in inputs for _, inputs, _ in network.steps[4:]):
        raise SystemExit("error: more than one layer reads the first convolution")
    with torch.no_grad():
        norm.eval()
        peaks = [relu(norm(conv(batch[:, None] * 2 - 1))).amax((0, 2, 3)) for batch in images.split(512)]
        dead = torch.nonzero(torch.stack(peaks).amax(0) <= 0).flatten().tolist()
        for number in dead:
            nn.init.kaiming_uniform_(conv.weight[number : number + 1])
            norm.weight[number], norm.bias[number] = 1.0, 0.0
            norm.running_mean[number], norm.running_var[number] = 0.0, 1.0
            reader.weight[:, number] = 0.0
    return len(dead)
