"""Pictures of the class ("a man"), made once by the untrained checkpoint and kept for every training on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture, prompt_of, save_picture
from personal_avatar.training.cache import fingerprint, identity
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.grid import class_prompts
from personal_avatar.training.likeness import FaceReader
from personal_avatar.training.samples import SampleSettings, Shot, make_pictures

FIRST_SEED = 90_000
TRIES = 2  # pictures made for one that is wanted, at most


@dataclass(frozen=True)
class ClassPictures:
    """uint8 RGB pictures with what they were asked for, and where they are kept."""

    folder: Path
    images: list[np.ndarray]
    captions: list[str]


@dataclass(frozen=True)
class Wanted:
    """How many pictures of which class, made how; `folder` is shared by all trainings."""

    class_noun: str
    count: int
    settings: SampleSettings
    folder: Path


def class_pictures(
    model: DiffusionModel, wanted: Wanted, reader: FaceReader, on_progress: Callable[[int, int], None]
) -> ClassPictures:
    """Those that are kept, and as many new ones as are missing. `on_progress(made, of)` may raise to stop.

    Where the checkpoint shows faces for this class at all, pictures with another number than one are left out.
    """
    folder = wanted.folder / fingerprint(identity(model.base), wanted.class_noun, wanted.settings)
    kept = dict(_kept(folder, wanted))
    if len(kept) < wanted.count:
        for shot, image in _made(model, wanted, reader, set(kept), on_progress):
            infotext = f"{shot.prompt}\nSteps: {wanted.settings.steps}, Seed: {shot.seed}"
            save_picture(image, folder / f"{shot.seed}.png", infotext)
            kept[shot.seed] = (image, shot.prompt)
            if len(kept) >= wanted.count:
                break
    chosen = [kept[seed] for seed in sorted(kept)][: wanted.count]
    return ClassPictures(folder, [image for image, _ in chosen], [prompt for _, prompt in chosen])


def _shots(wanted: Wanted, plain_prompt: str) -> Iterator[Shot]:
    """All with the plainest prompt: words of style beside the class, which the person's captions do not have, would
    teach that the person is somebody without a style."""
    for number in range(wanted.count * TRIES):
        yield Shot(plain_prompt.format(subject=f"a {wanted.class_noun}"), FIRST_SEED + number)


def _kept(folder: Path, wanted: Wanted) -> Iterator[tuple[int, tuple[np.ndarray, str]]]:
    """By seed; a damaged file is made anew."""
    for path in sorted(folder.glob("*.png"))[: wanted.count]:
        with suppress(UnreadablePhoto, ValueError):
            yield int(path.stem), (load_picture(path), prompt_of(path))


def _made(
    model: DiffusionModel,
    wanted: Wanted,
    reader: FaceReader,
    known: set[int],
    on_progress: Callable[[int, int], None],
) -> Iterator[tuple[Shot, np.ndarray]]:
    """One-faced pictures first, batch by batch; all others after them, for classes without faces."""
    shots = [shot for shot in _shots(wanted, class_prompts(model.base)[0]) if shot.seed not in known]
    others: list[tuple[Shot, np.ndarray]] = []
    found = len(known)
    for at in range(0, len(shots), wanted.settings.batch):
        on_progress(found, wanted.count)
        batch = shots[at : at + wanted.settings.batch]
        for shot, image in zip(batch, make_pictures(model, batch, wanted.settings), strict=True):
            if len(reader.detect(image)) == 1:
                found += 1
                yield shot, image
            else:
                others.append((shot, image))
    yield from others
