"""Order and filters of finished pictures."""
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.albums.entries import PARTS, RANK, SORTS, Entry, Wanted, arranged, page_of, parts_of, wanted
from personal_avatar.domain import Portrait
from personal_avatar.errors import InvalidSettings


def entry(
    number: int = 0, likeness: float | None = 0.5, run: str = "a", made_at: float = 0.0, **scores: float
) -> Entry:
    portrait = Portrait(Path(f"/x/{number}.png"), number, "p", likeness=likeness, scores=scores)
    return Entry(run, number, portrait, made_at=made_at)


numbers = st.one_of(st.none(), st.floats(-1, 1))
entries = st.lists(
    st.builds(
        lambda number, likeness, quality: entry(number, likeness, **({} if quality is None else {"quality": quality})),
        st.integers(0, 200), numbers, numbers,
    ),
    max_size=30,
)


@given(entries, st.sampled_from(SORTS))
def test_sorting_loses_nothing_and_puts_the_unmeasured_last(given_: list[Entry], sort: str) -> None:
    found = arranged(given_, sort)
    assert sorted(map(id, found)) == sorted(map(id, given_))
    if sort != RANK:
        values = [one.score(sort) for one in found]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=True)
        assert values == known + [None] * (len(values) - len(known))


def test_by_rank_the_newest_run_comes_first_and_each_in_its_own_order() -> None:
    made = [entry(1, run="old"), entry(0, run="old"), entry(0, run="new", made_at=5), entry(1, run="new", made_at=5)]
    assert [one.key for one in arranged(made)] == ["new:0", "new:1", "old:0", "old:1"]


def test_a_restored_picture_counts_with_the_likeness_that_is_shown() -> None:
    portrait = Portrait(Path("a.png"), 1, "p", likeness=0.4, scores={"restored": 0.6}, restored=Path("b.png"))
    assert Entry("a", 0, portrait).score("likeness") == 0.6
    assert Entry("a", 0, portrait).shown == Path("b.png")
    assert entry(likeness=None).score("likeness") is None


def test_limits_leave_out_what_was_not_measured() -> None:
    rows = [entry(0, 0.3, quality=0.9), entry(1, 0.5, quality=0.2), entry(2, 0.7), entry(3, None, quality=0.9)]
    assert [one.number for one in arranged(rows, RANK, wanted("likeness>=0.4"))] == [1, 2]
    assert [one.number for one in arranged(rows, RANK, wanted("quality<=0.5, likeness>=0"))] == [1]
    assert [one.number for one in arranged(rows, RANK, wanted("favourite"))] == []
    assert len(arranged(rows, RANK, wanted(""))) == 4


@given(st.dictionaries(st.sampled_from(PARTS), st.integers(-99, 99).map(lambda n: n / 100)))
def test_limits_that_are_written_are_read_again(limits: dict[str, float]) -> None:
    text = ",".join(f"{part}>={value}" for part, value in limits.items())
    assert wanted(text) == Wanted(at_least=limits)


@given(st.text(max_size=30))
def test_anything_else_is_refused_by_name(text: str) -> None:
    try:
        wanted(text)
    except InvalidSettings as error:
        assert "is no filter" in error.message


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="'beauty' is no order"):
        arranged([], "beauty")


@given(st.integers(0, 60), st.integers(-3, 12), st.integers(1, 9))
def test_pages_cover_everything_once_and_the_nearest_is_taken(n: int, page: int, k: int) -> None:
    rows = [entry(number) for number in range(n)]
    _, number, pages = page_of(rows, page, k)
    assert 1 <= number <= pages and (number == page or not 1 <= page <= pages)
    assert [one for at in range(1, pages + 1) for one in page_of(rows, at, k)[0]] == rows


def test_parts_are_those_that_some_picture_has() -> None:
    assert parts_of([entry(quality=0.1), entry(1, face_size=0.2)]) == ["likeness", "quality", "face_size"]
    assert parts_of([entry(likeness=None)]) == []
