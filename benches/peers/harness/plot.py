"""The picture: cost against the number of faces, the size of the image and the number of cameras, and the networks alone."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

from .peers import OURS  # noqa: E402

# Distinct for people with any colour vision (Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#999999", "#000000")


def draw(results, path):
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7.4), layout="constrained")
    sequences = results["pipeline"]["sequences"]
    smallest = sequences[0]["size"]
    by_faces = [(entry["faces"], entry["peers"]) for entry in sequences if entry["size"] == smallest]
    lines(axes[0, 0], by_faces, f"faces in an image of {smallest[0]}x{smallest[1]}")
    by_size = [(entry["size"][0] * entry["size"][1] / 1e6, entry["peers"]) for entry in sequences if entry["faces"] == 1]
    lines(axes[0, 1], by_size, "megapixels of an image with one face")
    by_cameras = [(entry["cameras"], entry["peers"]) for entry in results["cameras"]]
    lines(axes[1, 0], by_cameras, "cameras of 640x480 with one face each")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    bars(axes[1, 1], results["networks"]["networks"])
    machine = results["machine"]
    figure.suptitle(f"CPU time, one thread. {machine['cpu']}, {machine['date']}", fontsize="medium")
    figure.savefig(path, dpi=110)


def lines(axes, points, label):
    names = list(points[0][1])
    for name, colour in zip(names, COLOURS):
        measured = [(x, peers[name]) for x, peers in points if peers[name] is not None]
        if not measured:
            continue
        xs = [x for x, _ in measured]
        means = [figures["cpu_mean"] for _, figures in measured]
        longest = [figures["cpu_p99"] for _, figures in measured]
        axes.plot(
            xs, means, "o-", color=colour, label=f"{name}: mean, and p99 dotted", linewidth=2 if name == OURS else 1.2
        )
        axes.plot(xs, longest, ":", color=colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.set_xticks([x for x, _ in points], [f"{x:.2g}" for x, _ in points])
    axes.set_xlabel(label)
    axes.set_ylabel("ms per frame" if "cameras" not in label else "ms per frame of each camera")
    axes.grid(alpha=0.3, which="both")


def bars(axes, networks):
    """Times relative to ONNX Runtime's."""
    engines = [name for name in next(iter(networks.values())) if not name.startswith("Keras")]
    width = 0.8 / len(engines)
    for position, (engine, colour) in enumerate(zip(engines, COLOURS)):
        heights = []
        for entries in networks.values():
            reference, costs = entries["ONNX Runtime"]["costs"], entries[engine]["costs"]
            heights.append(costs["cpu_p50"] / reference["cpu_p50"] if costs and reference else 0)
        xs = [number + (position - (len(engines) - 1) / 2) * width for number in range(len(networks))]
        axes.bar(xs, heights, width, color=colour, label=engine)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(networks)), [name.replace(", ", "\n") for name in networks], fontsize="small")
    axes.set_ylabel("one pass, median, by ONNX Runtime's")
    axes.legend(fontsize="x-small", ncols=2)
    axes.grid(alpha=0.3, axis="y")
