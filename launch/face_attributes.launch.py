"""Starts the face attributes node on a camera topic.

    ros2 launch face_attributes face_attributes.launch.py image:=/camera/image_raw
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    config = [FindPackageShare("face_attributes"), "config"]

    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "image",
                default_value="image",
                description="Topic of the camera images (sensor_msgs/Image)",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([*config, "face_attributes.yaml"]),
                description="ROS 2 parameter file of the node",
            ),
            DeclareLaunchArgument(
                "namespace",
                default_value="",
                description="Namespace of the node, its topics and its services",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                description="Lowest severity that is logged: debug, info, warn, error or fatal",
            ),
            Node(
                package="face_attributes",
                executable="face_attributes_node",
                name="face_attributes",
                namespace=LaunchConfiguration("namespace"),
                remappings=[("image", LaunchConfiguration("image"))],
                # Not as `parameters`: launch only warns where the file does not exist.
                ros_arguments=[
                    "--params-file",
                    LaunchConfiguration("params_file"),
                    "--log-level",
                    LaunchConfiguration("log_level"),
                ],
                # Fast DDS loses large images with its defaults. A profile that the user has set is kept.
                additional_env={
                    "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                        "FASTRTPS_DEFAULT_PROFILES_FILE",
                        default_value=PathJoinSubstitution([*config, "fast_dds.xml"]),
                    )
                },
                output="screen",
            ),
        ]
    )
