"""Family -> module that loads it. A new family: a file with `load(source)`, one line here."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.detect import UNKNOWN, detect, read_shapes
from personal_avatar.training.families.loading import Source, named_layout_errors
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.probe import probe
from personal_avatar.wording import FAMILIES

LOADERS: dict[Family, str] = {
    Family.SD1: "personal_avatar.training.families.sd1",
    Family.SD2: "personal_avatar.training.families.sd2",
    Family.SDXL: "personal_avatar.training.families.sdxl",
}


def supported(base: BaseModelFile) -> Family:
    """The family of the file as its tensors show it. Raises `BaseNotFound`, `BaseUnsupported`."""
    return detect(read_shapes(base.path), base.path.name)


def load(base: BaseModelFile, compute: Compute, resolution_px: int) -> DiffusionModel:
    """The checkpoint in memory, frozen; `base` of the model says for certain what its network answers with.

    Raises `BaseNotFound`, `BaseUnsupported`.
    """
    base = replace(base, family=supported(base))
    with named_layout_errors(base, FAMILIES[base.family]):
        model = import_module(LOADERS[base.family]).load(Source(base, compute, resolution_px))
    if base.prediction == UNKNOWN:
        model.base = replace(base, prediction=probe(model))
    return model
