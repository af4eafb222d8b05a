"""Family -> module that loads it. A new family: a file with `load(base, compute, resolution_px)`, one line here."""

from __future__ import annotations

from importlib import import_module

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.detect import detect, read_shapes
from personal_avatar.training.families.model import DiffusionModel

LOADERS: dict[Family, str] = {Family.SD1: "personal_avatar.training.families.sd1"}
SPOKEN = {Family.SD1: "Stable Diffusion 1.x", Family.SD2: "Stable Diffusion 2.x", Family.SDXL: "Stable Diffusion XL"}


def supported(base: BaseModelFile) -> Family:
    """The family of the file as its tensors show it. Raises `BaseNotFound`, `BaseUnsupported`."""
    family = detect(read_shapes(base.path), base.path.name)
    if family not in LOADERS:
        known = ", ".join(SPOKEN[one] for one in LOADERS)
        raise BaseUnsupported(
            f"{base.path.name} is a {SPOKEN[family]} checkpoint; training works with: {known}.",
            f"Load a {known} checkpoint.",
        )
    return family


def load(base: BaseModelFile, compute: Compute, resolution_px: int) -> DiffusionModel:
    """The checkpoint in memory, frozen. Raises `BaseNotFound`, `BaseUnsupported`."""
    return import_module(LOADERS[supported(base)]).load(base, compute, resolution_px)
