"""Tests of the training on a GPU; they run on any processor. Started by training/gpu/check."""

import pathlib
from types import SimpleNamespace

import cv2
import numpy
import onnx
import onnxruntime
import pytest
import torch
import yaml
from torch import nn

import cross_validation
import gender
from held_out import is_held_out, place_in_split
from learn import Learner, answers
from networks import OnnxNetwork, copy_weights, revive_dead_filters
from pictures import FER2013, UTKFACE, Pictures, read_fer2013, read_utkface
from recipe import read_recipe
from views import Faults, Sources, Squares, put_glasses_on, turned
from work import Work, mixed

RECIPE = pathlib.Path(__file__).resolve().parent / "recipe.yaml"
MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"
NO_FAULTS = dict.fromkeys(("low_light", "back_light", "blur", "noise", "compression", "box_offset", "turn_degrees"), 0.0)


def picture(side):
    """Nothing in it is symmetric."""
    y, x = numpy.mgrid[:side, :side]
    return ((3 * x + y * y / 7 + 40 * numpy.sin(x * y / 60)) % 211).astype(numpy.uint8)


def sources(side, layout=FER2013):
    return Sources(Pictures(["1"], torch.from_numpy(picture(side))[None], torch.tensor([0]), layout))


def view(sources, side_px=64, **fields):
    square = Squares.plain(0.0, 1, "cpu")
    for name, value in fields.items():
        setattr(square, name, torch.tensor([float(value)]))
    return sources.seen(torch.tensor([0]), square, side_px)[0].numpy() * 255


def random(seed=5):
    return torch.Generator().manual_seed(seed)


def faults(count=1, **amounts):
    """Faults of all `count` faces, with just these amounts."""
    drawn = Faults.draw({**NO_FAULTS, "share": 0.0}, count, random())
    for name, value in amounts.items():
        setattr(drawn, name, torch.full((count,), float(value)))
    return drawn


def test_a_plain_view_is_the_robots_crop():
    for side, interpolation in ((48, cv2.INTER_LINEAR), (128, cv2.INTER_AREA)):
        expected = cv2.resize(picture(side), (64, 64), interpolation=interpolation)
        assert numpy.abs(view(sources(side)) - expected).max() < 1.0


def test_a_view_is_mirrored_turned_shifted_and_magnified():
    # Of the size of the picture, so that every pixel of a view is one of the picture.
    it, plain = sources(64), picture(64).astype(float)
    close = lambda a, b: numpy.abs(a - b).max() < 0.01
    assert close(view(it, mirror=-1), plain[:, ::-1])
    # Clockwise in the picture: what the square has at its top lies at the picture's right.
    assert close(view(it, radians=torch.pi / 2), numpy.rot90(plain, 1))
    assert close(view(it, right=0.25, down=-0.125)[8:, :48], plain[:-8, 16:])
    assert close(view(it, side=0.5)[1::2, 1::2][1:-1, 1:-1], (0.75**2 * plain[16:48, 16:48] + 0.75 * 0.25 * (
        plain[16:48, 17:49] + plain[17:49, 16:48]) + 0.25**2 * plain[17:49, 17:49])[1:-1, 1:-1])


def test_glasses_cover_the_eyes_and_leave_the_mouth():
    for layout in (FER2013, UTKFACE):
        square = Squares.plain(0.0, 200, "cpu")
        right, down = square.points(64)
        plain = torch.full((200, 64, 64), 0.5)
        changed = put_glasses_on(plain, right, down, layout, 1.0, random()) != plain
        rows = changed.any(2)
        eyes = round(64 * layout.eyes_y)
        assert rows[:, eyes - 6 : eyes + 10].any(1).all()
        # Half a lens, the shift and the tilt reach 0.36 + 0.14 + 0.1 eye distances below the eyes.
        assert not rows[:, eyes + round(64 * 0.65 * layout.eye_distance) :].any()
        assert torch.equal(put_glasses_on(plain, right, down, layout, 0.0, random()), plain)


def test_glasses_stay_on_the_face_when_the_view_is_mirrored_and_turned():
    face = sources(48)
    place = lambda radians, mirror: Squares(
        *(torch.full((1,), value) for value in (1.0, radians, 0.0, 0.0, mirror, 0.0))
    )
    shown = lambda square, share: face.seen(torch.tensor([0]), square, 64, random(3), share)[0]
    for radians, back in ((0.0, lambda it: it), (torch.pi, lambda it: it.rot90(2))):
        changed = [back((shown(place(radians, 1.0), share) * 255).round()) for share in (0.0, 1.0)]
        rows = torch.nonzero((changed[0] != changed[1]).any(1)).flatten()
        assert 12 < rows.min() and rows.max() < 42


def test_a_face_without_faults_stays_as_it_is():
    views = torch.from_numpy(picture(64)).float()[None] / 255
    assert torch.equal(faults().seen(views, 22, random()), views)


@pytest.mark.parametrize("name, amount", [("blur", 0.03), ("small", 0.1), ("noise", 0.1), ("compression", 0.1)])
def test_a_fault_changes_details_but_not_the_brightness(name, amount):
    views = (torch.from_numpy(picture(64)).float() / 255).repeat(20, 1, 1)
    seen = faults(20, **{name: amount}).seen(views, 22, random())
    assert (seen - views).abs().mean() > 0.01
    assert (seen.mean((1, 2)) - views.mean((1, 2))).abs().max() < 0.02


def test_light_gets_weaker_and_comes_from_behind():
    views = (torch.from_numpy(picture(64)).float() / 255).repeat(20, 1, 1)
    dark = faults(20, low_light=0.8).seen(views, 22, random())
    # 1 becomes 0.52, and darker tones lose more.
    expected = 0.52 * views[0].clamp_min(1e-4) ** 2.2
    assert (dark[0] - expected).abs().max() < 1e-5
    shaded = faults(20, back_light=0.6).seen(views, 22, random())
    assert (shaded.std((1, 2)) < 0.85 * views.std((1, 2))).all()


def test_a_small_face_has_the_size_that_was_drawn():
    # White in its left half; of 22 pixels, a pixel is 3 of the view, so the edge is that wide.
    views = torch.zeros(1, 64, 64)
    views[:, :, :32] = 1
    seen = faults(small=1e-6).seen(views, 22, random())[0, 30]
    grey = torch.nonzero((seen > 0.02) & (seen < 0.98)).flatten()
    assert 2 <= len(grey) <= 8 and abs(grey.float().mean() - 31.5) < 1
    assert seen[5] > 0.999 and seen[60] < 0.001


def test_a_turned_head_moves_points_towards_the_axis():
    points = torch.tensor([[[-0.8, 0.3, 0.8]]])
    right, down = turned(points, torch.full_like(points, 0.5), torch.tensor([0.5]))
    # Where a plane at these points would be seen: x cos / depth and y / depth, depth = 1 + x sin / 6.
    depth = 1 + right * torch.tensor(0.5).sin() / 6
    assert torch.allclose(right * torch.tensor(0.5).cos() / depth, points, atol=1e-6)
    assert torch.allclose(down / depth, torch.full_like(points, 0.5), atol=1e-6)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*_*.onnx")), ids=lambda path: path.stem)
def test_a_network_of_the_repository_gives_what_onnx_runtime_says(path):
    network = OnnxNetwork(path)
    image = torch.from_numpy(picture(64)).float()[None] / 255
    session = onnxruntime.InferenceSession(path)
    [expected] = session.run(None, {"image": (image[:, None] * 2 - 1).numpy()})
    assert numpy.abs(answers(network, image, expected.shape[1]).numpy() - expected).max() < 1e-5


def test_a_written_network_is_the_one_that_was_read(tmp_path):
    path = MODELS / "emotion_mini_xception.onnx"
    OnnxNetwork(path).write(tmp_path / "copy.onnx", {"license": "mine"})
    before, after = onnx.load(path), onnx.load(tmp_path / "copy.onnx")
    tensors = lambda model: {it.name: onnx.numpy_helper.to_array(it).tolist() for it in model.graph.initializer}
    assert tensors(before) == tensors(after)
    metadata = lambda model: {it.key: it.value for it in model.metadata_props}
    assert metadata(after) == {**metadata(before), "license": "mine"}


def test_revived_filters_change_no_answer_and_can_learn():
    network = OnnxNetwork(MODELS / "released/gender_mini_xception.onnx")
    images = torch.rand(40, 64, 64, generator=random())
    before = answers(network, images, 2)
    assert revive_dead_filters(network, images) == 4
    assert torch.allclose(answers(network, images, 2), before, atol=1e-6)
    assert revive_dead_filters(network, images) == 0


def test_the_weights_of_another_task_are_copied_but_for_its_classes():
    emotion, target = OnnxNetwork(MODELS / "emotion_mini_xception.onnx"), OnnxNetwork(MODELS / "gender_mini_xception.onnx")
    before = {name: weight.clone() for name, weight in target.state_dict().items()}
    copy_weights(emotion, target)
    source, after = emotion.state_dict(), target.state_dict()
    kept = {name for name in after if torch.equal(after[name], before[name])}
    assert all(torch.equal(after[name], source[name]) for name in after if after[name].shape == source[name].shape)
    assert {name for name in after if after[name].shape != source[name].shape} <= kept
    larger = OnnxNetwork(MODELS / "gender_sequential_fully_cnn.onnx")
    for source, target in ((target, larger), (OnnxNetwork(MODELS / "emotion_large.onnx"), target)):
        with pytest.raises(SystemExit, match="another architecture"):
            copy_weights(source, target)


class Brightness(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(1), nn.Linear(1, 5)

    def forward(self, images):
        return self.head(self.norm(images).mean((2, 3)))


def test_a_learner_learns_two_questions_and_leaves_a_part_of_a_batch():
    torch.manual_seed(0)
    images = torch.rand(100, 1, 1).expand(100, 6, 8).contiguous()
    bright = (images[:, 0, 0] > 0.5).long()
    targets = torch.cat((nn.functional.one_hot(bright, 2), nn.functional.one_hot(2 * bright, 3)), 1).float()
    recipe = {"batch_size": 16, "learning_rate": 0.2, "weight_decay": 0.0, "average_decay": 0.9}
    learner = Learner(Brightness(), [2, 3], recipe, 100)
    learner.learn(images, targets)
    assert learner.step == 6
    while not learner.is_done():
        learner.learn(images, targets)
    assert learner.step == 100
    network = learner.finish([images])
    is_right = answers(network, images, 2).argmax(1) == bright
    assert is_right.float().mean() > 0.95
    # The statistics are those of the images.
    assert torch.allclose(network.norm.running_mean, (images * 2 - 1).mean().reshape(1), atol=1e-5)


def test_a_folder_belongs_to_one_recipe(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.read_text())
    options = SimpleNamespace(recipe=recipe, out=tmp_path / "out", trainer=None, root=tmp_path, every=1, speed_up=1.0)
    for _ in range(2):
        Work(options)
    with pytest.raises(SystemExit, match="another recipe"):
        Work(SimpleNamespace(**{**vars(options), "speed_up": 2.0}))


def test_mixed_faces_have_mixed_targets():
    torch.manual_seed(1)
    views, targets = torch.eye(8)[:, :, None], torch.eye(8)
    mixed_views, mixed_targets = mixed(views, targets, 0.5)
    assert torch.allclose(mixed_views[:, :, 0], mixed_targets)
    assert torch.equal(mixed(views, targets, 0)[0], views)


def test_pictures_are_read_with_their_labels(tmp_path):
    for name, value in (("angry/a.png", 10), ("neutral/b.png", 20)):
        path = tmp_path / "fer" / name
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), numpy.full((48, 48), value, numpy.uint8))
    for name in ("disgust", "fear", "happy", "sad", "surprise"):
        (tmp_path / "fer" / name).mkdir()
    faces = read_fer2013(tmp_path / "fer")
    with pytest.raises(SystemExit, match="nothing/angry: no such folder"):
        read_fer2013(tmp_path / "nothing")
    assert faces.names == ["angry/a.png", "neutral/b.png"]
    assert faces.classes.tolist() == [0, 6] and faces.pixels[:, 3, 7].tolist() == [10, 20]

    (tmp_path / "utk").mkdir()
    for name in ("30_0_2_1.jpg.chip.jpg", "70_1_4_2.jpg.chip.jpg", "9_1_0_3.jpg.chip.jpg", "61_1_3.jpg.chip.jpg"):
        cv2.imwrite(str(tmp_path / "utk" / name), numpy.full((200, 200), 99, numpy.uint8))
    people = read_utkface(tmp_path / "utk", 12, 128)
    assert (people.classes.tolist(), people.ages.tolist(), people.races.tolist()) == ([1, 0], [30, 70], [2, 4])
    assert people.pixels.shape == (2, 128, 128)
    # Each group of race, age and gender occurs once, so all weigh the same.
    assert torch.allclose(gender.weights(people), torch.ones(2, 1))
    assert gender.targets_of(people, torch.ones(2, 1)).shape == (2, 15)
    (tmp_path / "utk" / "40_0_0_4.jpg.chip.jpg").write_text("no picture")
    with pytest.raises(SystemExit, match="40_0_0_4.jpg.chip.jpg: not a picture"):
        read_utkface(tmp_path / "utk", 12, 128)


def people(count):
    """Pictures whose brightness is their number."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None].expand(count, 8, 8) * 4
    numbers = torch.arange(count)
    names = [f"{number}.jpg" for number in range(count)]
    return Pictures(names, pixels.contiguous(), numbers % 2, UTKFACE, 20 + numbers, numbers % 5)


def test_rare_groups_weigh_more_by_the_square_root():
    some = people(3)
    some.races, some.classes, some.ages = torch.tensor([1, 1, 1]), torch.tensor([0, 0, 0]), torch.tensor([20, 59, 60])
    weights = gender.weights(some)[:, 0]
    assert weights[0] == weights[1] and torch.isclose(weights[2] / weights[0], torch.tensor(2.0).sqrt())


class Recorder:
    """A learner that keeps what it is shown."""

    def __init__(self, epochs):
        self.images, self.targets, self.epochs = [], [], epochs

    def is_done(self):
        return len(self.images) >= self.epochs

    def learn(self, images, targets):
        self.images.append(images)
        self.targets.append(targets)


def test_all_parts_learn_side_by_side_and_none_sees_whom_it_holds_out():
    plain = {"share": 0.0, "smallest_face_px": 22, **NO_FAULTS}
    recipe = {
        "augmentation": {"mirror": False}, "views": 3, "views_of_fer2013": 2, "teachers_weight": 0.25, "glasses": 0.0,
        "camera": plain, "brightness": 0.0, "contrast": 0.0, "students": {"one": {}},
    }
    work = SimpleNamespace(
        recipe={"gender": recipe, "emotion": {"augmentation": {"mirror": False}}}, device="cpu", random=random(), say=print
    )
    # The teachers say of everybody how bright the picture is; the crowd is white.
    ask = lambda images: torch.stack((images[:, 4, 4], 1 - images[:, 4, 4]), 1)
    parts = []
    for start, end in ((0.0, 0.3), (0.5, 1.0)):
        part = object.__new__(gender.Part)
        part.weights = gender.weights(people(60))
        part.is_learned, part.learners = ~torch.tensor(is_held_out(people(60).names, start, end)), {"one": Recorder(2)}
        part.answer = lambda views, crowd, part=part: part.__dict__.update(
            answers_of_people=views.answers(ask), answers_of_crowd=crowd.answers(ask))
        parts.append(part)
    crowd = Pictures(["c"], torch.full((1, 8, 8), 255, dtype=torch.uint8), torch.tensor([0]), FER2013)
    lessons = gender.Lessons(work, people(60), Sources(crowd), parts)
    lessons.train()
    for part in parts:
        images, targets = torch.cat(part.learners["one"].images)[:, 4, 4], torch.cat(part.learners["one"].targets)
        numbers = (images * 255 / 4).round().long()
        is_crowd = numbers == 64
        assert is_crowd.sum() == 2 * 60
        assert sorted(numbers[~is_crowd].tolist()) == sorted(2 * part.is_learned.nonzero()[:, 0].tolist())
        # The label has three quarters of the target, but nobody knows the crowd's.
        weight = gender.weights(people(60))[numbers[~is_crowd], 0]
        bright = images[~is_crowd]
        expected = (0.75 * (numbers[~is_crowd] % 2 == 0) + 0.25 * bright) * weight
        assert torch.allclose(targets[~is_crowd, 0], expected, atol=1e-5)
        assert torch.allclose(targets[is_crowd], torch.tensor([1.0, 0.0]))


def test_a_cross_validation_is_reported_by_group(tmp_path):
    # Nine of ten old Black women are right, with 0.7 each; a White man is right, and a child does not count.
    answers = [cross_validation.Answer(f"70_1_1_{number}.jpg", 0.3 if number else 0.7) for number in range(10)]
    answers += [cross_validation.Answer("30_0_0_1.jpg", 0.999), cross_validation.Answer("9_0_2_1.jpg", 0.001)]
    path = tmp_path / "answers.csv"
    cross_validation.write(path, answers)
    assert [vars(it) for it in cross_validation.read(path)] == [vars(it) for it in answers]
    sharpened = cross_validation.fitted_temperature(answers[:10])
    assert abs(answers[1].confidence(sharpened) - 0.9) < 0.01
    lines = list(cross_validation.report(answers, 0.0, 0.95))
    assert lines[0].endswith("fitted to 11 of 11 adults")
    adults = "adults: 90.9 % of 11 are right (62.3 to 98.4 %); 9.1 % reach confidence 0.95, 0.0 % of these 1 are wrong"
    assert adults in lines
    assert "60 years and more: 90.0 % of 10 are right (59.6 to 98.2 %); 0.0 % reach confidence 0.95" in lines
    assert any(line.startswith("Black woman: 90.0 % of 10") for line in lines)
    assert not any(line.startswith("Asian man") for line in lines)
    for wrong, reason in (("portrait.jpg,0.5", "line 2: not a picture of UTKFace"), ("30_0_0_1.jpg,1.5", "line 2"),
                          ("30_0_0_1.jpg,nan", "line 2"), ("9_0_0_1.jpg,0.5", "no adult")):
        path.write_text(f"file,man\n{wrong}\n")
        with pytest.raises(SystemExit, match=f"answers.csv.*{reason}"):
            cross_validation.read(path)
    with pytest.raises(SystemExit, match="none.csv"):
        cross_validation.read(tmp_path / "none.csv")


def test_the_minimum_confidence_is_that_of_the_node():
    recipe, _ = read_recipe(RECIPE)
    config = yaml.safe_load((MODELS.parent / "config" / "face_attributes.yaml").read_text())["/**"]["ros__parameters"]
    assert recipe["gender"]["min_confidence"] == config["gender"]["min_confidence"]
    assert cross_validation.arguments(["answers.csv"]).min_confidence == config["gender"]["min_confidence"]


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ("seed: 1", "sed: 1", "sed is not known"),
        ("  min_age_years: 12\n", "", "gender.min_age_years is missing"),
        ("from_emotion:", "from_emotions:", "gender.students.sequential_fully_cnn.from_emotions is not known"),
        ("noise: 0.11", "nois: 0.11", "emotion.camera.nois is not known"),
        ("emotion:\n", "emotion: [", "recipe.yaml: while parsing"),
    ],
)
def test_a_recipe_with_an_error_is_refused_with_its_key(tmp_path, old, new, reason):
    path = tmp_path / "recipe.yaml"
    text = RECIPE.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SystemExit, match=reason):
        recipe, _ = read_recipe(path)
        recipe["gender"]["min_age_years"]


# The numbers are those of the trainer (tools/src/dataset/held_out.rs): SHA-256 of the name, its first four bytes.
def test_pictures_are_held_out_as_in_the_trainer():
    assert place_in_split("folder/a.png") == place_in_split("a.png")
    assert is_held_out(["a.png"], place_in_split("a.png"), 1.0) == [True]
    assert is_held_out(["a.png"], 0.0, place_in_split("a.png")) == [False]
