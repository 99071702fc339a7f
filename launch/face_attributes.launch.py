"""Starts the face attributes node on a camera topic.

    ros2 launch face_attributes face_attributes.launch.py image:=/camera/image_raw

The node is a managed one. By default it configures and activates itself; with autostart:=false a lifecycle manager does:

    ros2 launch face_attributes face_attributes.launch.py image:=/camera/image_raw autostart:=false
    ros2 lifecycle set /face_attributes configure
    ros2 lifecycle set /face_attributes activate
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


CONFIG = [FindPackageShare("face_attributes"), "config"]


def start_node(context):
    """The node, once the launch arguments are known."""
    autostart = LaunchConfiguration("autostart").perform(context)
    node = Node(
        package="face_attributes",
        executable="face_attributes_node",
        name="face_attributes",
        namespace=LaunchConfiguration("namespace"),
        # Calibration is expected beside the images: /camera/camera_info for /camera/image_raw.
        remappings=[
            ("image", LaunchConfiguration("image")),
            ("image/compressed", LaunchConfiguration("image_compressed")),
        ],
        # Not as `parameters`: launch only warns where the file does not exist.
        ros_arguments=[
            "--params-file",
            LaunchConfiguration("params_file"),
            *(["-p", f"autostart:={autostart}"] if autostart else []),
            "--log-level",
            LaunchConfiguration("log_level"),
        ],
        # Fast DDS loses large images with its defaults. With this profile it loses fewer, whatever the camera has. A profile that
        # the user has set is kept.
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE",
                default_value=PathJoinSubstitution([*CONFIG, "fast_dds_node.xml"]),
            )
        },
        output="screen",
    )
    return [node]


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "image",
                default_value="image",
                description="Topic of the camera images (sensor_msgs/Image)",
            ),
            DeclareLaunchArgument(
                "image_compressed",
                default_value=[LaunchConfiguration("image"), "/compressed"],
                description="Topic of the compressed images (sensor_msgs/CompressedImage), for image_transport compressed",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="",
                description="Whether the node configures and activates itself: true, false, or empty for what the file says",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([*CONFIG, "face_attributes.yaml"]),
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
            OpaqueFunction(function=start_node),
        ]
    )
