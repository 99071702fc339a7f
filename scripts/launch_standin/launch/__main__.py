"""Stand-in for `ros2 launch`: executes a launch file until its processes end.

Unlike the original it exits with the code of the first process that failed.
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument


def find_launch_file(words):
    """The path of the launch file named by `FILE` or `PACKAGE FILE`, and the words after it."""
    if Path(words[0]).is_file():
        return Path(words[0]), words[1:]
    if len(words) < 2:
        raise RuntimeError(f"'{words[0]}' is not a file; give a launch file, or a package and a launch file")
    share = Path(get_package_share_directory(words[0]))
    for path in sorted(share.rglob(words[1])):
        return path, words[2:]
    raise RuntimeError(f"no launch file '{words[1]}' in {share}")


def load_description(path):
    """The LaunchDescription of a Python launch file."""
    spec = importlib.util.spec_from_file_location("launch_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def parse_arguments(words, declared):
    """The launch arguments in `name:=value` words, by name."""
    arguments = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator:
            raise RuntimeError(f"'{word}' is not a launch argument: write <name>:=<value>")
        if name not in declared:
            raise RuntimeError(f"the launch file has no argument '{name}', only: {', '.join(declared)}")
        arguments[name] = value
    return arguments


def run(processes):
    """Runs the processes until all have ended. The exit code of the first that failed, or 0."""
    children = []
    early_signals = []

    def forward(number, _frame):
        if not children:
            early_signals.append(number)
        for child in children:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    # In sessions of their own: a Ctrl-C in the terminal reaches them once, through the handler above.
    children += [subprocess.Popen(command, env=env, start_new_session=True) for command, env in processes]
    # Those that came while there was nobody to forward them to.
    for number in early_signals:
        forward(number, None)
    codes = [child.wait() for child in children]
    failed = next((code for code in codes if code != 0), 0)
    # As shells report it when a signal ended the process.
    return 128 - failed if failed < 0 else failed


def main():
    parser = argparse.ArgumentParser(prog="launch", description=__doc__)
    parser.add_argument("-s", "--show-args", action="store_true", help="show the launch arguments")
    parser.add_argument("words", nargs="+", metavar="FILE | PACKAGE FILE | NAME:=VALUE")
    options = parser.parse_args()
    try:
        path, words = find_launch_file(options.words)
        entities = load_description(path).entities
        declared = {entity.name: entity for entity in entities if isinstance(entity, DeclareLaunchArgument)}
        context = LaunchContext(parse_arguments(words, declared), os.environ)
        for entity in entities:
            entity.execute(context)
    except (RuntimeError, LookupError) as error:
        sys.exit(f"launch: {error}")
    if options.show_args:
        for name, argument in declared.items():
            print(f"{name}: {argument.description} (default: '{context.perform_substitution(argument.default_value)}')")
        return
    sys.exit(run(context.processes))


main()
