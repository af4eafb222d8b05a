"""Accepted photos -> training pictures: cut, captioned, split, written; and the person's reference embedding."""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from personal_avatar.domain import Dataset, Face, PhotoReport, PhotoVerdict, Sample
from personal_avatar.errors import InvalidSettings, NoFace, NotFound, TooFewPhotos
from personal_avatar.photos import heldout
from personal_avatar.photos.crop import Crop, cut, square_around
from personal_avatar.photos.dataset import HELD_OUT, clear, image_folder, load_dataset, write_manifest, write_sample
from personal_avatar.photos.examine import limits
from personal_avatar.photos.persons import centre
from personal_avatar.photos.read import read_photo
from personal_avatar.photos.settings import PhotoSettings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

__all__ = ["embeddings", "load_dataset", "prepare", "reference_embedding"]

VERSION = 1
_PLACE = re.compile(r"\{(?:trigger|class_noun)\}")


@dataclass(frozen=True)
class Recipe:
    """Everything besides the photos that decides how a dataset looks."""

    resolution_px: int
    trigger: str
    class_noun: str
    held_out: float
    seed: int
    settings: PhotoSettings

    @property
    def caption(self) -> str:
        return caption_of(self.settings.caption_template, self.trigger, self.class_noun)

    def fingerprint(self, verdicts: Sequence[PhotoVerdict]) -> str:
        """Of the recipe, the photos and the faces in them; the order of the photos does not count."""
        photos = sorted((_sha256(verdict), _box(verdict)) for verdict in verdicts)
        facts = {**asdict(self), "settings": self.settings.dict(), "photos": photos, "version": VERSION}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def prepare(
    report: PhotoReport,
    folder: Path,
    *,
    resolution_px: int,
    trigger: str,
    class_noun: str,
    held_out: float = heldout.SHARE,
    seed: int = 0,
    analyser: FaceAnalyser | None = None,
    settings: PhotoSettings | None = None,
) -> Dataset:
    """Write the dataset of the accepted photos to `folder`, or answer the one that is there when nothing changed.

    `held_out`: share that is kept out of the training (see heldout.py). `analyser`: finds the face again in photos
    whose verdict came without one. Raises `TooFewPhotos` without accepted photos, `InvalidSettings` for a resolution
    that is no multiple of 8 or a caption with unknown places.
    """
    if resolution_px < 64 or resolution_px % 8:
        raise InvalidSettings(f"resolution_px must be a multiple of 8 and at least 64, got {resolution_px}")
    if not report.accepted:
        raise TooFewPhotos(f"None of the {len(report.photos)} photos can be used.")
    recipe = Recipe(resolution_px, trigger, class_noun, held_out, seed, settings or PhotoSettings())
    wanted = _planned(report.accepted, folder, recipe)
    found = _unchanged(folder, wanted)
    if found is not None:
        return found
    clear(folder)
    write_manifest(wanted, list(_write(report.accepted, wanted, analyser, recipe.settings)))
    return wanted


def caption_of(template: str, trigger: str, class_noun: str) -> str:
    """Fill {trigger} and {class_noun}; raises `InvalidSettings` for any other brace."""
    words = {"{trigger}": trigger, "{class_noun}": class_noun}
    if set("{}") & set(_PLACE.sub("", template)):
        raise InvalidSettings(f"caption_template may hold {{trigger}} and {{class_noun}}, got {template!r}")
    return _PLACE.sub(lambda place: words[place[0]], template).strip()


def reference_embedding(source: PhotoReport | Dataset, analyser: FaceAnalyser) -> np.ndarray:
    """The person as one vector, float32 (d,), L2 norm 1: the mean of the photos, outliers left out.

    Of a dataset all pictures count, held-out ones too. Raises `NoFace` when no picture shows a face.
    """
    if isinstance(source, Dataset):
        found = embeddings(source.folder, (*source.samples, *source.held_out), analyser)
    else:
        found = [_embedding(verdict, analyser) for verdict in source.accepted]
    if not found:
        raise NoFace("No picture shows a face to compare with.")
    return centre(np.array(found))


def embeddings(folder: Path, samples: Sequence[Sample], analyser: FaceAnalyser) -> list[np.ndarray]:
    """Of the pictures of a dataset that show a face: float32 (d,) each, L2 norm 1."""
    found = []
    for sample in samples:
        with Image.open(folder / sample.image) as picture:
            image = np.array(picture.convert("RGB"))
        faces = analyser.detect(image)
        if faces:
            found.append(analyser.embed(image, faces[0]))
    return found


def _embedding(verdict: PhotoVerdict, analyser: FaceAnalyser) -> np.ndarray:
    if verdict.face is not None and verdict.face.embedding is not None:
        return np.array(verdict.face.embedding, dtype=np.float32)
    _, image = read_photo(verdict.path)
    return analyser.embed(image, _face(verdict, image, analyser))


def _face(verdict: PhotoVerdict, image: np.ndarray, analyser: FaceAnalyser | None) -> Face:
    if verdict.face is not None:
        return verdict.face
    faces = analyser.detect(image) if analyser is not None else []
    if not faces:
        raise NoFace(f"No face was found in {verdict.path.name}.")
    return faces[0]


def _planned(verdicts: Sequence[PhotoVerdict], folder: Path, recipe: Recipe) -> Dataset:
    """The dataset as it will be; nothing is read or written."""
    hashes = [_sha256(verdict) for verdict in verdicts]
    apart = heldout.held_out(hashes, recipe.held_out, recipe.seed)
    caption, repeats = recipe.caption, recipe.settings.repeats
    inside = image_folder(recipe.trigger, repeats)
    trained: list[Sample] = []
    kept_out: list[Sample] = []
    for number, sha256 in enumerate(hashes, start=1):
        name = f"{number:03d}-{sha256[:8]}.png"
        if sha256 in apart:
            kept_out.append(Sample(Path(HELD_OUT) / name, caption, sha256))
        else:
            trained.append(Sample(inside / name, caption, sha256, repeats))
    fingerprint = recipe.fingerprint(verdicts)
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


def _sha256(verdict: PhotoVerdict) -> str:
    return verdict.photo.sha256 if verdict.photo is not None else ""


def _box(verdict: PhotoVerdict) -> list[int]:
    return [round(value) for value in verdict.face.box_px] if verdict.face is not None else []


def _unchanged(folder: Path, wanted: Dataset) -> Dataset | None:
    try:
        found = load_dataset(folder)
    except NotFound:
        return None
    return found if found.fingerprint == wanted.fingerprint else None


def _write(
    verdicts: Sequence[PhotoVerdict], dataset: Dataset, analyser: FaceAnalyser | None, settings: PhotoSettings
) -> Iterator[dict[str, Any]]:
    """Cut and write the pictures one by one; yields what the manifest says of each."""
    samples = {sample.source_sha256: sample for sample in (*dataset.samples, *dataset.held_out)}
    for verdict in verdicts:
        photo, image = read_photo(verdict.path, limits(settings))
        sample = samples.get(photo.sha256)
        if sample is None:
            raise NotFound(f"{verdict.path.name} was changed after the check.", "Check the photos again.")
        face = _face(verdict, image, analyser)
        square = square_around(face, photo.size_px, dataset.resolution_px, settings)
        crop = cut(image, square, dataset.resolution_px)
        write_sample(dataset.folder, sample, crop)
        yield _described(sample, verdict, crop, settings)


def _described(sample: Sample, verdict: PhotoVerdict, crop: Crop, settings: PhotoSettings) -> dict[str, Any]:
    x, y = crop.square.centre_px
    return {
        "image": sample.image.as_posix(),
        "photo": verdict.path.name,
        "centre_px": [round(x, 1), round(y, 1)],
        "side_px": round(crop.square.side_px, 1),
        "tilt_deg": round(crop.square.tilt_deg, 1),
        "scale": round(crop.scale, 3),
        "enlarged_too_much": crop.scale > settings.max_upscale + 1e-6,
        "padded": crop.padded,
    }
