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
