"""The recipe as it is in its file, without a key that nobody reads."""

import yaml

TRAINING = {"epochs", "batch_size", "learning_rate", "weight_decay", "average_decay", "bfloat16"}
LIGHT = {"brightness", "contrast"}
VIEWS = {"augmentation", "views", "teachers_weight", "glasses", "camera", *LIGHT}
TEACHERS = TRAINING | LIGHT | {"count", "width", "dropout", "label_smoothing", "mixup", "erased", "augmentation"}
STUDENT = TRAINING | {"architecture", "license", "initial_weights", "from_emotion", "every", "is_cross_validated"}
TASK = VIEWS | {"data", "license", "validation_fraction", "teachers", "students"}
GENDER = TASK | {
    "min_age_years", "validation_margin", "cross_validation_parts", "min_confidence", "views_of_fer2013"
}
AUGMENTATION = {"rotation_degrees", "shift", "zoom", "sharpness", "margin", "mirror"}
CAMERA = {
    "share", "blur", "noise", "compression", "low_light", "back_light", "smallest_face_px", "box_offset", "turn_degrees"
}


class Section(dict):
    """A part of a recipe. A key that is missing ends the program with its name."""

    def __init__(self, name, values, path):
        super().__init__(values)
        self.name, self.path = name, path

    def __missing__(self, key):
        raise SystemExit(f"error: {self.path}: {f'{self.name}.{key}'.lstrip('.')} is missing")


def read_recipe(path):
    """The recipe, and its text. Raises with the file and the key where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SystemExit(f"error: {path}: {error}") from error
    if not isinstance(values, dict):
        raise SystemExit(f"error: {path}: not a recipe")
    recipe = section("", values, path)
    refuse_unknown(recipe, {"seed", "emotion", "gender"})
    for name, known in (("emotion", TASK), ("gender", GENDER)):
        task = recipe[name]
        refuse_unknown(task, known)
        refuse_unknown(task["teachers"], TEACHERS)
        refuse_unknown(task["camera"], CAMERA)
        for augmentation in (task["augmentation"], task["teachers"]["augmentation"]):
            refuse_unknown(augmentation, AUGMENTATION)
        for student in task["students"].values():
            refuse_unknown(student, STUDENT)
    return recipe, text


def section(name, values, path):
    inside = lambda key: f"{name}.{key}".lstrip(".")
    nested = {key: section(inside(key), it, path) if isinstance(it, dict) else it for key, it in values.items()}
    return Section(name, nested, path)


def refuse_unknown(values, known):
    if not isinstance(values, Section):
        raise SystemExit(f"error: {values!r} in the recipe must be a section")
    unknown = sorted(str(key) for key in values.keys() - known)
    if unknown:
        raise SystemExit(f"error: {values.path}: {f'{values.name}.{unknown[0]}'.lstrip('.')} is not known")
