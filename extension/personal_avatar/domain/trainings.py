"""What is trained on what, and what came of it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any


class Method(str, Enum):
    """How an avatar is trained."""

    LORA = "lora"
    DREAMBOOTH_LORA = "dreambooth-lora"
    DREAMBOOTH = "dreambooth"
    TEXTUAL_INVERSION = "textual-inversion"

    @property
    def is_lora(self) -> bool:
        """Whether its files are LoRAs."""
        return self in (Method.LORA, Method.DREAMBOOTH_LORA)


ONE_PHOTO = "one-photo"  # beside methods where they are compared: photos alone, without training; also a kind of job


CLASS_NOUNS = ("person", "woman", "man", "girl", "boy", "cat", "dog")  # offered for who is trained; others are possible
PEOPLE = frozenset(("person", "woman", "man", "girl", "boy"))
# Nouns of whom no detector of faces finds one, but now and then.
ANIMALS = frozenset((
    "animal", "bird", "bunny", "cat", "chicken", "cow", "dog", "donkey", "duck", "fish", "goat", "hamster", "horse",
    "kitten", "lizard", "mouse", "parrot", "pet", "pig", "pony", "puppy", "rabbit", "rat", "sheep", "snake", "turtle",
    "bear", "fox", "frog", "lion", "monkey", "tiger", "wolf",
))  # fmt: skip


def means_animal(class_noun: str) -> bool:
    """Whether a noun is of an animal, such as "old dog", and not of a "woman with a cat"."""
    words = class_noun.lower().split()
    return bool(ANIMALS.intersection(words[-1:])) and PEOPLE.isdisjoint(words)


def asked_in(payload: Mapping[str, Any]) -> PurePath | None:
    """The data folder in which a training was asked for, by the task that its job was given: that of its weights and of
    its avatar. None of other jobs, and where the task does not tell."""
    task = payload.get("training", payload)
    try:
        kind = PureWindowsPath if "\\" in task["weights_folder"] else PurePosixPath
        home = kind(task["weights_folder"]).parent
        return home if home.is_absolute() and kind(task["avatar_folder"]).is_relative_to(home / "avatars") else None
    except (KeyError, TypeError):
        return None


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


LIKENESS, RESEMBLANCE = MEASURED = "likeness", "resemblance"  # what is measured: of a person, of what has no face
LEAST_SPAN = 0.05  # between floor and ceiling, in cosines
NO_RECOVERY = 0.01  # of the way: below it a share of it means nothing


@dataclass(frozen=True)
class Likeness:
    """Mean cosine similarity to held-out photos; the words are defined in the README."""

    floor: float
    after: float
    ceiling: float
    leakage: float | None = None

    @property
    def recovered(self) -> float:
        """Share of the way from the untrained model to the real photos. Few photos, or the few pictures of a style, may
        differ more among themselves than from anything else: the way is never shorter than `LEAST_SPAN`."""
        return (self.after - self.floor) / max(LEAST_SPAN, self.ceiling - self.floor)


@dataclass(frozen=True)
class Scores:
    """What trainings are compared by: merit.py. `likeness`: of a style its resemblance; `following`: of prompts, 0..1,
    and that of the untrained checkpoint."""

    likeness: Likeness
    following: float | None = None
    following_before: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained file. `step` is the optimiser step at which it was saved. `place`: what files share whose `scores` can
    be compared, "" where an earlier version did not note it. `clip_skip`: by which layer of the text encoder it was
    trained, as the WebUI counts; 0 where an earlier version did not note it, or the family has no choice. `engine`: an
    earlier version did not note it, and it counts as ours."""

    path: Path
    sha256: str
    step: int
    method: Method
    family: Family
    trigger: str
    likeness: Likeness | None = None
    scores: Scores | None = None
    place: str = ""
    clip_skip: int = 0
    engine: Engine = Engine.DIFFUSERS
