"""How a dataset will look, decided before a picture is read: names, captions, which photos are kept out."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from personal_avatar.captions.files import caption_of, own_caption
from personal_avatar.domain import Dataset, PhotoVerdict, Sample
from personal_avatar.errors import InvalidSettings
from personal_avatar.photos import heldout
from personal_avatar.photos.dataset import HELD_OUT, MASKS, image_folder
from personal_avatar.photos.settings import PhotoSettings

# Goes up when the same recipe makes other pictures, masks or captions than before.
VERSION = 2


@dataclass(frozen=True)
class Recipe:
    """Everything besides the photos and the captions beside them that decides how a dataset looks."""

    resolution_px: int
    trigger: str
    class_noun: str
    held_out: float
    seed: int
    settings: PhotoSettings

    def captions(self, verdicts: Sequence[PhotoVerdict]) -> tuple[str, ...]:
        """One for each photo. Raises `InvalidSettings`, which names every caption file that cannot be used."""
        template = caption_of(self.settings.caption_template, self.trigger, self.class_noun)
        if not self.settings.caption_files:
            return (template,) * len(verdicts)
        found: list[str] = []
        problems: list[str] = []
        for verdict in verdicts:
            try:
                found.append(own_caption(verdict.path, self.trigger) or template)
            except ValueError as problem:
                problems.append(str(problem))
        if problems:
            hint = "Save them as plain UTF-8 text of one sentence, or switch caption_files off."
            raise InvalidSettings(f"Captions cannot be used: {'; '.join(problems)}.", hint)
        return tuple(found)

    def fingerprint(self, verdicts: Sequence[PhotoVerdict], captions: Sequence[str]) -> str:
        """Of the recipe, the photos, their faces and captions; the order of the photos does not count."""
        photos = sorted(
            (sha256_of(verdict), _box(verdict), caption) for verdict, caption in zip(verdicts, captions, strict=True)
        )
        facts = {**asdict(self), "settings": self.settings.dict(), "photos": photos, "version": VERSION}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def planned(verdicts: Sequence[PhotoVerdict], folder: Path, recipe: Recipe) -> Dataset:
    """The dataset as it will be in `folder`; only captions are read, nothing is written. Raises `InvalidSettings`."""
    captions = recipe.captions(verdicts)
    hashes = [sha256_of(verdict) for verdict in verdicts]
    apart = heldout.held_out(hashes, recipe.held_out, recipe.seed)
    repeats = recipe.settings.repeats
    inside = image_folder(recipe.trigger, repeats)
    trained: list[Sample] = []
    kept_out: list[Sample] = []
    for number, (sha256, caption) in enumerate(zip(hashes, captions, strict=True), start=1):
        name = f"{number:03d}-{sha256[:8]}.png"
        if sha256 in apart:
            kept_out.append(Sample(Path(HELD_OUT) / name, caption, sha256))
        else:
            mask = Path(MASKS) / name if recipe.settings.wants_faces else None
            trained.append(Sample(inside / name, caption, sha256, repeats, mask))
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


def sha256_of(verdict: PhotoVerdict) -> str:
    return verdict.photo.sha256 if verdict.photo is not None else ""


def _box(verdict: PhotoVerdict) -> list[int]:
    return [round(value) for value in verdict.face.box_px] if verdict.face is not None else []
