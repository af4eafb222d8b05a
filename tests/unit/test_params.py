"""Settings: closed, ranged, and all problems told together."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import Settings, from_pairs, pairs, refuse_together, setting, validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.training.planning.plan import LoraPlan


class Example(Settings):
    rank: int = setting(8, "Rank", ge=1, le=256)
    rate: float = setting(0.5, "Rate", ge=0.0, le=1.0)
    kind: str = setting("a", "Kind", choices=("a", "b"))
    word: str = setting("", "Word", max_length=4)
    flag: bool = setting(False, "Flag")


@pytest.mark.parametrize("kind", [Example, LoraPlan, CreateSettings, PhotoSettings])
def test_defaults_are_valid_and_titled(kind: type[Settings]) -> None:
    assert validated(kind, kind().dict()) == kind()
    assert all(field.field_info.title for field in kind.__fields__.values())


def test_a_side_between_two_that_fit_is_refused_with_what_fits() -> None:
    with pytest.raises(InvalidSettings, match=r"resolution_px must be in \[0, 1536\] and a multiple of 64, got 500"):
        validated(LoraPlan, {"resolution_px": 500})
    assert validated(LoraPlan, {"resolution_px": 448}).resolution_px == 448


def test_large_bounds_are_told_with_all_their_digits() -> None:
    with pytest.raises(InvalidSettings, match=r"seed must be in \[-1, 4294967295\], got -2"):
        validated(CreateSettings, {"seed": -2})


def test_all_problems_are_told_together() -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(Example, {"rank": 0, "rate": 7, "kind": "c", "word": "too long", "surprise": 1})
    for words in (
        "rank must be in [1, 256], got 0", "rate must be in [0, 1], got 7", "kind must be one of a, b, got 'c'",
        "word must have at most 4 characters, got", "surprise is not a setting; there are: rank, rate",
    ):
        assert words in caught.value.message
    assert str(caught.value).endswith(f". {InvalidSettings.default_hint}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, None, "x", [], {}, 10**400])
@pytest.mark.parametrize("name", ["rank", "rate"])
def test_what_is_no_number_in_the_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidSettings, match=name):
        validated(Example, {name: value})


@pytest.mark.parametrize("value", [7.9, "7.9", "-7.5", 1e-9, True, False])
def test_whole_numbers_are_never_cut_and_yes_is_no_number(value: Any) -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(Example, {"rank": value})
    assert caught.value.message == f"rank must be a whole number in [1, 256], got {value!r}."


def test_yes_is_no_number_with_a_comma_either() -> None:
    with pytest.raises(InvalidSettings, match=r"rate must be a number in \[0, 1\], got True"):
        validated(Example, {"rate": True})


@pytest.mark.parametrize("value", ["ten", "", "nan", None, []])
def test_of_what_is_no_number_kind_and_range_are_told(value: Any) -> None:
    for name, wanted in (("rank", "a whole number in [1, 256]"), ("rate", "a number in [0, 1]")):
        with pytest.raises(InvalidSettings) as caught:
            validated(Example, {name: value})
        if value != "nan":  # which is a number where numbers need not be whole
            assert caught.value.message.startswith(f"{name} must be {wanted}, got ")


def test_of_what_is_no_side_kind_range_and_step_are_told() -> None:
    with pytest.raises(InvalidSettings, match=r"must be a whole number in \[0, 1536\] and a multiple of 64, got 'x'"):
        validated(LoraPlan, {"resolution_px": "x"})


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 ", "7.0", "+7", "0.7e1"])
def test_a_whole_number_may_be_written_like_any_other(value: Any) -> None:
    found = validated(Example, {"rank": value}).rank
    assert found == 7 and type(found) is int


@pytest.mark.parametrize("name", ["word", "kind"])
def test_what_cannot_be_written_as_text_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} holds bytes that are no text") as caught:
        from_pairs(Example, [f"{name}=a\udcff"])
    assert caught.value.message.encode("utf-8")


@pytest.mark.parametrize("word", ["\udcff=1", "\udcff"])
def test_a_name_that_cannot_be_written_is_refused(word: str) -> None:
    for refused in (lambda: from_pairs(Example, [word]), lambda: validated(Example, {word: 1})):
        with pytest.raises(InvalidSettings) as caught:
            refused()
        assert caught.value.message.encode("utf-8")


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.floats() | st.text(max_size=5), max_size=4))
def test_whatever_is_given_either_fits_or_is_refused_by_name(values: dict[str, Any]) -> None:
    try:
        assert set(validated(Example, values).dict()) == set(Example.__fields__)
    except InvalidSettings as error:
        assert error.message


def test_words_become_settings() -> None:
    found = from_pairs(Example, ["rank=4", " flag = true", "kind=b"])
    assert (found.rank, found.flag, found.kind) == (4, True, "b")
    with pytest.raises(InvalidSettings, match="key=value"):
        from_pairs(Example, ["rank"])


def test_a_setting_that_is_said_twice_is_refused_with_both_values() -> None:
    with pytest.raises(InvalidSettings, match=r"Given more than once: rank \(4, 8\)\. Say each") as caught:
        pairs(["rank=4", "flag=true", " rank = 8"])
    assert "flag" not in caught.value.message


def test_names_that_are_no_settings_are_told_in_one_sentence_with_those_that_are() -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(Example, {"one": 1, "rank": 0, "two": 2})
    assert caught.value.message == (
        "rank must be in [1, 256], got 0; one, two are no settings; there are: rank, rate, kind, word, flag."
    )


def test_a_misspelt_name_is_told_with_the_one_that_it_is_most_like() -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(Example, {"ranck": 8})
    assert caught.value.message.startswith("ranck is not a setting, perhaps rank is meant; there are: rank, ")


class Other(Settings):
    rank: int = setting(8, "Rank", ge=1, le=256)
    vectors: int = setting(4, "Vectors", ge=1, le=32)


def test_what_is_wrong_for_several_kinds_of_settings_is_told_once_and_all_of_it() -> None:
    with pytest.raises(InvalidSettings) as caught:
        refuse_together([(Example, {"rank": "x", "rate": 7}), (Other, {"rank": "x", "vectors": 0})], ["speed"])
    assert caught.value.message == (
        "rank must be a whole number in [1, 256], got 'x'; rate must be in [0, 1], got 7; vectors must be in [1, 32], "
        "got 0; speed is not a setting; there are: rank, rate, kind, word, flag, vectors."
    )
    assert set(caught.value.titles) == {"rank", "rate", "kind", "word", "flag", "vectors"}
    refuse_together([(Example, {"rank": 4})])


def test_settings_are_frozen() -> None:
    with pytest.raises(TypeError):
        Example().rank = 3


class _Part(Settings):
    picture: str = setting("", "part.picture", max_length=4)
    weight: float = setting(1.0, "part.weight", ge=0.0, le=2.0)


class _Whole(Settings):
    parts: tuple[_Part, ...] = setting((), "whole.parts")


@pytest.mark.parametrize("parts", [
    [{"picture": "QUJD" * 1000, "weight": 1}], [{"picture": "QUJD", "weight": 3}], "QUJD" * 1000, [["QUJD" * 1000]],
])
def test_a_refused_value_is_shown_without_what_may_be_a_picture(parts: Any) -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(_Whole, {"parts": parts})
    assert len(caught.value.message) < 300
    assert caught.value.message.count("QUJD") <= 8


def test_a_word_with_a_line_break_behind_it_is_another_word() -> None:
    with pytest.raises(InvalidSettings, match="kind must be one of"):
        validated(Example, {"kind": "a\n"})
