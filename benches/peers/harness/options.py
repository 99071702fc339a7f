"""The options of benches/peers/run. Needs the standard library alone."""

import argparse
from pathlib import Path

PARTS = ("pipeline", "detection", "networks", "videos", "cameras")


def parse(arguments=None):
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Measures this project beside its peers.")
    parser.add_argument(
        "--quick", action="store_true", help="a check of everything in two minutes, whose figures mean little"
    )
    parser.add_argument(
        "--faces",
        type=Path,
        metavar="FOLDER",
        help="pictures and boxes.json with the boxes of their faces (default: two faces that come with this package)",
    )
    parser.add_argument(
        "--videos", type=Path, metavar="FOLDER", help="videos (default: the one that comes with this package)"
    )
    parser.add_argument(
        "--yunet", type=Path, metavar="FILE", help="YuNet's ONNX file, which no package of a registry ships"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="this part alone, into the folder of --out; may be repeated"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where peers.md, peers.png and peers.json go (default: docs/, and the figures into README.md as well; with --quick"
        " or --only: build/peers/out/)",
    )
    parser.add_argument(
        "--from",
        dest="results",
        type=Path,
        metavar="FILE",
        help="write the documents from an earlier peers.json and measure nothing",
    )
    # Given by benches/peers/run.
    parser.add_argument("--rust", help=argparse.SUPPRESS)
    parser.add_argument("--rten", help=argparse.SUPPRESS)
    parser.add_argument("--mediapipe", help=argparse.SUPPRESS)
    parser.add_argument("--missing", action="append", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for folder in (options.faces, options.videos):
        if folder is not None and not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    options.missing = dict(entry.split("=", 1) for entry in options.missing)
    return options
