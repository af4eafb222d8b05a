"""What jobs remark, a sentence each: in the language of the page, as far as its table has them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from personal_avatar.commandline import named_here
from personal_avatar.photos.advice import ANIMAL
from personal_avatar.photos.words import FACE_GONE
from personal_avatar.problems import known, longest_first
from personal_avatar.ui.failures import happened, whole
from personal_avatar.ui.labels import PLACES, label, problem
from personal_avatar.ui.markup import tag
from personal_avatar.ui.scene import Scene
from personal_avatar.wording import DEFAULT, text, translated

KEYS = ("remark.one_recogniser", "remark.no_clip", "train_advice.NO_REPORT", f"advice.{ANIMAL}")
OF_PHOTO = "log.of_photo"  # a file, and a sentence about it
COUNTED = (
    "number", "step", "at", "total", "most", "needed", "free", "own", "common", "score", "other_score",
)  # fmt: skip
NUMBERS = dict.fromkeys(COUNTED, r"[-+.\d]+")
OF_LOGS = {**PLACES, **NUMBERS, "noun": "[^:]+"}


def told(sentence: str, language: str) -> str:
    """What jobs say while they run, in another language than English; "" of what the table does not have."""
    called = dict.fromkeys(("name", "other", "third"), lambda name: label(name, language))
    instead = {
        **called,
        "because": lambda why: translated(why, longest_first("idle"), language, called, PLACES) or why,
        "faults": lambda faults: text("list.between", language).join(
            translated(fault, known("fault"), language) or fault for fault in faults.split(", ")
        ),
        "differences": lambda parts: text("list.between", language).join(
            translated(part, known("replaced"), language) or part for part in parts.split(", and ")
        ),
        "unrestored": lambda why: translated(why, known("unrestored"), language, places=NUMBERS) or why,
        "cause": lambda cause: whole(cause, language) or cause, "kept": lambda kept: told(kept, language) or kept,
    }
    keys = [key for key in longest_first("log") if key != OF_PHOTO]
    found = translated(sentence, (*KEYS, *keys), language, instead, OF_LOGS) or happened(sentence, language)
    return found or _of_engine(sentence, language) or _of_photo(sentence, language)


def _of_engine(sentence: str, language: str) -> str:
    """What an engine does otherwise than the settings say, as it would be refused."""
    said = problem(sentence.removesuffix("."), language)
    return text("problem.all", language, told=said) if said else ""


def _of_photo(sentence: str, language: str) -> str:
    file, _, rest = sentence.partition(": ")
    said = translated(rest, (f"remark.{FACE_GONE}",), language)
    return text(OF_PHOTO, language, file=file, told=said) if said else ""


def remark(sentence: str, scene: Scene) -> str:
    """The sentence, in English where it is known in that language alone; commands in it name the data folder for who
    sits at this machine."""
    return _remark(sentence, scene)[0]


def _remark(sentence: str, scene: Scene) -> tuple[str, str]:
    """The sentence, and the language that it is in."""
    folders = scene.studio.host.folders()
    said = named_here(sentence, folders.data) if folders.callers_name_folders else sentence
    found = told(said, scene.language)
    return (found, scene.language) if found else (said, DEFAULT)


def remarks(sentences: Iterable[str], scene: Scene) -> str:
    """A list; empty without any."""
    lines = [_line(*_remark(sentence, scene), scene) for sentence in sentences]
    return tag("ul", *lines, class_="pa-advice") if lines else ""


def _line(said: str, language: str, scene: Scene) -> str:
    return tag("li", escape(said), lang=None if language == scene.language else language)
