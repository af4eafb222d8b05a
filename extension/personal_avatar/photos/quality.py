"""How good the picture of a face is, measured on the face alone and independent of the resolution of the photo."""
from __future__ import annotations

import math

import numpy as np
from PIL import Image

from personal_avatar.domain import Face, Quality

MEASURED_PX = 192
WHOLE_LONG_PX = 4096  # longer side at most, for what is as thin as a line
WHOLE_PX = 256  # shorter side of a whole picture; sharp ones have 51-83 there, blurred by 1 % of it 23-58
BLUR_WINDOW_PX = 9
BRIGHT_SHARE = 0.9
CLIPPED_FROM = 250
# How far the tip of the nose stands before the line of the eyes, in distances of the eyes: about 33 of 63 mm.
NOSE_DEPTH = 0.52
# Where the tip of the nose lies on the way from the eyes to the mouth of a head held level (half of 260 photos: .576
# with YuNet, .578 with SCRFD), and how many degrees the head is bent for a full way more.
NOSE_LEVEL = 0.577
PITCH_DEG = 75.0
MOST_PITCH_DEG = 60.0


def measure(image: np.ndarray, face: Face) -> Quality:
    """`image`: uint8 RGB (height, width, 3), upright."""
    crop = _face_crop(image, face)
    grey = crop @ np.array([0.299, 0.587, 0.114])
    oval = _oval(crop.shape[0])
    return Quality(
        sharpness=round(sharpness(grey), 1),
        brightness=round(float(np.quantile(grey[oval], BRIGHT_SHARE)) / 255, 3),
        clipped=round(float((crop.min(axis=2) >= CLIPPED_FROM)[oval].mean()), 3),
        yaw_deg=round(yaw_deg(face), 1),
        roll_deg=round(roll_deg(face), 1),
        pitch_deg=round(pitch_deg(face), 1),
    )


def measure_whole(image: np.ndarray) -> Quality:
    """Of a picture of anything, uint8 RGB (height, width, 3); angles are 0."""
    scale = min(WHOLE_PX / min(image.shape[:2]), WHOLE_LONG_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)).astype(float)
    grey = small @ np.array([0.299, 0.587, 0.114])
    return Quality(
        sharpness=round(sharpness(grey), 1),
        brightness=round(float(np.quantile(grey, BRIGHT_SHARE)) / 255, 3),
        clipped=round(float((small.min(axis=2) >= CLIPPED_FROM).mean()), 3),
        yaw_deg=0.0,
        roll_deg=0.0,
    )


def sharpness(grey: np.ndarray) -> float:
    """0 (blurred) .. 100: the share of the local contrast that a further blur takes away, the worse of both directions.

    After Crete and others, "The blur effect" (2007): a sharp picture loses much, a blurred one little, and the contrast
    of the motif cancels out. Faces scaled to 192 pixels give: photos 44-72, drawings 42-80; with a Gaussian of 1 % of
    the face's width 23-43, of 2 % 14-25; faces of 30 pixels that were enlarged 20-42.
    """
    return 100 * min(_lost_contrast(grey), _lost_contrast(grey.T))


def _lost_contrast(grey: np.ndarray) -> float:
    """Along the first axis; 0 for a plain area."""
    contrast = np.abs(np.diff(grey, axis=0))
    left = np.abs(np.diff(_box_blur(grey, BLUR_WINDOW_PX), axis=0))
    total = float(contrast.sum())
    return float(np.maximum(contrast - left, 0).sum()) / total if total > 0 else 0.0


def _box_blur(grey: np.ndarray, window: int) -> np.ndarray:
    """Running mean along the first axis; the edge is repeated."""
    padded = np.pad(grey, ((window // 2, window // 2), (0, 0)), mode="edge")
    sums = np.cumsum(np.vstack([np.zeros((1, padded.shape[1])), padded]), axis=0)
    return (sums[window:] - sums[:-window]) / window


def _face_crop(image: np.ndarray, face: Face) -> np.ndarray:
    """The part of the face's box that lies in the picture, float (192, 192, 3), 0..255."""
    height, width = image.shape[:2]
    left, top = (int(np.clip(value, 0, end - 1)) for value, end in zip(face.box_px[:2], (width, height), strict=True))
    right = int(np.clip(math.ceil(face.box_px[2]), left + 1, width))
    bottom = int(np.clip(math.ceil(face.box_px[3]), top + 1, height))
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    resized = part.resize((MEASURED_PX, MEASURED_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized).astype(float)


def _oval(side: int) -> np.ndarray:
    """The ellipse in a square, as a mask: without the background in the corners of the box."""
    across = np.linspace(-1, 1, side)
    return across[:, None] ** 2 + (across[None, :] / 0.85) ** 2 <= 1


def roll_deg(face: Face) -> float:
    """Tilt of the line of the eyes, clockwise positive, -180..180."""
    left, right = face.landmarks_px[:2]
    return math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))


def yaw_deg(face: Face) -> float:
    """Turn of the head, -90..90, positive when the nose points to the right of the picture.

    From the place of the nose along the line of the eyes, after taking the tilt out; good to about 10 degrees.
    """
    eyes = np.array(face.landmarks_px[:2])
    along = eyes[1] - eyes[0]
    distance = float(np.hypot(*along))
    if distance < 1e-6:
        return 90.0
    aside = float((np.array(face.landmarks_px[2]) - eyes.mean(axis=0)) @ along) / distance**2
    return math.degrees(math.atan(aside / NOSE_DEPTH))


def pitch_deg(face: Face) -> float:
    """How far the head is bent down, -60..60, below 0 when it is raised.

    From the place of the nose between eyes and mouth, after taking the tilt out. Against the mesh of mediapipe on 260
    photos: 6 degrees off on average, more for heads bent by over 20, whose angle comes out too small (YuNet, SCRFD).
    """
    eyes, mouth = np.array(face.landmarks_px[:2]), np.array(face.landmarks_px[3:])
    along = eyes[1] - eyes[0]
    down = np.array([-along[1], along[0]])
    whole = float((mouth.mean(axis=0) - eyes.mean(axis=0)) @ down)
    if abs(whole) < 1e-6:
        return 0.0
    share = float((np.array(face.landmarks_px[2]) - eyes.mean(axis=0)) @ down) / whole
    return float(np.clip((share - NOSE_LEVEL) * PITCH_DEG, -MOST_PITCH_DEG, MOST_PITCH_DEG))
