"""Stand-in for `launch.actions`."""


class DeclareLaunchArgument:
    """An argument of the launch file, given as `name:=value`."""

    def __init__(self, name, *, default_value=None, description="", choices=None):
        self.name = name
        self.default_value = default_value
        self.description = description
        self.choices = choices

    def execute(self, context):
        given = context.launch_configurations.get(self.name)
        if given is not None:
            if self.choices and given not in self.choices:
                raise RuntimeError(f"the launch argument '{self.name}' is '{given}', expected {' or '.join(self.choices)}")
            return
        if self.default_value is None:
            raise RuntimeError(f"the launch argument '{self.name}' has no default: give {self.name}:=<value>")
        context.launch_configurations[self.name] = context.perform_substitution(self.default_value)


class OpaqueFunction:
    """Entities that a function makes once the launch arguments are known."""

    def __init__(self, *, function):
        self.function = function

    def execute(self, context):
        for entity in self.function(context) or []:
            entity.execute(context)
