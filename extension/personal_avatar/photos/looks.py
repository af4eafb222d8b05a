"""Photos or drawings: what a set of pictures is, and who recognises people in it."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from personal_avatar.domain import Look
from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.faces.look import look_of, majority
from personal_avatar.faces.registry import analyser_for, characters
from personal_avatar.photos.read import Limits, read_photo
from personal_avatar.photos.settings import AUTO, PhotoSettings

# So many of a set are looked at, spread over it.
LOOKED_AT = 9


def analyser_of(photos: Sequence[Path], settings: PhotoSettings, weights_folder: Path) -> FaceAnalyser:
    """Who recognises the person in these pictures: told by `settings.look`, else by what most of them are.

    Nothing is read where all would get the same. Raises as `faces.registry.default_analyser` does.
    """
    alike = characters(weights_folder) is None
    look = Look.PHOTO if alike else look_of_set(photos, settings)
    return analyser_for(look, weights_folder)


def look_of_set(photos: Sequence[Path], settings: PhotoSettings) -> Look:
    """As the settings say, else by the majority; broken files do not count."""
    if settings.look != AUTO:
        return Look(settings.look)
    return majority(look_of(image) for image in _readable(_spread(photos), settings))


def _spread(photos: Sequence[Path]) -> list[Path]:
    """At most `LOOKED_AT` of them, evenly."""
    count = min(LOOKED_AT, len(photos))
    return [photos[number * len(photos) // count] for number in range(count)]


def _readable(photos: Sequence[Path], settings: PhotoSettings) -> Iterator[np.ndarray]:
    limits = Limits(side_px=settings.max_side_px, file_bytes=settings.max_file_mb * 1_000_000)
    for path in photos:
        try:
            yield read_photo(path, limits)[1]
        except (UnreadablePhoto, FileTooLarge):
            continue
