"""Counts how many of a camera's images reach the node, with and without a Fast DDS profile on either side.

The camera is a process of its own: 640 x 480, bgr8, 30 Hz. The node counts what it receives and says so when it stops.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
WIDTH, HEIGHT = 640, 480
# After the subscription is there, until the camera begins: the node may choose its reliability anew in this time.
SETTLING_SECS = 3.0


def publish_images(reliability, count, rate):
    """The camera."""
    rclpy.init()
    node = rclpy.create_node("delivery_camera")
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability.upper()])
    publisher = node.create_publisher(Image, "/delivery/image", qos)
    image = Image(width=WIDTH, height=HEIGHT, step=3 * WIDTH, encoding="bgr8")
    image.data.frombytes(np.random.default_rng(1).integers(0, 255, 3 * WIDTH * HEIGHT, np.uint8).tobytes())
    while publisher.get_subscription_count() == 0:
        rclpy.spin_once(node, timeout_sec=0.1)
    due = time.monotonic() + SETTLING_SECS
    for _ in range(count):
        time.sleep(max(0.0, due - time.monotonic()))
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
        due += 1 / rate
    # What a reliable publisher has to send again is sent in this time.
    time.sleep(1.0)
    node.destroy_node()
    rclpy.shutdown()


def environment(profile):
    """With the file as the profile, or with Fast DDS's defaults."""
    variables = {name: value for name, value in os.environ.items() if name != PROFILE}
    return {**variables, PROFILE: str(profile)} if profile else variables


def received(options, camera_profile, node_profile, camera, node_arguments):
    """How many images the node says to have received."""
    remap = ["-r", "image:=/delivery/image"]
    command = [options.programs / "face_attributes_node", "--ros-args", *remap, *node_arguments]
    node = subprocess.Popen(
        [str(word) for word in command],
        env=environment(node_profile),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    words = [sys.executable, __file__, "--camera", camera, str(options.images), str(options.rate)]
    subprocess.run(words, env=environment(camera_profile), check=True)
    node.send_signal(signal.SIGINT)
    output, _ = node.communicate()
    if options.log:
        print(output)
    return int(re.search(r"stopped after (\d+) images", output).group(1))


def main():
    if sys.argv[1:2] == ["--camera"]:
        publish_images(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the installed programs")
    parser.add_argument("config", type=Path, help="the folder of the Fast DDS profiles")
    parser.add_argument("--images", type=int, default=300, help="images of each case (default: 300)")
    parser.add_argument("--rate", type=float, default=30.0, help="images per second (default: 30)")
    parser.add_argument("--cameras", default="reliable,best_effort", help="what the camera offers (default: both)")
    parser.add_argument("--log", action="store_true", help="print the node's log")
    parser.add_argument("--reliability", help="the node's parameter image.reliability (default: the node's default)")
    options = parser.parse_args()
    arguments = ["-p", f"image.reliability:={options.reliability}"] if options.reliability else []
    both, node_only = options.config / "fast_dds.xml", options.config / "fast_dds_node.xml"
    for camera in options.cameras.split(","):
        for camera_profile in (None, both):
            for node_profile in (None, both, node_only):
                count = received(options, camera_profile, node_profile, camera, arguments)
                sides = [profile.name if profile else "no profile" for profile in (camera_profile, node_profile)]
                print(f"{camera:>11} camera with {sides[0]}, node with {sides[1]}: {count} of {options.images}", flush=True)


if __name__ == "__main__":
    main()
