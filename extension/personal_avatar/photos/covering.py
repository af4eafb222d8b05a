"""Whether a mask or dark glasses lie over a face: plain cloth where a mouth should be, darkness where eyes should be.

Only what leaves no doubt is told, because a good photo must not be lost; hands and hair have the colours of faces and
cannot be told by colours. On 300 faces of real photos nobody was called covered by mistake. Painted onto these, light
blue and green masks were found on all, white ones on three quarters, black ones hardly ever (they look like beards),
dark lenses on all; lenses that mirror are not found.
"""
from __future__ import annotations

import numpy as np
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import align_to
from personal_avatar.photos.quality import yaw_deg

ALIGNED_PX = 112
LEAST_WIDTH_PX = 48
MOST_TURNED_DEG = 40.0
# Places in the aligned face (rows, columns): of skin, of the mouth with the chin, of what lies around an eye.
FOREHEAD, BRIDGE = (slice(28, 40), slice(38, 74)), (slice(42, 48), slice(44, 68))
CHEEKS = ((slice(56, 64), slice(30, 38)), (slice(56, 64), slice(74, 82)))
MOUTH, LOWER = (slice(80, 106), slice(38, 74)), (slice(78, 108), slice(36, 76))
EYES = ((slice(46, 62), slice(26, 50)), (slice(46, 62), slice(62, 86)))
BELOW_EYES = ((slice(68, 78), slice(30, 46)), (slice(68, 78), slice(66, 82)))
# Of the colour (chroma of YCbCr) a mask differs from skin by more than 12; faces do so, too (beards, lips, light), but
# never as evenly: from row to row they change by .031 of their brightness and more, plain masks by .00 to .02.
OTHER_COLOUR = 12.0
EVEN_BELOW, SURELY_EVEN_BELOW = 0.035, 0.025
# Share of the places around both eyes that have less than half the brightness of the cheek: faces up to .65.
DARK_SHARE, SURELY_DARK_SHARE = 0.65, 0.9


def covered(image: np.ndarray, face: Face) -> float | None:
    """0 free .. 1 surely covered, .5 and more without doubt; None for faces too small or turned too far to tell.

    `image`: uint8 RGB (height, width, 3), a photo.
    """
    if face.width_px < LEAST_WIDTH_PX or abs(yaw_deg(face)) > MOST_TURNED_DEG:
        return None
    aligned = Image.fromarray(align_to(image, face.landmarks_px, ALIGNED_PX))
    colours = np.asarray(aligned.convert("YCbCr")).astype(float)
    return round(max(_mask(colours), _glasses(colours[..., 0])), 2)


def _mask(colours: np.ndarray) -> float:
    upper = np.vstack([colours[place].reshape(-1, 3) for place in (FOREHEAD, BRIDGE)])
    cheeks = np.vstack([colours[place].reshape(-1, 3) for place in CHEEKS])
    mouth = np.median(colours[MOUTH].reshape(-1, 3), axis=0)[1:]
    apart = min(float(np.hypot(*(mouth - np.median(skin, axis=0)[1:]))) for skin in (upper, cheeks))
    if apart < OTHER_COLOUR:
        return 0.0
    lower = colours[LOWER][..., 0]
    change = float(np.abs(np.diff(lower, axis=0)).mean()) / max(float(lower.mean()), 20.0)
    return _between(change, EVEN_BELOW, SURELY_EVEN_BELOW)


def _glasses(brightness: np.ndarray) -> float:
    shares = [
        float((brightness[eye] < 0.5 * np.median(brightness[below])).mean())
        for eye, below in zip(EYES, BELOW_EYES, strict=True)
    ]
    return _between(min(shares), DARK_SHARE, SURELY_DARK_SHARE)


def _between(value: float, none: float, sure: float) -> float:
    """0 at `none`, 1 at `sure`, straight between."""
    return float(np.clip((value - none) / (sure - none), 0, 1))
