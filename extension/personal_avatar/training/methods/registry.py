"""Method -> class. A new method is one file with a class like `TrainingMethod`, and one line here."""

from __future__ import annotations

from importlib import import_module

from personal_avatar.domain import Method
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.plan import TrainPlan

METHODS: dict[Method, str] = {Method.LORA: "personal_avatar.training.methods.lora:Lora"}


def attach(method: Method, model: DiffusionModel, plan: TrainPlan) -> TrainingMethod:
    """Make `model` trainable by `method`."""
    module, _, name = METHODS[method].partition(":")
    return getattr(import_module(module), name)(model, plan)
