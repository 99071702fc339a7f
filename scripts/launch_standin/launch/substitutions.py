"""Stand-in for `launch.substitutions`."""

import os


class LaunchConfiguration:
    """The value of a launch argument."""

    def __init__(self, variable_name):
        self.variable_name = variable_name

    def perform(self, context):
        if self.variable_name not in context.launch_configurations:
            raise RuntimeError(f"the launch argument '{self.variable_name}' is not declared")
        return context.launch_configurations[self.variable_name]


class EnvironmentVariable:
    """The value of an environment variable, or a default."""

    def __init__(self, name, *, default_value=None):
        self.name = name
        self.default_value = default_value

    def perform(self, context):
        name = context.perform_substitution(self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise RuntimeError(f"the environment variable '{name}' is not set")
        return context.perform_substitution(self.default_value)


class PathJoinSubstitution:
    """Parts joined to a path."""

    def __init__(self, substitutions):
        self.substitutions = substitutions

    def perform(self, context):
        return os.path.join(*(context.perform_substitution(part) for part in self.substitutions))
