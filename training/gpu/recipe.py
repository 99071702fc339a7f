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
    """A part of a recipe. A key that is missing, unknown or no section ends the program with the file and the key."""

    def __init__(self, name, values, path):
        self.name, self.path = name, path
        nested = {key: Section(self.full(key), it, path) if isinstance(it, dict) else it for key, it in values.items()}
        super().__init__(nested)

    def __missing__(self, key):
        self.refuse(key, "is missing")

    def full(self, key):
        return f"{self.name}.{key}" if self.name else str(key)

    def refuse(self, key, reason):
        raise SystemExit(f"error: {self.path}: {self.full(key)} {reason}")

    def refuse_unknown(self, known):
        for key in self.keys() - known:
            self.refuse(key, "is not known")

    def section(self, key, known=None):
        """The section of that key, in which the `known` keys are allowed; None for all."""
        section = self[key]
        if not isinstance(section, Section):
            self.refuse(key, "is not a section")
        if known is not None:
            section.refuse_unknown(known)
        return section


def read_recipe(path):
    """The recipe, and its text. Raises with the file and the key where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SystemExit(f"error: {path}: {error}") from error
    if not isinstance(values, dict):
        raise SystemExit(f"error: {path}: not a recipe")
    recipe = Section("", values, path)
    recipe.refuse_unknown({"seed", "emotion", "gender"})
    for name, known in (("emotion", TASK), ("gender", GENDER)):
        task = recipe.section(name, known)
        task.section("camera", CAMERA)
        for trained in (task, task.section("teachers", TEACHERS)):
            trained.section("augmentation", AUGMENTATION)
        students = task.section("students")
        for student in students:
            students.section(student, STUDENT)
    return recipe, text
