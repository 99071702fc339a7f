"""The parts of benches/peers that calculate and write: nothing is measured, and no peer is needed."""

import sys

import pytest

from conftest import ROOT, write_program

sys.path.insert(0, str(ROOT / "benches/peers"))
from harness import geometry, report, sequences, summary, tables, worker  # noqa: E402
from harness.options import parse  # noqa: E402


def test_a_percentile_is_one_of_the_values():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert summary.percentile(values, 0.5) == 3
    assert summary.percentile(values, 0.99) == 5
    assert summary.percentile(values, 0.2) == 1
    assert summary.percentile(range(1, 101), 0.99) == 99
    assert summary.percentile([7.0], 0.0) == 7
    with pytest.raises(ValueError):
        summary.percentile([], 0.5)


def test_costs_have_the_figures_of_a_row():
    costs = summary.Costs()
    assert costs.summary() is None
    costs.add([10.0, 30.0], [1.0, 2.0])
    costs.add([20.0], [6.0])
    assert costs.summary() == {
        "count": 3,
        "cpu_mean": 3,
        "cpu_p50": 2,
        "cpu_p99": 6,
        "cpu_max": 6,
        "wall_p50": 20,
        "wall_p99": 30,
    }


def given_frames(frame_secs, budget_secs):
    turns = summary.Turns(240, budget_secs)
    turns.plan(frame_secs)
    return [number for number in range(240) if turns.is_due(number)]


def test_a_slow_peer_gets_every_nth_frame_of_the_whole_sequence():
    assert given_frames(0.001, 5.0) == list(range(240))
    # 72 s for all frames, so every twelfth.
    assert given_frames(0.3, 6.0) == list(range(0, 240, 12))


def test_the_slowest_peer_gets_some_frames_all_the_same():
    assert len(given_frames(100.0, 1.0)) == summary.Turns.LEAST


class FakePeer:
    """A peer of which every frame takes as long, and which finds no face."""

    worker = None

    def __init__(self, name, wall_ms, follows=False):
        self.name, self.wall_ms, self.follows = name, wall_ms, follows
        self.times_us = []

    def ask(self, **request):
        self.times_us.append(request["time_us"])
        return {"wall_ms": [self.wall_ms], "cpu_ms": [self.wall_ms], "faces": []}


class FakeFrame:
    shape = (2, 3, 3)

    def tobytes(self):
        return bytes(18)


def test_a_peer_that_follows_faces_gets_every_frame_and_the_first_half_second_is_not_counted(tmp_path):
    ours, slow = FakePeer("ours", 5.0, follows=True), FakePeer("slow", 300.0)
    frames = [(FakeFrame(), [(0, 0, 1, 1)])] * 255
    measured = sequences.measure([ours, slow], frames, 255, 6.0, sequences.FrameFile(tmp_path / "frame"))
    assert len(ours.times_us) == 255 and measured["ours"]["count"] == 240
    # Three of the warm-up, and every twelfth after it.
    assert len(slow.times_us) == 23 and measured["slow"]["count"] == 20
    assert slow.times_us[3] == 500_000
    assert measured["slow"]["cpu_p50"] == 300 and measured["slow"]["faces"] == 20 and measured["slow"]["found"] == 0


@pytest.mark.parametrize("count", geometry.GRIDS)
@pytest.mark.parametrize("size", [(640, 480), (1920, 1080)])
def test_faces_stay_in_the_frame_apart_from_each_other(size, count):
    for number in range(0, 300, 7):
        placements = geometry.placements(size, [0.88] * count, number)
        portraits = []
        for placement in placements:
            shown = [(1 + 2 * geometry.MARGIN) * side for side in (placement.width, placement.height)]
            width, height = geometry.turned_ellipse_size(*shown, placement.tilt_degrees)
            x, y = placement.x, placement.y
            portraits.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        for left, top, right, bottom in portraits:
            assert 0 <= left + 1e-9 and right - 1e-9 <= size[0]
            assert 0 <= top + 1e-9 and bottom - 1e-9 <= size[1]
        overlaps = [geometry.intersection_over_union(a, b) for i, a in enumerate(portraits) for b in portraits[:i]]
        assert max(overlaps, default=0) < 1e-9


def test_faces_move_by_parts_of_pixels_and_change_their_size():
    track = [geometry.placements((640, 480), [0.8], number)[0] for number in range(240)]
    assert max(place.x for place in track) - min(place.x for place in track) > 300
    assert max(place.height for place in track) / min(place.height for place in track) > 1.3
    assert all(place.width == pytest.approx(0.8 * place.height) for place in track)
    parts = {round(place.x % 1, 2) for place in track}
    assert len(parts) > 50
    steps = [abs(b.x - a.x) for a, b in zip(track, track[1:])]
    assert 0 < max(steps) < 12


def test_a_box_has_the_size_and_the_middle_of_its_face():
    assert geometry.Placement(100, 50, 20, 30, 5).box == (90, 35, 110, 65)


def test_a_detection_counts_for_one_face():
    face = (100, 100, 180, 200)
    assert geometry.fit(face, face) == 1
    # The square that a cascade marks.
    assert geometry.found([(89, 99, 191, 201)], [face]) == 1
    assert geometry.found([(300, 100, 380, 200)], [face]) == 0
    assert geometry.found([face, face], [face]) == 1
    other = (300, 100, 380, 200)
    assert geometry.found([other, face], [face, other]) == 2
    assert geometry.found([face], [face, other]) == 1
    assert geometry.found([], [face]) == 0


def test_a_table_writes_short_numbers():
    assert tables.table(["what", "ms"], [["a|b", 1.23456], ["none", None], ["large", 1234.5], ["small", 0.0000015]]) == (
        "| what | ms |\n| --- | --- |\n| a\\|b | 1.23 |\n| none | – |\n| large | 1234 |\n| small | 1.5e-06 |\n"
    )
    assert tables.number(0.0) == "0"
    assert tables.share(1, 3) == "33 %"
    assert tables.share(0, 0) is None
    with pytest.raises(ValueError):
        tables.table(["one"], [["one", "two"]])


def test_a_document_keeps_all_but_what_is_between_the_marks():
    text = "before <!-- peers: a -->old<!-- /peers: a --> after"
    assert tables.replace_between_marks(text, "a", "new") == text.replace("old", "new")
    for wrong in ("no marks", text + text, "<!-- /peers: a --><!-- peers: a -->"):
        with pytest.raises(ValueError):
            tables.replace_between_marks(wrong, "a", "new")


def figures(cpu):
    times = dict.fromkeys(("cpu_mean", "cpu_p50", "cpu_p99", "cpu_max", "wall_p50", "wall_p99"), cpu)
    return {**times, "count": 10, "faces": 10, "found": 9, "frames_with_a_face": 10, "resident_mib": 100.0}


def results():
    names = ["face_attributes", "original logic, ONNX Runtime", "original logic, Keras"]
    peers = {name: {"missing": None, "start_secs": [0.5]} for name in names[:2]}
    peers[names[2]] = {"missing": "failed: no Keras", "start_secs": []}
    measured = {names[0]: figures(5.0), names[1]: figures(50.0), names[2]: None}
    compared = {"pictures": 4, "agreeing": 3, "difference": 2e-6}
    engines = {
        "face_attributes": {"missing": None, "costs": figures(0.2), "comparison": compared},
        "ONNX Runtime": {"missing": None, "costs": figures(0.4), "comparison": compared},
        "rten": {"missing": "it does not compile", "costs": None, "comparison": None},
    }
    return {
        "pipeline": {"sequences": [{"size": [640, 480], "faces": 1, "peers": measured}], "peers": peers},
        "videos": [
            {"video": "a", "size": [640, 480], "frames": 10, "peers": {names[0]: figures(4.0), names[1]: figures(20.0)}},
            {"video": "b", "size": [640, 480], "frames": 10, "peers": {names[0]: figures(8.0), names[1]: figures(40.0)}},
        ],
        "networks": {"networks": {"emotion": engines}, "checker": {"models/a.onnx": "passed"}},
        "machine": {"date": "2026-01-02", "cpu": "Model X", "cores": 2, "system": "Linux 6", "load": 0.1, "commit": "abc"},
        "versions": {"onnx": "1.2.3"},
        "faces": "two portraits",
        "is_quick": False,
    }


def test_nobody_who_is_missing_is_left_out_of_the_documents():
    document = report.document(results())
    assert "| original logic, Keras | – | – | failed: no Keras |" in document
    assert "| emotion | rten | – | – | – | – | – | – | – | it does not compile |" in document
    assert "Model X, 2 cores, Linux 6, 2026-01-02, commit abc" in document
    assert "90 %" in document and "3 of 4" in document


def test_the_readme_gets_table_ratio_machine_and_date():
    marks = "<!-- peers: summary --><!-- /peers: summary --> <!-- peers: ratios --><!-- /peers: ratios -->"
    readme = report.fill_readme(marks, results())
    assert "0.1 (5 by 50 ms) of the CPU time of the original logic, ONNX Runtime, on videos 0.2 (6 by 30 ms)" in readme
    assert "failed: no Keras" in readme and "it does not compile" in readme
    assert "Model X" in readme and "2026-01-02" in readme and "docs/peers.png" in readme
    # Another run replaces it.
    assert report.fill_readme(readme, results()) == readme


def test_the_readme_has_the_marks():
    report.fill_readme((ROOT / "README.md").read_text(), results())


def test_a_worker_answers_and_what_libraries_print_is_skipped(tmp_path):
    program = tmp_path / "program"
    write_program(program, '#!/bin/sh\necho loading\necho \'{"ready": true}\'\nread request\necho noise\necho "$request"\n')
    with worker.Worker([program]) as peer:
        assert peer.about == {"ready": True}
        assert peer.ask(number=3) == {"number": 3}
        assert peer.first_answer_secs > 0


def test_a_worker_that_ends_says_why(tmp_path):
    program = tmp_path / "program"
    write_program(program, "#!/bin/sh\necho 'ValueError: no such network' >&2\necho 'in line 3' >&2\nexit 1\n")
    with pytest.raises(worker.WorkerFailed, match="ValueError: no such network"):
        worker.Worker([program])


def test_resident_memory_is_read_from_the_status():
    assert worker.resident_kib("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t  2048 kB\n") == 2048


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(["--faces", str(tmp_path / "none")])
    assert "is not a folder" in capsys.readouterr().err
    assert parse(["--missing", "rten=too old"]).missing == {"rten": "too old"}


def test_all_versions_are_pinned():
    for name in ("requirements", "requirements-mediapipe", "requirements-peers"):
        lines = (ROOT / f"benches/peers/{name}.txt").read_text().splitlines()
        packages = [line for line in lines if line and not line.startswith("#")]
        assert packages and all("==" in line for line in packages)
