"""The WebUI's prompt language without the WebUI."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.prompts import NetworkTag, emphasis, split_networks

TEXT = st.text(alphabet=st.characters(blacklist_characters="()[]\\<>:", blacklist_categories=("Cs",)), max_size=40)


@pytest.mark.parametrize(("prompt", "text", "tags"), [
    ("a cat", "a cat", {}),
    ("a cat <lora:anna:0.8>", "a cat", {"anna": 0.8}),
    ("<lora:anna> a cat", "a cat", {"anna": 1.0}),
    ("a <lora:anna:1> b <lora:my style-v2:-0.5> c", "a b c", {"anna": 1.0, "my style-v2": -0.5}),
    ("<lora:anna:0.5>x<lora:anna:0.25>", "x", {"anna": 0.75}),
    ("<lora:anna:heavy> y", "y", {"anna": 1.0}),
    ("<lora:anna:0.7:0.3> y", "y", {"anna": 0.7}),
    ("<lyco:bob:1>, z", ", z", {"bob": 1.0}),
    ("<hypernet:h:1> w", "w", {}),
    ("3 < 5 and 7 > 6", "3 < 5 and 7 > 6", {}),
])
def test_networks_are_read_as_the_webui_reads_them(prompt: str, text: str, tags: dict[str, float]) -> None:
    assert split_networks(prompt) == (text, tuple(NetworkTag(name, weight) for name, weight in tags.items()))


@given(TEXT, st.floats(-5, 5).map(lambda value: round(value, 2)), TEXT)
def test_a_tag_anywhere_is_found_and_leaves_no_trace(before: str, weight: float, after: str) -> None:
    text, tags = split_networks(f"{before}<lora:anna:{weight}>{after}")
    assert tags == (NetworkTag("anna", weight),) and "<" not in text
    assert text.split() == f"{before} {after}".replace(" ,", ",").split() or "," in before + after


@pytest.mark.parametrize(("prompt", "pieces"), [
    ("plain", [("plain", 1.0)]),
    ("a (b) c", [("a ", 1.0), ("b", 1.1), (" c", 1.0)]),
    ("((b))", [("b", 1.21)]),
    ("[b]", [("b", 1 / 1.1)]),
    ("(b:1.3)", [("b", 1.3)]),
    ("(a (b:2):0.5)", [("a ", 0.5), ("b", 1.0)]),
    (r"\(b\)", [("(b)", 1.0)]),
    ("(open", [("open", 1.1)]),
    ("close)", [("close)", 1.0)]),
    ("time 12:30", [("time 12:30", 1.0)]),
    ("(b:1.)", [("b", 1.0)]),
    ("(b:+.5 )", [("b", 0.5)]),
    (r"a\b \\ c", [("ab \\ c", 1.0)]),
    ("\\", []),
    ("", []),
])
def test_emphasis_is_read_as_the_webui_reads_it(prompt: str, pieces: list[tuple[str, float]]) -> None:
    assert [(text, pytest.approx(weight)) for text, weight in pieces] == emphasis(prompt)


@given(TEXT)
def test_text_without_brackets_keeps_every_letter_and_weight_one(text: str) -> None:
    assert emphasis(text) == ([(text, 1.0)] if text else [])


@given(st.text(alphabet="ab()[]:\\1. ", max_size=30))
def test_no_prompt_is_refused_and_weights_stay_numbers(text: str) -> None:
    assert all(isinstance(weight, float) and piece for piece, weight in emphasis(text))
