"""Who is compared: the programs, and why one is missing."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from .worker import Worker, WorkerFailed

FOLDER = Path(__file__).resolve().parents[1]
ROOT = FOLDER.parents[1]
RELEASED = [ROOT / f"models/released/{task}_mini_xception.onnx" for task in ("emotion", "gender")]

OURS = "face_attributes"


@dataclass
class Peer:
    name: str
    command: list
    # Whether it follows faces from frame to frame, and so needs every frame.
    follows: bool = False
    worker: Worker = None
    start_secs: list = field(default_factory=list)
    # Why it is missing.
    missing: str = None

    def start(self, first_request):
        """Starts the program and times its first answer."""
        if self.missing:
            return
        try:
            self.worker = Worker(self.command)
            self.worker.ask(**first_request)
            self.start_secs.append(self.worker.first_answer_secs)
        except (WorkerFailed, OSError) as error:
            self.fail(error)

    def ask(self, **request):
        """The answer, or `None` from the failure on."""
        if self.missing:
            return None
        try:
            return self.worker.ask(**request)
        except WorkerFailed as error:
            self.fail(error)
            return None

    def fail(self, error):
        self.missing = f"failed: {error}"[:300]
        print(f"    {self.name} {self.missing}", file=sys.stderr)
        self.stop()

    def stop(self):
        if self.worker is not None:
            self.worker.close()
            self.worker = None


def python_worker(file, *arguments, python=sys.executable):
    return [str(python), str(FOLDER / "workers" / f"{file}.py"), *map(str, arguments)]


def pipelines(programs):
    return [
        Peer(OURS, [programs.rust, "pipeline"], follows=True),
        Peer("original logic, ONNX Runtime", python_worker("original", "onnxruntime", *RELEASED)),
        Peer("original logic, Keras", python_worker("original", "keras", *RELEASED)),
    ]


def detectors(programs):
    blazeface = [
        Peer(
            f"BlazeFace, {name} range (MediaPipe)",
            python_worker("detector", f"blazeface-{name}", python=programs.mediapipe),
        )
        for name in ("short", "full")
    ]
    yunet = Peer("YuNet", python_worker("detector", "yunet", programs.yunet))
    if programs.yunet is None:
        yunet.missing = "no package of a registry ships its file; `--yunet FILE` measures it"
    for peer in blazeface:
        peer.missing = programs.missing.get("mediapipe")
    return [
        Peer(f"{OURS}, finder", [programs.rust, "finder"], follows=True),
        Peer("Haar cascade, original settings", python_worker("detector", "haar")),
        *blazeface,
        yunet,
    ]
