"""What is measured of ranking: the same picture files through the same two networks, from the file to the embedding."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS, REFERENCE = "ours", "insightface"
WARM_UP = 4  # pictures that do not count


@dataclass(frozen=True)
class RankingWork:
    """`pictures` are read from their files; `pack`: a folder with a detector and a recogniser of insightface."""

    pictures: tuple[Path, ...]
    detector: Path
    recogniser: Path
    turns: int = 3


@dataclass(frozen=True)
class RankingTimed:
    """One turn of an engine in a process of its own. `embeddings`: a .npy file, float32 (pictures, d), of the largest
    face of each, zeros without one; `providers`: where the networks ran."""

    engine: str
    seconds: float
    cpu_seconds: float
    faces: int
    embeddings: str
    providers: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class MeasuredRanking:
    """All turns of an engine."""

    turns: tuple[RankingTimed, ...]

    def rate(self, count: int) -> float:
        """Pictures a second: the median of the turns."""
        return statistics.median(count / turn.seconds for turn in self.turns)

    @property
    def cpu_seconds(self) -> float:
        """Of all processors, for all pictures: the median of the turns."""
        return statistics.median(turn.cpu_seconds for turn in self.turns)

    def to_document(self, count: int) -> dict[str, Any]:
        rates = [count / turn.seconds for turn in self.turns]
        first = self.turns[0]
        return {
            "engine": first.engine, "pictures_per_second": round(self.rate(count), 2),
            "faces_per_second": round(self.rate(count) * first.faces / count, 2),
            "spread": round((max(rates) - min(rates)) / self.rate(count), 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "faces": first.faces, "providers": list(first.providers), "version": first.version,
            "turns": [round(rate, 2) for rate in rates],
        }
