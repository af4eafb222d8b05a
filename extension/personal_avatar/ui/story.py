"""What a job told so far, folded for display: losses, scores, pictures, sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from personal_avatar.jobs.events import Log, Progress, SampleMade, Score, read_events
from personal_avatar.reports.svg import Point
from personal_avatar.reports.svg import thinned as thinned


@dataclass(frozen=True)
class Told:
    """`losses`, `scores`: (step, value), on one grid of prompts and seeds: the final score has one of its own.

    `samples` in the order in which they were made, paths absolute.
    """

    losses: tuple[Point, ...] = ()
    scores: tuple[Point, ...] = ()
    samples: tuple[tuple[Path, SampleMade], ...] = ()
    sentences: tuple[str, ...] = ()


def told(folder: Path) -> Told:
    """Read the events of a job's folder. Where the job went back, what it did twice is told once."""
    losses: list[Point] = []
    scores: dict[int, float] = {}
    samples: dict[Path, SampleMade] = {}
    sentences: list[str] = []
    for record in read_events(folder):
        event = record.event
        if isinstance(event, Progress) and event.loss is not None:
            while losses and losses[-1][0] >= event.step:
                losses.pop()
            losses.append((event.step, event.loss))
        elif isinstance(event, Score) and not event.is_final:
            scores[event.step] = event.likeness
        elif isinstance(event, SampleMade):
            samples[folder / event.path] = event
        elif isinstance(event, Log):
            sentences.append(event.message)
    return Told(tuple(losses), tuple(sorted(scores.items())), tuple(samples.items()), tuple(sentences))
