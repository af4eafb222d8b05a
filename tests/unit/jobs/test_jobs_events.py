"""Events: what is written is read, and no damage to the file is ever an error."""
from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.jobs.events import (
    Done,
    Event,
    EventWriter,
    Failed,
    Log,
    Progress,
    SampleMade,
    Score,
    Stage,
    Started,
    at_home,
    parse,
    read_events,
)
from personal_avatar.jobs.kept import EVENTS_FILE

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False)
data = st.dictionaries(text, st.none() | st.booleans() | st.integers() | text | st.lists(number), max_size=3)
events = st.one_of(
    st.builds(Started, pid=st.integers(1)),
    st.builds(Stage, name=text),
    st.builds(Progress, step=st.integers(0), total=st.integers(0), loss=st.none() | number),
    st.builds(SampleMade, path=text, step=st.integers(0), prompt=text, likeness=st.none() | number),
    st.builds(Score, step=st.integers(0), likeness=number),
    st.builds(Log, message=text),
    st.builds(Done, result=data),
    st.builds(Failed, error=data),
)


def written(folder: Path, some: list[Event]) -> None:
    writer = EventWriter(folder)
    for event in some:
        writer(event)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=6), st.integers(0, 7))
def test_what_is_written_is_read_in_order_from_any_place(some: list[Event], after: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), some)
        records = list(read_events(Path(folder), after))
    assert [record.event for record in records] == some[after:]
    assert [record.id for record in records] == list(range(after + 1, len(some) + 1))


@settings(max_examples=80, deadline=None)
@given(st.lists(events, min_size=1, max_size=4), st.floats(0, 1), events)
def test_a_torn_file_loses_at_most_the_torn_line(some: list[Event], share: float, later: Event) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, some)
        whole = (folder / EVENTS_FILE).read_bytes()
        cut = round(share * len(whole))
        (folder / EVENTS_FILE).write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n")
        assert [record.event for record in read_events(folder)] == some[:complete]
        written(folder, [later])
        after = [record.event for record in read_events(folder)]
    assert after[:complete] == some[:complete]
    assert after[-1] == later
    assert len(after) <= complete + 2


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.builds(lambda kind, rest: f'{{"at": 1, "kind": "{kind}", {rest}}}', text, text))
def test_no_line_makes_the_reader_fail(line: str) -> None:
    parse(line)


def test_a_text_that_no_file_can_hold_is_written_all_the_same(tmp_path: Path) -> None:
    written(tmp_path, [Log("half \ud800 of a pair"), Log("next")])
    assert [record.event for record in read_events(tmp_path)][-1] == Log("next")


def test_a_job_without_events_has_none(tmp_path: Path) -> None:
    assert list(read_events(tmp_path)) == []


ID = "1e9456ac23f3460ca86c1576ab20d61a"


@pytest.mark.parametrize(("told", "now"), [
    (f"/old/jobs/{ID}/artifacts/1.png", "artifacts/1.png"), (f"/new/jobs/{ID}/artifacts/1.png", "artifacts/1.png"),
    (f"C:\\old\\jobs\\{ID}\\artifacts\\1.png", "artifacts/1.png"), (f"\\\\nas\\jobs\\{ID}\\photos\\a", "photos/a"),
    ("/outputs/1.png", None), ("artifacts/1.png", None), (f"a name like {ID}", None), (f"/outputs/{ID}.png", None),
])
def test_paths_in_the_folder_of_a_job_are_told_as_they_are_now(told: str, now: str | None) -> None:
    folder = Path("/new/jobs") / ID
    expected = told if now is None else str(folder / now)
    assert at_home({"images": [{"path": told, "n": 1}]}, folder) == {"images": [{"path": expected, "n": 1}]}


@pytest.mark.parametrize("telling", [
    lambda path: SampleMade(path, 2), lambda path: Done({"files": [path]}),
    lambda path: Failed({"code": "CANCELLED", "result": {"files": [path]}}),
])
def test_every_event_that_is_read_tells_paths_as_they_are_now(telling: Callable[[str], Event], tmp_path: Path) -> None:
    folder = tmp_path / ID
    folder.mkdir()
    EventWriter(folder)(telling(f"/old/jobs/{ID}/a/1.png"))
    assert [record.event for record in read_events(folder)] == [telling(str(folder / "a" / "1.png"))]
