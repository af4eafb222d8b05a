"""What happens to captions while a training goes on."""
from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.training.captions import LEADS, drop, exchange, leads, shuffle_tags, vary


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


@given(share=st.sampled_from([0.0, 0.3, 1.0]))
def test_as_many_captions_as_asked_for_become_empty(share: float) -> None:
    gone = drop(["a man"] * 2000, share, generator()).count("")
    assert abs(gone / 2000 - share) < 0.05


@given(share=st.sampled_from([0.0, 0.3, 1.0]))
def test_as_many_captions_as_asked_for_are_exchanged(share: float) -> None:
    found = exchange(["a man"] * 2000, ["a shaded man", "a flat man"], share, generator())
    assert abs(1 - found.count("a man") / 2000 - share) < 0.05
    assert set(found) - {"a man"} == ({"a shaded man", "a flat man"} if share else set())
