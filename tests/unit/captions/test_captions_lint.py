"""What is wrong with captions is found, told, and mended."""
from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.captions import tokens
from personal_avatar.captions.lint import Code, Finding, findings, mended

TRIGGER = "sks woman"


def found_in(caption: str) -> list[Finding]:
    return list(findings({"a.jpg": caption}, TRIGGER, "woman"))


def codes(caption: str) -> list[Code]:
    return [finding.code for finding in found_in(caption)]


def test_a_good_caption_has_no_fault() -> None:
    assert found_in("sks woman wearing a red dress in a park, smiling") == []


@pytest.mark.parametrize(
    ("caption", "code", "words", "better"),
    [
        ("", Code.EMPTY, (), "a photo of sks woman"),
        (" , ", Code.EMPTY, (), "a photo of sks woman"),
        ("sks woman with long brown hair wearing a red dress", Code.IDENTITY, ("long brown hair",),
         "sks woman wearing a red dress"),
        ("sks woman, 1girl, Long_Hair, smile", Code.IDENTITY, ("1girl", "long hair"), "sks woman, smile"),
        ("1girl, sks woman, blue eyes", Code.IDENTITY, ("1girl", "blue eyes"), "sks woman"),
        ("sks woman, smile, hat, Smile", Code.REPEATED, ("smile",), "sks woman, smile, hat"),
        ("sks woman in a hat hat hat", Code.REPEATED, ("hat",), "sks woman in a hat"),
        ("sks woman with a tie and a tie", Code.REPEATED, ("a tie",), "sks woman with a tie"),
        ("sks woman, smiling", Code.TRIGGER_MISSING, (), ""),
        ("a woman in a park", Code.TRIGGER_MISSING, (TRIGGER,), "sks woman in a park"),
        ("woman, smiling", Code.TRIGGER_MISSING, (TRIGGER,), "sks woman, smiling"),
        ("standing in a park", Code.TRIGGER_MISSING, (TRIGGER,), "sks woman, standing in a park"),
        ("sks womanly, park", Code.TRIGGER_MISSING, (TRIGGER,), "sks woman, sks womanly, park"),
        ("sks woman, park, SKS Woman", Code.TRIGGER_TWICE, (TRIGGER,), "sks woman, park"),
        ("sks woman, a photo of sks woman at sea", Code.TRIGGER_TWICE, (TRIGGER,),
         "sks woman, a photo of a woman at sea"),
        ("the sks woman and the sks woman", Code.TRIGGER_TWICE, (TRIGGER,), "the sks woman and the woman"),
    ],
)  # fmt: skip
def test_faults_are_found_and_mended(caption: str, code: Code, words: tuple[str, ...], better: str) -> None:
    found = [finding for finding in found_in(caption) if finding.code is code]
    if not better:
        assert found == []
        return
    assert [(finding.file, finding.words, finding.mended) for finding in found] == [("a.jpg", words, better)]
    assert found[0].why and ", ".join(words) in found[0].what


def test_a_bald_bald_man_is_found_out() -> None:
    """The caption that captioners are known for."""
    (caption,) = mended({"a": "a bald bald man in a suit"}, findings({"a": "a bald bald man in a suit"})).values()
    assert caption == "a man in a suit"


def test_two_women_are_not_a_repetition() -> None:
    assert codes("sks woman, a man and a man in a car") == []


def test_as_many_tags_as_taggers_write_are_no_fault() -> None:
    caption = "sks woman, " + ", ".join(f"thing number {number}" for number in range(40))
    assert 150 < tokens.count(caption) <= tokens.MOST and found_in(caption) == []


def test_what_is_too_long_loses_its_last_parts() -> None:
    caption = "sks woman, " + ", ".join(f"thing number {number}" for number in range(60))
    (finding,) = found_in(caption)
    assert finding.code is Code.TOO_LONG and re.search(r"225 tokens.* and \d+ more", finding.what)
    assert caption.startswith(finding.mended) and tokens.count(finding.mended) <= tokens.MOST
    assert tokens.count(f"{finding.mended}, {finding.words[0]}") > tokens.MOST


def test_of_one_sentence_that_is_too_long_words_are_cut_off() -> None:
    sentence = "sks woman " + " ".join(f"word{number}" for number in range(150))
    (finding,) = found_in(sentence)
    assert finding.code is Code.TOO_LONG and sentence.startswith(finding.mended + " ")


def test_a_tag_that_all_captions_have_is_found_from_four_captions_on() -> None:
    captions = {f"{number}.jpg": f"sks woman, white background, thing {number}" for number in range(4)}
    found = findings(captions, TRIGGER, "woman")
    assert {(finding.code, finding.words) for finding in found} == {(Code.NEVER_VARIES, ("white background",))}
    assert mended(captions, found)["2.jpg"] == "sks woman, thing 2"
    del captions["0.jpg"]
    assert findings(captions, TRIGGER, "woman") == ()


def test_neither_the_trigger_nor_the_class_nor_the_template_counts_as_never_varying() -> None:
    captions = {f"{number}.jpg": "a photo of sks woman, woman" for number in range(6)}
    assert findings(captions, TRIGGER, "woman") == ()


def test_glasses_that_are_on_every_picture_belong_to_the_person() -> None:
    captions = {
        "1": "sks woman wearing glasses and a hat", "2": "sks woman, glasses, park",
        "3": "sks woman with black glasses", "4": "sks woman in a car with glasses",
    }  # fmt: skip
    found = findings(captions, TRIGGER, "woman")
    assert [finding.code for finding in found] == [Code.NEVER_VARIES] * 4
    assert mended(captions, found) == {
        "1": "sks woman wearing a hat", "2": "sks woman, park", "3": "sks woman", "4": "sks woman in a car",
    }  # fmt: skip
    captions["2"] = "sks woman, park"
    assert findings(captions, TRIGGER, "woman") == ()


def test_without_a_trigger_nothing_is_asked_about_it() -> None:
    assert findings({"a": "a woman in a park, a woman at sea"}) == ()


def test_a_trigger_that_reads_like_a_feature_stays() -> None:
    assert findings({"a": "blue eyes, smile", "b": "long hair, blue eyes"}, "blue eyes", "woman")[0].file == "b"


def test_only_the_faults_that_were_named_are_mended() -> None:
    captions = {"a": "sks woman, 1girl, smile, smile", "b": "sks woman, 1girl"}
    found = findings(captions, TRIGGER, "woman")
    chosen = [finding for finding in found if finding.file == "a" and finding.code is Code.REPEATED]
    assert mended(captions, chosen) == {**captions, "a": "sks woman, 1girl, smile"}
    assert mended({"c": "x"}, found) == {"c": "x"}


def test_a_caption_of_which_nothing_is_left_says_the_least() -> None:
    found = findings({"a": "1girl, long hair"}, "", "woman")
    assert mended({"a": "1girl, long hair"}, found) == {"a": "a photo of a woman"}


TAGS = st.sampled_from([
    "sks woman", "SKS Woman", "1girl", "long hair", "smile", "Smile", "a woman with a beard and a hat", "glasses",
    "a photo of sks woman", "a bald bald man", "", "woman", "a hat and a hat", "very " * 30 + "long", "park",
    "a young sks woman",
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(TAGS, max_size=8).map(", ".join), max_size=6))
@pytest.mark.slow
def test_mending_comes_to_an_end(texts: list[str]) -> None:
    captions = {f"{number}.jpg": text for number, text in enumerate(texts)}
    for _ in range(4):
        captions = mended(captions, findings(captions, TRIGGER, "woman"))
    assert findings(captions, TRIGGER, "woman") == ()
    assert all("sks woman" in caption.lower() for caption in captions.values())
