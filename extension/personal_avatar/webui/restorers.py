"""The WebUI's face restorers, offered only when all their weights are on the disk: nothing is downloaded unasked."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from modules import codeformer_model, gfpgan_model, shared

from personal_avatar.errors import RestorerMissing
from personal_avatar.webui.generation import turn

CODEFORMER, GFPGAN = "CodeFormer", "GFPGAN"
FACE_HELPERS = ("detection_Resnet50_Final.pth", "parsing_parsenet.pth")


def available() -> tuple[str, ...]:
    """Names of the restorers that work now, best first."""
    return present(Path(shared.cmd_opts.codeformer_models_path), Path(shared.cmd_opts.gfpgan_models_path))


def present(codeformer: Path, gfpgan: Path) -> tuple[str, ...]:
    """Restorers whose weights lie in the two folders; both need the face detector and parser, which lie in GFPGAN's."""
    if not all((gfpgan / name).is_file() for name in FACE_HELPERS):
        return ()
    found = []
    if any(codeformer.glob("*.pth")):
        found.append(CODEFORMER)
    if any("GFPGAN" in path.name for path in gfpgan.glob("*.pth")):
        found.append(GFPGAN)
    return tuple(found)


def restore(image: np.ndarray, model: str, fidelity: float) -> np.ndarray:
    """Wait for our turn in the queue, then `restored`."""
    with turn():
        return restored(image, model, fidelity)


def restored(image: np.ndarray, model: str, fidelity: float) -> np.ndarray:
    """Restore the faces of a uint8 RGB picture; `fidelity` 0 (free) .. 1 (faithful). Only within the WebUI's queue.

    CodeFormer takes it as its weight w; GFPGAN knows none, its result is mixed with the original instead.
    Raises `RestorerMissing`, also when the WebUI could not load the model: it then returns the picture as it was.
    """
    if model not in available():
        raise RestorerMissing(f"The face restorer {model} is not installed.")
    made = _codeformer(image, fidelity) if model == CODEFORMER else _gfpgan(image, fidelity)
    if made is image:
        raise RestorerMissing(f"The WebUI could not load {model}.", "Its console says why; get the weights again.")
    return np.ascontiguousarray(made, dtype=np.uint8)


def _codeformer(image: np.ndarray, fidelity: float) -> Any:
    return codeformer_model.codeformer.restore(image, w=fidelity)


def _gfpgan(image: np.ndarray, fidelity: float) -> Any:
    restored = gfpgan_model.gfpgan_fix_faces(image)
    if restored is image:
        return image
    mixed = image.astype(np.float32) * fidelity + restored.astype(np.float32) * (1.0 - fidelity)
    return mixed.round().clip(0, 255)
