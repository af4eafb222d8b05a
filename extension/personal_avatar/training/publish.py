"""Putting the finished file where the host finds it, with preview and card, never over a file of the user's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from personal_avatar import __version__
from personal_avatar.domain import Family
from personal_avatar.storage import slug, write_bytes, write_json
from personal_avatar.training.files import free_stem
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.plan import LoraPlan, TrainPlan, TrainTask

ARCHITECTURES = {Family.SD1: "stable-diffusion-v1/lora"}
BASE_VERSIONS = {Family.SD1: "sd_v1"}
CARD_VERSIONS = {Family.SD1: "SD1"}


@dataclass(frozen=True)
class Facts:
    """What is written into the file about how it was made."""

    family: Family
    resolution_px: int
    pictures: int
    steps: int
    total_steps: int
    note: str = ""


def metadata(stem: str, task: TrainTask, plan: TrainPlan, facts: Facts) -> dict[str, str]:
    """Texts in the header of the file: `ss_*` is what the WebUI reads, `modelspec.*` the common specification."""
    return {
        "ss_output_name": stem,
        "ss_sd_model_name": task.base.path.name,
        "ss_new_sd_model_hash": task.base.sha256,
        "ss_base_model_version": BASE_VERSIONS[facts.family],
        "ss_v2": "False",
        "ss_learning_rate": f"{plan.learning_rate:g}",
        "ss_resolution": f"({facts.resolution_px}, {facts.resolution_px})",
        "ss_num_train_images": str(facts.pictures),
        "ss_steps": str(facts.steps),
        "ss_max_train_steps": str(facts.total_steps),
        "ss_seed": str(plan.seed),
        "ss_tag_frequency": json.dumps({stem: {task.avatar.trigger: facts.pictures}}),
        **(_network(plan) if isinstance(plan, LoraPlan) else {}),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": ARCHITECTURES[facts.family],
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": task.avatar.name,
        "modelspec.trigger_phrase": task.avatar.trigger,
        "modelspec.resolution": f"{facts.resolution_px}x{facts.resolution_px}",
        "modelspec.prediction_type": "v" if task.base.prediction.startswith("v") else "epsilon",
        "modelspec.date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "personal_avatar.version": __version__,
    }


def _network(plan: LoraPlan) -> dict[str, str]:
    conv = {"ss_network_args": json.dumps({"conv_dim": plan.conv_rank, "conv_alpha": plan.conv_alpha})}
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": f"{plan.alpha:g}",
        **(conv if plan.conv_rank else {}),
    }


def publish(
    method: TrainingMethod, task: TrainTask, plan: TrainPlan, facts: Facts, preview: Path | None
) -> tuple[Path, list[Path]]:
    """Save the loaded weights under a free name in `task.publish_to`; returns the file, and all that was written."""
    stem = free_stem(task.publish_to, slug(task.avatar.name))
    file = task.publish_to / f"{stem}.safetensors"
    method.save(file, metadata(stem, task, plan, facts))
    written = [file]
    if preview is not None:
        write_bytes(file.with_suffix(".png"), preview.read_bytes())
        written.append(file.with_suffix(".png"))
    write_json(file.with_suffix(".json"), card(task, facts))
    return file, [*written, file.with_suffix(".json")]


def card(task: TrainTask, facts: Facts) -> dict[str, str | float]:
    """User metadata of the WebUI's Lora tab."""
    return {
        "description": f"{task.avatar.name}, trained on {facts.pictures} photos with {task.base.title}",
        "sd version": CARD_VERSIONS[facts.family],
        "activation text": task.avatar.trigger,
        "preferred weight": 1.0,
        "notes": facts.note,
    }
