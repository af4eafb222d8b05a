"""Small pieces of HTML. What comes from outside passes `escape`; states are words and signs, never colour alone."""

from __future__ import annotations

import re
from datetime import datetime
from html import escape

from personal_avatar.errors import AvatarError, Cancelled, InvalidSettings, usual_hint
from personal_avatar.ui.failures import happened, remedied, waiting_or_training
from personal_avatar.ui.labels import ONLY_NAMES, labelled, problems
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.texts import DEFAULT, has, text
from personal_avatar.wording import counted

SIGNS = {"good": "✓", "bad": "✕", "warn": "!", "info": "i", "busy": "▶", "wait": "…", "rest": "‖"}
COMMAND = re.compile("`[^`]+`")


def attributes(**values: object) -> str:
    """` name="value"` pairs; underscores become dashes, None and False are left out, True stands alone."""
    words = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        plain = name.rstrip("_").replace("_", "-")
        words.append(plain if value is True else f'{plain}="{escape(str(value))}"')
    return "".join(f" {word}" for word in words)


def tag(name: str, *inner: str, **values: object) -> str:
    """An element around HTML that is safe already."""
    return f"<{name}{attributes(**values)}>{''.join(inner)}</{name}>"


def badge(kind: str, words: str) -> str:
    """A sign and a word; `kind` is one of SIGNS."""
    return tag("span", tag("span", SIGNS[kind], aria_hidden="true"), " " + escape(words), class_=f"pa-badge pa-{kind}")


def box(kind: str, title: str, body: str = "", hint: str = "", english: str = "") -> str:
    """A message to the user; errors interrupt a screen reader, the rest waits for a pause. `english`: what is known in
    that language alone."""
    parts = [tag("strong", tag("span", SIGNS[kind], aria_hidden="true", class_="pa-sign"), escape(title))]
    parts += [tag("p", escape(part)) for part in (body, hint) if part]
    parts += [tag("p", escape(english), lang="en")] if english else []
    return tag("div", *parts, class_=f"pa-box pa-{kind}", role="alert" if kind == "bad" else "status")


def error_box(error: AvatarError, language: str, instead: str = "") -> str:
    """What kind of failure it is and what to do, in the user's language; below it, with its numbers and names, what
    happened, as it was written: in English. `instead`: what else to do, in place of the usual."""
    if isinstance(error, Refusal):
        return box("bad", title_of(error, language), *error.words(language))
    kind = "warn" if error.code == Cancelled.code else "bad"  # which the user wanted
    return box(kind, title_of(error, language), *words_of(error, language, instead))


def title_of(error: AvatarError, language: str) -> str:
    """What kind of failure it is."""
    code = error.kind.code if isinstance(error, Refusal) else error.code
    key = f"error.{code}.title"
    return text(key if has(key) else "error.other", language)


def words_of(error: AvatarError, language: str, instead: str = "") -> tuple[str, str, str]:
    """What else a box says of an error, in its order; the last is in English, where the others are not: what the table
    does not have."""
    own = error.hint if error.hint != error.default_hint else ""
    wrong = problems(error, language) if isinstance(error, InvalidSettings) else ""
    said, usual = waiting_or_training(error.message, language)
    if said:
        return said, instead or usual, ""
    hint = instead or _hint(error, language)
    is_title = error.message == f"{title_of(error, DEFAULT)}."
    if language == DEFAULT:
        told = "" if is_title else _called(error.message, language)
        return wrong or told, hint or _called(own, language) or error.hint, ""
    if is_title:
        return "", hint, "" if hint else _called(own, language)
    if told := wrong or happened(error.message, language):
        return told, hint, "" if hint else _called(own, language)
    return hint, "", _called(f"{error.message} {'' if hint else own}".strip(), language)


def _hint(error: AvatarError, language: str) -> str:
    """All that is to be done; "" where the table cannot say all of it: the usual alone would send elsewhere."""
    several = error.hints if isinstance(error, InvalidSettings) else ()
    said = [_one_hint(one, error, language) for one in several or (error.hint,)]
    return " ".join(said) if all(said) else ""


def _one_hint(hint: str, error: AvatarError, language: str) -> str:
    """The usual one, also with commands of its own, or one that the table has."""
    usual = error.default_hint
    if not hint or COMMAND.sub("", hint) == COMMAND.sub("", usual):
        commands = iter(COMMAND.findall(hint or usual))
        return COMMAND.sub(lambda found: next(commands), usual_hint(type(error), language))
    return _called(remedied(hint, language), language)


def _called(message: str, language: str) -> str:
    return labelled(message, language, ONLY_NAMES)


def stored_error_box(error: dict[str, str], language: str, instead: str = "") -> str:
    """`error_box` of the document that a job keeps."""
    from personal_avatar.errors import from_json

    return error_box(from_json(dict(error)), language, instead)


def progress_bar(share: float, label: str, *, known: bool = True) -> str:
    """A bar for `share` in 0..1; `known` False: something is going on, nobody knows how long."""
    percent = round(100 * min(1.0, max(0.0, share)))
    fill = tag("div", class_="pa-fill", style=f"width:{percent}%" if known else None)
    return tag(
        "div",
        fill,
        class_="pa-bar" if known else "pa-bar pa-unknown",
        role="progressbar",
        aria_label=label,
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=percent if known else None,
    )


def facts(pairs: list[tuple[str, str]]) -> str:
    """Names and values side by side."""
    rows = [tag("div", tag("dt", escape(name)), tag("dd", escape(value))) for name, value in pairs if value]
    return tag("dl", *rows, class_="pa-facts") if rows else ""


def duration(seconds: float | None, language: str) -> str:
    """A rough span of time in words; empty when it is not known."""
    if seconds is None:
        return ""
    unit, count = counted(seconds)
    return text(f"time.{unit}", language, n=count)


def clock(unix_s: float) -> str:
    """A moment on this machine's clock, to the minute."""
    return datetime.fromtimestamp(unix_s).strftime("%Y-%m-%d %H:%M")
