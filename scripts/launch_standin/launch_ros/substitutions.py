"""Stand-in for `launch_ros.substitutions`."""

from ament_index_python.packages import get_package_share_directory


class FindPackageShare:
    """The share folder of an installed package."""

    def __init__(self, package):
        self.package = package

    def perform(self, context):
        return get_package_share_directory(context.perform_substitution(self.package))
