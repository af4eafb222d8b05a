"""Restorers of aligned faces: each face is brought into the 512-pixel position they know, restored, put back."""
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
BORDER_PX = 24
# float (1, 3, 512, 512) RGB in -1..1, fidelity -> the same, restored
FaceNetwork = Callable[[Any, float], Any]


def restore_faces(image: np.ndarray, faces: Sequence[Face], network: FaceNetwork, fidelity: float) -> np.ndarray:
    """uint8 RGB (height, width, 3) with every face restored; what is not in a face's square keeps its bytes."""
    result = image.copy()
    for face in faces:
        matrix = similarity_transform(np.asarray(face.landmarks_px, dtype=float), TEMPLATE_512_PX)
        restored = _through(network, warp(result, matrix, (SIDE_PX, SIDE_PX)), fidelity)
        result = _put_back(result, restored, matrix)
    return result


def _through(network: FaceNetwork, crop: np.ndarray, fidelity: float) -> np.ndarray:
    """uint8 RGB (512, 512, 3) -> the same, through the network."""
    import torch

    pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    with torch.no_grad():
        answer = network(pixels, fidelity)[0].float().cpu()
    return ((answer.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).to(torch.uint8).numpy()


def _put_back(image: np.ndarray, restored: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The square turned back into the picture, its border faded out."""
    size, back = (image.shape[1], image.shape[0]), inverse(matrix)
    distance = np.minimum(np.arange(SIDE_PX), np.arange(SIDE_PX)[::-1])
    fade = np.clip(np.minimum.outer(distance, distance) / BORDER_PX, 0.0, 1.0)
    fade_rgb = np.repeat(np.rint(fade * 255).astype(np.uint8)[..., None], 3, axis=2)
    mask = warp(fade_rgb, back, size).astype(np.float32) / 255
    turned = warp(restored, back, size).astype(np.float32)
    blended = image + (turned - image) * mask
    return np.where(mask > 0, np.rint(blended), image).astype(np.uint8)
