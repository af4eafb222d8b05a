"""The WebUI's upscalers, offered only when their weights are on the disk: nothing is downloaded unasked."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from modules import shared
from PIL import Image

from personal_avatar.errors import UpscalerMissing
from personal_avatar.problems import stated
from personal_avatar.webui.generation import turn

STEP_PX = 8  # the WebUI cuts results down to multiples of it


def available() -> tuple[str, ...]:
    """Names as in the WebUI's lists; those that only resample (None, Lanczos, Nearest) have no file."""
    return tuple(one.name for one in shared.sd_upscalers if _is_here(one))


def upscale(image: np.ndarray, name: str, factor: int) -> np.ndarray:
    """Wait for our turn in the queue, then enlarge a uint8 RGB picture `factor` times. Raises `UpscalerMissing`, also
    when the WebUI could not load the model: it then only resamples."""
    found = next((one for one in shared.sd_upscalers if one.name == name and _is_here(one)), None)
    if found is None:
        raise stated(UpscalerMissing, "failure.no_upscaler", upscaler=name)
    height, width = image.shape[:2]
    picture = Image.fromarray(np.pad(image, ((0, -height % STEP_PX), (0, -width % STEP_PX), (0, 0)), mode="edge"))
    with turn():
        made = found.scaler.upscale(picture, factor, found.data_path).convert("RGB")
    if np.array_equal(made, picture.resize(made.size, Image.Resampling.LANCZOS)):
        raise stated(UpscalerMissing, "failure.unused_upscaler", "remedy.console_weights", upscaler=name)
    return np.ascontiguousarray(np.asarray(made)[: height * factor, : width * factor])


def _is_here(one: Any) -> bool:
    """Whether its weights lie on the disk; an address stands where they would have to be downloaded."""
    path = one.local_data_path or one.data_path
    return bool(path) and Path(path).is_file()
