"""The scripts of the package, run with small programs in place of those that they call. Nothing is built or installed."""

import os
import shutil
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Far more than anything here takes: reached only when something hangs, so that a slow machine fails no test.
DEADLINE_SECS = 120


def write_program(path, text):
    """An executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def package(tmp_path):
    """A copy of the package's scripts and manifests, in which a test can put its own programs."""
    folder = tmp_path / "package"
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for manifest in [ROOT / "Cargo.toml", *ROOT.glob("*/Cargo.toml")]:
        target = folder / manifest.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(manifest, target)
    return folder


class Mark:
    """A variable in the environment by which a test finds every process that descends from its own."""

    def __init__(self):
        self.variable = "SCRIPT_TEST_MARK"
        self.value = uuid.uuid4().hex

    def processes(self):
        """Process ids and command lines."""
        entry = f"{self.variable}={self.value}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if entry in (process / "environ").read_bytes().split(b"\0"):
                    found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                pass  # ended in the meantime, or of another user
        return found


@pytest.fixture
def mark():
    mark = Mark()
    yield mark
    for process in mark.processes():
        try:
            os.kill(process, 9)
        except ProcessLookupError:
            pass
