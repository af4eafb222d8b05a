"""What can be said of a face without knowing the person: sharpness and size. No model, numpy and Pillow only."""
from __future__ import annotations

import numpy as np
from PIL import Image

from personal_avatar.domain import Face

SIDE_PX = 96
QUIET = 8.0  # grey levels: keeps a flat, noisy patch from counting as sharp


def face_quality(image: np.ndarray, face: Face) -> dict[str, float]:
    """`sharpness` (0 flat, about 1 crisp), `face_size` (share of the picture's width, 0..1), `detection` (0..1).

    `image`: uint8 RGB (height, width, 3).
    """
    return {
        "sharpness": round(sharpness(image, face), 4),
        "face_size": round(min(1.0, face.width_px / image.shape[1]), 4),
        "detection": round(float(face.score), 4),
    }


def sharpness(image: np.ndarray, face: Face) -> float:
    """Standard deviation of the Laplacian over that of the brightness, on the face box brought to 96 x 96 pixels."""
    left, top, right, bottom = inside(face.box_px, image.shape[1], image.shape[0])
    crop = Image.fromarray(image[top:bottom, left:right]).convert("L")
    grey = np.asarray(crop.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR), dtype=np.float32)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).std() / (grey.std() + QUIET))


def inside(box_px: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Whole pixels of a box within the picture, at least one each way."""
    left, top = int(np.clip(box_px[0], 0, width - 1)), int(np.clip(box_px[1], 0, height - 1))
    right, bottom = int(np.clip(np.ceil(box_px[2]), left + 1, width)), int(np.clip(np.ceil(box_px[3]), top + 1, height))
    return left, top, right, bottom
