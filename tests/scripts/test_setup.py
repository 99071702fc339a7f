"""What `scripts/setup` asks for, in which order, on machines that lack something."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import DEADLINE_SECS, write_program

# What setup calls to look at the machine, and all else that it may use before it installs something.
TOOLS = "bash cat cmp cut dirname env flock grep head mkdir sed sort tail touch".split()

APT_UPDATE = "apt-get update"
APT_INSTALL = "apt-get install --no-install-recommends cmake make"


class Machine:
    """Programs of a test's own, in place of all that are installed here. They note how they are called."""

    def __init__(self, package, folder):
        self.package = package
        self.programs = folder / "bin"
        self.home = folder / "home"
        self.calls_file = folder / "calls"
        self.home.mkdir()
        self.programs.mkdir()
        for tool in TOOLS:
            (self.programs / tool).symlink_to(shutil.which(tool))

    def add(self, name, script="", folder=None):
        note = f'echo "{name} $*" >>{shlex.quote(str(self.calls_file))}'
        write_program((folder or self.programs) / name, f"#!{shutil.which('bash')}\n{note}\n{script}\n")

    def add_rust(self, version, cargo=None, folder=None):
        self.add("cargo", f"echo 'cargo {cargo or version} (0123456 2026-01-01)'", folder)
        self.add("rustc", f"echo 'rustc {version} (0123456 2026-01-01)'", folder)

    def add_rustup(self, active="stable-x86_64-unknown-linux-gnu", cargo='echo "cargo 1.63.0 (0123456 2026-01-01)"'):
        """As installed by rustup: one program with many names."""
        self.add("rustup", f'case "${{0##*/}}" in rustup) echo "{active} (default)" ;; *) {cargo} ;; esac')
        for name in ("cargo", "rustc"):
            (self.programs / name).symlink_to("rustup")

    def add_debian(self, user=0, missing="cmake make"):
        self.add("id", f"echo {user}")
        self.add("apt-get")
        self.add("dpkg-query", f'[[ " {missing} " == *" ${{@: -1}} "* ]] || echo installed')

    def setup(self, *arguments):
        """The exit code and what setup says."""
        environment = {"PATH": str(self.programs), "HOME": str(self.home)}
        # A ROS that is sourced, so that the next step is to look for its Python packages: it fails, and nothing is
        # installed from PyPI.
        environment |= {"AMENT_PREFIX_PATH": "/nowhere", "ROS_DISTRO": "jazzy"}
        self.add("python3", "exit 1")
        self.calls_file.write_text("")
        process = subprocess.run(
            [self.package / "scripts" / "setup", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECS,
        )
        assert process.returncode == 1
        return process.stdout

    def calls(self, name):
        """The arguments of each call of a program."""
        lines = self.calls_file.read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == name]


@pytest.fixture
def machine(package, tmp_path):
    return Machine(package, tmp_path)


# What setup says when it has found Rust and all system packages.
NEXT_STEP = "rclpy cannot be imported"


def test_missing_rust_is_said_before_anything_is_installed(machine):
    machine.add_debian()
    said = machine.setup()
    assert "https://sh.rustup.rs" in said
    assert "rustup update" not in said
    assert not machine.calls("apt-get")


@pytest.mark.parametrize("user", [0, 1000])
def test_old_rust_is_said_before_anything_is_installed(machine, user):
    machine.add_debian(user)
    machine.add_rust("1.63.0")
    said = machine.setup()
    assert "1.63.0" in said
    assert "apt-get" not in said
    assert not machine.calls("apt-get")


def test_without_rustup_nobody_is_told_to_run_it(machine):
    machine.add_rust("1.63.0")
    said = machine.setup()
    assert str(machine.programs / "cargo") in said
    assert "https://sh.rustup.rs" in said
    assert "rustup update" not in said


def test_with_rustup_an_update_is_enough(machine):
    machine.add_rustup()
    said = machine.setup()
    assert "rustup update stable" in said
    assert "sh.rustup.rs" not in said
    assert "rustup default" not in said


def test_an_update_is_not_enough_where_rustup_has_another_default(machine):
    machine.add_rustup(active="1.63.0-x86_64-unknown-linux-gnu")
    said = machine.setup()
    assert "rustup update stable" in said
    assert "rustup default stable" in said
    assert "1.63.0-x86_64-unknown-linux-gnu" in said


def test_rustup_without_a_toolchain(machine):
    machine.add_rustup(cargo="echo 'error: no default is configured' >&2; exit 1")
    said = machine.setup()
    assert "rustup default stable" in said
    assert "no default is configured" in said


def test_a_cargo_that_hides_that_of_rustup(machine, tmp_path):
    machine.add_rust("1.63.0")
    machine.add("rustup", folder=tmp_path / "rustup_bin")
    (machine.programs / "rustup").symlink_to(tmp_path / "rustup_bin" / "rustup")
    said = machine.setup()
    assert str(machine.programs / "cargo") in said
    assert "rustup update stable" in said
    assert "PATH" in said


def test_rust_that_is_not_in_path(machine):
    machine.add_rust("1.99.0", folder=machine.home / ".cargo" / "bin")
    said = machine.setup()
    assert '. "$HOME/.cargo/env"' in said
    assert "sh.rustup.rs" not in said


@pytest.mark.parametrize(("rustc", "cargo"), [("1.63.0", "1.99.0"), ("1.99.0", "1.63.0")])
def test_compiler_and_cargo_must_both_be_new(machine, rustc, cargo):
    machine.add_rust(rustc, cargo)
    assert "1.63.0" in machine.setup()


def test_cargo_without_a_compiler(machine):
    machine.add_rust("1.99.0")
    (machine.programs / "rustc").unlink()
    assert "rustc" in machine.setup()


@pytest.mark.parametrize("version", ["1.100.0", "1.99.0-nightly", "2.0.0"])
def test_newer_versions_are_enough(machine, version):
    machine.add_debian(missing="")
    machine.add_rust(version)
    assert NEXT_STEP in machine.setup("--workspace")


def test_without_root_and_sudo_the_message_has_all_commands(machine):
    machine.add_debian(user=1000)
    machine.add_rust("1.99.0")
    said = machine.setup()
    lines = [line.strip() for line in said.splitlines()]
    assert "root" in said
    assert lines.index(APT_UPDATE) < lines.index(APT_INSTALL)
    assert not machine.calls("apt-get")


def test_root_updates_before_installing(machine):
    machine.add_debian()
    machine.add_rust("1.99.0")
    assert NEXT_STEP in machine.setup()
    update, install = machine.calls("apt-get")
    assert update.startswith("update")
    assert install.startswith("install") and install.endswith(" cmake make")


def test_sudo_is_used_where_it_is_needed(machine):
    machine.add_debian(user=1000)
    machine.add_rust("1.99.0")
    machine.add("sudo", '"$@"')
    assert NEXT_STEP in machine.setup()
    assert len(machine.calls("sudo")) == len(machine.calls("apt-get")) == 2


@pytest.mark.parametrize("failing", ["sudo", "apt-get"])
def test_where_installing_fails_the_message_has_all_commands(machine, failing):
    machine.add_debian(user=1000)
    machine.add_rust("1.99.0")
    machine.add("sudo", '"$@"')
    machine.add(failing, "exit 1")
    lines = [line.strip() for line in machine.setup().splitlines()]
    assert lines.index(APT_UPDATE) < lines.index(APT_INSTALL)


def test_nothing_is_installed_where_nothing_is_missing(machine):
    machine.add_debian(missing="")
    machine.add_rust("1.99.0")
    assert NEXT_STEP in machine.setup()
    assert not machine.calls("apt-get")


def test_an_unknown_option_is_refused(package):
    process = subprocess.run([package / "scripts" / "setup", "--nonsense"], stderr=subprocess.PIPE, text=True)
    assert process.returncode == 2
    assert "--nonsense" in process.stderr
