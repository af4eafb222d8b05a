"""Bring a face into the position that recognisers were trained on: five landmarks onto five fixed points."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

# Where the landmarks lie in the 112-pixel crops on which ArcFace, SFace and their kin were trained.
TEMPLATE_112_PX = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)

SUBPIXELS = 32


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, uniform scale and shift (2, 3) that maps points `source` (n, 2) onto `target` with least squares.

    Closed form of Umeyama (1991) in the plane: a point is a complex number, the map is z -> a z + b. Mirroring cannot
    come out of it.
    """
    z, w = source @ [1, 1j], target @ [1, 1j]
    centred = z - z.mean()
    spread = float(np.vdot(centred, centred).real)
    a = np.vdot(centred, w - w.mean()) / spread if spread > 1e-12 else 1.0 + 0j
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a (2, 3) affine matrix."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (n, 2) by a (2, 3) affine matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def warp(image: np.ndarray, matrix: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Resample uint8 RGB `image` so that point p comes to `matrix` p; `size_px` (width, height); black outside.

    Coordinates are those of cv2.warpAffine (integers are pixel centres), as landmarks of detectors are meant.
    """
    a, b, c, d, e, f = inverse(matrix).ravel()
    # Pillow's coordinates put pixel centres at .5.
    pillow = (a, b, c + 0.5 - 0.5 * (a + b), d, e, f + 0.5 - 0.5 * (d + e))
    affine = Image.Transform.AFFINE
    picture = Image.fromarray(image).transform(size_px, affine, pillow, resample=Image.Resampling.BILINEAR)
    return np.asarray(picture)


def align_to(image: np.ndarray, landmarks_px: Sequence[Sequence[float]], size_px: int = 112) -> np.ndarray:
    """The aligned face, uint8 RGB (size_px, size_px, 3); the template is that of ArcFace, scaled.

    A face much larger than `size_px` is reduced first, because plain bilinear sampling would alias.
    """
    points = np.asarray(landmarks_px, dtype=float)
    matrix = similarity_transform(points, TEMPLATE_112_PX * (size_px / 112))
    image, matrix = _reduced(image, matrix, size_px)
    return warp(image, matrix, (size_px, size_px))


def align_as_trained(image: np.ndarray, landmarks_px: Sequence[Sequence[float]], size_px: int = 112) -> np.ndarray:
    """The aligned face as insightface's `norm_crop` cuts it, uint8 RGB (size_px, size_px, 3).

    For networks whose input was cut like that: plain bilinear samples at 32nds of a pixel, as cv2.warpAffine takes
    them, also of a face much larger than the crop; black outside.
    """
    points = np.asarray(landmarks_px, dtype=float)
    back = inverse(similarity_transform(points, TEMPLATE_112_PX * (size_px / 112)))
    rows, columns = np.mgrid[0:size_px, 0:size_px]
    places = np.stack([columns, rows], axis=-1) @ back[:, :2].T + back[:, 2]
    return _sampled(image, np.floor(places * SUBPIXELS + 0.5) / SUBPIXELS)


def _sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear samples of uint8 `image` at x, y (..., 2), rounded; black outside."""
    corner = np.floor(places).astype(int)
    right, down = np.moveaxis((places - corner)[..., None], -2, 0)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    height, width = padded.shape[:2]

    def at(x: int, y: int) -> np.ndarray:
        return padded[np.clip(corner[..., 1] + 1 + y, 0, height - 1), np.clip(corner[..., 0] + 1 + x, 0, width - 1)]

    above = at(0, 0) * (1 - right) + at(1, 0) * right
    below = at(0, 1) * (1 - right) + at(1, 1) * right
    mixed: np.ndarray = np.floor(above * (1 - down) + below * down + 0.5).astype(np.uint8)
    return mixed


def _reduced(image: np.ndarray, matrix: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut out what the warp will look at and average blocks of pixels, as long as it stays larger than the crop."""
    factor = int(1 / max(np.hypot(matrix[0, 0], matrix[1, 0]), 1e-6))
    if factor < 2:
        return image, matrix
    corners = apply(inverse(matrix), np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], dtype=float))
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=0)) - factor, 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + factor, [left + 1, top + 1], [width, height]).astype(int)
    part = Image.fromarray(image[top:bottom, left:right]).reduce(factor)
    # Pixel centre p of the reduced part is at factor p + (factor - 1) / 2 + (left, top) of the picture.
    offset = np.array([left, top]) + (factor - 1) / 2
    linear = matrix[:, :2]
    return np.asarray(part), np.hstack([linear * factor, (linear @ offset + matrix[:, 2])[:, None]])
