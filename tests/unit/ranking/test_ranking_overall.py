"""One score from the parts: what it prefers, and that copies fall back."""
from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import Cancelled, InvalidSettings
from personal_avatar.ranking.looks import Looks, look
from personal_avatar.ranking.nouns import Ranked, Scale
from personal_avatar.ranking.order import FILTER, KEYS, Filter, filtered, sorted_by
from personal_avatar.ranking.overall import SAMENESS, ordered, worth
from PIL import Image

from tests.unit.painted_faces import face_at, picture

SCALE = Scale(0.5, 0.4)
UNIT = st.floats(0, 1, allow_nan=False)


def item(name: str = "a", likeness: float | None = 0.6, **scores: float) -> Ranked:
    return Ranked(Path(name), likeness, scores, 0 if likeness is None else 1)


@given(st.floats(-1, 1), UNIT, UNIT, st.floats(-1, 1), st.sampled_from(["likeness", "second", "quality", "prompt"]))
def test_more_of_any_part_is_never_worth_less(
    likeness: float, quality: float, prompt: float, second: float, part: str
) -> None:
    less = item(likeness=likeness, quality=quality, prompt=prompt, second=second)
    if part == "likeness":
        more = replace(less, likeness=likeness + 0.1)
    else:
        more = replace(less, scores={**less.scores, part: less.scores[part] + 0.1})
    assert 0 <= worth(less, SCALE) <= worth(more, SCALE)
    assert worth(replace(less, likeness=None), SCALE) == 0.0


def test_a_spoilt_picture_of_the_right_person_is_worth_more_than_a_fine_one_of_somebody_else() -> None:
    assert worth(item(likeness=0.7, quality=0.0), SCALE) > worth(item(likeness=0.15, quality=1.0), SCALE)


def test_a_part_that_nobody_measured_does_not_count() -> None:
    assert worth(item(likeness=0.5), SCALE) == pytest.approx(0.5)
    assert worth(item(likeness=0.5, second=0.4), SCALE) == pytest.approx(0.5)
    assert worth(item(likeness=0.5, second=0.9), Scale(0.5)) == pytest.approx(0.5)


def test_a_copy_falls_behind_a_different_picture_that_is_a_little_worse() -> None:
    one, other = (look(picture(seed), face_at(0, 0)) for seed in (1, 2))
    items = [item("best", 0.80, quality=1.0), item("copy", 0.79, quality=1.0), item("different", 0.74, quality=1.0)]
    found = ordered(items, [one, one, other], SCALE)
    assert [one.path.name for one in found] == ["best", "different", "copy"]
    assert found[0].scores["diversity"] == 1.0 and found[2].scores["diversity"] < 0.01
    assert found[2].scores["overall"] == pytest.approx(worth(items[1], SCALE) * (1 - SAMENESS), abs=1e-3)


@given(st.lists(st.tuples(st.one_of(st.none(), st.floats(-1, 1)), UNIT, st.integers(0, 3)), max_size=12))
def test_the_order_loses_nothing_and_falls(rows: list[tuple[float | None, float, int]]) -> None:
    looks = [look(picture(seed), None) for seed in range(4)]
    items = [item(str(number), likeness, quality=quality) for number, (likeness, quality, _) in enumerate(rows)]
    found = ordered(items, [looks[seed] for *_, seed in rows], SCALE)
    assert {one.path for one in found} == {one.path for one in items}
    scores = [one.scores["overall"] for one in found if one.likeness is not None]
    assert scores == sorted(scores, reverse=True)
    assert all(one.likeness is None for one in found[len(scores) :])
    assert all(0 <= one.scores["diversity"] <= 1 for one in found[: len(scores)])


def test_items_without_looks_are_put_in_order_all_the_same() -> None:
    found = ordered([item("a", 0.2), item("b", 0.9), item("c", None)], [None, None, None], SCALE)
    assert [one.path.name for one in found] == ["b", "a", "c"]


def test_a_likeness_that_is_no_number_comes_last_and_is_not_lost() -> None:
    found = ordered([item("a", float("nan")), item("b", 0.9), item("c", None)], [None, None, None], SCALE)
    assert [one.path.name for one in found] == ["b", "a", "c"]


def test_looks_know_a_copy_from_another_picture() -> None:
    image = picture(1, 2)
    copy = np.asarray(Image.fromarray(image).resize((192, 96)))
    close = Looks([look(image, None), look(copy, None), look(picture(3, 4), None), None]).alike_to(0)
    assert close[0] == pytest.approx(1.0, abs=1e-5) and close[1] > 0.8 > 0.3 > close[2] and close[3] == 0.0


def test_a_copy_is_noticed_beside_pictures_that_clip_saw() -> None:
    """A copy lost its prompt; the others are compared by all that is known."""
    clip = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    image, other = picture(1), picture(2)
    looks = [look(image, None, clip[0]), look(image, None), look(image, None, clip[0]), look(other, None, clip[1])]
    close = Looks(looks).alike_to(0)
    assert close[1] == pytest.approx(1.0, abs=1e-5) and close[2] == pytest.approx(1.0, abs=1e-5) and close[3] < 0.5
    assert Looks(looks).alike_to(1)[0] == pytest.approx(1.0, abs=1e-5)


def test_behind_the_exact_places_pictures_stand_by_what_they_are_worth_beside_those() -> None:
    looks = [look(picture(seed % 7), None) for seed in range(60)]
    items = [item(str(number), 0.3 + number % 11 / 30, quality=0.5 + number % 5 / 10) for number in range(60)]
    exact, bounded = ordered(items, looks, SCALE), ordered(items, looks, SCALE, exact=10)
    assert [one.path for one in bounded[:10]] == [one.path for one in exact[:10]]
    assert {one.path for one in bounded} == {one.path for one in items}
    scores = [one.scores["overall"] for one in bounded]
    assert scores == sorted(scores, reverse=True)


def test_putting_in_order_can_be_ended() -> None:
    def stop() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        ordered([item()], [None], SCALE, check=stop)


@given(st.sampled_from(KEYS), st.sampled_from([">=", "<=", ">", "<", "=="]), st.integers(-999, 999))
def test_filters_are_read_as_they_are_written(key: str, test: str, value: int) -> None:
    import re

    text = f"{key}{test}{value / 100}"
    assert re.fullmatch(FILTER, text)
    assert Filter.parse(text) == Filter(key, test, value / 100)


@pytest.mark.parametrize("text", ["", "likeness", "beauty>=1", "likeness>=", "likeness>=x", ">=1", "likeness>=1 2"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings):
        Filter.parse(text)


def test_pictures_are_sorted_by_any_part_and_those_without_it_come_last() -> None:
    items = [item("a", 0.5, second=0.1), item("b", 0.4), item("c", 0.3, second=0.9)]
    assert [one.path.name for one in sorted_by(items, "second")] == ["c", "a", "b"]
    assert [one.path.name for one in sorted_by([replace(items[0], faces=3), items[1]], "faces")] == ["b", "a"]
    wanted = [Filter.parse("second>0.05"), Filter.parse("likeness<0.5")]
    assert [one.path.name for one in filtered(items, wanted)] == ["c"]
    with pytest.raises(InvalidSettings, match="beauty"):
        sorted_by(items, "beauty")


def test_no_two_keys_are_the_same() -> None:
    assert all(one != other for one, other in combinations(KEYS, 2))
