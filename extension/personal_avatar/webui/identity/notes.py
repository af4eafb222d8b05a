"""What a picture says of a person that could not be put into it, and of what may spoil it: infotext and page.

The WebUI swallows what a hook raises, and its API tells nothing but infotexts. So there it must stand.
"""
from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from personal_avatar.errors import AvatarError, Crashed
from personal_avatar.identity.infotext import STYLE
from personal_avatar.naming import named
from personal_avatar.pictures import PREFIX

log = logging.getLogger(__name__)
ERROR, WARNING = PREFIX + "error", PREFIX + "warning"
PROBLEM, PASSING = "personal_avatar_problem", "personal_avatar_passing"  # attributes of the generation
BETWEEN = " | "
LONGEST = 600  # a refused value may be a whole picture in base64


def problem_of(p: Any) -> AvatarError | None:
    """What kept the person from a generation."""
    found = getattr(p, PROBLEM, None)
    return found if isinstance(found, AvatarError) else None


def begin(p: Any) -> None:
    """A fresh generation says nothing yet."""
    setattr(p, PROBLEM, None)
    setattr(p, PASSING, ())
    _forget(p)


def _forget(p: Any) -> None:
    """Plots share one dict among the copies of `p`, so it is replaced."""
    said = p.extra_generation_params.items()
    p.extra_generation_params = {
        name: value for name, value in said if name == STYLE or not name.startswith(PREFIX)
    }


def refuse(p: Any, error: Exception) -> None:
    """The picture is made without the person: say why, in place of what was said before."""
    problem = known(error)
    setattr(p, PROBLEM, problem)
    _forget(p)
    sentence = _clipped(f"{problem.code}: {problem}")
    p.extra_generation_params[ERROR] = sentence
    p.comment(f"Personal Avatar: the picture was made without the person. {sentence}")


def known(error: Exception) -> AvatarError:
    """The error by its name; one that nobody foresaw is logged with all that is known of it."""
    problem = named(error)
    if isinstance(problem, Crashed):
        log.error("Personal Avatar met an unexpected error", exc_info=error)
    return problem


def tell(p: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """What shaped the picture."""
    p.extra_generation_params.update(pairs)


def warn(p: Any, sentences: Iterable[str]) -> None:
    """Each sentence once, in the infotext and on the page."""
    _warned(p, sentences)


def warn_of_this(p: Any, sentence: str) -> None:
    """The same of one picture alone."""
    setattr(p, PASSING, (*getattr(p, PASSING, ()), *_warned(p, [sentence])))


def next_picture(p: Any, names: Iterable[str]) -> None:
    """Another picture of the generation: what was told by `names`, or warned of, was of the one before."""
    left = [sentence for sentence in _warnings(p) if sentence not in getattr(p, PASSING, ())]
    setattr(p, PASSING, ())
    for name in names:
        p.extra_generation_params.pop(name, None)
    _say(p, left)


def _warned(p: Any, sentences: Iterable[str]) -> list[str]:
    """Those that were not said before."""
    said = _warnings(p)
    fresh = [sentence for sentence in map(_clipped, sentences) if sentence not in said]
    _say(p, [*said, *fresh])
    for sentence in fresh:
        p.comment(f"Personal Avatar: {sentence}")
    return fresh


def _say(p: Any, sentences: list[str]) -> None:
    """All warnings of the picture, in place of those before."""
    if sentences:
        p.extra_generation_params[WARNING] = BETWEEN.join(sentences)
    else:
        p.extra_generation_params.pop(WARNING, None)


def _warnings(p: Any) -> list[str]:
    return [word for word in str(p.extra_generation_params.get(WARNING) or "").split(BETWEEN) if word]


def _clipped(sentence: str) -> str:
    plain = " ".join(sentence.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
