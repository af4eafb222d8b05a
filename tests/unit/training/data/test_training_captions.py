"""What happens to captions while a training goes on."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.captions.files import with_trigger
from personal_avatar.captions.wording import mentions
from personal_avatar.domain import Dataset, Sample
from personal_avatar.training.data.captions import (
    LEADS,
    drop,
    exchange,
    leads,
    led_by_trigger,
    shuffle_tags,
    vary,
    without_subject,
)
from personal_avatar.training.planning.plan import LoraPlan


def dataset_of(noun: str) -> Dataset:
    return Dataset("d", Path(), (), (), 64, f"sks {noun}", noun, "f")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_beginning_of_a_template_is_varied_and_the_rest_is_kept() -> None:
    found = leads("a photo of sks man, smiling")
    assert found[0] == "a photo of sks man, smiling"
    assert set(found) == {f"{lead}sks man, smiling" for lead in LEADS}


def test_a_caption_of_ones_own_is_not_touched() -> None:
    assert leads("sks man on a horse") == ("sks man on a horse",)
    assert vary(["sks man on a horse"] * 9, generator()) == ["sks man on a horse"] * 9


def test_every_beginning_gets_its_turn() -> None:
    assert set(vary(["a photo of sks man"] * 200, generator())) == set(leads("a photo of sks man"))


@given(tags=st.lists(st.text("abc", min_size=1), min_size=1, max_size=8), keep=st.integers(0, 9))
def test_shuffling_keeps_all_tags_and_those_in_front_in_their_places(tags: list[str], keep: int) -> None:
    found = shuffle_tags(", ".join(tags), keep, generator()).split(", ")
    assert sorted(found) == sorted(tags)
    assert found[:keep] == tags[:keep]


@pytest.mark.parametrize(("written", "led"), [
    ("outdoors, sks man, smiling", "sks man, outdoors, smiling"),
    ("outdoors, smiling, a photo of (sks man:1.2)", "a photo of (sks man:1.2), outdoors, smiling"),
    ("a photo of sks man, smiling, sks man's hat", "a photo of sks man, smiling, sks man's hat"),
    ("smiling, sks man, sks man's hat, smiling", "sks man, smiling, sks man's hat, smiling"),
    ("sksy man, sks man", "sks man, sksy man"),
    ("outdoors, smiling", "outdoors, smiling"),
    ("sks man on a horse", "sks man on a horse"),
])
def test_the_trigger_is_what_stays_in_front_of_shuffled_captions(written: str, led: str) -> None:
    dataset = replace(dataset_of("man"), samples=(Sample(Path("a.png"), written, "0" * 64),))
    (sample,) = led_by_trigger(dataset, LoraPlan(shuffle_captions=True)).samples
    assert sample.caption == led
    if "sks man" in written:
        assert all("sks man" in shuffle_tags(led, 1, generator(seed)).split(", ")[0] for seed in range(9))


def test_a_caption_that_is_not_shuffled_stays_as_it_was_written() -> None:
    dataset = replace(dataset_of("man"), samples=(Sample(Path("a.png"), "outdoors, sks man", "0" * 64),))
    assert led_by_trigger(dataset, LoraPlan()) is dataset


@given(share=st.sampled_from([0.0, 0.3, 1.0]))
def test_as_many_captions_as_asked_for_become_empty(share: float) -> None:
    gone = drop(["a man"] * 2000, share, generator()).count("")
    assert abs(gone / 2000 - share) < 0.05


@given(share=st.sampled_from([0.0, 0.3, 1.0]))
def test_as_many_captions_as_asked_for_are_exchanged(share: float) -> None:
    found = exchange(["a man"] * 2000, ["a shaded man", "a flat man"], share, generator())
    assert abs(1 - found.count("a man") / 2000 - share) < 0.05
    assert set(found) - {"a man"} == ({"a shaded man", "a flat man"} if share else set())


@pytest.mark.parametrize(("noun", "caption", "expected"), [
    ("man", "a photo of sks man, smiling", "a photo of man, smiling"),
    ("man", "sks man, photo of sks in a park", "man, photo of man in a park"),
    ("man", "Sks Man, close-up of SKS's hat (sks)", "man, close-up of man's hat (man)"),
    ("man", "sks man beside a sksy mansion", "man beside a sksy mansion"),
    ("man", "sks mansion", "man mansion"),
    ("young woman", "sks young woman, sks woman, sks", "young woman, young woman, young woman"),
    ("man", "sks man in front of a man", "man in front of a man"),
])
def test_of_the_class_no_caption_holds_the_persons_own_word(noun: str, caption: str, expected: str) -> None:
    assert without_subject(caption, dataset_of(noun), is_style=False) == expected


@pytest.mark.parametrize("caption", ["a cat, in sks style", "a cat, in sks", "a cat in SKS Style", "a cat in sks"])
def test_without_a_style_nothing_is_said_of_one(caption: str) -> None:
    assert without_subject(caption, dataset_of("style"), is_style=True).replace(",", "") == "a cat"


WORDS = st.sampled_from(["sks", "Sks man", "man", "SKS,", "a photo of", "sksy", "in", "(sks)", "sks's", "park, "])


@given(words=st.lists(WORDS, max_size=8), is_style=st.booleans())
def test_whatever_somebody_wrote_the_word_is_not_in_the_class(words: list[str], is_style: bool) -> None:
    said = without_subject(with_trigger(" ".join(words), "sks man"), dataset_of("man"), is_style)
    assert not mentions("sks").search(said)
