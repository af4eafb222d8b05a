"""Orders for sd-scripts of every method and family; their checkpoints need not exist."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile, Dataset, Family, Method, Sample
from personal_avatar.training.engines.kohya.command import Order
from personal_avatar.training.planning.plan import PLANS
from PIL import Image


def base_of(family: Family = Family.SD1, prediction: str = "epsilon", **fields: Any) -> BaseModelFile:
    native_px = 1024 if family is Family.SDXL else 512
    values: dict[str, Any] = {"native_px": native_px, "prediction": prediction, **fields}
    return BaseModelFile(Path("/models/base.safetensors"), "base", family, **values)


def order_of(
    method: Method = Method.LORA,
    base: BaseModelFile | None = None,
    folder: Path = Path("/job/kohya"),
    mixed_precision: str = "no",
    **plan: Any,
) -> Order:
    base = base or base_of()
    return Order(base, method, PLANS[method](**plan), "man", base.native_px, 100, mixed_precision, "anna", folder)


def dataset_in(folder: Path, repeats: tuple[int, ...] = (1, 1), masked: bool = False) -> Dataset:
    """A prepared dataset, one picture of 64 x 64 pixels for each of `repeats`."""
    samples = []
    for number, times in enumerate(repeats):
        picture, mask = Path(f"images/{number}.png"), Path(f"images/{number}-mask.png")
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (200, 10 * number, 0)).save(folder / picture)
        Image.new("L", (64, 64), 0).save(folder / mask)
        mask_of = mask if masked else None
        samples.append(Sample(picture, f"sks man, picture {number}", "0" * 64, times, mask=mask_of))
    return Dataset("id", folder, tuple(samples), (), 64, "sks man", "man", "fingerprint")
