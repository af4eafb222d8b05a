"""The one rule of what is best: of the checkpoints of a training, of the methods of a comparison, of a person's files.

Likeness counts, and less of it where prompts are no longer followed and where others came to look like the person.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from personal_avatar.domain.trainings import Checkpoint, Scores

OTHERS_COUNT = 0.5  # what others who become alike take away, where the person's own likeness counts 1
FAR_LESS = 0.5  # of a merit that was measured on other photos, another checkpoint or with other settings


def merit_of(recovered_share: float, kept_share: float, stayed_share: float) -> float:
    """What the best is chosen by; faults are no merit where nothing was recovered."""
    return recovered_share * kept_share * stayed_share if recovered_share > 0 else recovered_share


def kept(following: float, before: float | None) -> float:
    """How much of the untrained checkpoint's obedience to prompts is left, at most all of it."""
    return min(1.0, following / before) if before else 1.0


def stayed(moved_share: float) -> float:
    """What is left of a merit when others went a part of the way to the person, 0..1; away from it costs nothing."""
    return 1.0 - OTHERS_COUNT * min(1.0, max(0.0, moved_share))


def merit(scores: Scores) -> float:
    """Of a training that has ended; what was not measured of prompts and of others takes nothing away."""
    likeness = scores.likeness
    moved = replace(likeness, after=likeness.floor + (likeness.leakage or 0.0)).recovered
    obedient = 1.0 if scores.following is None else kept(scores.following, scores.following_before)
    return merit_of(likeness.recovered, obedient, stayed(moved))


def side_by_side(scores: Sequence[Scores]) -> list[Scores]:
    """The same, all counted from one beginning to one end: from the highest floor and obedience to the highest ceiling.

    Each training measures the untrained checkpoint with its own word for the person, and of a word that misleads the
    checkpoint the floor is low: the same pictures would have "recovered" more. What the checkpoint does by itself with
    the best of their words is no training's merit. (It costs no picture, and is known of all trainings; the class noun
    alone is measured where photos alone are compared, and is among the floors then.)
    """
    if not scores:
        return []
    floor = max(one.likeness.floor for one in scores)
    ceiling = max(one.likeness.ceiling for one in scores)
    before = max((one.following_before for one in scores if one.following_before is not None), default=None)
    return [
        replace(one, likeness=replace(one.likeness, floor=floor, ceiling=ceiling), following_before=before)
        for one in scores
    ]


def best_of(points: Sequence[Checkpoint]) -> Checkpoint | None:
    """The first of `best_first`; None of none."""
    return next(iter(best_first(points)), None)


def best_first(points: Sequence[Checkpoint]) -> list[Checkpoint]:
    """A person's files, given the newest last: those that were measured as the newest of them was, on the same photos
    and checkpoint, by merit; then the others, with which it cannot be compared, as it is the one that was asked for
    last, the newest first; then those that were not measured. But what has not learned, or far less than an earlier
    file that cannot be compared (`FAR_LESS`), does not go before that one."""
    newest_first = list(reversed(points))
    measured = [(point, scores) for point in newest_first if (scores := scores_of(point)) is not None]
    alike = [(point, scores) for point, scores in measured if point.place == measured[0][0].place]
    counted = side_by_side([scores for _, scores in alike])
    order = sorted(range(len(alike)), key=lambda place: -merit(counted[place]))
    others = [(point, merit(scores)) for point, scores in measured if point.place != measured[0][0].place]
    least = merit(alike[order[0]][1]) if order else 0.0
    better = sorted((one for one in others if one[1] > 0 and least < FAR_LESS * one[1]), key=lambda one: -one[1])
    known = [point for point, _ in better] + [alike[place][0] for place in order]
    known += [point for point, _ in others if all(point is not one for one in known)]
    return known + [point for point in newest_first if all(point is not one for one in known)]


def scores_of(point: Checkpoint) -> Scores | None:
    """None of one that was not measured; earlier versions kept the likeness alone."""
    return point.scores or (Scores(point.likeness) if point.likeness else None)
