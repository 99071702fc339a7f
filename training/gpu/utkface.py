"""What the file names of UTKFace say (Zhang, Song, Qi 2017): age, gender and race of the person."""

from typing import NamedTuple

GENDERS = ("woman", "man")
RACES = ("White", "Black", "Asian", "Indian", "other")
ADULT_YEARS, OLD_YEARS = 18, 60


class Person(NamedTuple):
    age: int
    # Positions in GENDERS and RACES.
    gender: int
    race: int


def person_of(name):
    """The person in the picture of this name; None where it is not of this form."""
    fields = name.split("_")
    if len(fields) != 4 or not all(field.isdigit() for field in fields[:3]):
        return None
    age, gender, race = map(int, fields[:3])
    if gender >= len(GENDERS) or race >= len(RACES):
        return None
    # In the names 0 is a man.
    return Person(age, 1 - gender, race)
