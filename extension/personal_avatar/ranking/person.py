"""A person as a recogniser knows her: the mean direction of her photos, and how alike those are among themselves."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from personal_avatar.errors import NoFace, UnreadablePhoto
from personal_avatar.pictures import load_picture
from personal_avatar.problems import stated
from personal_avatar.ranking.nouns import FaceReader, Opinions
from personal_avatar.vectors import unit

FEW = 3  # photos of which nothing can be said about how alike they are
FAIRLY, GOOD = 0.8, 0.9


@dataclass(frozen=True, eq=False)
class Person:
    """`reference`: float32 (d,), L2 norm 1. `usual`: the median cosine of a photo of hers to the mean of the others, or
    what the checkpoint could show of it at best where that is less; None where there are too few photos to tell."""

    reference: np.ndarray
    usual: float | None = None

    def fairly_from(self, same_person_above: float) -> float:
        """The cosine from which a picture is fairly like her: a share of the usual one, as thresholds of recognisers
        hold for photos, and drawings of different characters lie above them."""
        return max(same_person_above, FAIRLY * (self.usual or 0.0))

    def good_from(self, same_person_above: float) -> float:
        """The cosine from which a picture counts as good. Of good pictures of the right person 54 to 61 % reach it on
        photo-like synthetic people, and all on drawn characters; of 3,600 pictures of others none does with w600k, and
        one drawing with SFace."""
        return max(same_person_above, GOOD * (self.usual or 0.0))

    def opinions(self, same_person_above: float) -> Opinions:
        """Thresholds alone, when nobody else is asked."""
        return Opinions(
            fairly_from=self.fairly_from(same_person_above), good_from=self.good_from(same_person_above)
        )

    def at_best(self, ceiling: float | None) -> Person:
        """The same where a checkpoint cannot show more than `ceiling`."""
        if ceiling is None or self.usual is None:
            return self
        return replace(self, usual=min(self.usual, ceiling))


def person_of(vectors: Sequence[np.ndarray], reference: np.ndarray | None = None) -> Person:
    """From embeddings of at least one photo; `reference`: when the mean is known already."""
    rows = np.stack([unit(vector) for vector in vectors])
    total = rows.sum(axis=0)
    usual = None
    if len(rows) >= FEW:
        usual = float(np.median([row @ unit(total - row) for row in rows]))
    return Person(unit(total if reference is None else reference), usual)


def person_from(paths: Sequence[Path], analyser: FaceReader) -> Person:
    """From the largest face of each picture; those without a face are left out.

    Raises `NoFace` when no face is found at all, `UnreadablePhoto` when the only picture cannot be read.
    """
    vectors = list(faces_of(paths, analyser))
    if not vectors:
        raise stated(NoFace, "failure.no_face_of", count=len(paths))
    return person_of(vectors)


def faces_of(paths: Sequence[Path], analyser: FaceReader) -> Iterator[np.ndarray]:
    """The largest face of each picture that has one, float32 (d,), L2 norm 1. Raises as `person_from` where there is
    one picture only."""
    for path in paths:
        try:
            yield _largest(path, analyser)
        except (NoFace, UnreadablePhoto):
            if len(paths) == 1:
                raise


def _largest(path: Path, analyser: FaceReader) -> np.ndarray:
    image = load_picture(path)
    faces = analyser.detect(image)
    if not faces:
        raise stated(NoFace, "failure.no_face", file=path.name)
    return unit(analyser.embed(image, faces[0]))
