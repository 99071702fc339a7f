"""What all trainings share: the recipe, the random numbers, the log, and how a teacher learns and answers."""

import os
import subprocess
import time

import torch
from torch.nn import functional

from learn import Learner
from networks import OnnxNetwork
from recipe import read_recipe
from views import Faults, Squares, erased, relit

# Faces that are drawn at a time.
CHUNK = 512
# Side of the views, in pixels.
SIDE_PX = 64
# Chunks of faces that set the statistics of the batch normalizations at the end.
CHUNKS_FOR_STATISTICS = 40
# Epochs between two lines of the log.
EPOCHS_PER_LINE = 10


class Work:
    def __init__(self, arguments):
        self.recipe, recipe = read_recipe(arguments.recipe)
        self.out, self.trainer, self.root = arguments.out, arguments.trainer, arguments.root
        self.every, self.speed_up = arguments.every, arguments.speed_up
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(self.recipe["seed"])
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.random = torch.Generator(self.device)
        self.random.manual_seed(self.recipe["seed"])
        self.begun = time.monotonic()
        self.out.mkdir(parents=True, exist_ok=True)
        self._claim(f"# --speed-up {self.speed_up:g} --every {self.every}\n{recipe}")

    def _claim(self, recipe):
        """Keeps the recipe beside what is made by it. Raises where the folder is that of another one."""
        path = self.out / "recipe.yaml"
        if path.exists() and path.read_text(encoding="utf-8") != recipe:
            raise SystemExit(f"error: {self.out} has networks of another recipe, --speed-up or --every; take another --out")
        replace(path, lambda partial: partial.write_text(recipe, encoding="utf-8"))

    def say(self, text):
        line = f"{time.monotonic() - self.begun:7.1f} s  {text}"
        print(line, flush=True)
        with open(self.out / "log.txt", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def few(self, pictures):
        """Every n-th picture, for a try."""
        return pictures.chosen(torch.arange(len(pictures)) % self.every == 0)

    def learner(self, network, questions, recipe, faces):
        """A learner for the epochs of the recipe, of so many faces each."""
        if recipe["batch_size"] > min(faces, CHUNK):
            raise SystemExit(f"error: batch_size {recipe['batch_size']}: only {min(faces, CHUNK)} faces are drawn at a time")
        steps = int(recipe["epochs"] / self.speed_up * faces) // recipe["batch_size"]
        return Learner(network, questions, recipe, max(1, steps))

    def chunks(self, count):
        """The positions of so many faces, in a random order."""
        return torch.randperm(count, generator=self.random, device=self.device).split(CHUNK)

    def chunks_for_statistics(self, count):
        return self.chunks(count)[:CHUNKS_FOR_STATISTICS]

    def untrained(self, task, architecture):
        """The network with random weights, as the trainer makes it."""
        path = self.out / f"untrained_{task}_{architecture}.onnx"
        if not path.exists():
            options = ["--architecture", architecture, "--task", task, "--seed", str(self.recipe["seed"])]
            subprocess.run([self.trainer, "export", *options, "--out", path], check=True, stdout=subprocess.DEVNULL)
        return OnnxNetwork(path).to(self.device)

    def network(self, path):
        """A network of the repository."""
        return OnnxNetwork(self.root / path).to(self.device)

    def write(self, network, task, name):
        recipe = self.recipe[task]
        terms = recipe["students"][name].get("license", recipe["license"])
        source = "trained by training/gpu/train.py"
        metadata = {"source": source, "training_data": recipe["data"], "license": terms}
        replace(self.file_of(task, name), lambda path: network.write(path, metadata))

    def file_of(self, task, name):
        return self.out / f"{task}_{name}.onnx"


def replace(path, write):
    """Writes a file under another name and renames it, so that it is whole or not there."""
    partial = path.with_name(f"partial_{path.name}")
    write(partial)
    os.replace(partial, path)


def save(network, path):
    """Saves a teacher's weights with half the precision, which is more than it needs."""
    halves = {name: it.half() if it.is_floating_point() else it for name, it in network.state_dict().items()}
    replace(path, lambda partial: torch.save(halves, partial))


def accuracy(probabilities, classes):
    return (probabilities.argmax(1) == classes).float().mean().item()


def one_hot(classes, count, smoothing=0.0):
    """Target probabilities; `smoothing` is the share that is spread over all classes."""
    return functional.one_hot(classes, count).float() * (1 - smoothing) + smoothing / count


def robots_views(sources, margin):
    """The views of the robot."""
    positions = torch.arange(len(sources), device=sources.device).split(CHUNK)
    return torch.cat([sources.seen(it, Squares.plain(margin, len(it), sources.device), SIDE_PX) for it in positions])


def mixed(views, targets, alpha):
    """Pairs of faces laid over each other, and their targets (mixup, Zhang et al. 2018), with one share for all."""
    if alpha == 0:
        return views, targets
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(views), device=views.device)
    return views + share * (views[order] - views), targets + share * (targets[order] - targets)


def learn_labels(work, network, questions, sources, targets, recipe, name):
    """A network that learns targets, on views without glasses and faults of a camera."""
    learner = work.learner(network, questions, recipe, len(sources))

    def view(positions):
        views = sources.seen(positions, Squares.draw(recipe["augmentation"], len(positions), work.random), SIDE_PX)
        views = relit(views, recipe["brightness"], recipe["contrast"], work.random)
        return erased(views, recipe["erased"], work.random)

    while not learner.is_done():
        for positions in work.chunks(len(sources)):
            learner.learn(*mixed(view(positions), targets[positions], recipe["mixup"]))
    learner.finish(view(positions) for positions in work.chunks_for_statistics(len(sources)))
    work.say(f"{name}: {learner.steps} steps, loss {learner.loss.item():.3f}")


def learn_side_by_side(work, students, groups, batches):
    """Trains learners until all are done.

    `groups` are dictionaries from the name of a student to its learner. `batches` gives for one epoch, chunk by chunk, what
    each group is shown: images and targets. `students` is the section of the recipe.
    """
    epoch = 0
    while not all(learner.is_done() for group in groups for learner in group.values()):
        for chunk, shown in enumerate(batches()):
            for group, (images, targets) in zip(groups, shown):
                for name, learner in group.items():
                    if (chunk + epoch) % students[name].get("every", 1) == 0:
                        learner.learn(images, targets)
        epoch += 1
        if epoch % EPOCHS_PER_LINE == 0:
            lines = (f"{name} {it.step}/{it.steps} {it.loss.item():.4f}" for name, it in groups[0].items())
            work.say(f"epoch {epoch}: {', '.join(lines)}")


class FixedViews:
    """Views of faces on which teachers answer once: a square for each view and face."""

    def __init__(self, work, sources, augmentation, count):
        self.work, self.sources, self.count = work, sources, count
        self.squares = Squares.draw(augmentation, (count, len(sources)), work.random)

    def answers(self, ask):
        """What `ask` says to the views as they are: probabilities, [views, faces, classes]."""
        chunks = torch.arange(len(self.sources), device=self.work.device).split(CHUNK)
        view = lambda number, it: self.sources.seen(it, self.squares.taken(number, it), SIDE_PX)
        return torch.stack([torch.cat([ask(view(number, it)) for it in chunks]) for number in range(self.count)])

    def seen_by_robot(self, positions, recipe):
        """A random one of the views of each face, as a robot may see it, and the number of that view."""
        random, count = self.work.random, len(positions)
        numbers = torch.randint(self.count, (count,), generator=random, device=self.work.device)
        faults = Faults.draw(recipe["camera"], count, random)
        squares = self.squares.taken(numbers, positions).with_box_off(*faults.box_offset(random))
        views = self.sources.seen(positions, squares, SIDE_PX, random, recipe["glasses"], faults.turn)
        views = relit(views, recipe["brightness"], recipe["contrast"], random)
        return faults.seen(views, recipe["camera"]["smallest_face_px"], random), numbers
