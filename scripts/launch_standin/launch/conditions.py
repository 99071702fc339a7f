"""Stand-in for `launch.conditions`."""


class LaunchConfigurationEquals:
    """Whether a launch argument has a value."""

    def __init__(self, launch_configuration_name, expected_value):
        self.launch_configuration_name = launch_configuration_name
        self.expected_value = expected_value

    def evaluate(self, context):
        value = context.launch_configurations.get(self.launch_configuration_name)
        return value == context.perform_substitution(self.expected_value)
