"""Numbers and names are written alike wherever people read them."""
from __future__ import annotations

import re

import pytest
from personal_avatar.domain import ONE_PHOTO, Engine, Family, Method
from personal_avatar.wording import (
    FAMILIES,
    LANGUAGES,
    memory,
    method_name,
    score,
    share,
    size,
    span,
    table,
    text,
    trained_by,
    translated,
)


@pytest.mark.parametrize(("said", "wanted"), [
    (share(0.716), "72%"), (share(-0.01), "-1%"), (share(-0.004), "0%"),
    (score(0.4149), "0.41"), (score(0.4149, 3), "0.415"), (score(-0.004), "0.00"), (score(-0.04), "-0.04"),
    (span(0.2), "1 s"), (span(89), "89 s"), (span(90), "2 min"), (span(5399), "90 min"), (span(5400), "1.5 h"),
    (memory(0.4), "0.4 GB"), (size(0.04), "< 0.1 MB"), (size(0.1), "0.1 MB"), (size(37.91), "37.9 MB"),
    (size(2132.5), "2.1 GB"),
])
def test_numbers_are_told_with_their_unit(said: str, wanted: str) -> None:
    assert said == wanted


def test_spans_of_time_are_told_in_the_language_of_the_page() -> None:
    assert [span(360, language) for language in LANGUAGES] == ["6 min", "6 phút", "6 分钟"]
    assert (span(7, "vi"), span(5400, "zh")) == ("7 giây", "1.5 小时")


LONG = 4  # words of a sentence; two keys may have the same few words, whose translations depend on where they stand
# Keys that are made of codes of errors and reasons, or of names of settings: each has its own text beside it.
MADE = [
    {"reason.UNREADABLE.hint", "error.UNREADABLE.hint"}, {"error.JOB_FAILED.hint", "error.CRASHED.hint"},
    {"error.other", "error.FAILED.title"}, {"plan.resolution.info", "create.width.info", "create.height.info"},
    {"create.steps.info", "create.guidance.info"}, {"identity.start.info", "identity.end.info"},
]


def doubles() -> dict[str, set[str]]:
    """Keys of each English sentence that stands under several, whatever its places are called."""
    found: dict[str, set[str]] = {}
    for key, texts in table().items():
        found.setdefault(re.sub(r"{\w+}", "{}", texts[0]), set()).add(key)
    return {said: keys for said, keys in found.items() if len(keys) > 1 and len(said.split()) >= LONG}


def test_a_sentence_stands_under_one_key() -> None:
    assert sorted(sorted(keys) for keys in doubles().values() if keys not in MADE) == []


@pytest.mark.parametrize("keys", MADE, ids=min)
def test_what_has_to_stand_under_several_keys_is_translated_once(keys: set[str]) -> None:
    assert keys in doubles().values(), "it stands under one key now: leave it out here"
    assert len({table()[key] for key in keys}) == 1


@pytest.mark.parametrize(("language", "other_words"), [("vi", ["avatar"]), ("zh", ["形象", "化身", "标注", "avatar"])])
def test_one_thing_has_one_name(language: str, other_words: list[str]) -> None:
    """An avatar and a caption; what is called Personal Avatar, avatar-tiny and the like keeps its name."""
    at = LANGUAGES.index(language)
    said = {key: re.sub(r"avatar-\w+|\w+-avatar", "", texts[at]) for key, texts in table().items()}
    assert [key for key, one in said.items() if any(word in one for word in other_words)] == []


def test_what_was_not_measured_is_a_dash() -> None:
    assert {say(None) for say in (share, score, span, memory, size)} == {"–"}


def test_every_method_and_family_has_a_name_that_is_not_its_code() -> None:
    names = [method_name(method, language) for method in Method for language in LANGUAGES]
    assert not set(names) & {method.value for method in Method}
    assert set(FAMILIES) == set(Family)


def test_another_engine_than_ours_is_named_in_the_language_of_the_page() -> None:
    assert trained_by(Method.LORA, Engine.DIFFUSERS) == trained_by("lora", "") == "LoRA"
    assert trained_by("dreambooth-lora", "kohya") == "Dreambooth-LoRA, kohya (sd-scripts)"
    assert trained_by(ONE_PHOTO, "diffusers", "vi") == text("method.one-photo", "vi") != "one-photo"


def test_a_code_of_another_version_is_told_as_it_is() -> None:
    assert trained_by("hypernetwork", "elsewhere") == "hypernetwork, elsewhere"


@pytest.mark.parametrize("code", [method.value for method in Method if "-" in method.value])
def test_no_advice_speaks_in_codes_of_methods(code: str) -> None:
    told = {key: texts for key, texts in table().items() if key.startswith(("train_advice.", "choice.", "error."))}
    assert not [key for key, texts in told.items() if any(code in one for one in texts)]


def test_a_sentence_is_found_by_its_english_text_whatever_fills_its_places() -> None:
    keys = ("remark.one_recogniser", "remark.no_clip")
    alone = text("remark.one_recogniser")
    assert translated(alone, keys, "zh") == text("remark.one_recogniser", "zh")
    for command in ("personal-avatar doctor --fetch clip-vit-b-32", "x --data '/a (b)/{c}'"):
        said = translated(text("remark.no_clip", command=command), keys, "vi")
        assert said == text("remark.no_clip", "vi", command=command)
    assert translated(f"{alone} And more.", keys, "vi") == ""
