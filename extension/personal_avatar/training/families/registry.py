"""Family -> module that loads it. A new family: a file with `load(source)`, one line here."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.training import libraries
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.detect import UNKNOWN, VELOCITY, detect, prediction
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.families.loading import Source, named_layout_errors
from personal_avatar.training.families.marks import Mark
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.probe import probe
from personal_avatar.training.families.sidecar import read_params
from personal_avatar.wording import FAMILIES

LOADERS: dict[Family, str] = {
    Family.SD1: "personal_avatar.training.families.sd1",
    Family.SD2: "personal_avatar.training.families.sd2",
    Family.SDXL: "personal_avatar.training.families.sdxl",
}


def supported(base: BaseModelFile) -> Family:
    """The family of the file as its tensors show it. Raises `BaseNotFound`, `BaseUnsupported`."""
    return detect(read_shapes(base.path), base.path.name)


def as_found(base: BaseModelFile) -> BaseModelFile:
    """`base` as its file is now, which may have been replaced since a training was asked for: what its network answers
    with, and zero terminal SNR, is taken from the file where that tells.

    Raises `BaseNotFound`; `BaseUnsupported`, also for one of another family than it had, which would need another plan.
    """
    shapes = read_shapes(base.path)
    family = detect(shapes, base.path.name)
    if family is not base.family:
        values = {"file": base.path.name, "before": FAMILIES[base.family], "now": FAMILIES[family]}
        raise stated(BaseUnsupported, "base.replaced", "remedy.new_job", **values)
    answers, zero_terminal_snr = prediction(shapes, read_params(base) or None)
    if answers in (UNKNOWN, base.prediction):
        return replace(base, zero_terminal_snr=zero_terminal_snr or base.zero_terminal_snr)
    return replace(base, prediction=answers, zero_terminal_snr=zero_terminal_snr)


def load(
    base: BaseModelFile, compute: Compute, resolution_px: int, *, text_apart: bool = False, text_as_stored: bool = False
) -> DiffusionModel:
    """`read_in`, but `base` of the model says for certain what its network answers with: velocity where something tells
    so, else what the network itself shows."""
    model = read_in(base, compute, resolution_px, text_apart=text_apart, text_as_stored=text_as_stored)
    if model.base.prediction != VELOCITY:
        model.base = replace(model.base, prediction=probe(model, model.base.prediction))
    return model


def read_in(
    base: BaseModelFile, compute: Compute, resolution_px: int, *, text_apart: bool = False, text_as_stored: bool = False
) -> DiffusionModel:
    """The checkpoint in memory, frozen; nothing is asked of its network. `text_apart`, `text_as_stored`: see `Source`.

    Raises `BaseNotFound`, `BaseUnsupported`, `TrainerMissing`.
    """
    base = replace(base, family=supported(base))
    libraries.needed()
    with named_layout_errors(base, FAMILIES[base.family]):
        mark = Mark.of(base.path)
        source = Source(base, compute, resolution_px, text_apart, text_as_stored)
        model: DiffusionModel = import_module(LOADERS[base.family]).load(source)
    model.mark = mark
    return model
