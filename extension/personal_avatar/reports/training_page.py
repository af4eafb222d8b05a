"""The page of one training, made of what its `report.json` holds; parts that are missing there are left out."""
from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from personal_avatar.domain import Goal, Likeness
from personal_avatar.reports import parts
from personal_avatar.reports.parts import fine
from personal_avatar.reports.svg import Point
from personal_avatar.wording import NOTHING, can_say, memory, score, share, size, span, text, trained_by

PICTURE_PX, BEST_PX = 224, 384
MEANINGS = (*parts.MEANINGS, "recovered", "following", "merit", "resemblance", "leakage", "diversity")
Facts = Mapping[str, Any]


def page(facts: Facts) -> str:
    """The whole document. `scores` are the saved checkpoints, each with its `pictures`; `losses` one number a step."""
    sections = (
        _summary(facts),
        parts.section("why", _choice(facts)),
        parts.section("todo", parts.bullets(_advised(facts, "advice", "train_advice"))),
        parts.section("curves", _curves(facts)),
        parts.section("same", _grid(facts)),
        _usage(facts),
        parts.section("settings", _settings(facts)),
        parts.words(MEANINGS),
    )
    return parts.document(str(facts.get("name", "")), _subject(facts), sections, str(facts.get("language", "")))


def _subject(facts: Facts) -> str:
    """Method, engine unless it is ours, and checkpoint in a line."""
    base, method, engine = (str(facts.get(name) or "") for name in ("base", "method", "engine"))
    if not base or not method:
        return html.escape(base or (trained_by(method, engine) if method else ""))

    def told(language: str) -> str:
        return html.escape(text("report.on", language, method=trained_by(method, engine, language), base=base))

    return parts.each(told)


def _choice(facts: Facts) -> str:
    said = _advised(facts, "choice", "choice")
    told = f"<p>{' '.join(said)}</p>" if said else ""
    measured = facts.get("likeness") or facts.get("resemblance")
    return told + f"<p><small>{parts.said('seeds')}</small></p>" if told and measured else told


def _advised(facts: Facts, name: str, family: str) -> list[str]:
    """HTML of each sentence, by its code in every language; of numbers without codes, as an earlier version wrote them,
    in English."""
    codes = facts.get(f"{name}_codes") or ()
    if codes and all(can_say(f"{family}.{one['code']}", one["values"]) for one in codes):
        return [_in_each(f"{family}.{one['code']}", one["values"]) for one in codes]
    written = facts.get(name) or ()
    return [html.escape(one) for one in ([written] if isinstance(written, str) else written)]


def _in_each(key: str, values: Mapping[str, Any]) -> str:
    return parts.each(lambda language: html.escape(text(key, language, **values)))


# -- numbers


def _summary(facts: Facts) -> str:
    found = facts.get("likeness") or facts.get("resemblance")
    is_style = (facts.get("plan") or {}).get("goal") == Goal.STYLE.value
    is_style = is_style or any("resemblance" in row for row in _rows(facts))
    why = "unmeasured.room" if facts.get("lacked_room") else "unmeasured.style" if is_style else "unmeasured"
    unmeasured = f"<p>{parts.said(why)}</p>"
    cards = parts.likeness_cards(Likeness(found["floor"], found["after"], found["ceiling"])) if found else unmeasured
    chosen = next((row for row in _rows(facts) if row.get("step") == _chosen(facts)), {})
    best = "".join(parts.image(Path(one["file"]), BEST_PX, one["prompt"]) for one in chosen.get("pictures", ()))
    return parts.short(cards + parts.facts(_numbers(facts)), best)


def _numbers(facts: Facts) -> list[tuple[str, str]]:
    """Only what is known."""
    following = " → ".join(share(facts.get(name)) for name in ("prompt_following_before", "prompt_following"))
    told = (
        ("measured", parts.said("measured.style") if facts.get("resemblance") else ""),
        ("against", _references(facts.get("measured_on")) if _was_measured(facts) else ""),
        ("leakage", _told(facts.get("leakage"), fine)),
        ("following.change", following if facts.get("prompt_following") is not None else ""),
        ("diversity", _told(facts.get("diversity"), share)),
        ("photos", html.escape(str(facts.get("photos", "")))),
        ("time", _told(facts.get("seconds"), lambda seconds: parts.each(lambda language: span(seconds, language)))),
        ("memory", _told(facts.get("peak_memory_gb"), memory)),
        ("size", html.escape(_told(facts.get("file_mb"), size))),
    )
    found = [(parts.said(key), value) for key, value in told if value]
    return [*found, *_second_opinion(facts.get("second_opinion"))]


def _second_opinion(found: Any) -> list[tuple[str, str]]:
    """Of a recogniser that had no part in the choices, where there was one."""
    if not found:
        return []
    numbers = {name: score(found[name]) for name in ("after", "floor", "ceiling")}
    told = parts.said("second.numbers", share=share(found["recovered"]), **numbers)
    return [(parts.said("second", recogniser=found["recogniser"]), told)]


def _was_measured(facts: Facts) -> bool:
    """Whether the photos were looked at at all: for the chosen checkpoint, or for any that was saved."""
    chosen = facts.get("likeness") or facts.get("resemblance")
    return bool(chosen) or any(_nearness(row) is not None for row in _rows(facts))


def _references(measured_on: Any) -> str:
    if not measured_on:
        return ""
    return parts.said("against.held" if measured_on["held_out"] else "against.trained", count=measured_on["photos"])


def _told(value: Any, as_read: Callable[[float], str]) -> str:
    """Empty for what was not measured."""
    return as_read(value) if isinstance(value, int | float) else ""


# -- curves


def _curves(facts: Facts) -> str:
    """Likeness begins with the untrained checkpoint; the best possible is a line."""
    rows = ({**(facts.get("untrained") or {}), "step": 0}, *_rows(facts))
    scores: list[Point] = [
        (float(row["step"]), float(value)) for row in rows if (value := _nearness(row)) is not None
    ]
    marks = [("mark.real", float(facts["ceiling"]))] if facts.get("ceiling") is not None else []
    losses = [(float(step), float(loss)) for step, loss in enumerate(facts.get("losses", ()), 1) if loss is not None]
    return parts.curves(scores, marks, losses)


# -- pictures


def _grid(facts: Facts) -> str:
    """A row for each checkpoint below that of the untrained one, a column for each prompt and seed."""
    untrained = {**(facts.get("untrained") or {}), "step": 0}
    rows = [row for row in (untrained, *_rows(facts)) if row.get("pictures")]
    if not rows:
        return ""
    heads = "".join(_head(picture) for picture in max((row["pictures"] for row in rows), key=len))
    lines = "".join(_line(row, chosen=row.get("step") == _chosen(facts)) for row in rows)
    return (
        f'<div class="scroll"><table class="grid"><thead><tr><th scope="col">{parts.said("checkpoint")}</th>'
        f"{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _head(picture: Facts) -> str:
    prompt, seed = html.escape(str(picture["prompt"])), parts.said("seed", seed=picture["seed"])
    return f'<th scope="col">{prompt} <small>{seed}</small></th>'


def _line(row: Facts, chosen: bool) -> str:
    badge = f'<span class="badge">{parts.said("chosen")}</span>' if chosen else ""
    told = (
        ("likeness", _told(row.get("likeness"), fine)),
        ("resemblance", _told(row.get("resemblance"), fine)),
        ("faces", _told(row.get("faces_found"), share)),
        ("following", _told(row.get("following"), share)),
        ("leakage", _told(row.get("leakage"), fine)),
        ("merit", _told(row.get("merit"), score)),
    )
    words = "".join(f"<small>{parts.said(f'row.{name}', value=value)}</small>" for name, value in told if value)
    cells = "".join(f"<td>{_picture(picture, row)}</td>" for picture in row["pictures"])
    mark = ' class="chosen"' if chosen else ""
    name = parts.said("step", step=row["step"]) if row["step"] else parts.said("before")
    return f'<tr{mark}><th scope="row"><b>{name}</b>{badge}{words}</th>{cells}</tr>'


def _picture(picture: Facts, row: Facts) -> str:
    value = _told(_nearness(picture), score)
    label = f"{row['step']}: {picture['prompt']}, {value or NOTHING}"
    shown = parts.image(Path(picture["file"]), PICTURE_PX, label)
    return f"<figure>{shown}<figcaption>{value or parts.said('faceless')}</figcaption></figure>"


def _nearness(row: Facts) -> Any:
    """Likeness to the person, or the resemblance of a style; None where neither was measured."""
    likeness = row.get("likeness")
    return row.get("resemblance") if likeness is None else likeness


# -- what to do with it, and how it was made


def _usage(facts: Facts) -> str:
    prompt = facts.get("prompt") or (facts.get("checkpoint") or {}).get("trigger", "")
    return parts.use(prompt, facts.get("files", ()))


def _settings(facts: Facts) -> str:
    plan = facts.get("plan") or {}
    told = [(html.escape(name), _setting(value)) for name, value in plan.items()]
    summary = parts.said("settings.count", count=len(told))
    return f"<details><summary>{summary}</summary>{parts.facts(told)}</details>" if told else ""


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return parts.said("yes" if value else "no")
    return f"{value:g}" if isinstance(value, float) else html.escape(str(value)) or NOTHING


def _rows(facts: Facts) -> Sequence[Facts]:
    return sorted(facts.get("scores") or (), key=lambda row: float(row["step"]))


def _chosen(facts: Facts) -> Any:
    """The step that was published."""
    return (facts.get("checkpoint") or {}).get("step")
