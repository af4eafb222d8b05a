"""Photos that are too small for their pictures, enlarged by the host's upscaler before pictures are cut."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from personal_avatar.domain import PhotoReport
from personal_avatar.photos.crop import Window
from personal_avatar.photos.examine import limits
from personal_avatar.photos.framing import factor_for, frame
from personal_avatar.photos.read import read_photo
from personal_avatar.photos.settings import PhotoSettings

# Around the part that is needed: what lies at its edge is enlarged as if it went on.
AROUND_PX = 16
_NAME = re.compile(r"[0-9a-f]{64}_(\d+)_(\d+)_x(\d+)")

# uint8 RGB (height, width, 3), factor -> the same `factor` times as large
Upscale = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Part:
    """A part of a photo, `factor` times as large: uint8 RGB, and where in the photo its upper left corner was."""

    image: np.ndarray
    corner_px: tuple[int, int]
    factor: int

    def window(self, window: Window) -> Window:
        """A window in the photo as one in this part."""
        across, down = (
            (centre - corner) * self.factor for centre, corner in zip(window.centre_px, self.corner_px, strict=True)
        )
        width, height = window.size_px
        return Window((across, down), (width * self.factor, height * self.factor), window.tilt_deg)


def enlarge(
    report: PhotoReport,
    folder: Path,
    *,
    resolution_px: int,
    settings: PhotoSettings,
    upscale: Upscale,
    on_progress: Callable[[int, int], None],
) -> int:
    """Write to `folder`, in place of what this wrote there before, of each accepted photo that is too small what its
    picture shows; returns how many there were. `on_progress(done, total)` may raise to stop."""
    for earlier in _parts(folder):
        earlier.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for number, verdict in enumerate(report.accepted):
        on_progress(number, len(report.accepted))
        photo, image = read_photo(verdict.path, limits(settings))
        face, size_px = verdict.face, photo.size_px
        factor = factor_for(face, size_px, resolution_px, settings, settings.framing)
        if factor == 1:
            continue
        window, _ = frame(face, size_px, resolution_px, settings, settings.framing, factor)
        left, top, right, bottom = _around(window, size_px)
        large = upscale(image[top:bottom, left:right], factor)
        Image.fromarray(large).save(folder / f"{photo.sha256}_{left}_{top}_x{factor}.png", format="PNG")
        made += 1
    on_progress(len(report.accepted), len(report.accepted))
    return made


def enlarged(folder: Path | None) -> dict[str, Path]:
    """What `enlarge` wrote to `folder`, by the photo's SHA-256."""
    return {file.stem[:64]: file for file in (_parts(folder) if folder is not None else ())}


def _parts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.png") if _NAME.fullmatch(file.stem))


def part_in(file: Path) -> Part:
    """Read one of the files of `enlarged`."""
    found = _NAME.fullmatch(file.stem)
    if found is None:
        raise ValueError(f"{file.name} is no part of a photo")
    left, top, factor = (int(number) for number in found.groups())
    with Image.open(file) as picture:
        return Part(np.array(picture.convert("RGB")), (left, top), factor)


def _around(window: Window, photo_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a photo that a window needs: left, top, right, bottom."""
    (x, y), (across, down) = window.centre_px, window.reach_px
    left, top = (max(0, math.floor(at - reach) - AROUND_PX) for at, reach in ((x, across), (y, down)))
    right, bottom = (
        min(end, math.ceil(at + reach) + AROUND_PX)
        for at, reach, end in ((x, across, photo_px[0]), (y, down, photo_px[1]))
    )
    return left, top, right, bottom
