"""Photos and what is found out about them, to the pictures that are trained on.

Coordinates are pixels of the upright picture, x to the right, y down. Similarities are cosines in -1..1.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

DATASET_VERSION = 2


class Reason(str, Enum):
    """Why a photo was rejected; the codes of the photo report."""

    UNREADABLE = "UNREADABLE"
    TOO_LARGE = "TOO_LARGE"
    NO_FACE = "NO_FACE"
    SEVERAL_FACES = "SEVERAL_FACES"
    FACE_TOO_SMALL = "FACE_TOO_SMALL"
    BLURRED = "BLURRED"
    DARK = "DARK"
    OVEREXPOSED = "OVEREXPOSED"
    OCCLUDED = "OCCLUDED"
    EXTREME_POSE = "EXTREME_POSE"
    DUPLICATE = "DUPLICATE"
    OTHER_PERSON = "OTHER_PERSON"


# Nothing of such a photo can be trained on, whatever a person decides.
UNUSABLE = frozenset({Reason.UNREADABLE, Reason.TOO_LARGE, Reason.NO_FACE})


class Look(str, Enum):
    """Whether a picture was photographed (or rendered to look so) or drawn; other networks look at drawings."""

    PHOTO = "photo"
    DRAWN = "drawn"


@dataclass(frozen=True)
class Photo:
    """A picture as it was given; `size_px` is (width, height) after the EXIF rotation."""

    path: Path
    sha256: str
    size_px: tuple[int, int]


@dataclass(frozen=True)
class Face:
    """One found face. `landmarks_px`: eyes, nose, corners of the mouth; the viewer's left one first."""

    box_px: tuple[float, float, float, float]
    landmarks_px: tuple[tuple[float, float], ...]
    score: float
    embedding: tuple[float, ...] | None = None

    @property
    def width_px(self) -> float:
        return self.box_px[2] - self.box_px[0]

    @property
    def height_px(self) -> float:
        return self.box_px[3] - self.box_px[1]


@dataclass(frozen=True)
class Quality:
    """Measured on the face crop. `sharpness`: see photos.quality; `brightness`, `clipped` 0..1.

    Angles in degrees: `yaw_deg` above 0 when the nose points to the viewer's right, `pitch_deg` above 0 when the head
    is bent down, `roll_deg` above 0 clockwise. `eyes_open`: 0 closed to 1 open; `mouth_open`: 0 closed to 1 wide open;
    `covered`: 0 free to 1, how surely something lies over a part of the face. None: cannot be told.
    """

    sharpness: float
    brightness: float
    clipped: float
    yaw_deg: float
    roll_deg: float
    pitch_deg: float = 0.0
    eyes_open: float | None = None
    mouth_open: float | None = None
    covered: float | None = None


@dataclass(frozen=True)
class PhotoChoice:
    """What a person decided about a photo. `take`: True in spite of the verdict, False to leave it out, None to follow
    the verdict. `face`: which of its faces is meant, an index into `PhotoVerdict.people`; None: the most likely one."""

    take: bool | None = None
    face: int | None = None


@dataclass(frozen=True)
class PhotoVerdict:
    """What the report says of one photo: accepted without `reasons`, unless a person chose otherwise.

    `face`: the one that is meant; `people`: all faces, largest first, without embeddings; `similarity` is to the centre
    of the set. `remarks`: codes of what is worth telling but rejects nothing (photos.words). `values`: the numbers and
    names that the texts of reasons and remarks are filled with; `detail`: the reasons as English sentences.
    """

    path: Path
    reasons: tuple[Reason, ...] = ()
    detail: str = ""
    photo: Photo | None = None
    face: Face | None = None
    faces: int = 0
    quality: Quality | None = None
    similarity: float | None = None
    people: tuple[Face, ...] = ()
    choice: PhotoChoice = PhotoChoice()
    remarks: tuple[str, ...] = ()
    look: Look = Look.PHOTO
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.reasons if self.choice.take is None else self.choice.take and self.usable

    @property
    def usable(self) -> bool:
        """Whether a person may take it: it can be read and shows a face where one is wanted."""
        return not UNUSABLE.intersection(self.reasons)


@dataclass(frozen=True)
class Coverage:
    """What the accepted photos show together: how many photos fall under each word, 0 under those that are missing.

    `angles`: front, left, right, profile_left, profile_right (the viewer's), up, down; `distances`: close, portrait,
    far; `light`: dark, medium, bright; besides side, warm, cold; `scenes`: number of different surroundings of the
    head, `clothes`: of different colours below it, each None when they cannot be told; `expressions`: mouth_closed,
    mouth_open, eyes_closed, as far as measured.
    `missing`: codes of the advice that follows from it.
    """

    photos: int
    angles: dict[str, int] = field(default_factory=dict)
    distances: dict[str, int] = field(default_factory=dict)
    light: dict[str, int] = field(default_factory=dict)
    expressions: dict[str, int] = field(default_factory=dict)
    scenes: int | None = None
    clothes: int | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """What is told of photos or of a training: a code with values, for translations, and the English sentence."""

    code: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoReport:
    """Verdicts in the order of the photos, and advice for the set. `coverage`: None where no faces are looked for."""

    photos: tuple[PhotoVerdict, ...]
    advice: tuple[Advice, ...] = ()
    coverage: Coverage | None = None

    @property
    def accepted(self) -> tuple[PhotoVerdict, ...]:
        """Each content once: a decision by hand is about the content, and so about all files that have it."""
        once: dict[str, PhotoVerdict] = {}
        for verdict in self.photos:
            if verdict.accepted:
                once.setdefault(verdict.photo.sha256 if verdict.photo else str(verdict.path), verdict)
        return tuple(once.values())


@dataclass(frozen=True)
class Sample:
    """One training picture (PNG) and its caption, in the dataset's folder. `mask`: a grey PNG of its size, white where
    the person's head is; None: the whole picture counts."""

    image: Path
    caption: str
    source_sha256: str
    repeats: int = 1
    mask: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """Prepared pictures, paths relative to `folder`. `held_out` are not trained on: likeness is measured on them."""

    id: str
    folder: Path
    samples: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    resolution_px: int
    trigger: str
    class_noun: str
    fingerprint: str
    version: int = DATASET_VERSION
