"""Tokens are counted as CLIP's tokenizer counts them."""
from __future__ import annotations

import sys
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.captions import tokens
from personal_avatar.captions.tokens import MOST, count
from personal_avatar.training.families.windows import cut


@lru_cache(maxsize=1)
def reference() -> Any:
    from personal_avatar.training.families.text import tokenizer

    return tokenizer(None)


@pytest.mark.parametrize(
    "caption",
    [
        "", "a photo of sks man", "A woman's hair, don't!!! 12345 ^_^ (x:1.2)", "unbelievablysupercalifragilistic",
        "công viên ở Hà Nội", "公园 的人", "café naïve", "_hello_ a_b", "👨‍👩‍👧", r"photo \(series\)",
        "日本語" * 50, "a 漢字 b", "<|endoftext|>" * 12, "a!<|endoftext|>b", "<|ENDOFTEXT|>?", "x² ½ ①②Ⅳ",
        "ΣΑΣ İ ﬁ", "a\u200bb\tc\x00d",
    ],
)  # fmt: skip
def test_captions_have_as_many_tokens_as_transformers_counts(caption: str) -> None:
    assert count(caption) == len(reference()(caption)["input_ids"]) - 2


@settings(max_examples=150, deadline=None)
@given(st.text("abcdefgh ijklmnop qrstuvwxyz ABC,.'!?-_()0123", max_size=60))
def test_any_english_text_has_as_many_tokens_as_transformers_counts(text: str) -> None:
    assert count(text) == len(reference()(text)["input_ids"]) - 2


def some_text() -> st.SearchStrategy[str]:
    """Of many scripts, signs and marks, and of any letters at all."""
    said = ["日本語", "漢字かな交じり", "한국어", "người đẹp ở Hà Nội", "👩🏽‍🦰", "🇻🇳🎉", "×²½Ⅷ"]
    apart = ["Tie\u0302\u0301ng Vie\u0323\u0302t", "か\u3099"]
    signs = ["don't", "!!!", "...", "—", "(x:1.2)", "_", "'", " ", "\u3000", "\n", "，", "。", "<|", "|>"]
    marks = ["<|startoftext|>", "<|endoftext|>", "<|EndOfText|>"]
    return st.lists(st.sampled_from([*said, *apart, *signs, *marks]) | st.text(max_size=5), max_size=12).map("".join)


@settings(max_examples=300, deadline=None)
@given(some_text())
def test_any_text_has_as_many_tokens_as_a_training_reads(text: str) -> None:
    assert count(text) == cut(reference(), text).length


def test_where_a_tokenizer_has_ftfy_chinese_letters_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the WebUI, which brings it; here something stands for it that leaves texts as they are."""
    from personal_avatar.training.families.text import tokenizer

    monkeypatch.setitem(sys.modules, "ftfy", SimpleNamespace(fix_text=str))
    monkeypatch.setattr(tokens, "_ftfy", tokens._ftfy.__wrapped__)
    mending = tokenizer(None)
    for caption in ("日本語" * 50, "A  漢字\n b", "<|endoftext|>!", "x²"):
        assert count(caption) == cut(mending, caption).length
    assert count("日本語") < cut(reference(), "日本語").length


def test_three_times_as_many_are_trained_on_as_clip_reads_at_once() -> None:
    assert 3 * (reference().model_max_length - 2) == MOST
