"""One photo -> one training picture: cut, its background as wished, and its mask."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.domain import Face, Look, Photo
from personal_avatar.photos.background import replaced
from personal_avatar.photos.crop import Crop, Window, cut
from personal_avatar.photos.enlarge import part_in
from personal_avatar.photos.framing import frame
from personal_avatar.photos.kohya import Origin, mask_pixels
from personal_avatar.photos.mask import head_mask, within
from personal_avatar.photos.matting import Matting, persons
from personal_avatar.photos.settings import ELLIPSE, KEEP, NETWORK, PORTRAIT, PhotoSettings

GIVEN = "given"


@dataclass(frozen=True)
class Sitting:
    """A photo with what is known of it; `pixels`: uint8 RGB (height, width, 3)."""

    photo: Photo
    pixels: np.ndarray
    face: Face | None
    look: Look = Look.PHOTO
    origin: Origin = Origin()


@dataclass(frozen=True)
class Made:
    """A training picture, uint8 RGB, its mask, uint8 of its size, and what the manifest says of both."""

    image: np.ndarray
    mask: np.ndarray | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Cutter:
    """How all photos of a dataset are cut. `enlarged`: parts that an upscaler made, by SHA-256 of their photos.

    The network is not asked about drawings: of eleven kinds it lost hair or clothes in four.
    """

    settings: PhotoSettings
    resolution_px: int
    matting: Matting | None = None
    enlarged: Mapping[str, Path] = field(default_factory=dict)

    def trained(self, sitting: Sitting) -> Made:
        """A picture to learn from."""
        crop, window = self._cut(sitting, self.settings.framing, self.enlarged.get(sitting.photo.sha256))
        matte = self._matte(sitting, crop, window)
        image = crop.image if matte is None else replaced(crop.image, matte, self.settings)
        mask = self._mask(sitting, crop, window, matte)
        told = {
            "background": self.settings.background if matte is not None else KEEP,
            "mask": _told(sitting, mask, matte),
        }
        return Made(image, mask, {**self._facts(crop, window), **told})

    def held_out(self, sitting: Sitting) -> Made:
        """A picture to measure likeness on: a portrait in every framing, with nothing but the photo in it."""
        crop, window = self._cut(sitting, PORTRAIT, None)
        return Made(crop.image, None, {**self._facts(crop, window), "background": KEEP, "mask": None})

    def _cut(self, sitting: Sitting, framing: str, enlarged: Path | None) -> tuple[Crop, Window]:
        """The crop, and its window in the photo."""
        part = part_in(enlarged) if enlarged is not None else None
        factor = part.factor if part is not None else 1
        size_px = sitting.photo.size_px
        window, made_px = frame(sitting.face, size_px, self.resolution_px, self.settings, framing, factor)
        if part is None:
            return cut(sitting.pixels, window, made_px), window
        return cut(part.image, part.window(window), made_px), window

    def _matte(self, sitting: Sitting, crop: Crop, window: Window) -> np.ndarray | None:
        """How much of each pixel is this person; None where nobody can tell."""
        if self.matting is None or sitting.face is None or sitting.look is not Look.PHOTO:
            return None
        height, width = crop.image.shape[:2]
        seen = self.matting(crop.image) * within(sitting.photo.size_px, window, (width, height))
        return persons(seen.astype(np.float32), sitting.face, window)

    def _mask(self, sitting: Sitting, crop: Crop, window: Window, matte: np.ndarray | None) -> np.ndarray | None:
        height, width = crop.image.shape[:2]
        given = mask_pixels(sitting.origin, sitting.photo.size_px)
        if given is not None:
            shown = cut(np.repeat(given[:, :, None], 3, axis=2), window, (width, height)).image[:, :, 0]
            inside: np.ndarray = shown * within(sitting.photo.size_px, window, (width, height))
            return inside
        if sitting.face is None:
            return None
        return head_mask(sitting.face, sitting.photo.size_px, window, (width, height), matte)

    def _facts(self, crop: Crop, window: Window) -> dict[str, Any]:
        scale = crop.image.shape[1] / window.size_px[0]
        return {
            "centre_px": [round(value, 1) for value in window.centre_px],
            "size_px": [round(value, 1) for value in window.size_px],
            "tilt_deg": round(window.tilt_deg, 1),
            "scale": round(scale, 3),
            "upscaled": round(scale / crop.scale),
            "enlarged_too_much": crop.scale > self.settings.max_upscale + 1e-6,
            "padded": crop.padded,
        }


def _told(sitting: Sitting, mask: np.ndarray | None, matte: np.ndarray | None) -> str | None:
    """Where a mask is from."""
    if mask is None:
        return None
    if sitting.origin.mask is not None:
        return GIVEN
    return ELLIPSE if matte is None else NETWORK
