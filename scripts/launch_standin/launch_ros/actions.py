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
        remappings=(),
        ros_arguments=(),
        additional_env=None,
        output="screen",
    ):
        if output != "screen":
            raise ValueError(f"output '{output}' is not supported, only 'screen'")
        self.package = package
        self.executable = executable
        self.name = name
        self.namespace = namespace
        self.remappings = remappings
        self.ros_arguments = ros_arguments
        self.additional_env = additional_env or {}

    def execute(self, context):
        text = context.perform_substitution
        package = text(self.package)
        command = [os.path.join(get_package_prefix(package), "lib", package, text(self.executable))]
        command += ["--ros-args", *(text(argument) for argument in self.ros_arguments)]
        if self.name is not None:
            command += ["-r", f"__node:={text(self.name)}"]
        namespace = text(self.namespace or "")
        if namespace:
            command += ["-r", f"__ns:={namespace if namespace.startswith('/') else '/' + namespace}"]
        for origin, target in self.remappings:
            command += ["-r", f"{text(origin)}:={text(target)}"]
        environment = {text(variable): text(value) for variable, value in self.additional_env.items()}
        context.processes.append((command, {**context.environment, **environment}))
