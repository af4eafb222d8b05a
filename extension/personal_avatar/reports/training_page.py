"""The page of one training, made of what its `report.json` holds; parts that are missing there are left out."""
from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from personal_avatar.domain import Goal, Likeness
from personal_avatar.reports import parts
from personal_avatar.reports.svg import Point
from personal_avatar.wording import memory, score, share, size, span, trained_by

PICTURE_PX, BEST_PX = 224, 384
MEANINGS = {
    **parts.MEANINGS,
    "Recovered": "The share of the way from the untrained checkpoint to real pictures.",
    "Prompt following": "How well the pictures show what their prompts ask for, as the untrained checkpoint itself"
    " judges: 100% when each fits its own prompt best, 50% when it fits any prompt alike.",
    "Merit": "What the checkpoint is chosen by: the share of the likeness that was recovered, times the share of the"
    " untrained checkpoint's prompt following that was kept, times what others leave of it: by leakage, as much as half"
    " is lost where they became as alike as the real pictures are.",
    "Resemblance": "Of a style: how near the colours and the amount of detail of the pictures are to those of pictures"
    " that were not trained on, 1 being the same. Lines, shapes and motifs are not looked at. It stands where"
    " likeness stands for a person.",
    "Leakage": "How much more other people of the same class look like the person than before; 0 is best.",
    "Diversity": "How much pictures of one prompt differ, compared with the untrained checkpoint; 100% is as much.",
}
SEEDS = (
    "<p><small>Checkpoints are compared on one set of seeds, and the chosen one is measured on another: that is why the"
    " numbers at the top differ from those below, the more so the fewer pictures there are.</small></p>"
)
Facts = Mapping[str, Any]
fine = partial(score, digits=3)


def page(facts: Facts) -> str:
    """The whole document. `scores` are the saved checkpoints, each with its `pictures`; `losses` one number a step."""
    sections = (
        _summary(facts),
        parts.section("Which checkpoint, and why", _choice(facts)),
        parts.section("What to do", parts.bullets(facts.get("advice") or ())),
        parts.section("Curves", _curves(facts)),
        parts.section("The same prompts and seeds at each checkpoint", _grid(facts)),
        parts.section("Use it", _usage(facts)),
        parts.section("Settings that were used", _settings(facts)),
        parts.words(MEANINGS),
    )
    return parts.document(str(facts.get("name", "")), _subject(facts), sections)


def _subject(facts: Facts) -> str:
    """Method, engine unless it is ours, and checkpoint in a line."""
    base = f"on {facts['base']}" if facts.get("base") else ""
    method = str(facts.get("method", ""))
    return " ".join(part for part in (trained_by(method, str(facts.get("engine", ""))) if method else "", base) if part)


def _choice(facts: Facts) -> str:
    told = f"<p>{html.escape(facts['choice'])}</p>" if facts.get("choice") else ""
    return told + SEEDS if told and (facts.get("likeness") or facts.get("resemblance")) else told


# -- numbers


def _summary(facts: Facts) -> str:
    found = facts.get("likeness") or facts.get("resemblance")
    name = "Resemblance" if (facts.get("plan") or {}).get("goal") == Goal.STYLE.value else "Likeness"
    unmeasured = f"<p>{name} was not measured on fresh seeds, for the training was cancelled.</p>"
    cards = parts.likeness_cards(Likeness(found["floor"], found["after"], found["ceiling"])) if found else unmeasured
    chosen = next((row for row in _rows(facts) if row.get("step") == _chosen(facts)), {})
    best = "".join(parts.image(Path(one["file"]), BEST_PX, one["prompt"]) for one in chosen.get("pictures", ()))
    return parts.short(cards + parts.facts(_numbers(facts)), best)


def _numbers(facts: Facts) -> list[tuple[str, str]]:
    """Only what is known."""
    measured = "Resemblance of a style" if facts.get("resemblance") else ""
    following = " → ".join(share(facts.get(name)) for name in ("prompt_following_before", "prompt_following"))
    told = (
        ("Measured", measured),
        ("Measured against", _references(facts.get("measured_on")) if _was_measured(facts) else ""),
        ("Leakage", _told(facts.get("leakage"), fine)),
        *_second_opinion(facts.get("second_opinion")),
        ("Prompt following, before → after", following if facts.get("prompt_following") is not None else ""),
        ("Diversity", _told(facts.get("diversity"), share)),
        ("Photos", str(facts.get("photos", ""))),
        ("Time", _told(facts.get("seconds"), span)),
        ("Peak memory", _told(facts.get("peak_memory_gb"), memory)),
        ("Size of the file", _told(facts.get("file_mb"), size)),
    )
    return [(name, value) for name, value in told if value]


def _second_opinion(found: Any) -> list[tuple[str, str]]:
    """Of a recogniser that had no part in the choices, where there was one."""
    if not found:
        return []
    numbers = f"{score(found['after'])} (before {score(found['floor'])}, real pictures {score(found['ceiling'])})"
    return [(f"Likeness by {found['recogniser']}, which chose nothing", f"{share(found['recovered'])}: {numbers}")]


def _was_measured(facts: Facts) -> bool:
    """Whether the photos were looked at at all: for the chosen checkpoint, or for any that was saved."""
    chosen = facts.get("likeness") or facts.get("resemblance")
    return bool(chosen) or any(_nearness(row) is not None for row in _rows(facts))


def _references(measured_on: Any) -> str:
    if not measured_on:
        return ""
    kind = "that were not trained on" if measured_on["held_out"] else "that were trained on, because they are few"
    return f"{measured_on['photos']} photos {kind}"


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
    marks = [("real pictures", float(facts["ceiling"]))] if facts.get("ceiling") is not None else []
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
        '<div class="scroll"><table class="grid"><thead><tr><th scope="col">Checkpoint</th>'
        f"{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _head(picture: Facts) -> str:
    prompt, seed = (html.escape(str(picture[name])) for name in ("prompt", "seed"))
    return f'<th scope="col">{prompt} <small>seed {seed}</small></th>'


def _line(row: Facts, chosen: bool) -> str:
    badge = '<span class="badge">chosen</span>' if chosen else ""
    told = (
        ("likeness", _told(row.get("likeness"), fine)),
        ("resemblance", _told(row.get("resemblance"), fine)),
        ("faces", _told(row.get("faces_found"), share)),
        ("following", _told(row.get("following"), share)),
        ("leakage", _told(row.get("leakage"), fine)),
        ("merit", _told(row.get("merit"), score)),
    )
    words = "".join(f"<small>{name} {value}</small>" for name, value in told if value)
    cells = "".join(f"<td>{_picture(picture, row)}</td>" for picture in row["pictures"])
    mark = ' class="chosen"' if chosen else ""
    name = f"Step {row['step']}" if row["step"] else "Before training"
    return f'<tr{mark}><th scope="row"><b>{name}</b>{badge}{words}</th>{cells}</tr>'


def _picture(picture: Facts, row: Facts) -> str:
    value = _told(_nearness(picture), score) or "no face"
    name = "resemblance" if "resemblance" in picture else "likeness"
    shown = parts.image(Path(picture["file"]), PICTURE_PX, f"step {row['step']}: {picture['prompt']}, {name} {value}")
    return f"<figure>{shown}<figcaption>{value}</figcaption></figure>"


def _nearness(row: Facts) -> Any:
    """Likeness to the person, or the resemblance of a style; None where neither was measured."""
    likeness = row.get("likeness")
    return row.get("resemblance") if likeness is None else likeness


# -- what to do with it, and how it was made


def _usage(facts: Facts) -> str:
    prompt = facts.get("prompt") or (facts.get("checkpoint") or {}).get("trigger", "")
    line = f"<p>Write this into a prompt:</p><pre><code>{html.escape(prompt)}</code></pre>" if prompt else ""
    return line + parts.files(facts.get("files", ()))


def _settings(facts: Facts) -> str:
    plan = facts.get("plan") or {}
    told = [(name, _setting(value)) for name, value in plan.items()]
    return f"<details><summary>{len(told)} settings</summary>{parts.facts(told)}</details>" if told else ""


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"


def _rows(facts: Facts) -> Sequence[Facts]:
    return sorted(facts.get("scores") or (), key=lambda row: float(row["step"]))


def _chosen(facts: Facts) -> Any:
    """The step that was published."""
    return (facts.get("checkpoint") or {}).get("step")
