"""What errors say happened, and what is to be done, in the language of the page, whatever fills their places: jobs
keep them in English, those of earlier versions and of other machines too."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import islice

from personal_avatar.problems import known, longest_first
from personal_avatar.ui.labels import PLACES, label, of_base, reasons
from personal_avatar.ui.texts import text
from personal_avatar.wording import LONGEST, translated

# What errors say of how a job ended, and of why none begins, as far as it is no `failure.`: these are raised in many
# places, or with what is kept of the job.
ENDINGS = (
    "ending.cancelled", "ending.cancelled.waiting", "ending.cancelled.paused", "ending.deleted", "ending.interrupted",
    "ending.download", "ending.closed", "ending.state", "ending.task", "ending.nan", "ending.nan.kohya",
    "ending.nan.first", "ending.nan.cards",
)
STARTS = (
    "error.QUEUE_FULL.all", "error.QUEUE_FULL.one", "error.TOO_FEW_PHOTOS.found", "error.TOO_FEW_PHOTOS.found_one",
)
NO_ROOM = ("error.OUT_OF_VRAM.hint", "error.OUT_OF_VRAM.cudnn", "error.OUT_OF_MEMORY.hint")
OWN_HINTS = (
    "error.WEIGHTS_MISSING.press", "error.WEIGHTS_MISSING.fetch", "error.WEIGHTS_MISSING.run",
    "error.WEIGHTS_MISSING.tagger", "error.NOT_ALIKE.damaged", "error.NOT_ALIKE.faceless",
    "error.NOT_ALIKE.no_people", "jobs.keptnothing",
    "error.BASE_NOT_FOUND.back", "error.NOT_TAKEN.back", "error.OUT_OF_VRAM.cudnn",
    "ending.hint.finished", "ending.hint.best", "ending.hint.pictures", "ending.hint.fp16", "ending.hint.one_card",
    "ending.hint.resume", "ending.hint.again", "ending.hint.useless", "ending.hint.smaller", *known("remedy"),
)
# What follows a sentence or stands before one.
WORDS, PERSON, KEPT = "failure.words", "failure.of_person", "failure.kohya_kept"
OF_SOMEBODY = re.compile(r"(?P<who>[^\n]{1,100}?): (?P<told>.+)", re.DOTALL)
SENTENCE = re.compile(r"\. (?=[A-Z])")
DEEPEST = 3  # sentences in one another
REMEMBERED = 1000  # the page tells the same ones at each of its refreshes
# What alone fills the places of failures: none is taken for another one that ends or begins like it.
OF_FAILURES = {
    **PLACES, **dict.fromkeys(("place", "folder"), r".*[/\\].*"),
    "tagger": r"\S+", "code": r"-?\w+(?: \(\w+\))?",
    **dict.fromkeys(("file", "tensors"), r"[^\n]+?"), "words": r"(?: Its last words: .*)?",
    **dict.fromkeys(("count", "number", "width", "height", "needed", "free", "total", "step"), r"[-+.\d]+(?: [MG]B)?"),
}


def happened(message: str, language: str, within: int = DEEPEST) -> str:
    """"" of what the table does not have. `within`: how many sentences may stand in one another, which is bounded, as
    their length is: a message may hold what some library or log says."""
    return _happened(message, language, within) if within and len(message) <= LONGEST else ""


@lru_cache(maxsize=REMEMBERED)
def _happened(message: str, language: str, within: int) -> str:
    before, kept = _apart(message, language)
    told = _of_nobody(before, language, within) or _of_person(before, language, within)
    return f"{told}{kept}" if told else ""


def _apart(message: str, language: str) -> tuple[str, str]:
    """What happened, as it was written, and what is said of what was kept, in the language; "" of nothing."""
    begins = text(KEPT).partition("{")[0]
    before, _, rest = message.rpartition(begins)
    kept = translated(begins + rest, [KEPT], language, places=OF_FAILURES) if before else ""
    return (before, kept) if kept else (message, "")


def _of_nobody(message: str, language: str, within: int) -> str:
    filled = {
        "why": lambda counted: reasons(counted, language),
        "words": lambda words: translated(words, [WORDS], language),
        **dict.fromkeys(
            ("cause", "causes", "content", "where"), lambda part: happened(part, language, within - 1) or part
        ),
    }
    told = translated(message, (*ENDINGS, *STARTS), language, filled, PLACES) or of_base(message, language)
    return told or translated(message, _failures(), language, filled, OF_FAILURES)


@cache
def _failures() -> tuple[str, ...]:
    return tuple(key for key in longest_first("failure") if key not in (WORDS, PERSON, KEPT))


def _of_person(message: str, language: str, within: int) -> str:
    """Of several people: who it is about, then what happened."""
    named = OF_SOMEBODY.fullmatch(message)
    who, told = (named["who"], _of_nobody(named["told"], language, within)) if named else ("", "")
    return text(PERSON, language, who=who, told=told) if told else ""


def whole(said: str, language: str) -> str:
    """What happened and, behind it, what is to be done, as errors are written in logs; "" of what the table does not
    have."""
    for end in islice(SENTENCE.finditer(said[:LONGEST]), DEEPEST):
        before, after = happened(said[: end.end()].rstrip(), language), said[end.end() :]
        if before and (hint := remedied(after, language) or translated(after, _usual(), language)):
            return f"{before} {hint}"
    return happened(said, language)


@cache
def _usual() -> tuple[str, ...]:
    return tuple(key for key in longest_first("error") if key.endswith(".hint"))


def remedied(hint: str, language: str) -> str:
    """What is to be done, settings under their labels; "" of what the table does not have."""
    if told := _remedied(hint, language):
        return told
    before, end, after = hint.rpartition(". ")
    parts = [_remedied(f"{before}.", language), _remedied(after, language)] if end else []
    return " ".join(parts) if parts and all(parts) else ""


def _remedied(hint: str, language: str) -> str:
    def called(changes: str) -> str:
        each = (change.partition(" ") for change in changes.split(", "))
        return text("list.between", language).join(f"{label(name, language)} {value}" for name, _, value in each)

    instead = {
        **dict.fromkeys(("name", "other"), lambda name: label(name, language)), "changes": called,
        "usual": lambda usual: translated(usual, NO_ROOM, language) or usual,
        "cause": lambda cause: happened(cause, language) or cause,
    }
    return translated(hint, OWN_HINTS, language, instead, PLACES)


def waiting_or_training(message: str, language: str) -> tuple[str, str]:
    """What is said of a training that is already there, and what to do on the page; nothing of anything else."""
    for key in ("error.WRONG_STATE.training", "error.WRONG_STATE.paused", "error.WRONG_STATE.waiting"):
        if said := translated(message, [key], language):
            return said, text(f"{key}.hint", language)
    return "", ""
