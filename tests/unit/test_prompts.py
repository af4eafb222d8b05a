"""The WebUI's prompt language without the WebUI."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings
from personal_avatar.prompts import NetworkTag, emphasis, refuse_unusable, split_networks

TEXT = st.text(alphabet=st.characters(blacklist_characters="()[]\\<>:", blacklist_categories=("Cs",)), max_size=40)


def even(name: str, weight: float) -> NetworkTag:
    return NetworkTag(name, weight, weight)


@pytest.mark.parametrize(("prompt", "text", "tags"), [
    ("a cat", "a cat", []),
    ("a cat <lora:anna:0.8>", "a cat", [even("anna", 0.8)]),
    ("<lora:anna> a cat", "a cat", [even("anna", 1.0)]),
    ("a <lora:anna:1> b <lora:my style-v2:-0.5> c", "a b c", [even("anna", 1.0), even("my style-v2", -0.5)]),
    ("<lora:anna:0.5>x<lora:anna:0.25>", "x", [even("anna", 0.25), even("anna", 0.25)]),
    ("<lora:anna:0.7:0.3> y", "y", [NetworkTag("anna", 0.7, 0.3)]),
    ("<lora:anna:0:1> y", "y", [NetworkTag("anna", 0.0, 1.0)]),
    ("<lora:anna:te=0:unet=1> y", "y", [NetworkTag("anna", 0.0, 1.0)]),
    ("<lora:anna:0.5:dyn=4> y", "y", [NetworkTag("anna", 0.5, 0.5, 4)]),
    ("<lora:anna:1:1:4> y", "y", [NetworkTag("anna", 1.0, 1.0, 4)]),
    ("<lyco:bob:1>, z", ", z", [even("bob", 1.0)]),
    ("<lora:a:1><lyco:a:0.5><lora:a:0.3>", "", [even("a", 0.5)] * 3),
    ("<lora:a:nan><lora:a:0.5>", "", [even("a", 0.5)] * 2),
    ("<hypernet:h:1> <LoRA:h:1> w", "w", []),
    ("3 < 5 and 7 > 6", "3 < 5 and 7 > 6", []),
    ("red<lora:anna:1>dish", "reddish", [even("anna", 1.0)]),
])
def test_networks_are_read_as_the_webui_reads_them(prompt: str, text: str, tags: list[NetworkTag]) -> None:
    assert split_networks(prompt) == (text, tuple(tags))


@pytest.mark.parametrize(("tag", "is_used"), [
    ("<lora:a:0:1>", True), ("<lora:a:1:0>", True), ("<lora:a:te=0:unet=1>", True), ("<lora:a:-1>", True),
    ("<lora:a:0>", False), ("<lora:a:te=0>", False), ("<lora:a:0:0>", False),
])
def test_a_network_is_used_where_either_of_its_weights_is_not_nothing(tag: str, is_used: bool) -> None:
    ((found,)) = split_networks(tag)[1]
    assert found.is_used is is_used


@pytest.mark.parametrize("tag", [
    "<lora:a:nan>", "<lora:a:1e999>", "<lora:a:1:-inf>", "<lora:a:unet=nan>", "<lora:a:heavy>", "<lora:a:>",
    "<lora:a:1:1:2.5>", "<lora:a:heavy:te=1>", "<lora:te=1>",
])
def test_a_weight_that_is_no_number_is_refused_by_the_tag(tag: str) -> None:
    tags = split_networks(f"<lora:fine:1> {tag} {tag}")[1]
    with pytest.raises(InvalidSettings) as caught:
        refuse_unusable(tags)
    assert caught.value.message.endswith(f"in {tag}.") and "<lora:name:0.8>" in caught.value.hint
    refuse_unusable(tags[:1])


@pytest.mark.parametrize("tag", ["<lora:a:heavy>", "<lora:a:1:1:2.5>", "<lyco:a:>"])
def test_a_tag_that_cannot_be_read_is_refused_also_where_the_same_lora_is_named_rightly(tag: str) -> None:
    for prompt in (f"{tag}<lora:a:0.5>", f"<lora:a:0.5>{tag}"):
        with pytest.raises(InvalidSettings, match=f"in {tag}"):
            refuse_unusable(split_networks(prompt)[1])


@given(TEXT, st.floats(-5, 5).map(lambda value: round(value, 2)), TEXT)
def test_a_tag_anywhere_is_found_and_leaves_no_trace(before: str, weight: float, after: str) -> None:
    text, tags = split_networks(f"{before}<lora:anna:{weight}>{after}")
    assert tags == (even("anna", weight),) and "<" not in text
    assert text.split() == f"{before}{after}".split() or "," in before + after


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
