"""Face restorers without a WebUI: CodeFormer, GFPGAN, RestoreFormer when their weights are there, and always "Redraw".

"Redraw" needs nothing more than the loaded checkpoint: image to image at low strength.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.errors import RestorerMissing

REDRAW = "Redraw"
MAX_STRENGTH = 0.5
# The best first; each is known by the beginning of its file's name, in small letters.
KNOWN = ("CodeFormer", "GFPGAN", "RestoreFormer")
LIBRARIES = ("spandrel", "torchvision")
EXTRA_LIBRARIES = {"CodeFormer": ("spandrel_extra_arches",)}
Redraw = Callable[[np.ndarray, float, str], np.ndarray]
Repaint = Callable[[np.ndarray, float], np.ndarray]
FaceNetwork = Callable[[Any, float], Any]


class Restorers:
    """`folder`: where weights of restorers lie; `face_weights`: where the face detector's lie."""

    def __init__(self, folder: Path, face_weights: Path, redraw: Redraw) -> None:
        self._folder, self._face_weights, self._redraw = folder, face_weights, redraw

    def names(self) -> tuple[str, ...]:
        """What works now, best first."""
        return (*self._files(), REDRAW)

    def restore(self, image: np.ndarray, model: str, fidelity: float, prompt: str = "") -> np.ndarray:
        """uint8 RGB (height, width, 3) -> the same with its faces restored. Raises `RestorerMissing`."""
        if model == REDRAW:
            return self._redraw(image, (1.0 - fidelity) * MAX_STRENGTH, prompt)
        file = self._files().get(model)
        if file is None:
            raise RestorerMissing(
                f"The restorer {model!r} is not installed.",
                f"Put its weights into {self._folder} and install {', '.join(_libraries(model))},"
                f" or use: {', '.join(self.names())}.",
            )
        from personal_avatar.faces.registry import default_analyser
        from personal_avatar.standalone.aligned import restore_faces

        network = load_network(model, file, file.stat().st_mtime_ns)
        return restore_faces(image, default_analyser(self._face_weights).detect(image), network, fidelity)

    def _files(self) -> dict[str, Path]:
        """Restorers whose weights and libraries are there."""
        if not self._folder.is_dir():
            return {}
        files = sorted(path for path in self._folder.rglob("*") if path.suffix in (".pth", ".safetensors"))
        matches = {name: [file for file in files if file.name.lower().startswith(name.lower())] for name in KNOWN}
        return {name: found[0] for name, found in matches.items() if found and _can_load(name)}


def _libraries(name: str) -> tuple[str, ...]:
    return (*LIBRARIES, *EXTRA_LIBRARIES.get(name, ()))


def _can_load(name: str) -> bool:
    """Whether the libraries for a restorer are installed; looks for them without importing them."""
    return all(importlib.util.find_spec(library) is not None for library in _libraries(name))


def redrawn(image: np.ndarray, strength: float, native_px: int, repaint: Repaint) -> np.ndarray:
    """`repaint` at the checkpoint's own size (longer side `native_px`, multiples of 8), brought back to the old one."""
    from PIL import Image

    height, width = image.shape[:2]
    scale = native_px / max(height, width)
    size = (max(8, round(width * scale / 8) * 8), max(8, round(height * scale / 8) * 8))
    if size == (width, height):
        return repaint(image, strength)
    fitted = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    result = Image.fromarray(repaint(fitted, strength))
    return np.asarray(result.resize((width, height), Image.Resampling.LANCZOS))


@lru_cache(maxsize=1)
def load_network(name: str, file: Path, _modified_ns: int) -> FaceNetwork:
    """A restorer on the best device. Raises `RestorerMissing`."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        network = _registry_loader()(device="cpu").load_from_file(file).model.to(device).eval()
    except Exception as error:
        raise RestorerMissing(f"{file.name} cannot be loaded ({error}).", "Download it again.") from error
    call = CALLS[name]
    return lambda pixels, fidelity: call(network, pixels.to(device), fidelity)


def _registry_loader() -> Any:
    """spandrel's loader, with the architectures of spandrel_extra_arches (CodeFormer) when that is installed."""
    import spandrel

    if importlib.util.find_spec("spandrel_extra_arches") is not None:
        import spandrel_extra_arches

        spandrel_extra_arches.install(ignore_duplicates=True)
    return spandrel.ModelLoader


def _kept(restored: Any, pixels: Any, fidelity: float) -> Any:
    """For networks without a fidelity of their own: that much of the original."""
    return restored + fidelity * (pixels - restored)


CALLS: dict[str, Callable[[Any, Any, float], Any]] = {
    "CodeFormer": lambda network, pixels, fidelity: network(pixels, weight=fidelity, adain=True)[0],
    "GFPGAN": lambda network, pixels, fidelity: _kept(network(pixels, return_rgb=False)[0], pixels, fidelity),
    "RestoreFormer": lambda network, pixels, fidelity: _kept(network(pixels)[0], pixels, fidelity),
}
