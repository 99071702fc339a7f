"""Prints the messages of the face attributes node in a readable form and keeps the last annotated picture.

Ends after a number of messages, or at SIGINT or SIGTERM. Exit code 1 when the node stays silent.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from face_attributes.msg import Emotion, FaceAttributesArray, Gender

EMOTIONS = {getattr(Emotion, name): name.lower() for name in
            ("ANGRY", "DISGUST", "FEAR", "HAPPY", "SAD", "SURPRISE", "NEUTRAL", "UNKNOWN")}
GENDERS = {getattr(Gender, name): name.lower() for name in ("WOMAN", "MAN", "UNKNOWN")}


def format_message(message):
    """One line for the image and one for each face."""
    stamp = message.header.stamp
    lines = [f"{stamp.sec}.{stamp.nanosec // 1_000_000:03d} s  {message.header.frame_id}  faces: {len(message.faces)}"]
    for face in message.faces:
        roi = face.roi
        lines.append(
            f"    {face.id:<10} {roi.width} x {roi.height} pixels at ({roi.x_offset}, {roi.y_offset})  "
            f"{EMOTIONS[face.emotion.label]} {face.emotion.confidence:.0%}  "
            f"{GENDERS[face.gender.label]} {face.gender.confidence:.0%}"
        )
    return "\n".join(lines)


def bgr_from_image(image):
    """The pixels of a bgr8 or rgb8 message, height x width x 3, blue first."""
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    pixels = rows[:, : image.width * 3].reshape(image.height, image.width, 3)
    if image.encoding == "bgr8":
        return pixels
    if image.encoding == "rgb8":
        return pixels[:, :, ::-1]
    raise ValueError(f"the annotated image has the encoding {image.encoding}, not bgr8 or rgb8")


class DemoClient(Node):
    """Counts and prints the messages of the node."""

    def __init__(self, node_name):
        super().__init__("demo_client")
        self.message_count = 0
        self.image_count = 0
        self.annotated_image = None
        self.create_subscription(FaceAttributesArray, f"{node_name}/faces", self.on_faces, 10)
        self.create_subscription(Image, f"{node_name}/image_annotated", self.on_image, qos_profile_sensor_data)

    def on_faces(self, message):
        self.message_count += 1
        print(format_message(message), flush=True)

    def on_image(self, message):
        self.image_count += 1
        self.annotated_image = message

    def is_done(self, frames):
        return frames > 0 and self.message_count >= frames and self.annotated_image is not None


def spin_until_done(client, frames, silence_secs):
    """Receives messages. False when none of them arrived for `silence_secs`."""
    received_count = -1
    while not client.is_done(frames):
        if client.message_count + client.image_count > received_count:
            received_count = client.message_count + client.image_count
            deadline = time.monotonic() + silence_secs
        remaining_secs = deadline - time.monotonic()
        if remaining_secs <= 0:
            return False
        rclpy.spin_once(client, timeout_sec=remaining_secs)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default="/face_attributes", help="full name of the node (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=0, help="end after this many messages (default: never)")
    parser.add_argument("--output", type=Path, required=True, help="where the annotated picture goes")
    parser.add_argument("--silence-secs", type=float, default=60.0, help="give up when nothing arrives for so long")
    options = parser.parse_args()

    rclpy.init()
    client = DemoClient(options.node)
    try:
        if not spin_until_done(client, options.frames, options.silence_secs):
            awaited = "/faces" if client.message_count < max(options.frames, 1) else "/image_annotated"
            sys.exit(
                f"demo_client: nothing arrived on {options.node}{awaited} for {options.silence_secs:.0f} s, after "
                f"{client.message_count} messages. Does the node run, and does a camera publish on its image topic?"
            )
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # The way to end a demo without --frames.

    print(f"\n{client.message_count} messages received.")
    if client.annotated_image is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(options.output), bgr_from_image(client.annotated_image)):
            sys.exit(f"demo_client: cannot write {options.output}")
        print(f"The last annotated picture: {options.output}")


main()
