"""A dataset on disk: pictures, captions and a manifest, in the layout that kohya's trainers read as well.

    <folder>/manifest.json
             images/<repeats>_<trigger>/001-<hash>.png + .txt      `--train_data_dir <folder>/images`
             masks/001-<hash>.png                                  `--conditioning_data_dir <folder>/masks`
             held_out/001-<hash>.png + .txt

A mask has the name and the size of its picture: grey, white where the head is. Datasets of version 1 have none.
The manifest is written last and removed first: without one there is no dataset, and a half-written one is never read.
"""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from personal_avatar.domain import DATASET_VERSION, Dataset, Sample, from_json, to_json
from personal_avatar.errors import NotFound
from personal_avatar.problems import stated
from personal_avatar.storage import write_json

MANIFEST = "manifest.json"
IMAGES = "images"
HELD_OUT = "held_out"
MASKS = "masks"


def load_dataset(folder: Path) -> Dataset:
    """As `described`; raises `NotFound` where pictures are lacking, too."""
    dataset = described(folder)
    samples = (*dataset.samples, *dataset.held_out)
    pictures = [folder / path for sample in samples for path in (sample.image, sample.mask) if path is not None]
    missing = [picture for picture in pictures if not picture.is_file()]
    if missing:
        raise stated(NotFound, "failure.lacking_pictures", "remedy.prepare", count=len(missing), place=folder)
    return dataset


def described(folder: Path) -> Dataset:
    """Read a manifest; `folder` of the answer is where it lies now. Raises `NotFound` without one that is known."""
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        dataset = from_json(Dataset, {**data["dataset"], "folder": str(folder)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise stated(NotFound, "failure.no_dataset", "remedy.prepare", place=folder, cause=error) from error
    if dataset.version > DATASET_VERSION:
        raise stated(NotFound, "failure.newer_dataset", "remedy.update_or_prepare", place=folder)
    return dataset


def sources_of(folder: Path) -> frozenset[str]:
    """SHA-256 of the photos of which the dataset in `folder` was made; empty without one."""
    try:
        dataset = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["dataset"]
        return frozenset(sample["source_sha256"] for part in ("samples", "held_out") for sample in dataset[part])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def image_folder(trigger: str, repeats: int) -> Path:
    """`images/<repeats>_<trigger>`, without characters that file systems refuse."""
    name = re.sub(r"[^\w .-]", "_", trigger).strip(" .") or "subject"
    return Path(IMAGES) / f"{repeats}_{name}"


def write_sample(folder: Path, sample: Sample, image: np.ndarray) -> None:
    """uint8 RGB (height, width, 3) as PNG, and beside it the caption as .txt."""
    path = folder / sample.image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG")
    path.with_suffix(".txt").write_text(sample.caption + "\n", encoding="utf-8")


def write_mask(path: Path, mask: np.ndarray) -> None:
    """uint8 (height, width) as a grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, format="PNG")


def write_manifest(dataset: Dataset, crops: Sequence[dict[str, Any]]) -> None:
    """`crops`: how each picture was cut, for people and later stages. All paths are relative: the folder can move."""
    data = {"dataset": to_json(replace(dataset, folder=Path("."))), "crops": list(crops)}
    write_json(dataset.folder / MANIFEST, data)


def clear(folder: Path) -> None:
    """Make room for another dataset in a folder that is ours alone; see replacing.py for any other."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for part in (IMAGES, MASKS, HELD_OUT):
        shutil.rmtree(folder / part, ignore_errors=True)
