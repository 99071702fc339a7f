"""A program that is measured: a process that answers one line of JSON with another one. Needs the standard library alone."""

import json
import os
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

# One thread each. What reads no such variable is told by an option of its own, see workers/.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "RTEN_NUM_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    )
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}


class WorkerFailed(Exception):
    """The program ended. The message has its last words."""


class Worker:
    def __init__(self, command):
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, **QUIET},
        )
        self.last_words = deque(maxlen=40)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self.first_answer_secs = None
        try:
            self.about = self._read()
        except WorkerFailed:
            self.close()
            raise

    def _listen(self):
        # A full pipe would stop the program.
        for line in self.process.stderr:
            if line.strip():
                self.last_words.append(line.strip())

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # _read tells why it ended
        answer = self._read()
        if self.first_answer_secs is None:
            self.first_answer_secs = time.perf_counter() - self.started
        return answer

    def _read(self):
        for line in self.process.stdout:
            # Libraries print to standard output too.
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.listener.join()
        raise WorkerFailed(reason(self.last_words) or f"exit status {self.process.returncode}")

    def resident_mib(self):
        return resident_kib(Path(f"/proc/{self.process.pid}/status").read_text()) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.listener.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def reason(words):
    """The line of a program's last words that says what was wrong: Python's exception, or Rust's first line."""
    errors = [line for line in words if "Error" in line or "rror:" in line]
    return (errors or list(words) or [""])[-1]


def resident_kib(status):
    """The resident memory in a /proc/<id>/status."""
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])
