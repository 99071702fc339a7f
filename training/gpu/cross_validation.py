#!/usr/bin/env python3
"""What a cross-validation of apparent gender says: accuracy by group of people, and how many answers a confidence withholds.

    python3 training/gpu/cross_validation.py training/gpu/gender_cross_validation.csv

The file has a line for each picture of UTKFace: its name, which says age, gender and race, and the probability of man that a
network gave which had not learned from the picture. Adults count only. The temperature is that which fits the confidence of
those whom the network that ships learned from.
"""

import argparse
import csv
import math
import pathlib

from held_out import place_in_split
from utkface import ADULT_YEARS, GENDERS, OLD_YEARS, RACES, person_of

FIELDS = ("file", "man")
# First years of the groups of adults, and of others.
YOUNG_AGES = (12, 16)
AGES = (ADULT_YEARS, 30, 45, OLD_YEARS)


class Answer:
    """Of a network about a picture that it did not learn from."""

    def __init__(self, file, man):
        """`man` is the probability of a man, 0 to 1. Raises ValueError where it is not, or the name is not UTKFace's."""
        person = person_of(file)
        if person is None or not 0 <= man <= 1:
            raise ValueError(file)
        self.file, self.man = file, man
        self.age, self.gender, self.race = person.age, GENDERS[person.gender], RACES[person.race]
        self.is_right = GENDERS[man > 0.5] == self.gender

    def log_odds(self):
        """That the answer is right, as it says itself."""
        man = min(max(self.man, 1e-6), 1 - 1e-6)
        return abs(math.log(man / (1 - man)))

    def confidence(self, temperature):
        return 1 / (1 + math.exp(-self.log_odds() / temperature))


def fitted_temperature(answers):
    """What the logits must be divided by, so that the cross-entropy is least."""

    def loss(temperature):
        signs = ((1 if it.is_right else -1) * it.log_odds() / temperature for it in answers)
        return sum(math.log1p(math.exp(-it)) for it in signs)

    return min((number / 100 for number in range(30, 300)), key=loss)


def groups_of(answers):
    """Of the adults: all, by age, by gender, by race, and by both. And the younger ones by age."""
    adults = [it for it in answers if it.age >= ADULT_YEARS]
    groups = {"adults": adults}
    for first, end in zip(AGES, (*AGES[1:], math.inf)):
        name = f"{first} years and more" if end == math.inf else f"{first} to {end - 1} years"
        groups[name] = [it for it in adults if first <= it.age < end]
    for gender in GENDERS:
        groups[gender] = [it for it in adults if it.gender == gender]
    for race in RACES:
        groups[race] = [it for it in adults if it.race == race]
        for gender in GENDERS:
            groups[f"{race} {gender}"] = [it for it in groups[race] if it.gender == gender]
    for first, end in zip(YOUNG_AGES, (*YOUNG_AGES[1:], ADULT_YEARS)):
        groups[f"{first} to {end - 1} years"] = [it for it in answers if first <= it.age < end]
    return groups


def interval(right, count):
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.96
    share = right / count
    middle = share + z * z / 2 / count
    half = z * math.sqrt(share * (1 - share) / count + (z / count / 2) ** 2)
    return [(middle + sign * half) / (1 + z * z / count) for sign in (-1, 1)]


def report(answers, held_out_share, min_confidence):
    """Lines of text."""
    groups = groups_of(answers)
    learned = [it for it in groups["adults"] if place_in_split(it.file) >= held_out_share]
    temperature = fitted_temperature(learned)
    yield f"temperature {temperature:.2f}, fitted to {len(learned)} of {len(groups['adults'])} adults"
    for name, members in groups.items():
        if not members:
            continue
        given = [it for it in members if it.confidence(temperature) >= min_confidence]
        right, wrong = sum(it.is_right for it in members), sum(not it.is_right for it in given)
        least, most = interval(right, len(members))
        given_share = f"{100 * len(given) / len(members):.1f} % reach confidence {min_confidence:g}"
        of_these = f", {100 * wrong / len(given):.1f} % of these {len(given)} are wrong" if given else ""
        accuracy = f"{100 * right / len(members):.1f} % of {len(members)} are right"
        yield f"{name}: {accuracy} ({100 * least:.1f} to {100 * most:.1f} %); {given_share}{of_these}"


def write(path, answers):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([FIELDS, *((it.file, f"{it.man:.5f}") for it in answers)])


def read(path):
    """The answers in a file. Raises with the file's name, and the line's, where it is none of these."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"error: {path}: {error}") from error
    rows = csv.reader(lines)
    if tuple(next(rows, ())) != FIELDS:
        raise SystemExit(f"error: {path}: its first line is not {','.join(FIELDS)}")
    answers = []
    for row in rows:
        try:
            answers.append(Answer(row[0], float(row[1])))
        except (ValueError, IndexError) as error:
            raise SystemExit(f"error: {path}, line {rows.line_num}: not a picture of UTKFace and a probability") from error
    if not any(it.age >= ADULT_YEARS for it in answers):
        raise SystemExit(f"error: {path}: no adult in it")
    return answers


def share_of(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 1")
    return value


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    text = "share of the pictures that the network that ships did not learn from"
    parser.add_argument("--held-out", type=share_of, default=0.15, help=text)
    parser.add_argument("--min-confidence", type=share_of, default=0.92, help="as gender.min_confidence of the node")
    return parser.parse_args(argv)


def main():
    options = arguments()
    for line in report(read(options.file), options.held_out, options.min_confidence):
        print(line)


if __name__ == "__main__":
    main()
