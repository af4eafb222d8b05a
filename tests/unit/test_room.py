"""Measured memory decides whether a picture and a training fit beside each other."""
from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from personal_avatar import room
from personal_avatar.room import GIB, Card, Peaks, Size

SMALL, LARGE = Size("sd15", 512 * 512), Size("sd15", 1024 * 1024)


def test_what_this_process_keeps_for_itself_is_available_to_it() -> None:
    assert Card(free=2, reserved=5, allocated=4).available == 3


@pytest.mark.parametrize(("free_gib", "fits"), [(1.0, False), (2.1, False), (2.3, True), (20.0, True)])
def test_a_size_that_was_made_before_needs_what_it_took(free_gib: float, fits: bool) -> None:
    peaks = Peaks({SMALL: 4 * GIB})
    assert peaks.fits(SMALL, Card(free=round(free_gib * GIB), reserved=2 * GIB, allocated=2 * GIB)) is fits


def test_a_larger_one_needs_more_and_a_smaller_one_no_more() -> None:
    peaks = Peaks({SMALL: 4 * GIB})
    assert peaks.need(LARGE) == 16 * GIB
    assert peaks.need(Size("sd15", 256 * 256)) == 4 * GIB
    assert peaks.need(Size("sd15", 512 * 512, batch=2)) == 8 * GIB


def test_another_checkpoint_tells_nothing() -> None:
    peaks = Peaks({SMALL: 4 * GIB})
    assert peaks.need(Size("sdxl", 512 * 512), allocated=GIB) == Peaks().need(SMALL, allocated=GIB)


def test_the_first_picture_is_reckoned_generously() -> None:
    assert not Peaks().fits(LARGE, Card(free=8 * GIB)) and Peaks().crowded(LARGE, Card(free=8 * GIB))
    assert Peaks().fits(LARGE, Card(free=16 * GIB)) and not Peaks().crowded(LARGE, Card(free=16 * GIB))
    assert Peaks().fits(SMALL, Card(free=8 * GIB, reserved=4 * GIB, allocated=4 * GIB))


def test_the_peak_of_a_picture_is_remembered_by_its_size() -> None:
    peaks = Peaks()
    picture = peaks.begin(SMALL, 9 * GIB)
    peaks.end(picture, 3 * GIB)
    assert peaks.need(SMALL) == 3 * GIB


def test_a_picture_within_a_picture_is_a_part_of_its_peak() -> None:
    peaks = Peaks()
    outer = peaks.begin(LARGE, 0)
    inner = peaks.begin(SMALL, 7 * GIB)
    peaks.end(inner, 3 * GIB)
    peaks.end(outer, 4 * GIB)
    assert (peaks.need(SMALL), peaks.need(LARGE)) == (3 * GIB, 7 * GIB)


def test_pictures_that_failed_leave_nothing_behind() -> None:
    peaks = Peaks()
    failed = [peaks.begin(SMALL, 0) for _ in range(20)]
    picture = peaks.begin(SMALL, 5 * GIB)
    peaks.end(picture, 2 * GIB)
    peaks.end(failed[0], 50 * GIB)
    assert peaks.known == {SMALL: 2 * GIB}


def test_without_a_card_there_is_nothing_to_measure() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    assert room.card() is None
    room.count_anew()


def test_the_card_is_asked_as_torch_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of a card in the place of one; what is done with them is real."""
    asked: list[object] = []
    cuda = SimpleNamespace(
        is_available=lambda: True, current_device=lambda: 1, reset_peak_memory_stats=asked.append,
        mem_get_info=lambda index: (index * GIB, 24 * GIB), memory_reserved=lambda device: 6 * GIB,
        memory_allocated=lambda device: 5 * GIB, max_memory_allocated=lambda device: 7 * GIB,
    )

    def device(name: str) -> SimpleNamespace:
        kind, _, index = name.partition(":")
        return SimpleNamespace(type=kind, index=int(index) if index else None)

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, device=device))
    assert room.card() == Card(free=GIB, reserved=6 * GIB, allocated=5 * GIB, peak=7 * GIB)
    assert room.card("cuda:3") == Card(free=3 * GIB, reserved=6 * GIB, allocated=5 * GIB, peak=7 * GIB)
    assert room.card("cpu") is None
    room.count_anew("cuda:3")
    assert len(asked) == 1


def test_without_a_card_it_is_always_crowded() -> None:
    assert Peaks({SMALL: 0}).crowded(SMALL, None)
