"""`__name__` becomes one line of a file, the same for the same seed."""
from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import BadInput, NotFound
from personal_avatar.styles import wildcards
from personal_avatar.styles.wildcards import Wildcards, has_wildcards, names


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "clothes").mkdir()
    (tmp_path / "colour.txt").write_text("red\n# not this\n\n  blue \n", encoding="utf-8")
    (tmp_path / "clothes" / "summer.txt").write_text("a __colour__ dress\n", encoding="utf-8")
    (tmp_path / "clothes" / "winter.txt").write_text("\ufeffa __colour__ coat\n", encoding="utf-8")
    return tmp_path


def test_names_tell_what_can_be_written(lists: Path, tmp_path: Path) -> None:
    assert names([lists, tmp_path / "none"]) == ("clothes/summer", "clothes/winter", "colour")


def test_each_place_is_filled_and_lists_may_name_lists(lists: Path) -> None:
    made = {Wildcards([lists]).expanded("photo of anna, __clothes/summer__", seed) for seed in range(20)}
    assert made == {"photo of anna, a red dress", "photo of anna, a blue dress"}


def test_a_star_takes_from_all_lists_that_fit(lists: Path) -> None:
    made = {Wildcards([lists]).expanded("__clothes/*__", seed) for seed in range(60)}
    assert made == {f"a {colour} {what}" for colour in ("red", "blue") for what in ("dress", "coat")}


@given(seed=st.integers(0, 2**32 - 1), text=st.text(alphabet="ab_ ,{}", max_size=30))
def test_a_prompt_without_wildcards_stays_as_it_is(seed: int, text: str) -> None:
    if not has_wildcards(text):
        assert Wildcards([]).expanded(text, seed) == text


def test_the_same_seed_chooses_the_same(lists: Path) -> None:
    prompt = "__colour__ __colour__ __colour__ __colour__"
    assert Wildcards([lists]).expanded(prompt, 7) == Wildcards([lists]).expanded(prompt, 7)
    assert len({Wildcards([lists]).expanded(prompt, seed) for seed in range(30)}) > 3


def test_an_unknown_list_names_those_that_exist(lists: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Wildcards([lists]).expanded("__hats__", 1)
    assert "hats" in caught.value.message and "clothes/summer" in caught.value.hint


def test_empty_lists_and_lists_that_name_themselves_are_refused(lists: Path) -> None:
    (lists / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (lists / "loop.txt").write_text("more __loop__\n", encoding="utf-8")
    for name in ("empty", "loop"):
        with pytest.raises(BadInput):
            Wildcards([lists]).expanded(f"__{name}__", 1)


@pytest.mark.parametrize("line", ["__loop__, __loop__, __loop__, __loop__", "__loop__" * 500_000, "__wide__"])
def test_lists_that_grow_without_end_are_refused_before_memory_and_patience_end(lists: Path, line: str) -> None:
    (lists / "loop.txt").write_text(line + "\n", encoding="utf-8")
    (lists / "wide.txt").write_text("__much__" * 1000 + "\n", encoding="utf-8")
    (lists / "much.txt").write_text("a word, " * 1000 + "\n", encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(BadInput):
        Wildcards([lists]).refuse_unknown("__loop__")
    assert time.monotonic() - began < 5


def test_a_list_that_comes_to_an_end_by_chance_may_name_itself(lists: Path) -> None:
    (lists / "list.txt").write_text("__colour__\n__colour__\n__colour__\n__colour__ and __list__\n", encoding="utf-8")
    Wildcards([lists]).refuse_unknown("__list__")
    assert {Wildcards([lists]).expanded("__list__", seed).count(" and ") for seed in range(40)} >= {0, 1}


def test_each_list_is_read_once(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    choices = wildcards._choices
    monkeypatch.setattr(wildcards, "_choices", lambda path: (read.append(path), choices(path))[1])
    found = Wildcards([lists])
    for seed in range(3):
        found.expanded("__colour__ " * 50, seed)
    assert read == [lists / "colour.txt"]


def test_the_name_of_a_network_is_none(lists: Path) -> None:
    prompt = "anna <lora:my__film__v2:1> in __colour__, 1 < 2"
    assert not has_wildcards("<lora:my__film__v2:1>")
    found = Wildcards([lists])
    assert found.expanded(prompt, 3) in [prompt.replace("__colour__", colour) for colour in ("red", "blue")]
    found.refuse_unknown(prompt)


def test_a_list_that_only_one_line_of_another_names_is_looked_for_too(lists: Path) -> None:
    (lists / "rare.txt").write_text("a\n" * 50 + "__hats__\n", encoding="utf-8")
    with pytest.raises(NotFound, match="hats"):
        Wildcards([lists]).refuse_unknown("__rare__")
