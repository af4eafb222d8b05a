"""Which of a person's files is the best: the one rule for comparisons and for what pictures are made with."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Avatar, Checkpoint, Engine, Family, Likeness, Method, Scores
from personal_avatar.domain.merit import best_first, best_of, merit, side_by_side

cosine = st.floats(-1.0, 1.0)


def scores(
    after: float, leakage: float = 0.0, following: float = 0.9, floor: float = 0.4, before: float = 0.9
) -> Scores:
    return Scores(Likeness(floor, after, 0.9, leakage), following, before)


def file(step: int, measured: Scores | None, place: str = "here", family: Family = Family.SD1) -> Checkpoint:
    return Checkpoint(Path(f"{step}.safetensors"), "", step, Method.LORA, family, "sks man", None, measured, place)


@pytest.mark.parametrize(("worse", "better"), [
    (scores(0.6), scores(0.7)), (scores(0.72, leakage=0.3), scores(0.7)), (scores(0.72, following=0.6), scores(0.7)),
    (scores(0.6, floor=0.1), scores(0.61)), (scores(0.72, following=0.5, before=0.5), scores(0.7)),
])
def test_the_best_file_is_alike_follows_prompts_and_leaves_others_as_they_are(worse: Scores, better: Scores) -> None:
    for files in ((file(1, worse), file(2, better)), (file(2, better), file(1, worse))):
        assert best_of(files) == file(2, better)


def test_files_stand_the_best_first_and_those_that_cannot_be_compared_last() -> None:
    files = (
        file(1, scores(0.9), place="other photos"), file(2, scores(0.8)), file(3, None), file(4, scores(0.5)),
        file(5, scores(0.8)),
    )
    assert [one.step for one in best_first(files)] == [5, 2, 4, 1, 3]
    assert best_first(()) == [] and best_of(()) is None


def test_a_person_keeps_a_file_of_each_engine() -> None:
    files = {engine: replace(file(step, scores(0.5)), engine=engine) for step, engine in enumerate(Engine)}
    avatar = Avatar("anna", "Anna", "u", "woman", "sks woman", "2026-01-01T00:00:00Z")
    for one in files.values():
        avatar = avatar.with_checkpoints((one,))
    assert avatar.checkpoints == tuple(files.values())
    again = replace(files[Engine.KOHYA], step=9)
    assert avatar.with_checkpoints((again,)).checkpoints == (files[Engine.DIFFUSERS], again)


def test_a_newer_file_stands_beside_earlier_ones_and_in_the_place_of_those_that_are_lost() -> None:
    files = tuple(file(step, scores(0.5)) for step in (1, 2, 3))
    avatar = Avatar("anna", "Anna", "u", "woman", "sks woman", "2026-01-01T00:00:00Z", checkpoints=files[:2])
    assert avatar.with_checkpoints(files[2:]).checkpoints == files
    assert avatar.with_checkpoints(files[2:], lost=files[:1]).checkpoints == files[1:]
    other = replace(files[2], engine=Engine.KOHYA)
    assert avatar.with_checkpoints((other,), lost=files[:1]).checkpoints == (*files[:2], other)


@pytest.mark.parametrize(("earlier", "newer", "stays"), [
    (0.8, 0.39, True), (0.8, 0.4, True), (0.8, 0.55, True), (0.8, 0.65, False), (0.5, 0.8, False), (0.39, 0.38, False),
    (0.4, 0.4, False), (0.41, 0.41, False), (0.45, 0.4, True),
])
def test_what_learned_nothing_or_far_less_does_not_go_before_an_earlier_file(
    earlier: float, newer: float, stays: bool
) -> None:
    files = (file(1, scores(earlier), place="other photos"), file(2, scores(newer)))
    assert best_of(files) == files[0 if stays else 1]
    cut_short = file(3, None)
    assert best_first((*files, cut_short))[0] == best_of(files)


def test_a_newer_training_on_other_photos_is_taken_and_not_compared() -> None:
    files = (file(1, scores(0.8), place="other photos"), file(2, scores(0.7)))
    assert best_of(files) == files[1]
    assert best_of((*files, file(3, scores(0.75)))) == file(3, scores(0.75))
    assert best_of((file(1, scores(0.8), place=""), file(2, scores(0.7)))) == file(2, scores(0.7))


def test_of_equals_and_of_what_was_not_measured_the_newest_is_taken() -> None:
    assert best_of((file(1, scores(0.5)), file(2, scores(0.5)))) == file(2, scores(0.5))
    assert best_of((file(1, None), file(2, None))) == file(2, None)
    assert best_of((file(1, scores(0.5)), file(2, None))) == file(1, scores(0.5))
    assert best_of(()) is None


def test_files_of_another_family_do_not_count_for_the_loaded_checkpoint() -> None:
    files = (file(1, scores(0.5)), file(2, scores(0.8), family=Family.SDXL))
    avatar = Avatar("a", "A", "u", "man", "sks man", "", checkpoints=files)
    assert (avatar.best_for(Family.SD1), avatar.best_for(Family.SDXL)) == files
    assert avatar.best_for(Family.SD2) is None


@given(st.lists(st.tuples(cosine, cosine, cosine), min_size=1, max_size=5))
def test_side_by_side_what_is_more_alike_has_recovered_more(numbers: list[tuple[float, float, float]]) -> None:
    given_ = [Scores(Likeness(*one)) for one in numbers]
    counted = side_by_side(given_)
    assert len({(one.likeness.floor, one.likeness.ceiling) for one in counted}) == 1
    by_likeness = sorted(counted, key=lambda one: one.likeness.after)
    assert [merit(one) for one in by_likeness] == sorted(map(merit, counted))
    assert side_by_side([]) == []
