"""Starts the face attributes node on several cameras: in one process, which shares the networks and the parameters, or in one each.

    ros2 launch face_attributes several_cameras.launch.py front:=/front/image_raw rear:=/rear/image_raw
    ros2 launch face_attributes several_cameras.launch.py processes:=one_each

In one process (the default) the faces are on /face_attributes/front/faces and /face_attributes/rear/faces. In one process each,
they are on /front/face_attributes/faces and /rear/face_attributes/faces, and each node has its own parameters.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

CAMERAS = ["front", "rear"]
CONFIG = [FindPackageShare("face_attributes"), "config"]


def face_attributes_node(autostart, *arguments, **options):
    return Node(
        package="face_attributes",
        executable="face_attributes_node",
        name="face_attributes",
        ros_arguments=[
            "--params-file",
            LaunchConfiguration("params_file"),
            *(["-p", f"autostart:={autostart}"] if autostart else []),
            *arguments,
            "--log-level",
            LaunchConfiguration("log_level"),
        ],
        # Fast DDS loses large images with its defaults. With this profile it loses fewer, whatever the camera has. A profile that
        # the user has set is kept.
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=PathJoinSubstitution([*CONFIG, "fast_dds_node.xml"])
            )
        },
        output="screen",
        **options,
    )


def start_nodes(context):
    """The nodes, once the launch arguments are known."""
    namespace = LaunchConfiguration("namespace").perform(context)
    autostart = LaunchConfiguration("autostart").perform(context)
    if LaunchConfiguration("processes").perform(context) == "one":
        cameras = ["-p", f"cameras:=[{', '.join(CAMERAS)}]"]
        images = [(f"{camera}/image", LaunchConfiguration(camera)) for camera in CAMERAS]
        return [face_attributes_node(autostart, *cameras, namespace=namespace, remappings=images)]
    return [
        face_attributes_node(
            autostart,
            namespace=f"{namespace}/{camera}" if namespace else camera,
            remappings=[("image", LaunchConfiguration(camera))],
        )
        for camera in CAMERAS
    ]


def generate_launch_description():
    return LaunchDescription(
        [
            *[
                DeclareLaunchArgument(
                    camera,
                    default_value=f"/{camera}/image",
                    description=f"Topic of the images of the camera {camera} (sensor_msgs/Image)",
                )
                for camera in CAMERAS
            ],
            DeclareLaunchArgument(
                "processes",
                default_value="one",
                choices=["one", "one_each"],
                description="one for all cameras together, or one_each",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="",
                description="Whether the nodes configure and activate themselves: true, false, or empty for what the file says",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([*CONFIG, "face_attributes.yaml"]),
                description="ROS 2 parameter file of the nodes",
            ),
            DeclareLaunchArgument(
                "namespace",
                default_value="",
                description="Namespace of the nodes, their topics and their services",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                description="Lowest severity that is logged: debug, info, warn, error or fatal",
            ),
            OpaqueFunction(function=start_nodes),
        ]
    )
