"""What sd-scripts saves: `name-step00000100.safetensors`, at the end `name.safetensors`, pictures in sample/."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.networks import read_header

FOLDER_NAME = "kohya"  # of this engine in the job, with the folders of what is trained on and of what is saved
PICTURES_NAME, OUTPUT_NAME = "pictures", "output"
SUFFIX = ".safetensors"
KEPT = "failure.kohya_kept"  # follows what happened
_PICTURE = re.compile(r"^(?P<name>.+)_(?P<step>\d{6})_(?P<number>\d{2})_\d{14}(?:_\d+)?\.png$")


@dataclass(frozen=True)
class Saved:
    """A file with trained weights, and the optimiser step after which it was written."""

    step: int
    path: Path


@dataclass(frozen=True)
class Picture:
    """A sample made while training; `number` counts the prompts from 0."""

    step: int
    number: int
    path: Path


def save_every(total: int, count: int) -> int:
    """Steps between two saved files so that there are at most `count`, the last at the end."""
    return max(1, math.ceil(total / count))


def saved_files(folder: Path, name: str, total: int) -> list[Saved]:
    """Complete files in the order of their steps, one a step: the last one also bears the bare name."""
    found = {saved.step: saved for saved in _named(folder, name, total) if is_complete(saved.path)}
    return [found[step] for step in sorted(found)]


def keep(output: Path, artifacts: Path, name: str, total: int) -> list[Saved]:
    """Move the complete files to the artifacts, under the names that our own engine gives; the rest is removed.
    `name`: their stem; `total`: steps of the whole training."""
    artifacts.mkdir(parents=True, exist_ok=True)
    kept = []
    for saved in saved_files(output, name, total):
        target = artifacts / f"{name}-{saved.step:06d}{SUFFIX}"
        kept.append(Saved(saved.step, Path(shutil.move(saved.path, target))))
    for left in output.glob(f"{name}*{SUFFIX}"):
        left.unlink()
    return kept


def kept_files(artifacts: Path, name: str) -> list[Saved]:
    """What `keep` has put there."""
    pattern = re.compile(re.escape(name) + r"-(\d{6,})" + re.escape(SUFFIX))
    found = ((pattern.fullmatch(path.name), path) for path in artifacts.glob(f"*{SUFFIX}"))
    return [Saved(int(match[1]), path) for match, path in found if match]


def _named(folder: Path, name: str, total: int) -> Iterator[Saved]:
    pattern = re.compile(re.escape(name) + r"-step(\d+)" + re.escape(SUFFIX))
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []:
        match = pattern.fullmatch(path.name)
        if match:
            yield Saved(int(match[1]), path)
        elif path.name == name + SUFFIX:
            yield Saved(total, path)


def is_complete(path: Path) -> bool:
    """Whether a safetensors file has tensors and is as long as its header says; one that was being written is not."""
    header = read_header(path)
    return header is not None and bool(header.spans)


def pictures(folder: Path, name: str) -> list[Picture]:
    """Samples that are there now, in the order of steps and prompts."""
    found = []
    for path in folder.glob("*.png") if folder.is_dir() else []:
        match = _PICTURE.match(path.name)
        if match and match["name"] == name:
            found.append(Picture(int(match["step"]), int(match["number"]), path))
    return sorted(found, key=lambda picture: (picture.step, picture.number, picture.path.name))
