"""What kohya's sd-scripts write into a file about its training, in their words, which the WebUI's cards and other
programs read: `ss_*`, and hashes of the tensors. What is not known is left out. No torch."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.captions.wording import parts, renamed
from personal_avatar.domain import Engine
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import LoraPlan, TrainPlan
from personal_avatar.training.planning.rates import has_own_schedule
from personal_avatar.training.planning.task import TrainTask

if TYPE_CHECKING:
    from personal_avatar.training.results.publish import Facts

FOLDER = "{}_pictures"  # of those that are shown so often in an epoch; names of anybody's folders are nobody's business
OLD_HASH_AT, OLD_HASH_BYTES, OLD_HASH_DIGITS = 0x100000, 0x10000, 8
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Shown:
    """A picture that was trained on: with which words, (width, height), and how often in an epoch."""

    caption: str
    size_px: tuple[int, int]
    repeats: int = 1


def texts_of_steps(task: TrainTask, plan: TrainPlan, facts: Facts) -> dict[str, str]:
    """When and how it was trained. By sd-scripts, batches are what it makes of the plan."""
    found = {
        "ss_training_finished_at": str(time.time()),
        "ss_optimizer": OPTIMISERS[plan.optimiser].called,
        "ss_mixed_precision": facts.mixed_precision,
        "ss_noise_offset": str(plan.noise_offset or None),
        "ss_min_snr_gamma": str(plan.min_snr_gamma or None),
    }
    if facts.started_s is not None:
        found["ss_training_started_at"] = str(facts.started_s)
    if plan.prior_weight > 0:
        found["ss_prior_loss_weight"] = f"{plan.prior_weight:g}"
    if not has_own_schedule(plan):
        found |= {"ss_lr_scheduler": _schedule(plan), "ss_lr_warmup_steps": str(plan.warmup_steps)}
    if isinstance(plan, LoraPlan):
        found["ss_unet_lr"] = f"{plan.learning_rate:g}"
        found["ss_text_encoder_lr"] = f"{plan.text_encoder_learning_rate:g}" if plan.trains_text else "None"
    return found if task.engine is Engine.KOHYA else {**found, **_batches(plan, facts)}


def _schedule(plan: TrainPlan) -> str:
    """A cosine that ends above nothing, as ours does, has a name of its own there."""
    if plan.schedule == "cosine":
        return "cosine_with_min_lr"
    return "constant_with_warmup" if plan.warmup_steps else "constant"


def _batches(plan: TrainPlan, facts: Facts) -> dict[str, str]:
    together = plan.batch_size * plan.accumulate
    found = {
        "ss_batch_size_per_device": str(plan.batch_size),
        "ss_gradient_accumulation_steps": str(plan.accumulate // plan.gpus),
        "ss_total_batch_size": str(together),
    }
    epoch = sum(one.repeats for one in facts.shown) * (2 if plan.flip else 1)
    if epoch:
        found["ss_num_epochs"] = str(math.ceil(facts.total_steps * together / epoch))
    return found


def texts_of_pictures(shown: Sequence[Shown], word: str, published: str) -> dict[str, str]:
    """How many of which sizes, and how often what is said of them. `published`: what prompts say for the `word` of
    captions."""
    if not shown:
        return {}
    folders: dict[str, list[Shown]] = {}
    for one in shown:
        folders.setdefault(FOLDER.format(one.repeats), []).append(one)
    sizes: Counter[tuple[int, int]] = Counter()
    for one in shown:
        sizes[one.size_px] += one.repeats
    buckets = {str(number): {"resolution": size, "count": sizes[size]} for number, size in enumerate(sorted(sizes))}
    return {
        "ss_bucket_info": json.dumps({"buckets": buckets}),
        "ss_dataset_dirs": json.dumps(
            {name: {"n_repeats": those[0].repeats, "img_count": len(those)} for name, those in folders.items()}
        ),
        "ss_tag_frequency": json.dumps({
            name: _tags(renamed(one.caption, word, published) for one in those) for name, those in folders.items()
        }),
    }


def _tags(captions: Iterable[str]) -> dict[str, int]:
    """How many captions say what between their commas, in small letters."""
    return dict(Counter(tag.lower() for caption in captions for tag in parts(caption)))


def hashes(path: Path) -> dict[str, str]:
    """By which the tensors of a safetensors file are known, whatever texts lie with them; the old one counts from the
    file's beginning, which must hold the `ss_*` texts and no others. Raises `OSError`."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(8 + length)
        while chunk := file.read(CHUNK_BYTES):
            whole.update(chunk)
        file.seek(OLD_HASH_AT)
        old = hashlib.sha256(file.read(OLD_HASH_BYTES)).hexdigest()[:OLD_HASH_DIGITS]
    return {
        "sshs_model_hash": whole.hexdigest(),
        "sshs_legacy_hash": old,
        "modelspec.hash_sha256": f"0x{whole.hexdigest()}",
    }
