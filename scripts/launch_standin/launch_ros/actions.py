"""Stand-in for `launch_ros.actions`."""

import os

from ament_index_python.packages import get_package_prefix


class Node:
    """A ROS node in a process of its own. Its output always goes to the screen."""

    def __init__(
        self,
        *,
        package,
        executable,
        name=None,
        namespace=None,
        parameters=(),
        remappings=(),
        arguments=(),
        output="screen",
    ):
        if output != "screen":
            raise ValueError(f"output '{output}' is not supported, only 'screen'")
        self.package = package
        self.executable = executable
        self.name = name
        self.namespace = namespace
        self.parameters = parameters
        self.remappings = remappings
        self.arguments = arguments

    def execute(self, context):
        text = context.perform_substitution
        package = text(self.package)
        command = [os.path.join(get_package_prefix(package), "lib", package, text(self.executable))]
        command += [text(argument) for argument in self.arguments]
        command += ["--ros-args"]
        if self.name is not None:
            command += ["-r", f"__node:={text(self.name)}"]
        namespace = text(self.namespace or "")
        if namespace:
            command += ["-r", f"__ns:={namespace if namespace.startswith('/') else '/' + namespace}"]
        for file in self.parameters:
            command += ["--params-file", text(file)]
        for origin, target in self.remappings:
            command += ["-r", f"{text(origin)}:={text(target)}"]
        context.processes.append((command, dict(context.environment)))
