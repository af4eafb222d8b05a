"""What goes into the contact sheet and the page; both read the same record."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar.domain import Likeness, PhotoReport, Portrait
from personal_avatar.wording import DEFAULT

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Curves:
    """Points (step, value) of a training. `likeness` begins with the untrained model at step 0."""

    loss: Points = ()
    likeness: Points = ()


@dataclass(frozen=True)
class Report:
    """A training and the portraits made with it; every part may be missing.

    `portraits` best first. `network`: what to put into a prompt. `facts`: (name, value) pairs for
    the table of numbers. `style_names`: names for the ids in the portraits. `language`: of the
    sheet, and in which the page begins.
    """

    title: str
    subject: str = ""
    portraits: tuple[Portrait, ...] = ()
    photos: PhotoReport | None = None
    likeness: Likeness | None = None
    curves: Curves = field(default_factory=Curves)
    network: str = ""
    files: tuple[Path, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    style_names: dict[str, str] = field(default_factory=dict)
    language: str = DEFAULT

    def style_name(self, portrait: Portrait) -> str:
        return self.style_names.get(portrait.style, portrait.style)


def curves_from(events: Iterable[Any]) -> Curves:
    """The curves in the events of a training job (jobs.events: progress with a loss; score, but not the
    final one)."""
    loss, likeness = [], []
    for event in events:
        if event.kind == "progress" and event.loss is not None:
            loss.append((float(event.step), float(event.loss)))
        elif event.kind == "score" and not event.is_final:
            likeness.append((float(event.step), float(event.likeness)))
    return Curves(tuple(loss), tuple(likeness))
