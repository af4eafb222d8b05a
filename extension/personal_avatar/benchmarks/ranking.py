"""`personal-avatar bench speed --ranking`: how fast existing pictures are ranked, against insightface's own pipeline.

Ours does all of a ranking (decode, find faces, embed, technical quality, what the picture looks like), theirs decodes,
finds and embeds; both with the same files and the same two networks. They take turns, each in a process of its own,
because the machine is shared. insightface lies in an environment of its own that the caller names.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.benchmarks import process
from personal_avatar.benchmarks.ranking_work import OURS, REFERENCE, MeasuredRanking, RankingTimed, RankingWork
from personal_avatar.domain import from_json, to_json
from personal_avatar.storage import write_json

CHILD = "personal_avatar.benchmarks.ranking_child"
SCRIPT = Path(__file__).with_name("ranking_reference.py")
Say = Callable[[str], None]


def measure(work: RankingWork, interpreter: Path | None, say: Say) -> dict[str, Any]:
    """The document. `interpreter`: a Python that has insightface; None: ours alone is measured. Raises `Crashed`."""
    engines = [OURS, *([REFERENCE] if interpreter else [])]
    found: dict[str, list[RankingTimed]] = {name: [] for name in engines}
    with tempfile.TemporaryDirectory(prefix="personal-avatar-bench-") as name:
        folder = Path(name)
        write_json(folder / "work.json", to_json(work))
        for number in range(work.turns):
            for engine in engines if number % 2 else reversed(engines):
                turn = _turn(engine, interpreter, folder, number)
                found[engine].append(turn)
                say(f"  {engine:<12} {len(work.pictures) / turn.seconds:.1f} pictures a second")
        embeddings = {engine: np.load(turns[0].embeddings) for engine, turns in found.items()}
    return document(work, {engine: MeasuredRanking(tuple(turns)) for engine, turns in found.items()}, embeddings)


def _turn(engine: str, interpreter: Path | None, folder: Path, number: int) -> RankingTimed:
    result = folder / f"{engine}-{number}.json"
    arguments = [str(folder / "work.json"), str(result)]
    ours = engine == OURS or interpreter is None
    program = [sys.executable, "-m", CHILD] if ours else [str(interpreter), str(SCRIPT)]
    process.run([*program, *arguments], engine, _surroundings())
    return from_json(RankingTimed, json.loads(result.read_text(encoding="utf-8")))


def _surroundings() -> dict[str, str]:
    """Those of a job, but for the number of threads, which each engine chooses for itself."""
    return {name: value for name, value in process.environment().items() if name != "OMP_NUM_THREADS"}


def document(
    work: RankingWork, measured: dict[str, MeasuredRanking], embeddings: dict[str, np.ndarray]
) -> dict[str, Any]:
    """`ratio_to_insightface`: above 1 ours is faster; `cpu_ratio`: the same in processor time, which tells more on a
    busy machine; `agreement`: the median cosine of both engines' embeddings of the largest face of a picture. None
    without insightface. Where it finds fewer faces (`faces`), it has less to do."""
    count = len(work.pictures)
    other = measured.get(REFERENCE)
    return {
        "work": {"pictures": count, "detector": work.detector.name, "recogniser": work.recogniser.name,
                 "turns": work.turns},
        "results": [one.to_document(count) for one in measured.values()],
        "ratio_to_insightface": round(measured[OURS].rate(count) / other.rate(count), 3) if other else None,
        "cpu_ratio": round(other.cpu_seconds / measured[OURS].cpu_seconds, 3) if other else None,
        "agreement": agreement(embeddings[OURS], embeddings[REFERENCE]) if other else None,
    }


def agreement(one: np.ndarray, other: np.ndarray) -> float | None:
    """Median cosine of rows (n, d), of those where both have a face; None where there is none."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    both = lengths > 0
    return round(float(np.median((one * other).sum(axis=1)[both] / lengths[both])), 4) if both.any() else None
