"""Words that vary a picture and stay out of who is in it."""
from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.studio.shots import EXPRESSIONS, PLACES, WIDER_PLACES, Shot, shots

SHOT = Shot("portrait", "looking up", "smiling", "soft daylight", "in a park")


def test_a_shot_is_of_somebody() -> None:
    assert SHOT.of("a tall man") == "portrait of a tall man, smiling, looking up, soft daylight, in a park"


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_seed_gives_the_same_shots_again(seed: int, wider: bool) -> None:
    assert list(islice(shots(seed, wider), 30)) == list(islice(shots(seed, wider), 30))


@given(st.integers(0, 2**32 - 1))
def test_every_word_comes_before_any_comes_again(seed: int) -> None:
    found = list(islice(shots(seed), len(PLACES) * 2))
    for start in (0, len(PLACES)):
        assert {shot.place for shot in found[start : start + len(PLACES)]} == set(PLACES)
    assert {shot.expression for shot in found[: len(EXPRESSIONS)]} == set(EXPRESSIONS)


def test_a_trained_character_may_go_further() -> None:
    assert {shot.place for shot in islice(shots(1, wider=True), len(WIDER_PLACES))} == set(WIDER_PLACES)
