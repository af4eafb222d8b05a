"""What a job told so far, folded for display: losses, scores, pictures, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.jobs.events import Log, Progress, SampleMade, Score, read_events

Point = tuple[float, float]


@dataclass(frozen=True)
class Told:
    """`losses`, `scores`: (step, value), on one grid of prompts and seeds: the final score has one of its own.

    `samples` in the order in which they were made, paths absolute.
    """

    losses: tuple[Point, ...] = ()
    scores: tuple[Point, ...] = ()
    samples: tuple[tuple[Path, SampleMade], ...] = ()
    sentences: tuple[str, ...] = ()


def thinned(points: Sequence[Point], most: int = 240) -> list[Point]:
    """At most `most` points, evenly taken, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def told(folder: Path) -> Told:
    """Read the events of a job's folder."""
    losses: list[Point] = []
    scores: list[Point] = []
    samples: list[tuple[Path, SampleMade]] = []
    sentences: list[str] = []
    for record in read_events(folder):
        event = record.event
        if isinstance(event, Progress) and event.loss is not None:
            losses.append((event.step, event.loss))
        elif isinstance(event, Score) and event.leakage is None:
            scores.append((event.step, event.likeness))
        elif isinstance(event, SampleMade):
            samples.append((folder / event.path, event))
        elif isinstance(event, Log):
            sentences.append(event.message)
    return Told(tuple(losses), tuple(scores), tuple(samples), tuple(sentences))
