"""Tokens are counted as CLIP's tokenizer counts them."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.captions.tokens import MOST, count


@lru_cache(maxsize=1)
def reference() -> Any:
    from personal_avatar.training.families.text import tokenizer

    return tokenizer(None)


@pytest.mark.parametrize(
    "caption",
    [
        "", "a photo of sks man", "A woman's hair, don't!!! 12345 ^_^ (x:1.2)", "unbelievablysupercalifragilistic",
        "công viên ở Hà Nội", "公园 的人", "café naïve", "_hello_ a_b", "👨‍👩‍👧", r"photo \(series\)",
    ],
)  # fmt: skip
def test_captions_have_as_many_tokens_as_transformers_counts(caption: str) -> None:
    assert count(caption) == len(reference()(caption)["input_ids"]) - 2


@settings(max_examples=150, deadline=None)
@given(st.text("abcdefgh ijklmnop qrstuvwxyz ABC,.'!?-_()0123", max_size=60))
def test_any_english_text_has_as_many_tokens_as_transformers_counts(text: str) -> None:
    assert count(text) == len(reference()(text)["input_ids"]) - 2


def test_three_times_as_many_are_trained_on_as_clip_reads_at_once() -> None:
    assert 3 * (reference().model_max_length - 2) == MOST
