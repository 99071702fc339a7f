"""Measures the age of faces at their arrival (time of arrival minus the stamp of the image), with and without saliency.

The node and a camera of 640 x 480 at 30 Hz run all the time. A subscriber to ~/image_saliency comes and goes, so that other
load on the machine affects both cases.
"""

import argparse
import subprocess
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image

from face_attributes.msg import FaceAttributesArray

# Time after a subscriber came or went, until the node has noticed and the first, slower explanation is done.
SETTLING_SECS = 2.0


class Client(Node):
    def __init__(self):
        super().__init__("age_client")
        self.ages_ms = []
        self.explained = 0
        self.create_subscription(FaceAttributesArray, "face_attributes/faces", self.on_faces, 10)
        self.listener = None

    def on_faces(self, message):
        age = self.get_clock().now() - Time.from_msg(message.header.stamp)
        self.ages_ms.append(age.nanoseconds / 1e6)

    def on_saliency(self, _image):
        self.explained += 1

    def listen(self, wanted):
        if wanted:
            topic = "face_attributes/image_saliency"
            self.listener = self.create_subscription(Image, topic, self.on_saliency, qos_profile_sensor_data)
        elif self.listener is not None:
            self.destroy_subscription(self.listener)
            self.listener = None

    def collect(self, secs):
        """The ages of the messages that arrive within that time."""
        self.ages_ms = []
        end = time.monotonic() + secs
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)
        return self.ages_ms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the installed programs")
    parser.add_argument("--rounds", type=int, default=12, help="number of measurements of each case (default: 12)")
    parser.add_argument("--secs", type=float, default=8.0, help="seconds of each measurement (default: 8)")
    parser.add_argument("--rate", type=float, default=5.0, help="the parameter saliency.rate (default: 5)")
    options = parser.parse_args()

    remap = ["-r", "image:=/camera/image_raw"]
    node = [options.programs / "face_attributes_node", "--ros-args", *remap, "-p", f"saliency.rate:={options.rate}"]
    commands = [[options.programs / "camera_publisher"], node]
    processes = [subprocess.Popen([str(word) for word in command]) for command in commands]
    try:
        rclpy.init()
        client = Client()
        while not client.collect(1.0):
            assert all(process.poll() is None for process in processes), "a program ended by itself"
        ages = {False: [], True: []}
        for _ in range(options.rounds):
            for listening in ages:
                client.listen(listening)
                client.collect(SETTLING_SECS)
                ages[listening] += client.collect(options.secs)
        explained = client.explained
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()

    for listening, name in ((False, "without"), (True, "with")):
        p50, p90, p99 = np.percentile(ages[listening], [50, 90, 99])
        count = len(ages[listening])
        print(f"{name:>8} saliency: {count} messages, age p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms")
    ratios = [np.percentile(ages[True], share) / np.percentile(ages[False], share) for share in (50, 90, 99)]
    print("ratio: p50 {:.3f}, p90 {:.3f}, p99 {:.3f};".format(*ratios), f"{explained} explained images arrived")


if __name__ == "__main__":
    main()
