"""Stand-in for the package `launch_ros`."""
