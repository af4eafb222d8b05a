"""The nouns that stages pass on: frozen, small, free of torch and of the WebUI.

Images travel between processes as paths and between modules as uint8 RGB arrays of shape (height, width, 3).
Coordinates are pixels of the upright picture, x to the right, y down. Similarities are cosines in -1..1.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import parse_obj_as
from pydantic.json import pydantic_encoder

T = TypeVar("T")
FORMAT_VERSION = 1
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


class Method(str, Enum):
    """How an avatar is trained."""

    LORA = "lora"
    DREAMBOOTH_LORA = "dreambooth-lora"
    DREAMBOOTH = "dreambooth"
    TEXTUAL_INVERSION = "textual-inversion"


ONE_PHOTO = "one-photo"  # beside methods where they are compared: photos alone, without training; also a kind of job


class Engine(str, Enum):
    """Which program trains."""

    DIFFUSERS = "diffusers"
    KOHYA = "kohya"


class Goal(str, Enum):
    """What a training is for; presets are chosen by it."""

    FACE = "face"
    FACE_QUICK = "face-quick"
    FACE_BEST = "face-best"
    ONE_PHOTO = "one-photo"
    ANIME = "anime"
    STYLE = "style"


class Family(str, Enum):
    """Architecture of a checkpoint."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"


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
        return tuple(verdict for verdict in self.photos if verdict.accepted)


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


@dataclass(frozen=True)
class BaseModelFile:
    """A checkpoint that pictures are made with. `config`: the yaml beside it; `vae`: the file that the host uses in
    place of the VAE inside. `prediction`: "epsilon", "v_prediction", or "" when only the network itself can tell.
    """

    path: Path
    title: str
    family: Family
    sha256: str = ""
    prediction: str = "epsilon"
    config: Path | None = None
    native_px: int = 512
    vae: Path | None = None
    zero_terminal_snr: bool = False


@dataclass(frozen=True)
class Likeness:
    """Mean cosine similarity to held-out photos; the words are defined in the README."""

    floor: float
    after: float
    ceiling: float
    leakage: float | None = None

    @property
    def recovered(self) -> float:
        """Share of the way from the untrained model to the real photos."""
        span = self.ceiling - self.floor
        return (self.after - self.floor) / span if abs(span) > 1e-6 else 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A trained file. `step` is the optimiser step at which it was saved."""

    path: Path
    sha256: str
    step: int
    method: Method
    family: Family
    trigger: str
    likeness: Likeness | None = None


class Use(str, Enum):
    """What a person agreed to."""

    TRAINING = "training"
    PICTURES = "pictures"  # made from photos without training


@dataclass(frozen=True)
class Consent:
    """Who stated that the person agreed, when (ISO 8601, UTC), for which photos, to what, and where it was stated.

    `use`: one of `Use`; `door`: "page", "api" or "command line", "" where an earlier version did not note it.
    """

    statement: str
    given_by: str
    given_at: str
    photo_sha256: tuple[str, ...] = ()
    use: Use = Use.TRAINING
    door: str = ""


@dataclass(frozen=True)
class Avatar:
    """A person (or an invented character) that can be put into pictures; one folder, relocatable."""

    id: str
    name: str
    user_id: str
    class_noun: str
    trigger: str
    created_at: str
    base_title: str = ""
    reference: tuple[float, ...] = ()
    recogniser: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    dataset_fingerprint: str = ""
    consent: Consent | None = None
    job_id: str = ""
    earlier_consents: tuple[Consent, ...] = ()
    version: int = FORMAT_VERSION

    @property
    def consents(self) -> tuple[Consent, ...]:
        """All statements about this person, oldest first; none is ever taken back but by erasing the person."""
        return (*self.earlier_consents, *((self.consent,) if self.consent else ()))

    def agreed(self, consent: Consent) -> Avatar:
        """With one more statement; what was stated before stays."""
        return replace(self, consent=consent, earlier_consents=self.consents)

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint to use: the likeliest that was scored, else the last."""
        return _likeliest(self.checkpoints)

    def best_for(self, family: Family) -> Checkpoint | None:
        """The one to use with a loaded checkpoint of `family`; a trained checkpoint of its own fits always."""
        return _likeliest([one for one in self.checkpoints if one.family is family or one.method is Method.DREAMBOOTH])

    def with_checkpoints(self, points: Sequence[Checkpoint]) -> Avatar:
        """`points` in place of earlier ones of the same method and family; the others stay."""
        new = {(point.method, point.family) for point in points}
        others = [point for point in self.checkpoints if (point.method, point.family) not in new]
        return replace(self, checkpoints=(*others, *points))


def _likeliest(points: Sequence[Checkpoint]) -> Checkpoint | None:
    scored = [point for point in points if point.likeness is not None]
    if scored:
        return max(scored, key=lambda point: point.likeness.after if point.likeness else -1.0)
    return points[-1] if points else None


@dataclass(frozen=True)
class Style:
    """A template for portraits: `prompt` has one `{subject}`. `origin`: shipped or the user's own.

    `shape`: width by height; `settings`: by family of checkpoints, such as {"sd1": {"guidance": 6}}; `slots`: what
    stands at places that can be changed, such as {"clothes": "a red coat"}; `preview`: a caption for avatar-tiny.
    """

    id: str
    name: str
    prompt: str
    negative_prompt: str = ""
    category: str = ""
    origin: str = "shipped"
    shape: float = 1.0
    settings: dict[str, dict[str, float]] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)
    preview: str = ""


@dataclass(frozen=True)
class Portrait:
    """A generated picture with its scores. `likeness` None: no face was found in it."""

    path: Path
    seed: int
    prompt: str
    style: str = ""
    likeness: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    faces: int = 0
    restored: Path | None = None


def to_json(value: Any) -> Any:
    """Plain JSON data (dicts, lists, numbers, strings) of any noun in this file."""
    return json.loads(json.dumps(value, default=pydantic_encoder))


def from_json(kind: type[T], data: Any) -> T:
    """The inverse of `to_json`; raises `pydantic.ValidationError` when `data` is not of the shape of `kind`."""
    return parse_obj_as(kind, data)
