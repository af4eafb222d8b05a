"""Tokens are counted as CLIP's tokenizer counts them."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


@pytest.mark.parametrize("open_clip", [False, True])
@pytest.mark.parametrize(("caption", "ids"), [
    ("it’s “fine” ﬁne", [585, 568, 257, 3797, 257, 3797]),
    ("tom &amp; jerry", [2435, 261, 9164]),
    ("日本語の写真", [39121, 44353, 34002, 252, 21575, 44653, 33440, 509]),
    ("ｆｕｌｌ ｗｉｄｔｈ", [1476, 23571]),
])
def test_texts_are_read_as_in_the_webui(caption: str, ids: list[int], open_clip: bool) -> None:
    from personal_avatar.training.families.text import tokenizer

    assert tokenizer(None, open_clip=open_clip)(caption, add_special_tokens=False).input_ids == ids
    assert count(caption) == len(ids)


def test_the_app_without_a_webui_mends_texts_with_the_same_ftfy() -> None:
    listed = (Path(__file__).resolve().parents[3] / "requirements" / "standalone.txt").read_text(encoding="utf-8")
    assert "ftfy==6.3.1" in listed.split()


def test_three_times_as_many_are_trained_on_as_clip_reads_at_once() -> None:
    assert 3 * (reference().model_max_length - 2) == MOST
