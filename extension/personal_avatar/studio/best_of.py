"""Best of N: no more pictures are made than it takes to have enough good ones, and never more than were asked for."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from personal_avatar.domain import Portrait
from personal_avatar.wording import text

# Of clean photo-like people, drawings and pictures of the shipped checkpoint 9 of 10 have a higher quality.
GOOD_QUALITY = 0.25


class BestOf:
    """Counts good pictures by style. `wanted`: how many in all, shared out among the styles as the pictures are, but at
    least one of each; 0: all that were asked for are made. A picture is good when its likeness reaches `good_from` and
    nothing spoils it."""

    def __init__(self, wanted: int, good_from: float, styles: Sequence[str]) -> None:
        self._wanted, self.good_from = wanted, good_from
        each = tuple(dict.fromkeys(styles))
        self._share = {style: max(1, (place + 1) * wanted // len(each) - place * wanted // len(each))
                       for place, style in enumerate(each)}
        self._good: Counter[str] = Counter()
        self._made = 0

    @property
    def is_on(self) -> bool:
        return self._wanted > 0

    def missing(self, style: str, most: int) -> int:
        """How many to make next of a style, 0..`most`: as many as it still lacks."""
        if not self.is_on:
            return most
        return max(0, min(most, self._share[style] - self._good[style]))

    def note(self, portrait: Portrait) -> None:
        """A picture was made."""
        self._made += 1
        good = portrait.likeness is not None and portrait.likeness >= self.good_from
        if good and portrait.scores.get("quality", 1.0) >= GOOD_QUALITY:
            self._good[portrait.style] += 1

    def document(self, count: int) -> dict[str, Any] | None:
        """What the result says; None where everything was made anyway. `count`: how many were asked for at most."""
        if not self.is_on:
            return None
        good = sum(self._good.values())
        return {"keep_good": self._wanted, "good_from": round(self.good_from, 4), "good": good, "made": self._made,
                "of": count, "stopped_early": self._made < count}

    def sentence(self, count: int) -> str:
        """The same for people."""
        good = sum(self._good.values())
        told: dict[str, Any] = {"number": good, "total": self._made, "score": f"{self.good_from:.2f}"}
        if self._made < count:
            return text("log.good_enough", **told, most=count - self._made)
        if good < self._wanted:
            return text("log.good_few", **told, needed=self._wanted, most=count)
        return text("log.good", **told)
