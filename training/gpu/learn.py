"""A network that learns: steps on a GPU that wait for nothing, and a running average of the weights."""

import math

import torch
from torch.nn import functional

# Steps before the recording of one: the first ones choose algorithms and make the optimizer's state.
STEPS_BEFORE_RECORDING = 3
# Share of the steps in which the learning rate rises.
WARM_UP = 0.02
# Of Keras' Adam, as in the trainer.
ADAM_EPSILON = 1e-7


class Learner:
    """A network in training by Adam with decoupled weight decay and half a cosine as the schedule.

    The loss is the cross-entropy with target probabilities, summed over questions. `questions` are the numbers of classes of
    each, in the order of the network's outputs. On a GPU a step is recorded once and replayed, on a stream of its own. So
    several networks learn at the same time.
    """

    def __init__(self, network, questions, recipe, steps):
        self.device = next(network.parameters()).device
        self.on_gpu = self.device.type == "cuda"
        self.network, self.questions, self.recipe, self.steps = network, questions, recipe, steps
        self.batch_size = recipe["batch_size"]
        self.in_bfloat16 = self.on_gpu and recipe.get("bfloat16", False)
        if self.in_bfloat16:
            network.to(memory_format=torch.channels_last)
        self.average = [parameter.detach().clone() for parameter in network.parameters()]
        self.rate = torch.zeros((), device=self.device)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), self.rate, eps=ADAM_EPSILON, weight_decay=recipe["weight_decay"],
            capturable=self.on_gpu, fused=self.on_gpu,
        )
        self.images = self.targets = self.recording = None
        self.loss = torch.zeros((), device=self.device)
        self.stream = torch.cuda.Stream() if self.on_gpu else None
        self.step = 0

    def is_done(self):
        return self.step >= self.steps

    def learn(self, images, targets):
        """Steps with images [count, side, side] in 0 to 1 and targets [count, outputs]. A part of a batch is left out."""
        if not self.on_gpu:
            self._learn(images, targets)
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self._learn(images, targets)
        # Their memory must not be used anew before this stream has read it.
        images.record_stream(self.stream)
        targets.record_stream(self.stream)

    def _learn(self, images, targets):
        self.network.train()
        for images, targets in zip(images.split(self.batch_size), targets.split(self.batch_size)):
            if len(images) < self.batch_size or self.is_done():
                return
            progress = self.step / self.steps
            factor = min(1.0, progress / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress))
            self.rate.fill_(self.recipe["learning_rate"] * factor)
            self._take_step(images[:, None] * 2 - 1, targets)
            self.step += 1

    def _take_step(self, images, targets):
        if self.images is None:
            self.images, self.targets = images.clone(), targets.clone()
        self.images.copy_(images)
        self.targets.copy_(targets)
        if self.on_gpu and self.recording is None and self.step >= STEPS_BEFORE_RECORDING:
            self.recording = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad(set_to_none=True)
            torch.cuda.synchronize()
            with torch.cuda.graph(self.recording, stream=self.stream):
                self._compute_step()
        if self.recording is None:
            self._compute_step()
        else:
            self.recording.replay()

    def _compute_step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16, cache_enabled=False):
            outputs = self.network(self.images)
        loss = 0.0
        for outputs, targets in zip(outputs.split(self.questions, 1), self.targets.split(self.questions, 1)):
            loss = loss - (functional.log_softmax(outputs.float(), 1) * targets).sum() / self.batch_size
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.loss.lerp_(loss.detach(), 0.01)
            torch._foreach_lerp_(self.average, list(self.network.parameters()), 1 - self.recipe["average_decay"])

    def finish(self, batches):
        """Gives the network the averaged weights, and batch normalizations the statistics of these batches of images."""
        if self.on_gpu:
            torch.cuda.current_stream().wait_stream(self.stream)
        self.recording = self.images = self.targets = None
        norms = [layer for layer in self.network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        with torch.no_grad():
            for parameter, average in zip(self.network.parameters(), self.average):
                parameter.copy_(average)
            for norm in norms:
                norm.reset_running_stats()
                # The mean of all batches.
                norm.momentum = None
            self.network.train()
            for images in batches:
                self.network(images[:, None] * 2 - 1)
            for norm, momentum in zip(norms, momenta):
                norm.momentum = momentum
        return self.network.eval()


@torch.no_grad()
def answers(network, images, classes, in_bfloat16=False):
    """Probabilities of the first question, which has that number of classes, for images [count, side, side] in 0 to 1."""
    network.eval()
    results = []
    for batch in images.split(1024):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=in_bfloat16):
            outputs = network(batch[:, None] * 2 - 1)
        results.append(outputs[:, :classes].float().softmax(1))
    return torch.cat(results)


def mean_answers(networks, images, classes, mirrored=False):
    """The mean probabilities of networks; `mirrored` means also over the mirrored images."""
    views = (images, images.flip(2)) if mirrored else (images,)
    in_bfloat16 = images.device.type == "cuda"
    return torch.stack([answers(it, view, classes, in_bfloat16) for it in networks for view in views]).mean(0)
