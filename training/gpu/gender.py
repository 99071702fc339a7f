"""Apparent gender: teachers learn gender, age and race, small networks their answers."""

import torch

import cross_validation
from held_out import is_held_out
from learn import answers, mean_answers
from networks import OnnxNetwork, Teacher, copy_weights, revive_dead_filters
from pictures import read_utkface
from utkface import ADULT_YEARS, GENDERS, OLD_YEARS, RACES
from views import Sources
from work import CHUNK, FixedViews, learn_labels, learn_side_by_side, one_hot, robots_views

CLASSES = len(GENDERS)
# First years of all groups but the youngest.
AGE_GROUPS = (13, 20, 30, 40, 50, 60, 70)
QUESTIONS = [CLASSES, len(AGE_GROUPS) + 1, len(RACES)]
# Weights of age and race in the loss, beside 1 for gender.
AGE_WEIGHT, RACE_WEIGHT = 0.3, 0.2
LABEL_SMOOTHING = 0.02
# Epochs that set the statistics of the batch normalizations at the end.
EPOCHS_FOR_STATISTICS = 2
# Pictures of UTKFace are scaled down to this.
PICTURE_SIDE_PX = 128


def read_people(work, folder):
    return work.few(read_utkface(folder, work.recipe["gender"]["min_age_years"], PICTURE_SIDE_PX))


def weights(pictures):
    """For each picture, the square root of the weight that would make all groups of race, age and gender weigh the same.

    There are two groups of age: younger than 60 years, and others.
    """
    groups = (pictures.races * 2 + (pictures.ages >= OLD_YEARS)) * CLASSES + pictures.classes
    counts = torch.bincount(groups, minlength=len(RACES) * 2 * CLASSES).float()
    weight = (1 / counts[groups]).sqrt()
    return (weight / weight.mean())[:, None]


def targets_of(pictures, weight):
    ages = torch.bucketize(pictures.ages, torch.tensor(AGE_GROUPS, device=pictures.ages.device), right=True)
    questions = [
        one_hot(pictures.classes, CLASSES, LABEL_SMOOTHING) * weight,
        one_hot(ages, len(AGE_GROUPS) + 1) * AGE_WEIGHT,
        one_hot(pictures.races, len(RACES)) * RACE_WEIGHT,
    ]
    return torch.cat(questions, 1)


class Part:
    """A training without the people in a share of the pictures, on whom its networks are measured."""

    def __init__(self, work, people, emotion_teachers, start, end):
        self.work, self.name = work, f"gender, without {start:g} to {end:g}"
        # On the processor, where batches are put together.
        self.is_learned = ~torch.tensor(is_held_out(people.names, start, end))
        self.others = people.chosen(~self.is_learned)
        self.views = robots_views(Sources(self.others), work.recipe["gender"]["validation_margin"])
        self.learners = {}
        self.learned = Sources(people.chosen(self.is_learned))
        weight = weights(self.learned.pictures)
        # 0 for those that are held out.
        self.weights = torch.zeros(len(people), 1, device=work.device)
        self.weights[self.is_learned.to(work.device)] = weight
        self._train_teachers(targets_of(self.learned.pictures, weight), emotion_teachers)

    def _train_teachers(self, targets, emotion_teachers):
        recipe, width = self.work.recipe["gender"]["teachers"], self.work.recipe["emotion"]["teachers"]["width"]
        self.teachers = []
        for number in range(recipe["count"]):
            network = Teacher(width, sum(QUESTIONS), recipe["dropout"]).to(self.work.device)
            network.trunk.load_state_dict(emotion_teachers[number % len(emotion_teachers)].trunk.state_dict())
            name = f"{self.name}, teacher {number + 1}"
            learn_labels(self.work, network, QUESTIONS, self.learned, targets, recipe, name)
            self.teachers.append(network)
        self._say("teachers", mean_answers(self.teachers, self.views, CLASSES, mirrored=True))

    def _say(self, who, probabilities):
        is_adult = self.others.ages >= ADULT_YEARS
        right = (probabilities.argmax(1) == self.others.classes)[is_adult]
        self.work.say(f"{self.name}, {who}: {right.float().mean().item():.4f} of {len(right)} adults")

    def answer(self, of_people, of_crowd):
        ask = lambda images: mean_answers(self.teachers, images, CLASSES)
        self.answers_of_people, self.answers_of_crowd = of_people.answers(ask), of_crowd.answers(ask)

    def add_student(self, name):
        student = self.work.recipe["gender"]["students"][name]
        network = self.work.untrained("gender", student["architecture"])
        if "initial_weights" in student:
            copy_weights(self.work.network(student["initial_weights"]), network)
            margin = self.work.recipe["gender"]["validation_margin"]
            revive_dead_filters(network, robots_views(self.learned, margin))
        if "from_emotion" in student:
            emotion = self.work.file_of("emotion", student["from_emotion"])
            copy_weights(OnnxNetwork(emotion).to(self.work.device), network)
        # As many faces of FER-2013 are shown.
        count = int(self.is_learned.sum()) + len(self.is_learned)
        self.learners[name] = self.work.learner(network, [CLASSES], student, count)

    def finish(self, name, batches):
        """The network of a student, and its answers on the people that were held out."""
        network = self.learners[name].finish(batches)
        probabilities = answers(network, self.views, CLASSES)
        self._say(name, probabilities)
        return network, probabilities


class Lessons:
    """Views of people, and of as many faces of FER-2013, from which the students of all parts learn side by side."""

    def __init__(self, work, people, faces, parts):
        self.work, self.recipe, self.parts = work, work.recipe["gender"], parts
        self.people_count, self.faces_count = len(people), len(faces)
        self.labels = one_hot(people.classes, CLASSES)
        crowd = work.recipe["emotion"]["augmentation"]
        self.of_people = FixedViews(work, Sources(people), self.recipe["augmentation"], self.recipe["views"])
        self.of_crowd = FixedViews(work, faces, crowd, self.recipe["views_of_fer2013"])
        for part in parts:
            part.answer(self.of_people, self.of_crowd)
        work.say("the teachers have answered")

    def train(self):
        groups = [part.learners for part in self.parts]
        learn_side_by_side(self.work, self.recipe["students"], groups, self._epoch)

    def views_for_statistics(self, part):
        """Batches of views that the students of a part may see."""
        number = self.parts.index(part)
        for _ in range(EPOCHS_FOR_STATISTICS):
            batches = [shown[number][0] for shown in self._epoch()]
            # All of one size, for which the algorithms are chosen once.
            size = min(CHUNK, max(map(len, batches)))
            yield from (images[:size] for images in batches if len(images) >= size)

    def _epoch(self):
        """For all people in a random order, chunk by chunk: for each part, views and targets."""
        random, device = self.work.random, self.work.device
        for order in torch.randperm(self.people_count).split(CHUNK):
            positions = order.to(device)
            views, numbers = self.of_people.seen_by_robot(positions, self.recipe)
            crowd = torch.randint(self.faces_count, (len(order),), generator=random, device=device)
            crowd_views, crowd_numbers = self.of_crowd.seen_by_robot(crowd, self.recipe)
            views, labels = torch.cat((views, crowd_views)), self.labels[positions]
            shown = []
            for part in self.parts:
                answer = part.answers_of_people[numbers, positions]
                target = (labels + self.recipe["teachers_weight"] * (answer - labels)) * part.weights[positions]
                targets = torch.cat((target, part.answers_of_crowd[crowd_numbers, crowd]))
                mine = torch.cat((part.is_learned[order], torch.ones(len(order), dtype=torch.bool))).nonzero()[:, 0]
                mine = mine[torch.randperm(len(mine))].to(device)
                shown.append((views[mine], targets[mine]))
            yield shown


def train(work, people, faces, emotion_teachers):
    """Trains the networks on all people but those that are held out, and measures the recipe by cross-validation.

    In the cross-validation each person is classified by a network that did not learn from this picture. Does nothing where an
    earlier run wrote the networks.
    """
    recipe, people = work.recipe["gender"], people.to(work.device)
    if all(work.file_of("gender", name).exists() for name in recipe["students"]):
        return
    count = recipe["cross_validation_parts"]
    shares = [(0.0, recipe["validation_fraction"]), *((number / count, (number + 1) / count) for number in range(count))]
    main, *others = parts = [Part(work, people, emotion_teachers, *share) for share in shares]
    for name, student in recipe["students"].items():
        for part in parts if student.get("is_cross_validated", False) else [main]:
            part.add_student(name)
    lessons = Lessons(work, people, faces, parts)
    lessons.train()
    answered = {}
    for part in others:
        for name in part.learners:
            _, probabilities = part.finish(name, lessons.views_for_statistics(part))
            answers_of_part = zip(part.others.names, probabilities[:, GENDERS.index("man")].tolist())
            answered.setdefault(name, []).extend(cross_validation.Answer(*it) for it in answers_of_part)
    for name, its_answers in answered.items():
        cross_validation.write(work.out / f"gender_{name}_cross_validation.csv", its_answers)
        for line in cross_validation.report(its_answers, recipe["validation_fraction"], recipe["min_confidence"]):
            work.say(f"cross-validation of {name}, {line}")
    for name in main.learners:
        network, _ = main.finish(name, lessons.views_for_statistics(main))
        work.write(network, "gender", name)
