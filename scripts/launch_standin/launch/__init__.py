"""Stand-in for the package `launch`: what a launch file describes."""


class LaunchDescription:
    """The entities of a launch file, in the order in which they are visited."""

    def __init__(self, initial_entities=()):
        self.entities = list(initial_entities)


class LaunchContext:
    """What the entities read and change: launch arguments, environment, processes to start."""

    def __init__(self, arguments, environment):
        self.launch_configurations = dict(arguments)
        self.environment = dict(environment)
        # Command lines, each with its environment.
        self.processes = []

    def perform_substitution(self, value):
        """The text of a string, a substitution, or a list of both, which are joined."""
        if isinstance(value, str):
            return value
        if isinstance(value, (list, tuple)):
            return "".join(self.perform_substitution(part) for part in value)
        return value.perform(self)
