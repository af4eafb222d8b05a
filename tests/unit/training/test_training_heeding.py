"""Which wishes end the work where."""
from __future__ import annotations

import threading
from pathlib import Path

import pytest
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control, PauseTaken
from personal_avatar.jobs.events import Event, EventWriter, Failed, Log, Paused, read_events
from personal_avatar.jobs.kept import STATE_FOLDER
from personal_avatar.training import heeding, storing
from personal_avatar.training.heeding import Wishes, telling_what_was_kept
from personal_avatar.wording import text


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def wishes(folder: Path) -> Wishes:
    return Wishes(Control(folder), EventWriter(folder), folder / STATE_FOLDER)


def told(folder: Path) -> list[str]:
    return [record.event.message for record in read_events(folder) if isinstance(record.event, Log)]


def test_nobody_wants_anything(tmp_path: Path) -> None:
    wishes(tmp_path).heed()
    assert told(tmp_path) == []


def test_before_the_training_an_older_state_is_as_good_as_before(tmp_path: Path, control: Control) -> None:
    storing.write(tmp_path / STATE_FOLDER, {"step": 7, "points": []}, {})
    control.ask(PAUSE)
    with pytest.raises(PauseTaken) as pause:
        wishes(tmp_path).heed()
    assert pause.value.step == 7 and told(tmp_path) == []


def test_the_training_says_where_it_can_end(tmp_path: Path, control: Control) -> None:
    found = wishes(tmp_path)
    found.take_over(lambda between_steps: 3 if between_steps else None, list)
    control.ask(PAUSE)
    found.heed()
    with pytest.raises(PauseTaken):
        found.heed(between_steps=True)


def test_an_engine_that_cannot_pause_says_so_once_and_goes_on(tmp_path: Path, control: Control) -> None:
    found = wishes(tmp_path)
    found.never_pause()
    control.ask(PAUSE)
    for _ in range(3):
        found.heed(between_steps=True)
    assert told(tmp_path) == [text("log.no_pause")]


def test_what_was_trained_before_is_published_before_a_cancel_ends_the_work(tmp_path: Path, control: Control) -> None:
    storing.write(tmp_path / STATE_FOLDER, {"step": 7, "points": [{"step": 5}]}, {})
    control.ask(CANCEL)
    found = wishes(tmp_path)
    found.heed()
    found.take_over(lambda between_steps: None, list)
    with pytest.raises(Cancelled):
        found.heed()
    control.ask(DISCARD)
    with pytest.raises(Cancelled):
        wishes(tmp_path).heed()


@pytest.mark.parametrize(("wishes_for_it", "kept", "hint"), [
    ([CANCEL], None, "Nothing had been saved yet, so nothing was kept."),
    ([CANCEL], {"files": ["a"]}, "What was finished until then is kept."),
    ([DISCARD, CANCEL], None, ""),
])
def test_who_cancels_is_told_what_was_kept(
    control: Control, wishes_for_it: list[str], kept: dict[str, object] | None, hint: str
) -> None:
    for wish in wishes_for_it:
        control.ask(wish)
    with pytest.raises(Cancelled) as raised, telling_what_was_kept(control):
        try:
            control.check()
        except Cancelled as error:
            error.result = kept
            raise
    assert raised.value.hint == hint


def last_word(folder: Path, *asked: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, int]:
    """Of a process that is asked while its work is in one piece; and its exit status."""
    monkeypatch.setattr(heeding, "LOOK_S", 0.01)
    ended, status = threading.Event(), []
    with wishes(folder).ending_at_once(lambda code: (status.append(code), ended.set())):
        for wish in asked:
            Control(folder).ask(wish)
        assert ended.wait(10)
    return [record.event for record in read_events(folder)][-1], status[0]


@pytest.mark.parametrize("asked", [(CANCEL,), (DISCARD, CANCEL)])
def test_work_in_one_piece_that_has_nothing_to_keep_ends_at_once_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    event, status = last_word(tmp_path, *asked, monkeypatch=monkeypatch)
    assert isinstance(event, Failed) and event.error["code"] == Cancelled.code and status == 1


@pytest.mark.parametrize("asked", [PAUSE, CANCEL])
def test_work_in_one_piece_ends_at_once_and_what_was_trained_before_is_gone_on_with_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    storing.write(tmp_path / STATE_FOLDER, {"step": 7, "points": [{"step": 5}]}, {})
    assert last_word(tmp_path, asked, monkeypatch=monkeypatch) == (Paused(7), 0)


def test_a_pause_before_anything_was_trained_ends_work_in_one_piece_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert last_word(tmp_path, PAUSE, monkeypatch=monkeypatch) == (Paused(0), 0)
    assert told(tmp_path) == [text("log.nothing_yet")]


def test_when_the_piece_is_over_the_work_heeds_wishes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heeding, "LOOK_S", 0.01)
    ended = threading.Event()
    with wishes(tmp_path).ending_at_once(lambda code: ended.set()):
        pass
    Control(tmp_path).ask(CANCEL)
    assert not ended.wait(0.1) and not (tmp_path / "events.jsonl").exists()
