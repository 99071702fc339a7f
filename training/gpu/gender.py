"""Apparent gender: teachers learn gender, age and race, small networks their answers."""

import csv

import torch

from learn import answers, mean_answers
from networks import Teacher, revive_dead_filters
from pictures import GENDERS, held_out, read_utkface
from views import Sources
from work import AnsweredViews, learn_labels, one_hot, robots_views

CLASSES, RACES = len(GENDERS), 5
ADULT_YEARS = 18
# First years of all groups but the youngest.
AGE_GROUPS = (13, 20, 30, 40, 50, 60, 70)
QUESTIONS = [CLASSES, len(AGE_GROUPS) + 1, RACES]
# Weights of age and race in the loss, beside 1 for gender.
AGE_WEIGHT, RACE_WEIGHT = 0.3, 0.2
LABEL_SMOOTHING = 0.02
# Pictures of UTKFace are scaled down to this.
PICTURE_SIDE_PX = 128


def read_people(work, folder):
    return work.few(read_utkface(folder, work.recipe["gender"]["min_age_years"], PICTURE_SIDE_PX))


def weights(pictures):
    """For each picture, the square root of the weight that would make all pairs of race and gender weigh the same."""
    groups = pictures.races * CLASSES + pictures.classes
    counts = torch.bincount(groups, minlength=RACES * CLASSES).float()
    weight = (1 / counts[groups]).sqrt()
    return (weight / weight.mean())[:, None]


def targets_of(pictures, weight):
    ages = torch.bucketize(pictures.ages, torch.tensor(AGE_GROUPS, device=pictures.ages.device), right=True)
    questions = [
        one_hot(pictures.classes, CLASSES, LABEL_SMOOTHING) * weight,
        one_hot(ages, len(AGE_GROUPS) + 1) * AGE_WEIGHT,
        one_hot(pictures.races, RACES) * RACE_WEIGHT,
    ]
    return torch.cat(questions, 1)


class Part:
    """A training without the people in a share of the pictures, on whom its networks are measured."""

    def __init__(self, work, people, faces, emotion_teachers, start, end):
        self.work, self.recipe, self.faces = work, work.recipe["gender"], faces
        self.name = f"gender, without {start:g} to {end:g}"
        is_held_out = held_out(people.names, start, end)
        self.learned = Sources(people.chosen(~is_held_out).to(work.device))
        self.others = people.chosen(is_held_out).to(work.device)
        self.views = robots_views(Sources(self.others), self.recipe["validation_margin"])
        self.weight = weights(self.learned.pictures)
        self._train_teachers(emotion_teachers)

    def _say(self, who, probabilities):
        is_adult = self.others.ages >= ADULT_YEARS
        right = (probabilities.argmax(1) == self.others.classes)[is_adult]
        self.work.say(f"{self.name}, {who}: {right.float().mean().item():.4f} of {len(right)} adults")

    def _train_teachers(self, emotion_teachers):
        targets = targets_of(self.learned.pictures, self.weight)
        self.first = self.work.network(self.recipe["initial_weights"])
        ask = lambda networks: mean_answers(networks, self.views, CLASSES, mirrored=True)
        self._say("released network", ask([self.first]))
        revive_dead_filters(self.first, self.views)
        gender = targets[:, :CLASSES].contiguous()
        name = f"{self.name}, first teacher"
        learn_labels(self.work, self.first, [CLASSES], self.learned, gender, self.recipe["first"], name)
        self._say("first teacher", ask([self.first]))
        recipe, width = self.recipe["teachers"], self.work.recipe["emotion"]["teachers"]["width"]
        others = []
        for number in range(recipe["count"]):
            network = Teacher(width, sum(QUESTIONS), recipe["dropout"]).to(self.work.device)
            network.trunk.load_state_dict(emotion_teachers[number % len(emotion_teachers)].trunk.state_dict())
            name = f"{self.name}, teacher {number + 2}"
            learn_labels(self.work, network, QUESTIONS, self.learned, targets, recipe, name)
            others.append(network)
        self.teachers = [*others, self.first]
        self._say("all teachers", ask(self.teachers))
        ask = lambda images: mean_answers(self.teachers, images, CLASSES)
        self.of_people = AnsweredViews(self.work, self.learned, self.recipe["augmentation"], self.recipe["views"], ask)
        crowd = self.work.recipe["emotion"]["augmentation"]
        self.of_crowd = AnsweredViews(self.work, self.faces, crowd, self.recipe["views_of_fer2013"], ask)

    def student(self, name):
        """A network that learned the answers, and its own on the people that were held out."""
        student = self.recipe["students"][name]
        network = self.work.untrained("gender", student["architecture"])
        if student.get("from_first", False):
            network.load_state_dict(self.first.state_dict())
        count = len(self.learned)
        # As many faces of FER-2013 are shown.
        learner = self.work.learner(network, [CLASSES], student, 2 * count)
        while not learner.is_done():
            for positions in self.work.chunks(count):
                learner.learn(*self._shown(positions))
        learner.finish(self._shown(positions)[0] for positions in self.work.chunks_for_statistics(count))
        probabilities = answers(network, self.views, CLASSES)
        self._say(name, probabilities)
        return network, probabilities

    def _shown(self, positions):
        """Views of these people and of as many faces of FER-2013, mixed, and their targets."""
        views, answer = self.of_people.seen_by_robot(positions, self.recipe)
        labels = one_hot(self.learned.pictures.classes[positions], CLASSES)
        target = (labels + self.recipe["teachers_weight"] * (answer - labels)) * self.weight[positions]
        crowd = torch.randint(len(self.faces), (len(positions),), generator=self.work.random, device=self.work.device)
        crowd_views, crowd_answer = self.of_crowd.seen_by_robot(crowd, self.recipe)
        order = torch.randperm(2 * len(positions), generator=self.work.random, device=self.work.device)
        return torch.cat((views, crowd_views))[order], torch.cat((target, crowd_answer))[order]


def train(work, people, faces, emotion_teachers):
    """The networks, each learned from all people but those that are held out."""
    recipe = work.recipe["gender"]
    part = Part(work, people, faces, emotion_teachers, 0.0, recipe["validation_fraction"])
    for name in recipe["students"]:
        network, _ = part.student(name)
        work.write(network, "gender", name)


def cross_validate(work, people, faces, emotion_teachers, name="mini_xception"):
    """Measures the recipe on all people, each classified by a network that did not learn from this picture."""
    parts, rows = work.recipe["gender"]["cross_validation_parts"], []
    for number in range(parts):
        part = Part(work, people, faces, emotion_teachers, number / parts, (number + 1) / parts)
        _, probabilities = part.student(name)
        them = part.others
        columns = them.names, them.classes.tolist(), them.ages.tolist(), them.races.tolist(), probabilities.tolist()
        rows += [(file, GENDERS[it], age, race, *answer) for file, it, age, race, answer in zip(*columns)]
    with open(work.out / f"gender_{name}_cross_validation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "gender", "age", "race", *GENDERS))
        writer.writerows(rows)
    report(work, rows)


def report(work, rows):
    """Accuracy on the adults: of all, by age, and by gender and race."""
    adults = [row for row in rows if row[2] >= ADULT_YEARS]
    groups = {"adults": adults, "60 years and more": [row for row in adults if row[2] >= 60]}
    for race, race_name in enumerate(("White", "Black", "Asian", "Indian", "other")):
        for gender in GENDERS:
            groups[f"{race_name} {gender}"] = [row for row in adults if (row[1], row[3]) == (gender, race)]
    for name, members in groups.items():
        right = sum(GENDERS[row[5] > row[4]] == row[1] for row in members)
        share = f"{right / len(members):.4f}" if members else "none"
        work.say(f"cross-validation, {name}: {share} of {len(members)}")
