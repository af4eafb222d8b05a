"""How a dataset will look, decided before a picture is read: names, captions, which photos are kept out."""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from personal_avatar.captions.features import PERSON
from personal_avatar.captions.files import caption_of, own_caption, refuse_unusable
from personal_avatar.domain import Dataset, PhotoVerdict, Sample
from personal_avatar.photos import heldout
from personal_avatar.photos.dataset import HELD_OUT, MASKS, image_folder
from personal_avatar.photos.duplicates import TWIN
from personal_avatar.photos.kohya import Origin, repeated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import sha256_of as file_hash

# Goes up when the same recipe makes other pictures, masks or captions than before, or keeps out others.
VERSION = 5
# What a folder of kohya's may be called besides by its trigger.
ORDINARY = re.compile(rf"(?:an?|the|of|{PERSON}|(?:portrait|photo|photograph|picture|image|face|selfie)s?)", re.I)


@dataclass(frozen=True)
class Recipe:
    """Everything besides the photos and the captions beside them that decides how a dataset looks.

    `matting`: what tells people from backgrounds, "" for nothing; `enlarged`: names of the files of enlarged photos;
    `origins`: what a kohya dataset said of its pictures, by SHA-256 (see kohya.py).
    """

    resolution_px: int
    trigger: str
    class_noun: str
    held_out: float
    seed: int
    settings: PhotoSettings
    matting: str = ""
    enlarged: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def origin(self, sha256: str) -> Origin:
        return self.origins.get(sha256, Origin())

    def captions(self, verdicts: Sequence[PhotoVerdict]) -> tuple[str, ...]:
        """One for each photo. Raises `InvalidSettings`, which names every caption file that cannot be used."""
        template = caption_of(self.settings.caption_template, self.trigger, self.class_noun)
        if not self.settings.caption_files:
            return (template,) * len(verdicts)
        refuse_unusable(verdict.path for verdict in verdicts)
        return tuple(self._own(verdict) or template for verdict in verdicts)

    def fingerprint(self, verdicts: Sequence[PhotoVerdict], captions: Sequence[str]) -> str:
        """Of the recipe, the photos, their faces and captions; the order of the photos does not count."""
        photos = sorted(
            (sha256_of(verdict), _box(verdict), verdict.look.value, caption, *self._said(verdict))
            for verdict, caption in zip(verdicts, captions, strict=True)
        )
        facts = {
            "resolution_px": self.resolution_px, "trigger": self.trigger, "class_noun": self.class_noun,
            "held_out": self.held_out, "seed": self.seed, "settings": self.settings.dict(), "matting": self.matting,
            "enlarged": self.enlarged, "photos": photos, "version": VERSION,
        }
        twins = _twins(verdicts)
        if twins:
            facts["twins"] = twins
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _own(self, verdict: PhotoVerdict) -> str:
        """The caption beside a photo, with our trigger; "" without one."""
        words = self.origin(sha256_of(verdict)).words
        is_plain = all(ORDINARY.fullmatch(word) for word in words.split())  # of "20_portrait": no trigger
        return own_caption(verdict.path, self.trigger, "" if is_plain else words)

    def _said(self, verdict: PhotoVerdict) -> tuple[int, str]:
        """Repeats and mask of a photo's origin."""
        origin = self.origin(sha256_of(verdict))
        return origin.repeats, file_hash(origin.mask) if origin.mask is not None else ""


def planned(verdicts: Sequence[PhotoVerdict], folder: Path, recipe: Recipe) -> Dataset:
    """The dataset as it will be in `folder`; only captions are read, nothing is written. Raises `InvalidSettings`."""
    captions = recipe.captions(verdicts)
    hashes = [sha256_of(verdict) for verdict in verdicts]
    apart = heldout.held_out(hashes, recipe.held_out, recipe.seed, _faces(verdicts), _twins(verdicts))
    trained: list[Sample] = []
    kept_out: list[Sample] = []
    for number, (sha256, caption) in enumerate(zip(hashes, captions, strict=True), start=1):
        name = f"{number:03d}-{sha256[:8]}.png"
        if sha256 in apart:
            kept_out.append(Sample(Path(HELD_OUT) / name, caption, sha256))
        else:
            origin = recipe.origin(sha256)
            repeats = repeated(origin, recipe.settings.repeats)
            mask = Path(MASKS) / name if recipe.settings.wants_faces or origin.mask is not None else None
            trained.append(Sample(image_folder(recipe.trigger, repeats) / name, caption, sha256, repeats, mask))
    fingerprint = recipe.fingerprint(verdicts, captions)
    return Dataset(
        id=fingerprint[:12],
        folder=folder,
        samples=tuple(trained),
        held_out=tuple(kept_out),
        resolution_px=recipe.resolution_px,
        trigger=recipe.trigger,
        class_noun=recipe.class_noun,
        fingerprint=fingerprint,
    )


def _faces(verdicts: Sequence[PhotoVerdict]) -> dict[str, np.ndarray]:
    """Embeddings (d,) of the faces that are meant, by SHA-256, of the photos where they are known."""
    return {
        sha256_of(verdict): np.array(verdict.face.embedding)
        for verdict in verdicts
        if verdict.face is not None and verdict.face.embedding is not None
    }


def _twins(verdicts: Sequence[PhotoVerdict]) -> dict[str, str]:
    """By SHA-256, of photos that a person took though they show the same as another: that of the one to be kept."""
    return {sha256_of(one): str(one.values[TWIN]) for one in verdicts if TWIN in one.values}


def sha256_of(verdict: PhotoVerdict) -> str:
    return verdict.photo.sha256 if verdict.photo is not None else ""


def _box(verdict: PhotoVerdict) -> list[int]:
    return [round(value) for value in verdict.face.box_px] if verdict.face is not None else []
