"""Pictures of the class ("a man"), made by the untrained checkpoint, checked, and kept for every training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.captions.english import with_article
from personal_avatar.domain import Face, Look
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.faces.look import look_of
from personal_avatar.photos.duplicates import same_thumbnail, thumbnail
from personal_avatar.pictures import load_picture, prompt_of, save_picture
from personal_avatar.training.data.cache import fingerprint, identity
from personal_avatar.training.data.class_folders import noted
from personal_avatar.training.evaluation.grid import class_prompts
from personal_avatar.training.evaluation.likeness import FaceReader
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.wording import text

FIRST_SEED = 90_000
BATCHES_ON_CARD = 4  # between which nothing is moved to the card and away; the last may be made in vain
TRIES = 2  # pictures made for one that is wanted, at most
# Width of the face from which somebody can be learned from a picture, as a share of the picture's.
SMALLEST_FACE_SHARE = 0.1
# What is wrong with a picture: keys of the table of texts.
NO_FACE, SEVERAL, SMALL, TWIN, SUBJECT = "fault.no_face", "fault.several", "fault.small", "fault.twin", "fault.subject"


@dataclass(frozen=True)
class ClassPictures:
    """uint8 RGB pictures with what they were asked for, their seeds, and where they are kept. `left_out`: how many were
    made and not taken, by what is wrong with them; `unfit`: how many were taken all the same, for want of better."""

    folder: Path
    images: list[np.ndarray]
    captions: list[str]
    seeds: list[int] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    unfit: int = 0

    def told(self, class_noun: str) -> str:
        """A sentence about them, for the log."""
        said: dict[str, Any] = {"noun": class_noun, "number": len(self.images)}
        if not self.left_out:
            return text("log.class_all", **said)
        said["faults"] = ", ".join(text(fault, count=count) for fault, count in self.left_out.items())
        return text("log.class_anyway", **said, most=self.unfit) if self.unfit else text("log.class", **said)


@dataclass(frozen=True)
class Subject:
    """Who must not be among the class: a vector of the recogniser, L2 norm 1, and the cosine from which it is them."""

    embedding: np.ndarray
    same_above: float


@dataclass(frozen=True)
class Wanted:
    """How many pictures of which class, made how; `folder` is shared by all trainings. `shows_faces`: whether such as
    are of the class have faces that are found."""

    class_noun: str
    count: int
    settings: SampleSettings
    folder: Path
    subject: Subject | None = None
    shows_faces: bool = True


@dataclass(frozen=True)
class Candidate:
    """A picture that was made: the seed, the picture, uint8 RGB, and its prompt."""

    seed: int
    image: np.ndarray
    prompt: str


def class_pictures(
    model: DiffusionModel, wanted: Wanted, reader: FaceReader, on_progress: Callable[[int, int], None]
) -> ClassPictures:
    """Those that are kept and fit, and as many new ones as are missing. `on_progress(made, of)` may raise to stop; it
    is called more often than pictures are made.

    A picture shows exactly one face, not a tiny one, where the class has any, and nothing that another one shows
    already; where the checkpoint shows no such pictures for this class, the others are taken. None shows the person
    that will be trained.
    """
    folder = wanted.folder / fingerprint(identity(model.base), wanted.class_noun, wanted.settings)
    kept, damaged = _kept(folder)
    inspection = Inspection(reader, wanted.subject, wanted.shows_faces)
    fit = inspection.without_subject(kept, wanted.count)
    unfit: list[Candidate] = []
    if len(fit) < wanted.count:
        seeds = _seeds(kept, damaged, wanted.count, wanted.count - len(fit))
        for one in _made(model, wanted, seeds, lambda: on_progress(len(fit), wanted.count)):
            fault = inspection.fault(one.image)
            if fault is None:
                _save(one, folder, wanted.settings)
                fit.append(one)
            elif fault != SUBJECT:
                unfit.append(one)
            if len(fit) >= wanted.count:
                break
    fillers = unfit[: wanted.count - len(fit)]
    for one in fillers:
        _save(one, folder, wanted.settings)
    if folder.is_dir():
        noted(folder, model.base)
    chosen = sorted([*fit, *fillers], key=lambda one: one.seed)
    return ClassPictures(
        folder, [one.image for one in chosen], [one.prompt for one in chosen], [one.seed for one in chosen],
        dict(inspection.left_out), len(fillers),
    )


class Inspection:
    """What is wrong with pictures, one after the other; counts it in `left_out`."""

    def __init__(self, reader: FaceReader, subject: Subject | None, shows_faces: bool = True) -> None:
        self._reader, self._subject, self._shows_faces = reader, subject, shows_faces
        self._seen: list[np.ndarray] = []
        self.left_out: Counter[str] = Counter()

    def without_subject(self, kept: list[Candidate], count: int) -> list[Candidate]:
        """The first `count` of pictures that were inspected before, and show somebody else than this training's."""
        fit: list[Candidate] = []
        for one in kept:
            if len(fit) == count:
                break
            if self._subject is not None and self._is_subject(one.image, self._reader.detect(one.image)):
                self.left_out[SUBJECT] += 1
            else:
                fit.append(one)
                self._seen.append(thumbnail(one.image))
        return fit

    def fault(self, image: np.ndarray) -> str | None:
        """Of uint8 RGB; None for a picture that fits, which is remembered."""
        found = self._fault(image)
        if found is None:
            self._seen.append(thumbnail(image))
        else:
            self.left_out[found] += 1
        return found

    def _fault(self, image: np.ndarray) -> str | None:
        if self._shows_faces and (found := self._of_face(image)):
            return found
        small = thumbnail(image)
        return TWIN if any(same_thumbnail(small, other) for other in self._seen) else None

    def _of_face(self, image: np.ndarray) -> str | None:
        faces = self._reader.detect(image)
        if self._is_subject(image, faces):
            return SUBJECT
        if len(faces) != 1:
            return SEVERAL if faces else NO_FACE
        return SMALL if faces[0].width_px < SMALLEST_FACE_SHARE * image.shape[1] else None

    def _is_subject(self, image: np.ndarray, faces: list[Face]) -> bool:
        """Asked of photos alone: to recognisers of photos all drawn people look alike."""
        if self._subject is None or not faces or look_of(image) is not Look.PHOTO:
            return False
        similarity = float(self._reader.embed(image, faces[0]) @ self._subject.embedding)
        return similarity > self._subject.same_above


def _kept(folder: Path) -> tuple[list[Candidate], list[int]]:
    """What was made before, by seed, and the seeds of damaged files."""
    found, damaged = [], []
    for path in sorted(folder.glob("*.png"), key=lambda path: (len(path.stem), path.stem)):
        if not path.stem.isdigit():
            continue
        try:
            found.append(Candidate(int(path.stem), load_picture(path), prompt_of(path)))
        except (UnreadablePhoto, ValueError):
            damaged.append(int(path.stem))
    return found, damaged


def _seeds(kept: list[Candidate], damaged: list[int], count: int, missing: int) -> list[int]:
    """Which to try for `missing` of `count`: those of damaged files again, then such as were not tried."""
    known = [one.seed for one in kept]
    first = max([FIRST_SEED - 1, *known, *damaged]) + 1
    new = max(count * TRIES - (first - FIRST_SEED), missing * TRIES)
    return [*damaged, *range(first, first + new)]


def _made(model: DiffusionModel, wanted: Wanted, seeds: list[int], told: Callable[[], None]) -> Iterator[Candidate]:
    """A few at a time, all with the plainest prompt: words of style beside the class, which the person's captions do
    not have, would teach that the person is somebody without a style."""
    prompt = class_prompts(model.base)[0].format(subject=with_article(wanted.class_noun))
    together = wanted.settings.batch * (BATCHES_ON_CARD if model.on_card else 1)
    for at in range(0, len(seeds), together):
        batch = [Shot(prompt, seed) for seed in seeds[at : at + together]]
        for shot, image in zip(batch, make_pictures(model, batch, wanted.settings, told), strict=True):
            yield Candidate(shot.seed, image, prompt)


def _save(one: Candidate, folder: Path, settings: SampleSettings) -> None:
    save_picture(one.image, folder / f"{one.seed}.png", f"{one.prompt}\nSteps: {settings.steps}, Seed: {one.seed}")
