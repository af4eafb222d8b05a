"""Face restorers without a WebUI: CodeFormer, GFPGAN, RestoreFormer when their weights are there, and always "Redraw".

"Redraw" needs nothing more than the loaded checkpoint: image to image at low strength.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.restoration import networks
from personal_avatar.restoration.aligned import FaceNetwork
from personal_avatar.studio.second_pass import painted_large

REDRAW = "Redraw"
MAX_STRENGTH = 0.5
Redraw = Callable[[np.ndarray, float, str], np.ndarray]
Repaint = Callable[[np.ndarray, float], np.ndarray]


class Restorers:
    """`folder`: where weights of restorers lie; `weights`: where those lie that were fetched, the face detector's
    among them."""

    def __init__(self, folder: Path, weights: Path, redraw: Redraw) -> None:
        self._folder, self._weights, self._redraw = folder, weights, redraw

    def names(self) -> tuple[str, ...]:
        """What works now, best first."""
        return (*self._files(), REDRAW)

    def restore(
        self, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        """uint8 RGB (height, width, 3) -> the same with `face`, or all of its faces, restored. Raises
        `RestorerMissing`."""
        if model == REDRAW:
            return self._redraw(image, (1.0 - fidelity) * MAX_STRENGTH, prompt)
        file = networks.file_of(model, self._folders())
        if file is None:
            raise networks.missing(model, self._folder, self.names())
        from personal_avatar.faces.registry import default_analyser
        from personal_avatar.restoration.aligned import restore_faces

        faces = default_analyser(self._weights).detect(image) if face is None else [face]
        return restore_faces(image, faces, load_network(model, file), fidelity)

    def forget(self) -> None:
        """Keep no face in memory."""
        networks.forget()

    def _files(self) -> dict[str, Path]:
        """Restorers whose weights and libraries are there."""
        return networks.files_in(self._folders())

    def _folders(self) -> tuple[Path, ...]:
        return self._folder, self._weights / networks.FOLDER


def load_network(name: str, file: Path) -> FaceNetwork:
    """A restorer on the best device. Raises `RestorerMissing`."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = networks.network_of(name, file, file.stat().st_mtime_ns, networks.installed_loader)
    return networks.calling(name, network.to(device), device)


def redrawn(image: np.ndarray, strength: float, native_px: int, repaint: Repaint) -> np.ndarray:
    """`repaint` at the checkpoint's own size, see `painted_large`."""
    return painted_large(image, native_px, lambda fitted: repaint(fitted, strength))
