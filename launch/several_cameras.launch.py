"""Starts the face attributes node on several cameras: in one process, which shares the networks and the parameters, or in one each.

    ros2 launch face_attributes several_cameras.launch.py front:=/front/image_raw rear:=/rear/image_raw
    ros2 launch face_attributes several_cameras.launch.py processes:=one_each

In one process (the default) the faces are on /face_attributes/front/faces and /face_attributes/rear/faces. In one process each,
they are on /front/face_attributes/faces and /rear/face_attributes/faces, and each node has its own parameters.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import LaunchConfigurationEquals
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

CAMERAS = ["front", "rear"]


def face_attributes_node(processes, *arguments, **options):
    """The node, if the launch argument processes has this value."""
    config = [FindPackageShare("face_attributes"), "config"]
    return Node(
        package="face_attributes",
        executable="face_attributes_node",
        name="face_attributes",
        ros_arguments=["--params-file", LaunchConfiguration("params_file"), *arguments],
        # Fast DDS loses large images with its defaults. With this profile it loses fewer, whatever the camera has. A profile that
        # the user has set is kept.
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": EnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE", default_value=PathJoinSubstitution([*config, "fast_dds_node.xml"])
            )
        },
        output="screen",
        condition=LaunchConfigurationEquals("processes", processes),
        **options,
    )


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
                "params_file",
                default_value=PathJoinSubstitution(
                    [FindPackageShare("face_attributes"), "config", "face_attributes.yaml"]
                ),
                description="ROS 2 parameter file of the nodes",
            ),
            DeclareLaunchArgument(
                "processes", default_value="one", description="one for all cameras together, or one_each"
            ),
            face_attributes_node(
                "one",
                "-p",
                f"cameras:=[{', '.join(CAMERAS)}]",
                remappings=[(f"{camera}/image", LaunchConfiguration(camera)) for camera in CAMERAS],
            ),
            *[
                face_attributes_node(
                    "one_each", namespace=camera, remappings=[("image", LaunchConfiguration(camera))]
                )
                for camera in CAMERAS
            ],
        ]
    )
