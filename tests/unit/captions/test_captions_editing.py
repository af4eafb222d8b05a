"""Search and replace, the table of frequencies, undo and redo."""
from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.captions import expressions
from personal_avatar.captions.editing import (
    KEPT_STEPS,
    History,
    frequencies,
    replaced,
    terms,
    with_caption,
    with_tag,
    without_tag,
)
from personal_avatar.captions.wording import key, parts, tidied
from personal_avatar.errors import InvalidSettings

CAPTIONS = {"a.jpg": "sks man, red hat, park", "b.jpg": "sks man, what a Hat", "c.jpg": "sks man, beach"}
TEXTS = st.text("ab ,(_)", max_size=30)
SETS = st.dictionaries(st.sampled_from(["1.jpg", "2.jpg", "3.jpg"]), TEXTS)


def test_whole_words_are_replaced_in_any_case() -> None:
    found = replaced(CAPTIONS, "hat", "cap")
    assert found == {"a.jpg": "sks man, red cap, park", "b.jpg": "sks man, what a cap", "c.jpg": "sks man, beach"}


def test_what_is_replaced_by_nothing_leaves_no_comma_behind() -> None:
    assert replaced(CAPTIONS, "red hat", "")["a.jpg"] == "sks man, park"


def test_a_plain_search_takes_signs_for_what_they_are() -> None:
    captions = {"a.jpg": "name \\(series\\), a.b, aXb"}
    assert replaced(captions, "a.b", "\\1") == {"a.jpg": "name \\(series\\), \\1, aXb"}
    assert replaced(captions, "\\(series\\)", "") == {"a.jpg": "name, a.b, aXb"}


def test_an_expression_may_name_its_groups() -> None:
    assert replaced(CAPTIONS, r"(red) (hat)", r"\2 in \1", regex=True)["a.jpg"] == "sks man, hat in red, park"


@pytest.mark.parametrize(("search", "replacement"), [("(", ""), ("*", ""), ("a{99999999999}", ""), ("(a)", r"\2")])
def test_an_expression_that_cannot_be_used_is_named(search: str, replacement: str) -> None:
    with pytest.raises(InvalidSettings):
        replaced({"a.jpg": "a"}, search, replacement, regex=True)


@pytest.mark.parametrize("search", ["(a+)+$", "(a*)*b", r"(\w+\s*)+x", "((ab)?c)*", "(a|b+)*c", "a" * 301,
                                    r"(\w|\w)+!", ".*.*.*.*!", r"\w?" * 40 + "!", "(a|a)" * 40, "(?:(?:){9999}){9999}"])
def test_an_expression_that_could_run_for_hours_is_refused(search: str) -> None:
    with pytest.raises(InvalidSettings):
        replaced({"a.jpg": "a" * 240}, search, "", regex=True)


def test_how_long_an_expression_may_take_depends_on_how_much_there_is_to_search() -> None:
    one, many = {"a": "a" * 240}, {str(number): "a" * 2000 for number in range(100)}
    assert replaced(one, ".*.*!", "", regex=True) == one
    with pytest.raises(InvalidSettings, match="too many ways"):
        replaced(many, ".*.*!", "", regex=True)
    ordinary = {str(number): "red hat, blue coat, " * 10 for number in range(100)}
    assert replaced(ordinary, r"(\w+) (\w+),", r"\2 \1,", regex=True)["5"].startswith("hat red, coat blue")


LETTERS = st.sampled_from(["a", "b", r"\w", ".", "[ab]", r"\s", "$", r"(?=a*)", r"\b"])
EXPRESSIONS = st.recursive(
    LETTERS,
    lambda part: st.one_of(
        st.lists(part, min_size=2, max_size=5).map("".join),
        st.builds("(?:{}|{})".format, part, part),
        st.builds("(?:{}){}".format, part, st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,9}", "{3,}"])),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(search=EXPRESSIONS, text=st.sampled_from(["a" * 60, "ab" * 100, "a b" * 40, "aab" * 300]))
def test_what_is_accepted_is_quick(search: str, text: str) -> None:
    """With a bound of a fiftieth, so that the test is quick as well."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(expressions, "MOST_STEPS", expressions.MOST_STEPS / 50)
        try:
            found = expressions.read(search + "!", [text])
        except InvalidSettings:
            return
    began = time.process_time()
    found.sub("", text)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("search", ["(red|blue)+ hat", r"\bwith\b.*", "a{2}b?", "(ab){2,3}", r"(?:\w{3})*x", r"red\s+"])
def test_an_expression_that_repeats_but_once_is_taken(search: str) -> None:
    assert replaced({"a.jpg": "none of it"}, search, "", regex=True) == {"a.jpg": "none of it"}


def test_an_empty_search_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="nothing to search for"):
        replaced(CAPTIONS, "  ", "x")


def test_tags_are_counted_once_a_picture_and_the_most_frequent_comes_first() -> None:
    captions = {"a": "sks man, Red_Hat, red hat", "b": "red hat, sks man", "c": "(sks man:1.2), beach"}
    assert frequencies(captions) == [("sks man", 3), ("red hat", 2), ("beach", 1)]


def test_of_sentences_the_words_are_counted_that_say_something() -> None:
    captions = {"a": "a man in a hat on the beach", "b": "the beach with a red umbrella"}
    assert frequencies(captions) == [("beach", 2), ("hat", 1), ("man", 1), ("red", 1), ("umbrella", 1)]


def test_a_tag_is_added_where_it_lacks_and_taken_away_everywhere() -> None:
    more = with_tag(CAPTIONS, "park", first=True)
    assert more["a.jpg"] == CAPTIONS["a.jpg"] and more["c.jpg"] == "park, sks man, beach"
    assert with_tag(CAPTIONS, "park")["c.jpg"] == "sks man, beach, park"
    assert without_tag(more, "Park") == {**CAPTIONS, "a.jpg": "sks man, red hat"}


def test_one_caption_is_written_anew() -> None:
    assert with_caption(CAPTIONS, "c.jpg", " sks man ,,\n the sea")["c.jpg"] == "sks man, the sea"


@pytest.mark.parametrize("part", ["Long_Hair", "long  hair", "(long hair:1.2)", "(long_hair)", " LONG HAIR "])
def test_one_tag_is_written_in_many_ways(part: str) -> None:
    assert key(part) == "long hair"


def test_faces_made_of_signs_stay_what_they_are() -> None:
    assert key("^_^") == "^_^" and key(r"name \(series\)") == "name (series)"


@given(TEXTS)
def test_a_tidy_caption_stays_as_it_is(text: str) -> None:
    once = tidied(text)
    assert tidied(once) == once and parts(once) == parts(text)
    assert terms(once) == terms(text)


@given(SETS, st.sampled_from(["a", "b", "ab"]))
def test_a_tag_that_was_taken_away_is_in_no_caption(captions: dict[str, str], tag: str) -> None:
    left = without_tag(with_tag(captions, tag), tag)
    assert left.keys() == captions.keys()
    assert all(key(part) != tag for text in left.values() for part in parts(text))


@given(st.lists(SETS, max_size=8))
def test_every_step_can_be_undone_and_redone(steps: list[dict[str, str]]) -> None:
    history, seen = History({}), [{}]
    for step in steps:
        history = history.changed(step)
        if step != seen[-1]:
            seen.append(step)
    for captions in reversed(seen):
        assert dict(history.now) == captions
        history = history.undone()
    assert not history.can_undo and history.undone() is history
    for captions in seen:
        assert dict(history.now) == captions
        history = history.redone()
    assert not history.can_redo and history.redone() is history


def test_a_step_after_an_undo_forgets_what_was_undone() -> None:
    history = History({}).changed({"a": "1"}).changed({"a": "2"}).undone().changed({"a": "3"})
    assert not history.can_redo and dict(history.undone().now) == {"a": "1"}


def test_only_so_many_steps_are_kept() -> None:
    history = History({})
    for number in range(KEPT_STEPS + 20):
        history = history.changed({"a": str(number)})
    assert len(history.past) == KEPT_STEPS
