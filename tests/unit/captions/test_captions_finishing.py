"""What taggers say becomes captions."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.captions import tokens
from personal_avatar.captions.finishing import finished
from personal_avatar.captions.lint import Subject, findings

SUBJECT = Subject("sks woman", "woman")


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        ("a woman with long brown hair wearing a red dress", "sks woman wearing a red dress"),
        ("there is a woman that is sitting on a bench.", "sks woman that is sitting on a bench"),
        ("arafed woman with blonde hair in a park", "sks woman in a park"),
        ("araffe with a red hat", "sks woman with a red hat"),
        ("1girl, solo, long hair, smile, red dress", "sks woman, smile, red dress"),
        ("a bald bald man", "sks woman, a man"),
        ("", "a photo of sks woman"),
        ("1girl, solo", "a photo of sks woman"),
    ],
)
def test_a_caption_begins_with_the_trigger_and_leaves_the_person_out(said: str, caption: str) -> None:
    assert finished(said, SUBJECT) == caption


def test_everything_is_kept_when_that_is_asked_for() -> None:
    assert finished("1girl, long hair, smile", SUBJECT, mend=False) == "sks woman, 1girl, long hair, smile"
    assert finished("a bald bald man", Subject("", "man"), mend=False) == "a bald bald man"


def test_without_a_trigger_there_is_none() -> None:
    assert finished("a man in a hat", Subject("", "man")) == "a man in a hat"
    assert finished("", Subject("", "man")) == "a photo of a man"


SAID = st.lists(st.sampled_from([
    "a woman with long hair", "1girl", "blue eyes", "smile", "a hat and a hat", "sks woman", "park " * 30,
    "there is a dog", "arafed man in a car",
]), max_size=12).map(", ".join)  # fmt: skip


@given(SAID)
def test_a_finished_caption_has_no_fault_and_is_finished(said: str) -> None:
    caption = finished(said, SUBJECT)
    codes = {finding.code.value for finding in findings({"a": caption}, "sks woman", "woman")}
    assert codes <= {"TRIGGER_TWICE"}
    assert tokens.count(caption) <= tokens.MOST
    assert finished(caption, SUBJECT) == caption
