"""Emotion: residual networks learn the labels, small networks their answers."""

import torch

from held_out import is_held_out
from learn import answers, mean_answers
from networks import Teacher, revive_dead_filters
from pictures import EMOTIONS, read_fer2013
from views import Sources
from work import FixedViews, accuracy, learn_labels, learn_side_by_side, one_hot, robots_views, save

CLASSES = len(EMOTIONS)


class Faces:
    """FER-2013: what is learned, and two sets that are not."""

    def __init__(self, work, folder):
        faces = read_fer2013(folder / "train")
        is_other = torch.tensor(is_held_out(faces.names, 0.0, work.recipe["emotion"]["validation_fraction"]))
        self.learned = Sources(work.few(faces.chosen(~is_other)).to(work.device))
        others = {"held out": faces.chosen(is_other), "PublicTest": read_fer2013(folder / "validation")}
        self.others = {name: Sources(pictures.to(work.device)) for name, pictures in others.items()}
        self.views = {name: robots_views(sources, 0.0) for name, sources in self.others.items()}

    def accuracies(self, ask):
        """In words. `ask` gives probabilities for images."""
        figures = (f"{name} {accuracy(ask(self.views[name]), it.pictures.classes):.4f}" for name, it in self.others.items())
        return ", ".join(figures)


def train_teachers(work, faces):
    """The teachers. Those of an earlier run are read."""
    recipe = work.recipe["emotion"]["teachers"]
    targets = one_hot(faces.learned.pictures.classes, CLASSES, recipe["label_smoothing"])
    teachers = []
    for number in range(1, recipe["count"] + 1):
        network = Teacher(recipe["width"], CLASSES, recipe["dropout"]).to(work.device)
        path = work.out / f"emotion_teacher_{number}.pt"
        if path.exists():
            network.load_state_dict(torch.load(path, map_location=work.device))
            network.eval()
        else:
            learn_labels(work, network, [CLASSES], faces.learned, targets, recipe, f"emotion teacher {number}")
            save(network, path)
        teachers.append(network)
        figures = faces.accuracies(lambda images: mean_answers(teachers, images, CLASSES, mirrored=True))
        work.say(f"accuracy of {number} together: {figures}")
    return teachers


def train_students(work, faces, teachers):
    """The students, but those that an earlier run wrote."""
    recipe = work.recipe["emotion"]
    students = {name: it for name, it in recipe["students"].items() if not work.file_of("emotion", name).exists()}
    if not students:
        return
    ask = lambda images: mean_answers(teachers, images, CLASSES)
    views = FixedViews(work, faces.learned, recipe["augmentation"], recipe["views"])
    answers_of_teachers = views.answers(ask)
    work.say(f"the teachers have answered on {recipe['views']} views of each face")
    labels, count = one_hot(faces.learned.pictures.classes, CLASSES), len(faces.learned)
    learners = {}
    for name, student in students.items():
        network = work.untrained("emotion", student["architecture"])
        if "initial_weights" in student:
            network.load_state_dict(work.network(student["initial_weights"]).state_dict())
            revived = revive_dead_filters(network, robots_views(faces.learned, 0.0))
            work.say(f"{name}: {revived} filters of the first convolution begin anew")
        learners[name] = work.learner(network, [CLASSES], student, count)

    def batches():
        for positions in work.chunks(count):
            images, numbers = views.seen_by_robot(positions, recipe)
            answer = answers_of_teachers[numbers, positions]
            yield [(images, labels[positions] + recipe["teachers_weight"] * (answer - labels[positions]))]

    learn_side_by_side(work, students, [learners], batches)
    for name, learner in learners.items():
        batches = (views.seen_by_robot(positions, recipe)[0] for positions in work.chunks_for_statistics(count))
        network = learner.finish(batches)
        work.say(f"{name}: accuracy {faces.accuracies(lambda images: answers(network, images, CLASSES))}")
        work.write(network, "emotion", name)
