"""The Rust version that manifests, documents and setup name is the one that the resolved dependencies need."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from conftest import DEADLINE_SECS, ROOT

ROBOT = "face_attributes"
TRAINER = "face_attributes_training"
# Others need more crates, none of which compiles here.
PLATFORMS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]


def parse(version):
    major, minor, *_ = (int(number) for number in version.split("."))
    return major, minor


def to_text(version):
    return "{}.{}".format(*version)


class Workspace:
    """Its members, and what each needs, as cargo has resolved it with all features on."""

    def __init__(self):
        command = ["cargo", "metadata", "--locked", "--format-version=1", "--all-features"]
        command += [f"--filter-platform={platform}" for platform in PLATFORMS]
        metadata = json.loads(subprocess.check_output(command, cwd=ROOT, timeout=DEADLINE_SECS))
        self.packages = {package["id"]: package for package in metadata["packages"]}
        self.nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        self.members = {self.packages[member]["name"]: member for member in metadata["workspace_members"]}

    def declared(self, member):
        return parse(self.packages[self.members[member]]["rust_version"])

    def needed(self, member, kinds):
        """The newest version that a dependency asks for, and the name of that dependency."""
        root = self.members[member]
        found, waiting = set(), [root]
        while waiting:
            package = waiting.pop()
            # What a dependency needs for its own tests is nobody else's need.
            wanted = kinds if package == root else {"normal", "build"}
            for dependency in self.nodes[package]["deps"]:
                is_wanted = any((kind["kind"] or "normal") in wanted for kind in dependency["dep_kinds"])
                if is_wanted and dependency["pkg"] not in found:
                    found.add(dependency["pkg"])
                    waiting.append(dependency["pkg"])
        packages = [self.packages[package] for package in found]
        return max((parse(package["rust_version"] or "1.0"), package["name"]) for package in packages)


@pytest.fixture(scope="module")
def workspace():
    return Workspace()


def test_each_member_declares_what_its_dependencies_need(workspace):
    for member in workspace.members:
        needed, dependency = workspace.needed(member, {"normal", "build"})
        declared = workspace.declared(member)
        assert declared == needed, (
            f"{member} declares rust-version {to_text(declared)}, and {dependency} needs {to_text(needed)}. "
            "Change it in the manifest, and in the documents where the next test says so."
        )


def test_the_tests_need_no_more_than_the_members(workspace):
    for member in workspace.members:
        needed, dependency = workspace.needed(member, {"normal", "build", "dev"})
        assert needed <= max(map(workspace.declared, workspace.members)), f"{dependency} of {member}"


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("README.md", [ROBOT, TRAINER]),
        ("package.xml", [ROBOT]),
        ("training/README.md", [TRAINER]),
    ],
)
def test_documents_name_these_versions(workspace, path, members):
    named = set(re.findall(r"Rust (\d+\.\d+)", (ROOT / path).read_text()))
    assert named == {to_text(workspace.declared(member)) for member in members}


@pytest.mark.parametrize("options", [[], ["--workspace"]])
def test_setup_asks_for_these_versions(workspace, tmp_path, options):
    old = tmp_path / "cargo"
    old.write_text("#!/bin/sh\necho 'cargo 1.0.0 (0123456 2015-05-15)'\n")
    old.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    setup = subprocess.run([ROOT / "scripts" / "setup", *options], env=environment, stderr=subprocess.PIPE, text=True)
    assert setup.returncode == 1
    members = [member for member in workspace.members if options or member != TRAINER]
    expected = to_text(max(map(workspace.declared, members)))
    assert f"Rust {expected} or newer" in setup.stderr
