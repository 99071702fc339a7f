"""Emotion: residual networks learn the labels, small networks their answers."""

from learn import answers, mean_answers
from networks import Teacher, revive_dead_filters
from pictures import EMOTIONS, held_out, read_fer2013
from views import Sources
from work import AnsweredViews, accuracy, learn_labels, one_hot, robots_views

CLASSES = len(EMOTIONS)
# Epochs between two lines of the log.
EPOCHS_PER_LINE = 10


class Faces:
    """FER-2013: what is learned, and two sets that are not."""

    def __init__(self, work, folder):
        faces = read_fer2013(folder / "train")
        is_held_out = held_out(faces.names, 0.0, work.recipe["emotion"]["validation_fraction"])
        self.learned = Sources(work.few(faces.chosen(~is_held_out)).to(work.device))
        others = {"held out": faces.chosen(is_held_out), "PublicTest": read_fer2013(folder / "validation")}
        self.others = {name: Sources(pictures.to(work.device)) for name, pictures in others.items()}
        self.views = {name: robots_views(sources, 0.0) for name, sources in self.others.items()}

    def accuracies(self, ask):
        """In words. `ask` gives probabilities for images."""
        figures = (f"{name} {accuracy(ask(self.views[name]), it.pictures.classes):.4f}" for name, it in self.others.items())
        return ", ".join(figures)


def train_teachers(work, faces):
    recipe = work.recipe["emotion"]["teachers"]
    targets = one_hot(faces.learned.pictures.classes, CLASSES, recipe["label_smoothing"])
    teachers = []
    for number in range(1, recipe["count"] + 1):
        network = Teacher(recipe["width"], CLASSES, recipe["dropout"]).to(work.device)
        learn_labels(work, network, [CLASSES], faces.learned, targets, recipe, f"emotion teacher {number}")
        teachers.append(network)
        figures = faces.accuracies(lambda images: mean_answers(teachers, images, CLASSES, mirrored=True))
        work.say(f"accuracy of {number} together: {figures}")
    return teachers


def train_students(work, faces, teachers):
    recipe = work.recipe["emotion"]
    ask = lambda images: mean_answers(teachers, images, CLASSES)
    views = AnsweredViews(work, faces.learned, recipe["augmentation"], recipe["views"], ask)
    work.say(f"the teachers have answered on {recipe['views']} views of each face")
    labels, count = one_hot(faces.learned.pictures.classes, CLASSES), len(faces.learned)
    learners = {}
    for name, student in recipe["students"].items():
        network = work.untrained("emotion", student["architecture"])
        if "initial_weights" in student:
            network.load_state_dict(work.network(student["initial_weights"]).state_dict())
            revived = revive_dead_filters(network, faces.views["held out"])
            work.say(f"{name}: {revived} filters of the first convolution begin anew")
        learners[name] = work.learner(network, [CLASSES], student, count)

    epoch = 0
    while not all(learner.is_done() for learner in learners.values()):
        for chunk, positions in enumerate(work.chunks(count)):
            images, answer = views.seen_by_robot(positions, recipe)
            targets = labels[positions] + recipe["teachers_weight"] * (answer - labels[positions])
            for name, learner in learners.items():
                if (chunk + epoch) % recipe["students"][name].get("every", 1) == 0:
                    learner.learn(images, targets)
        epoch += 1
        if epoch % EPOCHS_PER_LINE == 0:
            lines = (f"{name} {it.step}/{it.steps} {it.loss.item():.4f}" for name, it in learners.items())
            work.say(f"epoch {epoch}: {', '.join(lines)}")
    for name, learner in learners.items():
        batches = (views.seen_by_robot(positions, recipe)[0] for positions in work.chunks_for_statistics(count))
        network = learner.finish(batches)
        work.say(f"{name}: accuracy {faces.accuracies(lambda images: answers(network, images, CLASSES))}")
        work.write(network, "emotion", name)
