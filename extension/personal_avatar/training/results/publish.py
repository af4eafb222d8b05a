"""Putting the finished file where the host finds it, with preview and card, never over a file of the user's."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from personal_avatar import __version__, publishing
from personal_avatar.domain import Family, Goal, Method
from personal_avatar.erasure import erase_trained
from personal_avatar.errors import DiskFull, NotWritable
from personal_avatar.naming import named
from personal_avatar.networks import ALIAS
from personal_avatar.provenance import GENERATED, MADE_BY
from personal_avatar.storage import slug, write_bytes, write_json
from personal_avatar.training.files import free_stem
from personal_avatar.training.losses import is_velocity
from personal_avatar.training.methods.base import Subject, TrainingMethod
from personal_avatar.training.planning.plan import LoraPlan, TrainPlan
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.results.kohya_texts import Shown, hashes, texts_of_pictures, texts_of_steps

BASE_VERSIONS = {Family.SD1: "sd_v1", Family.SD2: "sd_v2", Family.SDXL: "sdxl_base_v1-0"}
CARD_VERSIONS = {Family.SD1: "SD1", Family.SD2: "SD2", Family.SDXL: "SDXL"}
KINDS = {Method.DREAMBOOTH: "", Method.TEXTUAL_INVERSION: "/textual-inversion"}
LORA_KIND = "/lora"
# Pictures in the folder of embeddings may themselves be embeddings; only this name is left alone by the WebUI.
PREVIEWS = {Method.TEXTUAL_INVERSION: ".preview.png"}
PREVIEW = ".png"
EMBEDDING_PREFIX = "pa-"
UNHASHED = "unhashed.safetensors"  # in the folder of the job, as long as its hashes are taken


@dataclass(frozen=True)
class Facts:
    """What is written into the file about how it was made. `trigger`: of its captions; `prediction`: what the
    checkpoint answers with; `mixed_precision`: "no", "fp16" or "bf16"; `shown`: the `pictures`; `started_s`: since
    1970, None where nobody knows."""

    family: Family
    trigger: str
    resolution_px: int
    pictures: int
    steps: int
    total_steps: int
    note: str = ""
    prediction: str = "epsilon"
    mixed_precision: str = "no"
    shown: tuple[Shown, ...] = ()
    started_s: float | None = None


def stem_for(task: TrainTask) -> str:
    """Name of the published file, before a number makes it free; an embedding must never be called like a word."""
    name = slug(task.avatar.name)
    return f"{EMBEDDING_PREFIX}{name}" if task.method is Method.TEXTUAL_INVERSION else name


def published_trigger(task: TrainTask, stem: str, trigger: str) -> str:
    """What the user writes into prompts: the captions' `trigger`; an embedding is called by the name of its file."""
    subject = Subject(trigger, task.avatar.class_noun)
    if task.method is not Method.TEXTUAL_INVERSION:
        return subject.trigger
    return f"{stem}{subject.trigger.removeprefix(subject.token)}"


def metadata(stem: str, task: TrainTask, plan: TrainPlan, facts: Facts) -> dict[str, str]:
    """Texts in the header of the file: `ss_*` as kohya's programs write them, `modelspec.*` the common ones."""
    spec = _modelspec(stem, task, facts)
    return spec if task.method is Method.DREAMBOOTH else {**_training(stem, task, plan, facts), **spec}


def _training(stem: str, task: TrainTask, plan: TrainPlan, facts: Facts) -> dict[str, str]:
    trigger = published_trigger(task, stem, facts.trigger)
    return {
        ALIAS: stem,
        "ss_sd_model_name": task.base.path.name,
        "ss_new_sd_model_hash": task.base.sha256,
        "ss_base_model_version": base_version(facts),
        "ss_v2": str(facts.family is Family.SD2),
        "ss_learning_rate": f"{plan.learning_rate:g}",
        "ss_resolution": f"({facts.resolution_px}, {facts.resolution_px})",
        "ss_num_train_images": str(sum(one.repeats for one in facts.shown) or facts.pictures),
        "ss_steps": str(facts.steps),
        "ss_max_train_steps": str(facts.total_steps),
        "ss_clip_skip": str(plan.clip_skip if facts.family is Family.SD1 else 1),
        "ss_zero_terminal_snr": str(task.base.zero_terminal_snr),
        "ss_seed": str(plan.seed),
        **texts_of_steps(task, plan, facts),
        **texts_of_pictures(facts.shown, *(one.split()[0] for one in (facts.trigger, trigger))),
        **(_network(plan) if isinstance(plan, LoraPlan) else {}),
    }


def base_version(facts: Facts) -> str:
    """As kohya's programs call it: `_v` behind the older families says velocity."""
    velocity = facts.family is not Family.SDXL and is_velocity(facts.prediction)
    return BASE_VERSIONS[facts.family] + ("_v" if velocity else "")


def _network(plan: LoraPlan) -> dict[str, str]:
    """Magnitudes of DoRA are a format of LyCORIS, which from 3.2 on takes them for those of the outputs unless it is
    told otherwise; the rest is kohya's own."""
    conv = {"conv_dim": plan.conv_rank, "conv_alpha": plan.conv_alpha} if plan.conv_rank else {}
    arguments = {**conv, **({"algo": "lora", "dora_wd": True, "wd_on_output": False} if plan.dora else {})}
    return {
        "ss_network_module": "lycoris.kohya" if plan.dora else "networks.lora",
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": f"{plan.alpha:g}",
        **({"ss_network_args": json.dumps(arguments)} if arguments else {}),
    }


def _modelspec(stem: str, task: TrainTask, facts: Facts) -> dict[str, str]:
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture(task.method, facts),
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": task.avatar.name,
        "modelspec.trigger_phrase": published_trigger(task, stem, facts.trigger),
        "modelspec.resolution": f"{facts.resolution_px}x{facts.resolution_px}",
        "modelspec.prediction_type": "v" if is_velocity(facts.prediction) else "epsilon",
        "modelspec.date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "modelspec.description": _description(task, facts),
        "personal_avatar.makes": GENERATED,
        MADE_BY: __version__,
        "personal_avatar.base": task.base.path.name,
        "personal_avatar.base_sha256": task.base.sha256,
    }


def _description(task: TrainTask, facts: Facts) -> str:
    """What the file is, for whoever finds it without us."""
    whom = "a style" if task.plan.get("goal") == Goal.STYLE.value else "one person or character"
    return f"Trained on {facts.pictures} pictures to put {whom} into pictures that a model makes; say so of these."


def architecture(method: Method, facts: Facts) -> str:
    """The specification's name of what was trained, and on what."""
    second = "stable-diffusion-v2-768-v" if is_velocity(facts.prediction) else "stable-diffusion-v2-512"
    bases = {Family.SD1: "stable-diffusion-v1", Family.SD2: second, Family.SDXL: "stable-diffusion-xl-v1-base"}
    return bases[facts.family] + KINDS.get(method, LORA_KIND)


def publish(
    method: TrainingMethod, task: TrainTask, plan: TrainPlan, facts: Facts, preview: Path | None, folder: Path
) -> tuple[Path, list[Path]]:
    """Save the loaded weights under a free name in `task.publish_to`, in the place of what an earlier attempt of the
    job in `folder` had published; returns the file, and all that was written. Free is what means no other file to the
    host, wherever it looks."""
    for left in publishing.begun(folder):
        erase_trained(left)
    stem = free_stem(task.publish_to, stem_for(task), *task.beside, of_lora=task.method.is_lora)
    file, texts = task.publish_to / f"{stem}.safetensors", metadata(stem, task, plan, facts)
    if task.method is not Method.DREAMBOOTH:
        texts |= _hashed(method, texts, folder / UNHASHED)
    publishing.note(folder, file, texts)
    method.save(file, texts)
    if preview is not None:
        write_bytes(file.with_suffix(PREVIEWS.get(task.method, PREVIEW)), preview.read_bytes())
    write_json(file.with_suffix(".json"), card(stem, task, facts))
    return file, [file, *sorted(path for path in file.parent.glob(f"{stem}.*") if path != file)]


def _hashed(method: TrainingMethod, texts: dict[str, str], place: Path) -> dict[str, str]:
    """Hashes of what `method` is about to save, which is written to `place` for as long; without the room, none."""
    try:
        method.save(place, {name: text for name, text in texts.items() if name.startswith("ss_")})
        return hashes(place)
    except Exception as error:
        if not isinstance(named(error), DiskFull | NotWritable):
            raise
        return {}
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)


def card(stem: str, task: TrainTask, facts: Facts) -> dict[str, str | float]:
    """User metadata of the WebUI's tabs of networks, embeddings and checkpoints."""
    trigger = published_trigger(task, stem, facts.trigger)
    found: dict[str, str | float] = {
        "description": f"{task.avatar.name}, trained on {facts.pictures} photos with {task.base.title}",
        "notes": f"{facts.note} In prompts: {trigger}.".strip(),
    }
    if task.method in KINDS:
        return found
    return {
        **found,
        "sd version": CARD_VERSIONS[facts.family],
        "activation text": trigger,
        "preferred weight": 1.0,
    }
