"""The documents: docs/peers.md and the parts of README.md. Needs the standard library alone."""

import textwrap

from .peers import OURS
from .sequences import WARM_UP_FRAMES
from .tables import number, replace_between_marks, share, table

TIMES = ["CPU mean", "CPU p50", "CPU p99", "CPU max", "wall p50", "wall p99"]
REFERENCE_ENGINE = "ONNX Runtime"


def times(figures):
    return [figures[key] for key in ("cpu_mean", "cpu_p50", "cpu_p99", "cpu_max", "wall_p50", "wall_p99")]


def measured_on(machine):
    cores = f"{machine['cores']} cores" if machine["cores"] != 1 else "one core"
    commit = f", commit {machine['commit']}" if machine["commit"] else ""
    return (
        f"{machine['cpu']}, {cores}, {machine['system']}, {machine['date']}{commit}; load average at the start:"
        f" {machine['load']:.1f}"
    )


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 130) + "\n\n"


def document(results):
    parts = [
        "# Compared with its peers\n\n",
        paragraph(
            """Written by `benches/peers/run`: see [benches/peers](../benches/peers/README.md) for what is measured and how. Times
            are milliseconds, one thread each. CPU is the CPU time of all threads of the process, wall the time that passed. p99 of
            fewer than 100 frames is the longest of them."""
        ),
        paragraph(f"Machine: {measured_on(results['machine'])}."),
    ]
    if results["is_quick"]:
        parts.append(paragraph("**Made with `--quick`: a check that all parts work, not a measurement.**"))
    sections = {
        "pipeline": pipeline_section,
        "cameras": cameras_section,
        "videos": videos_section,
        "detection": detection_section,
        "networks": networks_section,
    }
    parts += [section(results[name], results) for name, section in sections.items() if name in results]
    parts += ["## Versions\n\n", table(["package", "version"], sorted(results["versions"].items()))]
    return "".join(parts)


def pipeline_section(pipeline, results):
    picture = "![Cost by number of faces, image size and number of cameras, and that of the networks alone](peers.png)\n\n"
    has_picture = {"cameras", "networks"} <= set(results)
    return "".join(
        [
            "## The whole pipeline\n\n",
            paragraph(
                f"""Faces of {results["faces"]} move over a background at 30 Hz. The first {WARM_UP_FRAMES} frames are not counted. A slow peer gets every
                n-th frame. Found: faces with an answer, of all faces in its frames.
            {keras_check(results.get("keras_difference"))}"""
            ),
            picture if has_picture else "",
            sequences_table(pipeline) + "\n",
            starts_table(pipeline) + "\n",
        ]
    )


def keras_check(difference):
    """Keras gets the authors' networks from the ONNX files that this package ships."""
    if difference is None:
        return ""
    return f"The authors' networks in Keras differ from ONNX Runtime by at most {number(difference)}."


def detection_section(detection, _):
    return "".join(
        [
            "## Detection alone\n\n",
            paragraph(
                """The same sequences. This project's finder follows known faces and searches the whole frame three times per second, as
            in the node. The others search each frame anew."""
            ),
            sequences_table(detection) + "\n",
            starts_table(detection) + "\n",
        ]
    )


def sequences_table(part):
    rows = []
    for sequence in part["sequences"]:
        size = "x".join(map(str, sequence["size"]))
        for name, figures in sequence["peers"].items():
            if figures is not None:
                found = share(figures["found"], figures["faces"])
                rows.append([size, sequence["faces"], name, *times(figures), found, figures["count"]])
    return table(["image", "faces", "", *TIMES, "found", "frames"], rows)


def starts_table(part):
    """Resident memory, start-up, and who is missing."""
    figures = part["sequences"][0]["peers"]
    rows = []
    for name, about in part["peers"].items():
        resident = (figures[name] or {}).get("resident_mib")
        start = sorted(about["start_secs"])[len(about["start_secs"]) // 2] if about["start_secs"] else None
        rows.append([name, resident, start, about["missing"] or ""])
    return table(["", "resident, MiB", "process start to first answer, s", "missing because"], rows)


def cameras_section(cameras, _):
    rows = []
    for entry in cameras:
        for name, figures in entry["peers"].items():
            if figures is not None:
                core = f"{100 * figures['cpu_mean'] * 30 / 1000:.0f} %"
                rows.append([entry["cameras"], name, *times(figures), core, figures["count"]])
    return "".join(
        [
            "## Several cameras\n\n",
            paragraph(
                """Cameras of 640x480 with one face each, in one process. This project's cameras share the networks, and
            each has its own tracker. Times are for one frame of each camera."""
            ),
            table(["cameras", "", *TIMES, "of one core at 30 Hz", "rounds"], rows) + "\n",
        ]
    )


def videos_section(videos, _):
    rows = []
    for entry in videos:
        for name, figures in entry["peers"].items():
            if figures is not None:
                with_face = share(figures["frames_with_a_face"], figures["count"])
                size = "x".join(map(str, entry["size"]))
                rows.append([entry["video"], size, name, *times(figures), with_face, figures["count"]])
    return "## Videos\n\n" + table(["video", "image", "", *TIMES, "frames with a face", "frames"], rows) + "\n"


def networks_section(part, _):
    rows = []
    for network, engines in part["networks"].items():
        reference = (engines[REFERENCE_ENGINE]["costs"] or {}).get("cpu_p50")
        for name, entry in engines.items():
            rows.append([network, name, *engine_cells(entry, reference)])
    header = ["network", "", "CPU p50", "CPU p99", "wall p50", "wall p99", "CPU p50 by ONNX Runtime's"]
    return "".join(
        [
            "## The networks alone\n\n",
            paragraph(
                """One pass, 32-bit numbers, with the files that this package ships. The engines get the same numbers in turns. This
            project's times include the conversion of the 8-bit picture, and for the search the reading of faces from the maps.
            Difference: the largest of all outputs, on pictures of faces and random pictures. Agreement: the same most probable class,
            or for the search the same most probable cell. This project's search answers with faces, of which the most probable one is
            compared."""
            ),
            table([*header, "largest difference", "agreement", "missing because"], rows) + "\n",
            paragraph(
                """The search network is given to all engines with the size of its picture in the file, because the shipped file names
            that of its export. onnx's checker with `full_check`:"""
            ),
            table(["file", "checker"], sorted(part["checker"].items())) + "\n",
        ]
    )


def engine_cells(entry, reference):
    costs, compared = entry["costs"], entry["comparison"]
    if costs is None:
        return [*[None] * 7, entry["missing"]]
    ratio = costs["cpu_p50"] / reference if reference else None
    agreement = f"{compared['agreeing']} of {compared['pictures']}" if compared else None
    difference = compared["difference"] if compared else None
    cells = [costs[key] for key in ("cpu_p50", "cpu_p99", "wall_p50", "wall_p99")]
    return [*cells, ratio, difference, agreement, entry["missing"] or ""]


def first(part):
    """640x480 with one face."""
    return part["sequences"][0]["peers"]


def fill_readme(readme, results):
    readme = replace_between_marks(readme, "summary", summary(results))
    return replace_between_marks(readme, "ratios", ratios(results))


def ratios(results):
    """This project's mean CPU time relative to each of the others', on the composed sequence and on the videos."""
    composed = {name: figures["cpu_mean"] for name, figures in first(results["pipeline"]).items() if figures is not None}
    videos = {name: figures["cpu_mean"] for name, figures in over_videos(results).items()}
    return "; ".join(
        f"{of_cpu_time(composed, name)} of the CPU time of the {name}"
        + (f", on videos {of_cpu_time(videos, name)}" if name in videos and OURS in videos else "")
        for name in composed
        if name != OURS
    )


def of_cpu_time(means, name):
    return f"{number(means[OURS] / means[name])} ({number(means[OURS])} by {number(means[name])} ms)"


def over_videos(results):
    """For each peer the mean of its CPU time on each video, and the mean share of frames with a face. Each video counts the same."""
    values = {}
    for entry in results.get("videos", []):
        for name, figures in entry["peers"].items():
            if figures is not None:
                values.setdefault(name, []).append((figures["cpu_mean"], figures["frames_with_a_face"] / figures["count"]))
    return {
        name: {
            "cpu_mean": sum(cpu for cpu, _ in several) / len(several),
            "with_face": share(sum(faces for _, faces in several), len(several)),
        }
        for name, several in values.items()
    }


def summary(results):
    pipeline = results["pipeline"]
    videos = over_videos(results)
    rows = []
    for name, figures in first(pipeline).items():
        about = pipeline["peers"][name]
        if figures is None:
            rows.append([name, *[None] * 8, about["missing"]])
            continue
        start = sorted(about["start_secs"])[len(about["start_secs"]) // 2]
        times = [figures[key] for key in ("cpu_mean", "cpu_p50", "cpu_p99", "wall_p50", "wall_p99")]
        clips = videos.get(name, {"cpu_mean": None, "with_face": None})
        resident = f"{figures['resident_mib']:.0f} MiB, {start:.1f} s"
        rows.append(
            [name, *times, share(figures["found"], figures["faces"]), clips["cpu_mean"], clips["with_face"], resident]
        )
    composed = ["CPU mean", "CPU p50", "CPU p99", "wall p50", "wall p99", "found"]
    header = ["640x480, one face that moves, ms", *composed, "videos: CPU mean", "frames with a face", "memory, start"]
    return "\n".join(
        [
            "",
            f"Measured by `benches/peers/run`, one thread each, on the same frames in turns ({measured_on(results['machine'])}):",
            "",
            table(header, rows),
            table(*engines_table(results["networks"]["networks"])),
            "![Cost by number of faces, image size and number of cameras, and that of the networks alone](docs/peers.png)",
            "",
            "[All figures](docs/peers.md): also more faces, larger images, several cameras, each video, and detection alone.",
            "",
        ]
    )


def engines_table(networks):
    names = list(networks)
    header = ["one pass, CPU p50 in ms (largest difference from ONNX Runtime)", *names]
    rows = []
    for engine in networks[names[0]]:
        cells = []
        for network in names:
            entry = networks[network][engine]
            if entry["costs"] is None:
                cells.append(f"– ({entry['missing']})")
            else:
                compared = entry["comparison"]
                beside = f" ({number(compared['difference'])})" if compared and engine != REFERENCE_ENGINE else ""
                cells.append(number(entry["costs"]["cpu_p50"]) + beside)
        rows.append([engine, *cells])
    return header, rows
