"""How fast pictures are ranked: what is told of the turns, and one real turn of ours."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from insightface_models import models
from personal_avatar.benchmarks.ranking import agreement, document
from personal_avatar.benchmarks.ranking_child import measure
from personal_avatar.benchmarks.ranking_work import OURS, REFERENCE, MeasuredRanking, RankingTimed, RankingWork

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "insightface" / "buffalo_s"


def measured(engine: str, *seconds: float) -> MeasuredRanking:
    return MeasuredRanking(tuple(RankingTimed(engine, one, 2 * one, 8, "", ("CPU",), "1") for one in seconds))


def work(count: int) -> RankingWork:
    return RankingWork(tuple(Path(f"{number}.png") for number in range(count)), Path("d.onnx"), Path("r.onnx"))


def test_the_ratio_is_of_the_middle_turns_and_above_one_when_ours_is_faster() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    told = document(
        work(10), {OURS: measured(OURS, 1.0, 2.0, 9.0), REFERENCE: measured(REFERENCE, 4.0, 3.0, 5.0)},
        {OURS: rows, REFERENCE: rows * 3},
    )
    assert told["ratio_to_insightface"] == 2.0 and told["cpu_ratio"] == 2.0 and told["agreement"] == 1.0
    assert [row["engine"] for row in told["results"]] == [OURS, REFERENCE]
    assert told["results"][0]["pictures_per_second"] == 5.0 and told["results"][0]["faces_per_second"] == 4.0


def test_without_insightface_ours_stands_alone() -> None:
    told = document(work(4), {OURS: measured(OURS, 1.0)}, {OURS: np.ones((4, 2))})
    assert told["ratio_to_insightface"] is None and told["agreement"] is None and len(told["results"]) == 1


def test_pictures_without_a_face_say_nothing_about_agreement() -> None:
    assert agreement(np.zeros((2, 3)), np.ones((2, 3))) is None
    assert agreement(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [5.0, 5.0]])) == pytest.approx(0.7071)


@pytest.mark.slow
def test_a_turn_of_ours_finds_the_faces_and_keeps_their_embeddings(samples: Path, tmp_path: Path) -> None:
    detector, recogniser = models(CACHE)
    pictures = tuple(samples / name for name in ("01.jpg", "two-people.jpg", "no-face.jpg"))
    timed = measure(RankingWork(pictures, detector, recogniser), tmp_path / "vectors.npy")
    assert timed.faces == 3 and timed.seconds > 0
    found = np.load(timed.embeddings)
    assert found.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0], atol=1e-4)
