"""Find photos that show the same picture again: the same file, saved again, resized, cut, mirrored, or of a burst."""
from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import align_to

THUMBNAIL_PX = 16
# Root mean square difference of the thumbnails, of 255; see `same_thumbnail` and `same_picture`.
SAME_BELOW = 4.0
BURST_BELOW = 12.0
SAME_CORRELATION = 0.85
FLAT = 0.5  # what a thumbnail of one colour deviates from it at most
BURST_SIMILARITY = 0.95
# The same shot, cut in another way: how well the details of the aligned faces agree; see `same_face`.
PATCH_PX = 48
ALIGNED_PX = 112
DETAIL_PX = 5.0
SAME_FACE_ABOVE = 0.3
SAME_FACE_SIMILARITY = 0.94
TWIN = "twin_sha256"  # among the values of a repeat: the photo that is kept


@dataclass(frozen=True)
class Fingerprint:
    """`thumbnail`: float (16, 16, 3), 0..255; `embedding`: float (d,), L2 norm 1, or None without a face; `patch`:
    details of the aligned face, float (48, 48), mean 0, standard deviation 1, or None."""

    sha256: str
    pixels: int
    thumbnail: np.ndarray
    embedding: np.ndarray | None = None
    patch: np.ndarray | None = None


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Of uint8 RGB (height, width, 3): float (16, 16, 3)."""
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    picture = Image.fromarray(image).resize(size, Image.Resampling.HAMMING)
    return np.asarray(picture).astype(float)


def face_patch(image: np.ndarray, face: Face) -> np.ndarray:
    """Of uint8 RGB (height, width, 3): float (48, 48), light and contrast and all that is coarse taken out."""
    grey = Image.fromarray(align_to(image, face.landmarks_px, ALIGNED_PX)).convert("L")
    coarse = grey.filter(ImageFilter.GaussianBlur(DETAIL_PX))
    sharp, soft = (
        np.asarray(one.resize((PATCH_PX, PATCH_PX), Image.Resampling.BOX)).astype(float) for one in (grey, coarse)
    )
    details = sharp - soft
    patch: np.ndarray = (details - details.mean()) / max(float(details.std()), 1.0)
    return patch


def same_thumbnail(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether thumbnails, float (16, 16, 3), differ by no more than saving and resizing does.

    Measured: saved again as JPEG of quality 30 or at a third of the size: below 2; cropped by 2 %, as between two
    shots of a burst: 9-14; 10 % brighter: 8-15; drawings of one character in other poses: above 15. Thin lines on
    paper differ as little from any others: there the correlation tells, .94 to 1 of one drawing saved again, up to
    .77 of two.
    """
    return _difference(one, other) < SAME_BELOW and _correlation(one, other) > SAME_CORRELATION


def same_picture(one: Fingerprint, other: Fingerprint) -> bool:
    """Equal bytes; or thumbnails that are the same, mirrored or not; or differ by little, with the face, too."""
    if one.sha256 == other.sha256:
        return True
    if same_thumbnail(one.thumbnail, other.thumbnail) or same_thumbnail(one.thumbnail[:, ::-1], other.thumbnail):
        return True
    near = _difference(one.thumbnail, other.thumbnail) < BURST_BELOW
    return same_face(one, other) or (near and _similarity(one, other) > BURST_SIMILARITY)


def same_face(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether the faces come from one shot, whatever is around them, mirrored or not.

    Measured on 165 photos of 37 people: one shot cut and saved in 240 to 1080 lines: similarity .94 to 1, agreement of
    the details .34 to 1; other shots: similarity up to .90. Drawings of one character in the same pose reach .97 and
    .51, so they have no patch.
    """
    if one.patch is None or other.patch is None or _similarity(one, other) <= SAME_FACE_SIMILARITY:
        return False
    straight, mirrored = float((one.patch * other.patch).mean()), float((one.patch[:, ::-1] * other.patch).mean())
    return max(straight, mirrored) > SAME_FACE_ABOVE


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean((one - other) ** 2)))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, colour by colour about its mean; 1 for two of one colour each."""
    one, other = one - one.mean(axis=(0, 1)), other - other.mean(axis=(0, 1))
    deviations = [float(np.sqrt(np.mean(values**2))) for values in (one, other)]
    if max(deviations) < FLAT:
        return 1.0
    return float(np.mean(one * other)) / max(deviations[0] * deviations[1], sys.float_info.min)


def _similarity(one: Fingerprint, other: Fingerprint) -> float:
    if one.embedding is None or other.embedding is None:
        return 0.0
    return float(one.embedding @ other.embedding)


def repeats(fingerprints: Sequence[Fingerprint], sure: Collection[int] = ()) -> dict[int, int]:
    """Which are repeats of which: {index of the repeat: index of the one to keep}.

    Kept is one of `sure` (indices that the user vouched for), else the one with most pixels, of equals the first.
    """
    kept: list[int] = []
    found: dict[int, int] = {}
    order = sorted(range(len(fingerprints)), key=lambda at: (at not in sure, -fingerprints[at].pixels, at))
    for index in order:
        twin = next((other for other in kept if same_picture(fingerprints[index], fingerprints[other])), None)
        if twin is None:
            kept.append(index)
        else:
            found[index] = twin
    return found
