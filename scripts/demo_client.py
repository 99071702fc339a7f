"""Prints the messages of the face attributes node in a readable form and saves the last annotated picture.

Ends after a number of messages, or at SIGINT or SIGTERM. Exit code 1 when the node stays silent.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
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
    """The pixels of a bgr8 message, height x width x 3, blue first."""
    if image.encoding != "bgr8":
        raise ValueError(f"the annotated image has the encoding {image.encoding}, not bgr8")
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    return rows[:, : image.width * 3].reshape(image.height, image.width, 3)


class DemoClient(Node):
    """Counts and prints the messages of the node. Sets `done` after `frames` messages and a picture."""

    def __init__(self, node_name, frames, done):
        super().__init__("demo_client")
        self.frames = frames
        self.done = done
        self.message_count = 0
        self.image_count = 0
        self.annotated_image = None
        self.create_subscription(FaceAttributesArray, f"{node_name}/faces", self.on_faces, 10)
        self.create_subscription(Image, f"{node_name}/image_annotated", self.on_image, qos_profile_sensor_data)

    def on_faces(self, message):
        self.message_count += 1
        if not self.done.is_set():
            print(format_message(message), flush=True)
        self.check_done()

    def on_image(self, message):
        self.image_count += 1
        self.annotated_image = message
        self.check_done()

    def check_done(self):
        if 0 < self.frames <= self.message_count and self.annotated_image is not None:
            self.done.set()


def wait_until_done(client, silence_secs):
    """False when neither a message nor a picture arrived for about `silence_secs`."""
    received_count = 0
    while not client.done.wait(silence_secs):
        if client.message_count + client.image_count == received_count:
            return False
        received_count = client.message_count + client.image_count
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default="/face_attributes", help="full name of the node (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=0, help="end after this many messages (default: never)")
    parser.add_argument("--output", type=Path, required=True, help="file for the annotated picture")
    parser.add_argument("--silence-secs", type=float, default=60.0, help="end with an error when nothing arrives for so long")
    options = parser.parse_args()

    # The main thread waits for signals, so that rclpy's own handling, which ends a wait with an error, is not needed.
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    client = DemoClient(options.node, options.frames, done)
    executor = SingleThreadedExecutor()
    executor.add_node(client)
    spin_thread = threading.Thread(target=executor.spin, name="ros_spin")
    spin_thread.start()
    is_done = wait_until_done(client, options.silence_secs)
    executor.shutdown()
    spin_thread.join()

    if not is_done:
        awaited = "image_annotated" if 0 < options.frames <= client.message_count else "faces"
        sys.exit(
            f"demo_client: nothing arrived on {options.node}/{awaited} for {options.silence_secs:.0f} s, after "
            f"{client.message_count} messages. Does the node run, and does a camera publish on its image topic?"
        )
    print(f"\n{client.message_count} messages received.")
    if client.annotated_image is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(options.output), bgr_from_image(client.annotated_image)):
            sys.exit(f"demo_client: cannot write {options.output}")
        print(f"The last annotated picture: {options.output}")


main()
