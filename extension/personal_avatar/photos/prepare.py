"""Accepted photos -> training pictures: cut, masked, captioned, split, written; and the person's reference vector."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from personal_avatar.domain import Dataset, Face, PhotoReport, PhotoVerdict, Sample
from personal_avatar.errors import NoFace, NotFound, TooFewPhotos
from personal_avatar.photos import heldout
from personal_avatar.photos.cutting import Cutter, Sitting
from personal_avatar.photos.dataset import clear, load_dataset, write_manifest, write_mask, write_sample
from personal_avatar.photos.enlarge import enlarged
from personal_avatar.photos.examine import limits
from personal_avatar.photos.kohya import Origin
from personal_avatar.photos.matting import chosen
from personal_avatar.photos.persons import centre
from personal_avatar.photos.read import read_photo
from personal_avatar.photos.recipe import Recipe, planned
from personal_avatar.photos.replacing import begin, finish, refuse_what_is_not_ours
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.together import each
from personal_avatar.problems import refused, stated

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

MUCH_SMALLER = 0.4

__all__ = ["embeddings", "load_dataset", "prepare", "reference_embedding"]


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
    weights_folder: Path | None = None,
    enlargements: Path | None = None,
    origins: Mapping[str, Origin] | None = None,
    at_once: int = 1,
    ours: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """Write the dataset of the accepted photos to `folder`, or answer the one that is there when nothing changed.

    `held_out`: share that is kept out of the training (see heldout.py). `analyser`: finds the face again in photos
    whose verdict came without one. `weights_folder`: where the matting network lies. `enlargements`: where `enlarge`
    wrote to. `origins`: what a kohya dataset said of its pictures. `at_once`: how many are cut together. `ours`: the
    folder is in our own data, so whatever is in the dataset's place may go. `say`: hears of a download.

    Raises `TooFewPhotos` without accepted photos, `InvalidSettings` for a resolution that is no multiple of 8, a
    caption with unknown places, caption files that cannot be used or a folder where what is not ours lies in the way
    (before anything is written), `BadInput` for a photo too small for the framing,
    `WeightsMissing` where the settings cannot do without the network and it is not to be had, `UnreadablePhoto` for a
    mask that is none.
    """
    _refuse_impossible(report, resolution_px)
    settings = settings or PhotoSettings()
    matting = chosen(settings, weights_folder, say)
    parts = enlarged(enlargements if settings.upscaler else None)
    recipe = Recipe(
        resolution_px, trigger, class_noun, held_out, seed, settings, matting.model.name if matting else "",
        tuple(sorted(part.stem for part in parts.values())), origins or {},
    )
    wanted = planned(report.accepted, folder, recipe)
    found = _unchanged(folder, wanted)
    if found is None:
        if ours:
            clear(folder)
        else:
            refuse_what_is_not_ours(folder, report, recipe.origins)
            begin(wanted)
        cutter = Cutter(settings, resolution_px, matting, parts)
        write_manifest(wanted, list(_write(report.accepted, wanted, analyser, cutter, recipe, at_once)))
        finish(wanted)
    return found or wanted


def _refuse_impossible(report: PhotoReport, resolution_px: int) -> None:
    if resolution_px < 64 or resolution_px % 8:
        raise refused("problem.side", name="resolution_px", multiple=8, low=64, got=resolution_px)
    if not report.accepted:
        raise stated(TooFewPhotos, "failure.none_usable", count=len(report.photos))


def reference_embedding(source: PhotoReport | Dataset, analyser: FaceAnalyser) -> np.ndarray:
    """The person as one vector, float32 (d,), L2 norm 1: the mean of the photos, outliers left out.

    Of a dataset all pictures count, held-out ones too. Raises `NoFace` when no picture shows a face.
    """
    if isinstance(source, Dataset):
        found = embeddings(source.folder, (*source.samples, *source.held_out), analyser)
    else:
        found = [_embedding(verdict, analyser) for verdict in source.accepted]
    if not found:
        raise stated(NoFace, "failure.nobody")
    return centre(np.array(found))


def embeddings(folder: Path, samples: Sequence[Sample], analyser: FaceAnalyser) -> list[np.ndarray]:
    """Of the pictures of a dataset that show a face: float32 (d,) each, L2 norm 1. Where there are several it is the
    one in the middle, about which the picture was cut."""
    found = []
    for sample in samples:
        with Image.open(folder / sample.image) as picture:
            image = np.array(picture.convert("RGB"))
        faces = analyser.detect(image)
        if faces:
            found.append(analyser.embed(image, _middle_one(faces, image.shape[1], image.shape[0])))
    return found


def _middle_one(faces: Sequence[Face], width_px: int, height_px: int) -> Face:
    """The face nearest the middle, of those that are not much smaller than the largest."""
    largest = max(face.width_px for face in faces)

    def distance(face: Face) -> float:
        left, top, right, bottom = face.box_px
        return math.hypot(left + right - width_px, top + bottom - height_px)

    return min((face for face in faces if face.width_px >= MUCH_SMALLER * largest), key=distance)


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
        raise stated(NoFace, "failure.no_face", file=verdict.path.name)
    return faces[0]


def _unchanged(folder: Path, wanted: Dataset) -> Dataset | None:
    try:
        found = load_dataset(folder)
    except NotFound:
        return None
    return found if found.fingerprint == wanted.fingerprint else None


def _write(
    verdicts: Sequence[PhotoVerdict], dataset: Dataset, analyser: FaceAnalyser | None, cutter: Cutter, recipe: Recipe,
    at_once: int,
) -> Iterator[dict[str, Any]]:
    """Cut and write the pictures; yields what the manifest says of each."""
    samples = {sample.source_sha256: sample for sample in (*dataset.samples, *dataset.held_out)}

    def written(verdict: PhotoVerdict) -> dict[str, Any]:
        photo, pixels = read_photo(verdict.path, limits(recipe.settings))
        sample = samples.get(photo.sha256)
        if sample is None:
            raise stated(NotFound, "failure.changed_photo", "remedy.check", file=verdict.path.name)
        face = _face(verdict, pixels, analyser) if recipe.settings.wants_faces else None
        sitting = Sitting(photo, pixels, face, verdict.look, recipe.origin(photo.sha256))
        made = cutter.held_out(sitting) if sample in dataset.held_out else cutter.trained(sitting)
        write_sample(dataset.folder, sample, made.image)
        if sample.mask is not None and made.mask is not None:
            write_mask(dataset.folder / sample.mask, made.mask)
        return {"image": sample.image.as_posix(), "photo": verdict.path.name, **made.facts}

    return each(written, verdicts, at_once)
