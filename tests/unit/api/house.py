"""A studio for tests of the doors: the real one, on a host that hands out drawings and trains with a script.

Everything else is real: folders, checkpoint, queue, child processes, detector, recogniser, ranking.
"""
from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from personal_avatar.host import Picture, PictureRequest, TrainerPython
from personal_avatar.pictures import load_picture
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio

from tests.unit.jobs.children import trainer

ASSETS = Path(__file__).resolve().parents[3] / "extension" / "personal_avatar" / "assets"
SAMPLES = ASSETS / "samples"
GOOD = sorted(SAMPLES.glob("[0-9][0-9].*"))

# Publishes a file, measures the reference with the real recogniser, and says so like a training.
LEARN = """
import hashlib, json
from personal_avatar.faces.registry import default_analyser
from personal_avatar.pictures import load_picture
payload = json.loads((folder / "job.json").read_text(encoding="utf-8"))["payload"]
emit(Progress(1, 2, loss=0.5))
while (folder / "control" / "hold").exists():
    control.check() if not control.asked("cancel") else sys.exit(1)
    time.sleep(0.02)
analyser = default_analyser(Path(payload["weights_folder"]))
picture = load_picture(Path(payload["photos"][0]))
reference = analyser.embed(picture, analyser.detect(picture)[0])
target = Path(payload["publish_to"]) / (payload["avatar"]["id"] + ".safetensors")
target.parent.mkdir(parents=True, exist_ok=True)
target.write_bytes(b"weights")
likeness = {"floor": 0.1, "after": 0.5, "ceiling": 0.9, "leakage": 0.0}
point = {"path": str(target), "sha256": hashlib.sha256(b"weights").hexdigest(), "step": 2, "method": "lora",
         "family": "sd1", "trigger": payload["avatar"]["trigger"], "likeness": likeness}
emit(Progress(2, 2, loss=0.4))
emit(Done({"files": [str(target)], "checkpoint": point, "checkpoints": [point], "reference": reference.tolist(),
           "recogniser": analyser.name, "dataset_fingerprint": "f", "seconds": 0.1, "leakage": 0.0,
           "likeness": {"floor": 0.1, "after": 0.5, "ceiling": 0.9, "recovered": 0.5}}))
"""


class DrawingHost(StandaloneHost):
    """Hands out the shipped drawings for pictures; trains with a script."""

    def __init__(self, data: Path, learn: str = LEARN) -> None:
        super().__init__(data)
        self.learn = learn
        self.requests: list[PictureRequest] = []

    def trainer(self) -> TrainerPython:
        return trainer(self._data / "bin", self.learn)

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        self.requests.append(request)
        drawings = [SAMPLES / "someone-else.jpg", GOOD[0], GOOD[3], SAMPLES / "no-face.jpg"]
        for number, seed in enumerate(request.seeds):
            on_step(1, 1)
            yield Picture(load_picture(drawings[number % 4]), seed, request.prompt)

    def restorers(self) -> tuple[str, ...]:
        return ("same",)

    def restore(self, image: np.ndarray, model: str, fidelity: float, prompt: str = "") -> np.ndarray:
        return image


def build_studio(folder: Path, weights: Path, learn: str = LEARN) -> Studio:
    """A studio in `folder` with avatar-tiny chosen and the face models of `weights`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").symlink_to(weights, target_is_directory=True)
    studio = Studio(DrawingHost(folder, learn))
    studio.install_tiny()
    return studio


def encoded(path: Path) -> str:
    """A file as the API takes it."""
    return base64.b64encode(path.read_bytes()).decode()
