"""Several photos at a time: the answers are those of one after the other."""
from __future__ import annotations

import threading
from pathlib import Path

import pytest
from personal_avatar.domain import PhotoReport
from personal_avatar.errors import Cancelled
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.prepare import prepare
from personal_avatar.photos.report import check
from personal_avatar.photos.together import MOST, cores, each


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[Path]:
    return [samples / f"{number:02d}.jpg" for number in range(1, 5)] + [samples / "no-face.jpg"]


@pytest.fixture(scope="module")
def report(photos: list[Path], analyser: FaceAnalyser) -> PhotoReport:
    return check(photos, analyser)


def written(report: PhotoReport, folder: Path, at_once: int) -> dict[str, bytes]:
    prepare(report, folder, resolution_px=64, trigger="sks woman", class_noun="woman", at_once=at_once)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_items_are_worked_on_together_and_come_in_order() -> None:
    meeting = threading.Barrier(3, timeout=20)
    assert list(each(lambda item: item * 10 + 0 * meeting.wait(), range(6), 3)) == [0, 10, 20, 30, 40, 50]


def test_after_a_failure_and_when_nobody_wants_more_no_other_is_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("broken")
        threading.Event().wait(0.02)
        return item

    answers = each(work, range(1000), 2)
    assert next(answers) == 0
    with pytest.raises(ValueError, match="broken"):
        next(answers)
    assert len(begun) < 900
    count = len(begun)
    stopped = each(work, range(2, 1000), 2)
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert len(begun) - count < 900


@pytest.mark.parametrize(("told", "wanted"), [("1", 1), ("3", 3), ("64", MOST)])
def test_as_many_at_a_time_as_threads_are_wanted(monkeypatch: pytest.MonkeyPatch, told: str, wanted: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores() == wanted
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert 1 <= cores() <= MOST


@pytest.mark.slow
def test_photos_that_are_looked_at_together_get_the_same_report(
    photos: list[Path], report: PhotoReport, analyser: FaceAnalyser
) -> None:
    told: list[tuple[int, int]] = []
    assert check(photos, analyser, on_progress=lambda *done: told.append(done), at_once=3) == report
    assert told == [(done, 5) for done in range(1, 6)] and len(report.accepted) == 4


def test_a_check_of_several_at_a_time_can_be_cancelled(photos: list[Path], analyser: FaceAnalyser) -> None:
    def cancelled(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        check(photos, analyser, on_progress=cancelled, at_once=2)


def test_pictures_that_are_cut_together_are_the_same_files(report: PhotoReport, tmp_path: Path) -> None:
    alone, together = written(report, tmp_path / "alone", 1), written(report, tmp_path / "together", 3)
    assert len(alone) > 8 and alone == together
