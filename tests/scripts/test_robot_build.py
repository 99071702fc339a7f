"""What a robot compiles: the node, and nothing that only the tools or the trainer need."""

import subprocess

from conftest import DEADLINE_SECS, ROOT

# Plots and fonts, tables, CSV and MATLAB files, command lines, progress bars, JSON schemas, training.
OF_TOOLS = {
    "clap",
    "plotters",
    "epaint_default_fonts",
    "comfy-table",
    "csv",
    "matrw",
    "env_logger",
    "indicatif",
    "schemars",
    "burn",
    "face_attributes_tools",
    "face_attributes_training",
}
# Crates for tests and benchmarks.
FOR_TESTS = {"assert_cmd", "cpu-time", "criterion", "proptest", "tempfile"}

# Somewhat more than there are: each one is downloaded and compiled on the robot.
MAX_CRATES = 185


def crates(*arguments):
    """The names and versions of the crates that cargo compiles for the robot's package."""
    command = ["cargo", "tree", "--locked", "--package=face_attributes", "--edges=normal,build", "--prefix=none"]
    lines = subprocess.check_output([*command, *arguments], cwd=ROOT, text=True, timeout=DEADLINE_SECS).splitlines()
    return {tuple(line.split()[:2]) for line in lines if line}


def test_the_node_needs_few_crates_and_none_of_the_tools():
    node = crates("--features=ros")
    names = {name for name, _ in node}
    assert {"opencv", "r2r", "tract-onnx"} <= names
    assert not names & (OF_TOOLS | FOR_TESTS)
    assert len(node) <= MAX_CRATES


def test_the_library_needs_no_ros():
    names = {name for name, _ in crates()}
    assert "opencv" in names
    assert not {name for name in names if name.startswith("r2r")}
