"""Settings are called as their widgets on the page are, not as in commands and over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from personal_avatar.errors import InvalidSettings
from personal_avatar.names import NOUN
from personal_avatar.params import Settings
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import BETWEEN, known, problems_of
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.ui.texts import has, text
from personal_avatar.wording import translated

# Not a part of a path or of another name.
BEFORE, AFTER = r"(?<![\w/\\.-])", r"(?![\w/\\-]|\.\w)"
NAME = "[a-z]+(?:_[a-z]+)+"
# Names that are no words of a language, and such as are, where settings alone are spoken of.
ONLY_NAMES = re.compile(f"{BEFORE}{NAME}{AFTER}", re.ASCII)
NAMED = re.compile(f"{BEFORE}(?:steps|rank|vectors|{NAME}){AFTER}", re.ASCII)
# What fills the places of texts about settings. Nothing else does: a value that was cut at a semicolon lacks a
# quotation mark, and no sentence is taken for a name.
PLACES = {
    **dict.fromkeys(("name", "other"), r"\S+"),
    "choices": r"[^\s,]*(?:, [^\s,]*)*",
    "got": r"""(?:'.*'|".*"|['"].*\(\d+ characters\)|[^'"].*)""",
    **dict.fromkeys(("low", "high", "multiple", "most", "usable", "need"), r"[-+.\de]+"),
    "stranger": r"(?s:.+)", "settings": r"\w+(?:, \w+)*",
    "value": r"\S+", "why": r"(?: \(.*\))?",
}
# The same of texts about checkpoints, so that these are not taken for what is said of something else;
# a file may be called like the beginning of what is said of it.
OF_BASE = {
    "file": ".+", "path": r".*[/\\].*", "wanted": r"'.*'|\".*\"", "unusual": "(?:unusual|an? |levels|attention).*",
}  # fmt: skip
SEVERAL = re.compile(", (?=[a-z])")


def labelled(sentence: str, language: str, named: re.Pattern[str] = NAMED) -> str:
    """With “the label” in place of each name of a setting of photos and trainings that `named` finds."""
    return named.sub(lambda found: label(found[0], language), sentence)


def problems(error: InvalidSettings, language: str) -> str:
    """What is wrong with settings, each under its label; "" where the table cannot say all of it."""
    said: list[str] = []
    for one in problems_of(error):
        if not (told := problem(one, language, error.titles)):
            return ""
        said.append(told)
    return text("problem.all", language, told=BETWEEN.join(said))


def problem(sentence: str, language: str, titles: Mapping[str, str] | None = None) -> str:
    """One thing that is wrong, as `problems` tells it; of a checkpoint, too, without its full stop."""
    def called(name: str) -> str:
        return label(name, language, titles)

    instead = {"name": called, "other": called, "cause": lambda cause: of_base(cause, language) or cause}
    return translated(sentence, known(), language, instead, PLACES) or of_base(sentence, language)


def of_base(sentence: str, language: str) -> str:
    """What is said of a checkpoint, of a file or of the trainer, with or without its full stop; "" of anything else."""
    def inner(part: str) -> str:
        return translated(part, known("content"), language) or part

    def each(parts: str) -> str:
        return text("list.between", language).join(map(inner, SEVERAL.split(parts)))

    instead = {**dict.fromkeys(("content", "cause", "format"), inner), "unusual": each}
    keys = (*known("base"), *known("trainer"), *known("content"))
    if said := translated(sentence, keys, language, instead, OF_BASE):
        return said
    return translated(f"{sentence}.", keys, language, instead, OF_BASE).rstrip(".。")


def label(name: str, language: str, titles: Mapping[str, str] | None = None) -> str:
    """What the page calls a setting; a name that is none stays as it is. `titles`: see `InvalidSettings`."""
    title = (titles or {}).get(name) or labels().get(name)  # a job keeps its error without titles
    return f"“{text(title, language)}”" if title else name


def reasons(counted: str, language: str) -> str:
    """What ` (2 blurred, 1 no face)` says of photos; nothing of nothing."""
    each = [part.partition(" ") for part in counted.removeprefix(" (").removesuffix(")").split(", ") if part]
    told = text("list.between", language).join(f"{count} × {_reason(why, language)}" for count, _, why in each)
    return f" ({told})" if told else ""


def _reason(why: str, language: str) -> str:
    key = f"reason.{why.upper().replace(' ', '_')}"
    return text(key, language).rstrip(".。") if has(key) else text("error.TOO_FEW_PHOTOS.left_out", language)


@cache
def labels() -> dict[str, str]:
    """Keys of the labels of all settings and of the noun, by their names."""
    kinds: list[type[Settings]] = [PhotoSettings, *PLANS.values()]
    found = {name: str(field.field_info.title) for kind in kinds for name, field in kind.__fields__.items()}
    return {**found, NOUN: "photos.noun"}
