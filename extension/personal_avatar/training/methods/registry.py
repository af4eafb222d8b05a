"""Method -> class. A new method is one file with a class like `TrainingMethod`, and one line here."""

from __future__ import annotations

from importlib import import_module

from personal_avatar.domain import Method
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import Subject, TrainingMethod
from personal_avatar.training.planning.plan import TrainPlan

_HERE = "personal_avatar.training.methods"
METHODS: dict[Method, str] = {
    Method.LORA: f"{_HERE}.lora:Lora",
    Method.DREAMBOOTH_LORA: f"{_HERE}.lora:Lora",
    Method.DREAMBOOTH: f"{_HERE}.dreambooth:Dreambooth",
    Method.TEXTUAL_INVERSION: f"{_HERE}.textual_inversion:TextualInversion",
}


def attach(method: Method, model: DiffusionModel, plan: TrainPlan, *, trigger: str, class_noun: str) -> TrainingMethod:
    """Make `model` trainable by `method`; `plan` is of the class that `plan.PLANS` names for it."""
    module, _, name = METHODS[method].partition(":")
    return getattr(import_module(module), name)(model, plan, Subject(trigger, class_noun))
