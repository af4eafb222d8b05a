"""The prepared pictures in the layout of sd-scripts, and the TOML file that tells it of them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.captions.wording import renamed
from personal_avatar.domain import Dataset, Method
from personal_avatar.training.data.captions import without_subject
from personal_avatar.training.data.classes import ClassPictures
from personal_avatar.training.planning.plan import PREDICTION, TrainPlan

if TYPE_CHECKING:
    from PIL import Image

# An epoch shorter than this is made longer by repeats: its last batch is rarely full, and it begins anew after each.
EPOCH_BATCHES = 50
BUCKET_STEPS_PX = 64
TOKEN = "pavatarx"  # the word that a textual inversion trains; CLIP does not know it


@dataclass(frozen=True)
class Item:
    """One picture to train on: a file, or uint8 RGB. `mask`: a grey picture of its size, white counts fully."""

    image: Path | np.ndarray
    caption: str
    mask: Path | None = None
    repeats: int = 1


@dataclass(frozen=True)
class Group:
    """Pictures that sd-scripts treats alike. `is_class`: they hold the class; `own_answers`: the target is what the
    untrained checkpoint answers to them."""

    folder: Path
    repeats: int
    is_class: bool = False
    own_answers: bool = False


def items_of(dataset: Dataset, plan: TrainPlan, method: Method) -> list[Item]:
    """The person's pictures; in textual inversion the trained word stands in the place of the trigger."""
    masks = plan.unmasked_weight < 1
    items = []
    for sample in dataset.samples:
        mask = dataset.folder / sample.mask if masks and sample.mask else None
        items.append(
            Item(dataset.folder / sample.image, spoken(sample.caption, dataset.trigger, method), mask, sample.repeats)
        )
    return items


def spoken(text: str, trigger: str, method: Method) -> str:
    """`text` as it must be said while training: in textual inversion the trigger's first word becomes `TOKEN`, also
    where it stands alone."""
    return renamed(text, trigger.split()[0], TOKEN) if method is Method.TEXTUAL_INVERSION else text


def class_items(dataset: Dataset, plan: TrainPlan, found: ClassPictures | None) -> list[Item]:
    """What holds the class: its pictures with their captions, or the person's own, called by the class noun."""
    if plan.prior_weight <= 0:
        return []
    if plan.prior_from == PREDICTION:
        own = items_of(dataset, plan, Method.LORA)
        return [
            replace(item, caption=without_subject(item.caption, dataset, plan.is_style), mask=None) for item in own
        ]
    return [Item(*pair) for pair in zip(found.images, found.captions, strict=True)] if found else []


def write_groups(folder: Path, items: Sequence[Item], classes: Sequence[Item], plan: TrainPlan) -> list[Group]:
    """Put all pictures and captions below `folder`, which is made anew.

    sd-scripts does not make masks count 1 on average as our loop does: pictures of the class, which have none, are made
    as weak as the person's are by theirs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    groups = []
    factor = more_repeats(items, len(classes), plan.batch_size)
    for repeats in sorted({item.repeats for item in items}):
        group = Group(folder / f"person-{repeats}", repeats * factor)
        _write_all(group.folder, [item for item in items if item.repeats == repeats], plan.unmasked_weight)
        groups.append(group)
    if classes:
        group = Group(folder / "class", 1, is_class=True, own_answers=plan.own_answers)
        _write_all(group.folder, classes, plan.unmasked_weight, _usual_alpha(items, plan.unmasked_weight))
        groups.append(group)
    return groups


def more_repeats(items: Sequence[Item], classes: int, batch_size: int) -> int:
    """By how much repeats grow so that an epoch is long enough, and uses every class picture (it takes as many of
    those as there are pictures of the person)."""
    pictures = max(1, sum(item.repeats for item in items))
    return max(1, math.ceil(EPOCH_BATCHES * batch_size / pictures), math.ceil(classes / pictures))


def _usual_alpha(items: Sequence[Item], unmasked_weight: float) -> int:
    """Mean of the alpha channels of `items`, 0..255."""
    means, repeats = [], []
    for item in items:
        repeats.append(item.repeats)
        if item.mask is None:
            means.append(255.0)
            continue
        with _alpha(item.mask, unmasked_weight) as alpha:
            means.append(float(np.asarray(alpha).mean()))
    return round(float(np.average(means, weights=repeats)))


def _alpha(mask: Path, unmasked_weight: float) -> Image.Image:
    from PIL import Image

    with Image.open(mask) as opened:
        return opened.convert("L").point([alpha_of(level, unmasked_weight) for level in range(256)])


def _write_all(folder: Path, items: Sequence[Item], unmasked_weight: float, alpha: int = 255) -> None:
    """`alpha`: of pictures without a mask."""
    folder.mkdir(parents=True)
    for number, item in enumerate(items, start=1):
        target = folder / f"{number:04d}.png"
        _write_picture(item, target, unmasked_weight, alpha)
        target.with_suffix(".txt").write_text(item.caption + "\n", encoding="utf-8")


def _write_picture(item: Item, target: Path, unmasked_weight: float, alpha: int) -> None:
    """Where something counts less: RGBA, for sd-scripts multiplies the loss with the alpha channel."""
    from PIL import Image

    if isinstance(item.image, np.ndarray):
        image = Image.fromarray(item.image)
    else:
        with Image.open(item.image) as opened:
            image = opened.convert("RGB")
    if item.mask is not None:
        image.putalpha(_alpha(item.mask, unmasked_weight).resize(image.size))
    elif alpha < 255:
        image.putalpha(alpha)
    image.save(target)


def alpha_of(level: int, unmasked_weight: float) -> int:
    """0..255: weight of the loss where the mask has `level` 0..255; `unmasked_weight` (0..1) where it is black."""
    return round(255 * (unmasked_weight + (1.0 - unmasked_weight) * level / 255))


def dataset_toml(groups: Sequence[Group], plan: TrainPlan, method: Method, resolution_px: int, batch_size: int) -> str:
    """The dataset file; buckets keep the proportions of pictures, and none is made larger."""
    whole = {
        "resolution": resolution_px,
        "batch_size": batch_size,
        "enable_bucket": True,
        "bucket_no_upscale": True,
        "bucket_reso_steps": BUCKET_STEPS_PX,
        "min_bucket_reso": BUCKET_STEPS_PX,
        "max_bucket_reso": 2 * resolution_px,
    }
    masked = plan.unmasked_weight < 1
    subsets = [_subset(group, plan, method, masked=masked) for group in groups]
    blocks = ["[general]", *_lines({"caption_extension": ".txt"}), "", "[[datasets]]", *_lines(whole)]
    for subset in subsets:
        blocks += ["", "[[datasets.subsets]]", *_lines(subset)]
    return "\n".join(blocks) + "\n"


def _subset(group: Group, plan: TrainPlan, method: Method, *, masked: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"image_dir": str(group.folder), "num_repeats": group.repeats}
    if group.is_class:
        values["is_reg"] = True
    if group.own_answers:
        values["custom_attributes"] = {"diff_output_preservation": True}
    if masked:
        values["alpha_mask"] = True
    if plan.flip:
        values["flip_aug"] = True
    if plan.shuffle_captions and not group.is_class:
        values |= {"shuffle_caption": True, "keep_tokens": plan.keep_tags}
    if plan.caption_dropout > 0 and not group.is_class and method is not Method.TEXTUAL_INVERSION:
        values["caption_dropout_rate"] = plan.caption_dropout
    return values


def _lines(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {toml_value(value)}" for name, value in values.items()]


def toml_value(value: Any) -> str:
    """A text, number, truth value or table in TOML; its basic strings are JSON's, and DEL must be escaped too."""
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {toml_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
