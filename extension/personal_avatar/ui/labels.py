"""Settings are called as their widgets on the page are, not as in commands and over HTTP."""

from __future__ import annotations

import re
from functools import cache

from personal_avatar.errors import InvalidSettings
from personal_avatar.params import BETWEEN, PROBLEMS, Settings, problems_in
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training.plan import PLANS
from personal_avatar.ui.texts import text
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
    "name": r"\S+", "choices": r"[^\s,]*(?:, [^\s,]*)*", "got": r"""(?:'.*'|".*"|['"].*\(\d+ characters\)|[^'"].*)""",
    **dict.fromkeys(("low", "high", "multiple", "most"), r"[-+.\de]+"),
}


def labelled(sentence: str, language: str, named: re.Pattern[str] = NAMED) -> str:
    """With “the label” in place of each name of a setting of photos and trainings that `named` finds."""
    known = labels()
    return named.sub(lambda found: f"“{text(known[found[0]], language)}”" if found[0] in known else found[0], sentence)


def problems(error: InvalidSettings, language: str) -> str:
    """What is wrong with settings, each under its label; "" where the table cannot say all of it."""

    def called(name: str) -> str:
        title = error.titles.get(name) or labels().get(name)  # a job keeps its error without titles
        return f"“{text(title, language)}”" if title else name

    said = [translated(one, PROBLEMS, language, called, PLACES) for one in problems_in(error.message)]
    return text("problem.all", language, told=BETWEEN.join(said)) if all(said) else ""


@cache
def labels() -> dict[str, str]:
    """Keys of the labels of all settings, by their names."""
    kinds: list[type[Settings]] = [PhotoSettings, *PLANS.values()]
    return {name: str(field.field_info.title) for kind in kinds for name, field in kind.__fields__.items()}
