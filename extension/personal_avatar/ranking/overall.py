"""One score for a picture, `overall`, from its parts; and `diversity`, which depends on the better pictures beside it.

    overall = worth * (1 - SAMENESS * (1 - diversity)),  worth = product of part ** (weight / sum of weights)

with the parts that are known, each brought to 0..1:

* `likeness` and `second`, cosines of two recognisers: 1 / (1 + exp(-4 (cosine / t - 1))), which is one half at t, where
  a picture is fairly like the person: ranking.person says where that is;
* `quality` (ranking.technical) and `prompt` (ranking.clip): LEAST + (1 - LEAST) part.

`diversity` is how far a picture's look is from the most alike of the better ones already taken (0..1; 1 for the first).
The best picture is taken first, then again and again the one with the highest overall beside those: maximal marginal
relevance (Carbonell and Goldstein, 1998). A copy of a better picture loses SAMENESS of its worth.

That takes a comparison of every picture with each of the better ones, so it is done for the first `EXACT` places alone:
those behind are sorted by their overall beside these, whatever they have in common among themselves.

The weights, t, the steepness and LEAST were picked from a grid of 90 on the very sets that the table below tells of;
other cells do a little better on average (an AUC of .9947; the chosen one .9943). The sets: 16 photo-like synthetic
people (3,328 pictures) and 18 drawn characters (1,170), each with 8 to 5 good pictures against those of others, those
spoilt by blur, noise, contrast, banding or JPEG, and those with somebody beside. AUC, mean over people, with w600k_mbf
first and SFace second (people / drawings); the other way round that of `worth` differs by no more than .02:

    good ones against     likeness       second         quality        worth
    other people          .999 / 1.000   .998 / 1.000   .504 / .498    .999 / 1.000
    badly spoilt ones     .668 / .958    .712 / .949    1.000 / .954   .910 / .986
    somebody beside       .781 / .856    .773 / .817    .996 / .928    .859 / .989
    all of these          .979 / .986    .981 / .983    .535 / .602    .993 / .997

There is no CLIP on the machine where this was measured: the weight of `prompt` is chosen, not measured.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp, log
from typing import Any, TypeVar

import numpy as np

from personal_avatar.ranking.looks import Looks
from personal_avatar.ranking.nouns import Judged, Scale

WEIGHTS: Mapping[str, float] = {"likeness": 0.5, "second": 0.25, "quality": 0.25, "prompt": 0.2}
SAMENESS = 0.3
STEEP = 4.0
EXACT = 2000  # places; each takes a comparison with all pictures
LEAST = 0.3  # what a spoilt picture still counts: one of somebody else counts less

T = TypeVar("T", bound=Any)


def sure(cosine: float, fairly_from: float) -> float:
    """A cosine (-1..1) on a scale of 0 to 1; one half at `fairly_from`."""
    return 1.0 / (1.0 + exp(-STEEP * (cosine / fairly_from - 1.0)))


def worth(item: Judged, scale: Scale, weights: Mapping[str, float] = WEIGHTS) -> float:
    """0..1: what a picture is worth by itself; 0 without a face."""
    if item.likeness is None:
        return 0.0
    parts = {"likeness": sure(item.likeness, scale.likeness)}
    if "second" in item.scores and scale.second is not None:
        parts["second"] = sure(item.scores["second"], scale.second)
    parts |= {
        name: LEAST + (1 - LEAST) * item.scores[name] for name in ("quality", "prompt") if name in item.scores
    }
    total = sum(weights[name] for name in parts)
    return exp(sum(weights[name] * log(part) for name, part in parts.items()) / total)


def ordered(
    items: Sequence[T], looks: Sequence[np.ndarray | None], scale: Scale, *, exact: int = EXACT,
    check: Callable[[], None] = lambda: None,
) -> list[T]:
    """The items best first, their `scores` with `overall` and `diversity`. What has no face comes last, in the order
    given; `looks`: None where nothing could be seen; `exact`: how many places are; `check`: called before each of them,
    may raise to end the work."""
    alone = np.array([worth(item, scale) for item in items])
    taken: list[T] = []
    most_alike = np.zeros(len(items))
    seen = Looks(looks)
    left = alone > 0
    while left.any() and len(taken) < exact:
        check()
        value = np.where(left, alone * (1 - SAMENESS * most_alike), -1.0)
        best = int(np.argmax(value))
        taken.append(_with(items[best], 1 - most_alike[best], value[best]))
        left[best] = False
        most_alike = np.maximum(most_alike, seen.alike_to(best))
    value = alone * (1 - SAMENESS * most_alike)
    behind = sorted(np.flatnonzero(left), key=lambda place: -value[place])
    taken += [_with(items[place], 1 - most_alike[place], value[place]) for place in behind]
    return taken + [item for item, one in zip(items, alone, strict=True) if not one > 0]


def _with(item: T, diversity: float, overall: float) -> T:
    scores = {**item.scores, "diversity": round(float(diversity), 4), "overall": round(float(overall), 4)}
    return replace(item, scores=scores)
