"""Upscalers without a WebUI: whatever network for it spandrel knows, by the files in our folder.

Without spandrel, or without a file, there is none: plain resampling adds nothing that training would not do itself.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from personal_avatar.errors import UpscalerMissing
from personal_avatar.problems import stated
from personal_avatar.storage import files_below

LIBRARIES = ("spandrel", "torchvision")
# Larger pictures are enlarged in tiles, and each is shown that much of what is around it.
TILE_PX, OVERLAP_PX = 256, 16
# uint8 RGB (height, width, 3) -> the same, as many times larger as the network makes it
Enlarge = Callable[[np.ndarray], np.ndarray]


class Upscalers:
    """`folder`: where weights lie; their names are those of the files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> tuple[str, ...]:
        return tuple(self._files())

    def upscale(self, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        """uint8 RGB -> the same `factor` times as high and wide. Raises `UpscalerMissing`."""
        file = self._files().get(name)
        if file is None:
            where = {"folder": self._folder, "packages": ", ".join(LIBRARIES)}
            raise stated(
                UpscalerMissing, "failure.no_upscaler", "remedy.put_weights", upscaler=repr(name), **where
            )
        enlarge, scale = load_network(file, file.stat().st_mtime_ns)
        size_px = (image.shape[1] * factor, image.shape[0] * factor)
        for _ in range(1 if scale >= factor else 2):
            image = tiled(image, enlarge, scale)
        made = Image.fromarray(image)
        return np.asarray(made if made.size == size_px else made.resize(size_px, Image.Resampling.LANCZOS))

    def _files(self) -> dict[str, Path]:
        """Weights that can be loaded here, by name."""
        if not self._folder.is_dir() or not all(importlib.util.find_spec(library) for library in LIBRARIES):
            return {}
        files = sorted(path for path in files_below(self._folder) if path.suffix in (".pth", ".safetensors"))
        return {file.stem: file for file in files}


def tiled(image: np.ndarray, enlarge: Enlarge, scale: int) -> np.ndarray:
    """uint8 RGB (height, width, 3) -> `scale` times as large, by tiles; each sees a little of its neighbours."""
    height, width = image.shape[:2]
    made = np.empty((height * scale, width * scale, 3), np.uint8)
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            above, beside = min(top, OVERLAP_PX), min(left, OVERLAP_PX)
            bottom, right = min(height, top + TILE_PX), min(width, left + TILE_PX)
            tile = enlarge(image[top - above : bottom + OVERLAP_PX, left - beside : right + OVERLAP_PX])
            rows = slice(above * scale, (above + bottom - top) * scale)
            columns = slice(beside * scale, (beside + right - left) * scale)
            made[top * scale : bottom * scale, left * scale : right * scale] = tile[rows, columns]
    return made


@lru_cache(maxsize=1)
def load_network(file: Path, _modified_ns: int) -> tuple[Enlarge, int]:
    """An upscaler on the best device, and how many times larger it makes pictures. Raises `UpscalerMissing`."""
    import spandrel
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        network = spandrel.ModelLoader(device="cpu").load_from_file(file)
    except Exception as error:
        values = {"file": file.name, "cause": error}
        raise stated(UpscalerMissing, "failure.not_loadable", "remedy.again", **values) from error
    if not isinstance(network, spandrel.ImageModelDescriptor) or network.scale < 2 or network.input_channels != 3:
        raise stated(UpscalerMissing, "failure.no_enlarger", "remedy.other_file", file=file.name)
    network = network.to(device).eval()
    return lambda image: _through(network, image, device), network.scale


def _through(network: Any, image: np.ndarray, device: Any) -> np.ndarray:
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        answer = network(pixels.to(device))[0].float().cpu()
    return (answer.clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8).numpy()
