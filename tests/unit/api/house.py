"""A studio for tests of the doors: the real one, on a host that hands out drawings and trains with a script.

Everything else is real: folders, checkpoint, queue, child processes, detector, recogniser, ranking.
"""
from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.faces.registry import default_analyser
from personal_avatar.host import Picture, PictureRequest, Rules, TrainerPython
from personal_avatar.pictures import load_picture
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio

from tests.unit.jobs.children import trainer

ASSETS = Path(__file__).resolve().parents[3] / "extension" / "personal_avatar" / "assets"
SAMPLES = ASSETS / "samples"
GOOD = sorted(SAMPLES.glob("[0-9][0-9].*"))

# Publishes a file and says so like a training; the reference was measured by the real recogniser.
LEARN = """
import hashlib, json
job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
payload = job["payload"].get("training", job["payload"])
if job["kind"] == "one-photo":
    emit(Done({"method": "one-photo", "engine": "diffusers", "base": payload["base"]["title"], "files": [],
               "dataset_fingerprint": "f", "likeness": {"floor": 0.1, "after": 0.34, "ceiling": 0.9, "recovered": 0.3},
               "leakage": 0.21, "prompt_following": 0.9, "diversity": 0.7, "seconds": 4.2, "peak_memory_gb": 1.1,
               "samples": payload["photos"][:2]}))
    sys.exit(0)
emit(Progress(1, 2, loss=0.5))
while (folder / "control" / "hold").exists():
    control.check() if not control.asked("cancel") else sys.exit(1)
    time.sleep(0.02)
measured = json.loads(Path(sys.argv[0]).with_name("reference.json").read_text())
target = Path(payload["publish_to"]) / (payload["avatar"]["id"] + ".safetensors")
target.parent.mkdir(parents=True, exist_ok=True)
kind = "resemblance" if payload["plan"].get("goal") == "style" else "likeness"
whole = payload["method"] == "dreambooth"  # such a file is a checkpoint like its base
told = json.dumps({"__metadata__": {"personal_avatar.version": "0", "job": job["id"]}}).encode()
weights = len(told).to_bytes(8, "little") + told
target.write_bytes(Path(payload["base"]["path"]).read_bytes() if whole else weights)
likeness = {"floor": 0.1, "after": 0.5, "ceiling": 0.9, "leakage": 0.0}
point = {"path": str(target), "sha256": hashlib.sha256(target.read_bytes()).hexdigest(), "step": 2,
         "method": payload["method"], "family": "sd1", "trigger": payload["avatar"]["trigger"], "likeness": likeness}
(folder / "report.html").write_text(f"<h1>The report of {folder.name}</h1>")
emit(Progress(2, 2, loss=0.4))
emit(Done({"files": [str(target)], "checkpoint": point, "checkpoints": [point], "reference": measured["reference"],
           "recogniser": measured["recogniser"], "dataset_fingerprint": "f", "seconds": 0.1, "leakage": 0.01,
           "prompt_following": 0.97, "method": payload["method"], "engine": payload["engine"],
           "base": payload["base"]["title"], "diversity": 0.8, "peak_memory_gb": 1.2, "prompt": "<lora:x:1> sks",
           "choice": "The checkpoint of step 2 was chosen of 3.", "advice": ["Only 3 photos were used: add some."],
           "report": str(folder / "report.html"), "samples": payload["photos"][:2],
           kind: {"floor": 0.1, "after": 0.5, "ceiling": 0.9, "recovered": 0.5}}))
"""


def failing(method: str) -> str:
    """`LEARN`, where trainings by `method` run out of a card's memory."""
    fail = (
        f'if payload["method"] == "{method}" and job["kind"] == "train":\n'
        '    emit(Failed({"code": "OUT_OF_VRAM", "message": "8 GB were not enough.", "hint": "Try rank=8."}))\n'
        "    sys.exit(1)\n"
    )
    return LEARN.replace('if job["kind"] == "one-photo":', fail + 'if job["kind"] == "one-photo":', 1)


class DrawingHost(StandaloneHost):
    """Hands out the shipped drawings for pictures; trains with a script."""

    def __init__(self, data: Path, learn: str = LEARN, rules: Rules = Rules()) -> None:  # noqa: B008  frozen
        super().__init__(data, rules=rules)
        write_json(data / "bin" / "reference.json", measured((data / "weights").resolve()))
        self.learn = learn
        self.requests: list[PictureRequest] = []

    def trainer(self) -> TrainerPython:
        return trainer(self._data / "bin", self.learn)

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        self.requests.append(request)
        drawings = [SAMPLES / "someone-else.jpg", GOOD[0], GOOD[3], SAMPLES / "no-face.jpg"]
        for number, seed in enumerate(request.seeds):
            on_step(1, 1)
            yield Picture(load_picture(drawings[number % 4])[::2, ::2].copy(), seed, request.prompt)

    def refuse_unknown(self, sampler: str, prompt: str) -> None:
        """It draws the same whatever it is asked for."""

    def forget(self) -> None:
        """It reads no photos."""

    def pose_problem(self) -> str:
        return "This host makes no pictures after a pose."

    def restorers(self) -> tuple[str, ...]:
        return ("same",)

    def restore(
        self, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        return image


@lru_cache
def analyser(weights: Path) -> FaceAnalyser:
    """The real one, loaded once for all tests."""
    return default_analyser(weights)


@lru_cache
def measured(weights: Path) -> dict[str, Any]:
    """What the recogniser says of the first drawing."""
    reader, picture = analyser(weights), load_picture(GOOD[0])
    return {"recogniser": reader.name, "reference": reader.embed(picture, reader.detect(picture)[0]).tolist()}


def build_studio(folder: Path, weights: Path, learn: str = LEARN) -> Studio:
    """A studio in `folder` with avatar-tiny chosen and the face models of `weights`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").symlink_to(weights, target_is_directory=True)
    studio = Studio(DrawingHost(folder, learn))
    studio._analyser = analyser(weights.resolve())
    studio.install_tiny()
    return studio


def own_weights(data: Path) -> Path:
    """A folder of weights that a test may put more into: that of the face models, which all tests share, is linked."""
    folder = data / "weights"
    shared = folder.resolve()
    folder.unlink()
    folder.mkdir()
    for path in shared.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def encoded(path: Path) -> str:
    """A file as the API takes it."""
    return base64.b64encode(path.read_bytes()).decode()
