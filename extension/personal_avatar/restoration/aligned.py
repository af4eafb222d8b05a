"""Restorers of aligned faces: a face is brought into the 512-pixel position they know, restored, turned back.

What is turned back is the change, not the face: detail that the way there and back would cost stays in the picture, and
a network that changes nothing leaves every byte as it is.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import inverse, similarity_transform, warp

SIDE_PX = 512
# Where the five landmarks lie in FFHQ-like crops of 512 pixels (facexlib, utils/face_restoration_helper.py).
TEMPLATE_512_PX = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
GROUND_RGB = (132, 133, 135)  # outside of the picture, as the networks were shown it
BORDER_PX = 24
# float (1, 3, 512, 512) RGB in -1..1, fidelity -> the same, restored
FaceNetwork = Callable[[Any, float], Any]


def restore_face(image: np.ndarray, face: Face, network: FaceNetwork, fidelity: float) -> np.ndarray:
    """uint8 RGB (height, width, 3) with one face restored; what is not in the face's square keeps its bytes."""
    matrix = similarity_transform(np.asarray(face.landmarks_px, dtype=float), TEMPLATE_512_PX)
    before = square(image, matrix)
    return _put_back(image, before, _through(network, before, fidelity), matrix)


def restore_faces(image: np.ndarray, faces: Sequence[Face], network: FaceNetwork, fidelity: float) -> np.ndarray:
    """The same for several faces, one after the other."""
    result = image.copy()
    for face in faces:
        result = restore_face(result, face, network, fidelity)
    return result


def square(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The aligned face, uint8 RGB (512, 512, 3). `matrix` (2, 3): from the picture to the square."""
    fitted, smaller = _reduced(image, matrix)
    face = warp(fitted, smaller, (SIDE_PX, SIDE_PX))
    covered = warp(np.full_like(fitted, 255), smaller, (SIDE_PX, SIDE_PX))
    return np.where(covered > 0, face, np.asarray(GROUND_RGB, dtype=np.uint8))


def _reduced(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture of faces much larger than the square, with blocks of pixels averaged, and the matrix for it."""
    from PIL import Image

    factor = int(1 / max(_scale(matrix), 1e-6))
    if factor < 2:
        return image, matrix
    offset = matrix[:, :2] @ np.full(2, (factor - 1) / 2) + matrix[:, 2]
    return np.asarray(Image.fromarray(image).reduce(factor)), np.hstack([matrix[:, :2] * factor, offset[:, None]])


def _scale(matrix: np.ndarray) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _through(network: FaceNetwork, crop: np.ndarray, fidelity: float) -> np.ndarray:
    """uint8 RGB (512, 512, 3) -> the same, through the network. NaN becomes black: whoever measures refuses it."""
    import torch

    pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    with torch.no_grad():
        answer = torch.nan_to_num(network(pixels, fidelity)[0].float().cpu(), nan=-1.0)
    return ((answer.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).to(torch.uint8).numpy()


def _put_back(image: np.ndarray, before: np.ndarray, after: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What became of the square turned back into the picture, faded out to its border."""
    size = (image.shape[1], image.shape[0])
    side = int(np.clip(np.ceil(SIDE_PX / max(_scale(matrix), 1e-6)), 1, SIDE_PX))
    back = inverse(_shrunk(matrix, side))
    mask = warp(_fade(side), back, size).astype(np.float32) / 255
    new, old = (warp(_small(square, side), back, size).astype(np.float32) for square in (after, before))
    return np.rint(image + (new - old) * mask).clip(0, 255).astype(np.uint8)


def _small(square: np.ndarray, side_px: int) -> np.ndarray:
    """The square reduced, lest fine lines become dots."""
    from PIL import Image

    return np.asarray(Image.fromarray(square).resize((side_px, side_px), Image.Resampling.LANCZOS))


def _shrunk(matrix: np.ndarray, side_px: int) -> np.ndarray:
    """From the picture to a smaller square; pixels are counted at their centres."""
    factor = side_px / SIDE_PX
    shift = np.full((2, 1), (factor - 1) / 2)
    return np.hstack([matrix[:, :2] * factor, matrix[:, 2:] * factor + shift])


def _fade(side_px: int) -> np.ndarray:
    """uint8 (side, side, 3): 255 inside, 0 at the border."""
    distance = np.minimum(np.arange(side_px), np.arange(side_px)[::-1]) * (SIDE_PX / side_px)
    fade = np.clip(np.minimum.outer(distance, distance) / BORDER_PX, 0.0, 1.0)
    return np.repeat(np.rint(fade * 255).astype(np.uint8)[..., None], 3, axis=2)
