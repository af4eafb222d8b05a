"""Does a training find room, and if not, which one like it would? Numbers and settings alone: no torch.

Of all the ways to need less memory the one is offered that loses least: first what only costs time, then what hardly
shows, then smaller pictures, and another method at last.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile, Method
from personal_avatar.errors import PlanTooLarge
from personal_avatar.problems import stated
from personal_avatar.training.planning.learned import Learned, case_of
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.planning.reckoning import Machine, memory_of
from personal_avatar.training.planning.ways import RAM, VRAM, Values, Way, Wish, taken, ways_of
from personal_avatar.wording import method_name

# Where nothing was measured, a prediction is held to be this much too low.
MARGIN = {VRAM: 1.15, RAM: 1.05}
MOST_RECKONED = 500  # plans for one answer: a fifth of a second


@dataclass(frozen=True)
class Offer:
    """What would fit: `changes` of settings, with them the whole `method` and `plan`, and what that needs."""

    changes: Values
    method: Method
    plan: Values
    predicted_gb: float


def needed_gb(wish: Wish, learned: Learned = Learned()) -> float:  # noqa: B008  frozen
    """GB (10^9 bytes) that must be free: as predicted, corrected by what was measured here, else with a margin.

    Raises `BaseNotFound`, `BaseUnsupported`, `InvalidSettings`.
    """
    return _needed_gb(wish.plan, wish.base, wish.method, wish.memory, learned)


def _needed_gb(plan: TrainPlan, base: BaseModelFile, method: Method, memory: str, learned: Learned) -> float:
    case = case_of(plan, base, method, memory)
    margin = 1.0 if learned.knows(case) else MARGIN[memory]
    return _predicted_gb(plan, base, memory) * learned.ratio(case) * margin


def predicted_gb(wish: Wish) -> float:
    return _predicted_gb(wish.plan, wish.base, wish.memory)


def _predicted_gb(plan: TrainPlan, base: BaseModelFile, memory: str) -> float:
    return memory_of(plan, base, Machine(on_card=memory == VRAM))


def nearest_fitting(wish: Wish, free_gb: float, learned: Learned = Learned()) -> Offer | None:  # noqa: B008
    """The plan that loses least among those that fit into `free_gb`; None when none does. Changes nothing where the
    wish fits as it is."""
    ways = ways_of(wish)
    search = _Search(_Sizes(wish, ways, learned), ways, free_gb)
    levels = search.least_loss() if search.may_fit({}) else None
    if levels is None:
        return None
    changes = taken(ways, levels)
    found = wish.changed(changes)
    other = found.method is not wish.method  # of which nothing is as it was
    told = {name: value for name, value in changes.items() if other or getattr(wish.plan, name) != value}
    return Offer(told, found.method, dict(found.values), round(needed_gb(found, learned), 1))


def refuse_too_large(wish: Wish, free_gb: float, total_gb: float, learned: Learned, where: str) -> None:
    """Raises `PlanTooLarge` with the plan that would fit. `where`: what has the memory, for the sentence."""
    needed = needed_gb(wish, learned)
    if needed <= free_gb:
        return
    offer = nearest_fitting(wish, free_gb, learned)
    error = stated(
        PlanTooLarge, "failure.plan", "remedy.would_fit" if offer else "remedy.nothing_fits",
        method=method_name(wish.method), needed=f"{needed:.1f}", free=f"{free_gb:.1f}", total=f"{total_gb:.1f}",
        where=where, changes=in_words(offer.changes) if offer else "",
    )
    error.details = {
        "memory": wish.memory, "needed_gb": round(needed, 1), "free_gb": round(free_gb, 1),
        "predicted_gb": offer.predicted_gb if offer else None, "changes": offer.changes if offer else None,
        "method": offer.method.value if offer else None, "plan": offer.plan if offer else None,
        "override": "even_if_too_large",
    }
    raise error


def smaller(wish: Wish, learned: Learned = Learned()) -> Offer | None:  # noqa: B008
    """The nearest plan that needs a tenth less than this one, for when the memory ran out although it was to fit."""
    return nearest_fitting(wish, 0.9 * needed_gb(wish, learned), learned)


def in_words(changes: Mapping[str, Any]) -> str:
    """"batch_size 1, accumulate 4": names as they are in the API and on the command line."""
    said = ((name, str(value).lower() if isinstance(value, bool) else value) for name, value in changes.items())
    return ", ".join(f"{name} {value}" for name, value in said)


# -- the search

Levels = tuple[int, ...]


class _Sizes:
    """GB that a wish needs with so much of each of the ways, each reckoned once."""

    def __init__(self, wish: Wish, ways: Sequence[Way], learned: Learned) -> None:
        self._wish, self._ways, self._learned = wish, ways, learned
        self._plans: dict[Method, TrainPlan] = {}
        self._needed: dict[Levels, float] = {}
        alike = [ratio for case, ratio in learned.ratios if case.memory == wish.memory]
        self._least_factor = min([MARGIN[wish.memory], *alike])

    @property
    def reckoned(self) -> int:
        return len(self._needed)

    def needed_gb(self, levels: Levels) -> float:
        if levels not in self._needed:
            plan, method = self._plan(levels)
            self._needed[levels] = _needed_gb(plan, self._wish.base, method, self._wish.memory, self._learned)
        return self._needed[levels]

    def least_gb(self, levels: Levels) -> float:
        """What no plan with so much or less of each way needs less than, whatever was measured. A smaller batch needs
        less, more of them before a step may need more; see `Reckoned.copies`."""
        plan = self._plan(levels)[0].copy(update={"accumulate": 1})
        return _predicted_gb(plan, self._wish.base, self._wish.memory) * self._least_factor

    def _plan(self, levels: Levels) -> tuple[TrainPlan, Method]:
        """As far as memory follows from it: rates of another optimiser are left out, and nothing is validated again."""
        changes = taken(self._ways, levels)
        method = Method(changes.get("method", self._wish.method))
        if method not in self._plans:
            self._plans[method] = self._wish.changed({"method": method.value}).plan
        plan = self._plans[method]
        return plan.copy(update={name: value for name, value in changes.items() if name in plan.__fields__}), method


class _Search:
    """Decides one way after the other, always where least is lost so far, and goes on only where something can fit even
    if all ways that are left are gone to their ends."""

    def __init__(self, sizes: _Sizes, ways: Sequence[Way], free_gb: float) -> None:
        self._sizes, self._ways, self._free_gb = sizes, ways, free_gb
        self._ends = tuple(len(way) - 1 for way in ways)
        without = [self._sizes.least_gb(self._levels({place: 0}, self._ends)) for place in range(len(ways))]
        self._order = sorted(range(len(ways)), key=lambda place: -without[place])  # what cannot be left out first

    def least_loss(self) -> Levels | None:
        """None when nothing fits. After `MOST_RECKONED` plans the first one that fits is good enough."""
        counter = itertools.count()
        waiting: list[tuple[float, int, dict[int, int]]] = [(0.0, next(counter), {})]
        while waiting:
            lost, _, decided = heapq.heappop(waiting)
            if self._sizes.needed_gb(whole := self._levels(decided, (0,) * len(self._ways))) <= self._free_gb:
                return whole
            if self._sizes.reckoned > MOST_RECKONED:
                return self._backwards()
            if len(decided) == len(self._ways):
                continue
            place = self._order[len(decided)]
            for level, (loss, _) in enumerate(self._ways[place]):
                further = {**decided, place: level}
                if self.may_fit(further):
                    heapq.heappush(waiting, (lost + loss, next(counter), further))
        return None

    def may_fit(self, decided: Mapping[int, int]) -> bool:
        return self._sizes.least_gb(self._levels(decided, self._ends)) <= self._free_gb

    def _backwards(self) -> Levels | None:
        """From the ends of all ways, one after the other as far back as it fits, what loses most first."""
        levels = dict(enumerate(self._ends))
        if self._sizes.needed_gb(self._ends) > self._free_gb:
            return None
        for place in sorted(levels, key=lambda place: -self._ways[place][-1][0]):
            while levels[place] and self._needed_gb({**levels, place: levels[place] - 1}) <= self._free_gb:
                levels[place] -= 1
        return self._levels(levels, self._ends)

    def _needed_gb(self, decided: Mapping[int, int]) -> float:
        return self._sizes.needed_gb(self._levels(decided, self._ends))

    def _levels(self, decided: Mapping[int, int], others: Levels) -> Levels:
        return tuple(decided.get(place, level) for place, level in enumerate(others))
