"""Measures one node on 1, 2, 4 cameras of 640 x 480 at 30 Hz, one face each: CPU time, memory, age at an rclpy subscriber.

The age is the time of arrival minus the stamp of the image. CPU time and memory are those of the node's process, from /proc.
"""

import argparse
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.time import Time

from face_attributes.msg import FaceAttributesArray

# Time after the first answer of the last camera, until the faces are known and the memory has its size.
SETTLING_SECS = 5.0
# Longest time until every camera has an answer.
START_SECS = 60.0
CORES = 2


class Client(Node):
    def __init__(self, cameras):
        super().__init__("cameras_client")
        self.ages_ms = {camera: [] for camera in cameras}
        self.faces = 0
        for camera in cameras:
            topic = f"face_attributes/{camera}/faces"
            self.create_subscription(FaceAttributesArray, topic, lambda message, c=camera: self.on_faces(c, message), 10)

    def on_faces(self, camera, message):
        age = self.get_clock().now() - Time.from_msg(message.header.stamp)
        self.ages_ms[camera].append(age.nanoseconds / 1e6)
        self.faces += len(message.faces)

    def collect(self, secs):
        """The ages of the messages that arrive within that time, by camera."""
        self.ages_ms = {camera: [] for camera in self.ages_ms}
        self.faces = 0
        end = time.monotonic() + secs
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)
        return self.ages_ms


def cpu_secs(pid):
    """User and system time of a process, in seconds."""
    # The name of the process, which may have spaces, ends with the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    """Resident memory, all of it and what is the process's own, in MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kb = {words[0].rstrip(":"): int(words[1]) for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
    return kb["VmRSS"] * 1024 / 1e6, kb["RssAnon"] * 1024 / 1e6


def measure(programs, count, options):
    names = [f"camera_{number}" for number in range(1, count + 1)]
    publisher = [programs / "camera_publisher", "--rate", options.rate, "--ros-args"]
    commands = [[*publisher, "-r", f"/camera/image_raw:=/{name}/image", "-r", f"__node:={name}"] for name in names]
    parameters = [f"cameras:=[{', '.join(names)}]", *options.parameters]
    node = [programs / "face_attributes_node", "--ros-args"]
    commands.append([*node, *[word for parameter in parameters for word in ("-p", parameter)]])
    processes = [subprocess.Popen([str(word) for word in command]) for command in commands]
    pid = processes[-1].pid
    client = Client(names)
    try:
        silent, deadline = set(names), time.monotonic() + START_SECS
        while silent:
            assert all(process.poll() is None for process in processes), "a program ended by itself"
            assert time.monotonic() < deadline, f"no answer from {', '.join(sorted(silent))} within {START_SECS:.0f} s"
            silent -= {name for name, ages in client.collect(1.0).items() if ages}
        client.collect(SETTLING_SECS)
        begin, cpu_begin = time.monotonic(), cpu_secs(pid)
        ages = client.collect(options.secs)
        cpu = (cpu_secs(pid) - cpu_begin) / (time.monotonic() - begin)
        resident, own = memory_mb(pid)
    finally:
        client.destroy_node()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    all_ages = np.concatenate(list(ages.values()))
    p50, p90, p99 = np.percentile(all_ages, [50, 90, 99])
    answered = len(all_ages) / (options.secs * options.rate * count)
    print(
        f"{count} cameras: {cpu / CORES:.1%} of {CORES} cores; resident {resident:.0f} MB, own {own:.0f} MB; "
        f"{len(all_ages)} answers ({answered:.1%} of the images), {client.faces / max(len(all_ages), 1):.2f} faces each; "
        f"age p50 {p50:.1f} ms, p90 {p90:.1f} ms, p99 {p99:.1f} ms, longest {max(all_ages):.1f} ms",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, help="the folder of the installed programs")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4], help="numbers of cameras (default: 1 2 4)")
    parser.add_argument("--secs", type=float, default=60.0, help="seconds of each measurement (default: 60)")
    parser.add_argument("--rate", type=float, default=30.0, help="images per second of a camera (default: 30)")
    parser.add_argument("--parameters", nargs="*", default=[], help="parameters of the node: name:=value")
    options = parser.parse_args()
    rclpy.init()
    for count in options.cameras:
        measure(options.programs, count, options)


if __name__ == "__main__":
    main()
