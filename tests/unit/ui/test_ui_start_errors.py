"""What keeps a training from starting is told in the language of the page, all of it and with what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import (
    BaseModelFile,
    Family,
    Goal,
    Method,
    PhotoChoice,
    PhotoReport,
    PhotoVerdict,
    Reason,
)
from personal_avatar.errors import AvatarError, InvalidSettings, QueueFull, TooFewPhotos
from personal_avatar.names import checked_name, checked_noun
from personal_avatar.params import Settings, refuse_together, setting, validated
from personal_avatar.photos.enough import refuse_few
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import all_refused, known
from personal_avatar.studio.requests import meant
from personal_avatar.training.planning.plan import PLANS, plan_for, refuse_endless_warmup, refuse_taken
from personal_avatar.ui.failures import STARTS
from personal_avatar.ui.labels import PLACES
from personal_avatar.ui.markup import error_box, stored_error_box
from personal_avatar.ui.texts import DEFAULT, LANGUAGES, text
from personal_avatar.wording import translated

OTHERS = [language for language in LANGUAGES if language != DEFAULT]
BASE = BaseModelFile(Path("a"), "a", Family.SD1)


def refused_by(*checks: Callable[[], object]) -> InvalidSettings | None:
    """What is refused of what was written for a training; None where nothing is."""
    try:
        all_refused(*checks)
    except InvalidSettings as error:
        return error
    return None


def paragraphs(error: AvatarError, language: str) -> tuple[list[str], list[str]]:
    """(those in the language of the page, those in English)."""
    html = error_box(error, language)
    english = [unescape(said) for said in re.findall('<p lang="en">(.*?)</p>', html)]
    said = re.findall(r"<(?:strong|p)[^>]*>(?:<span.*?</span>)?(.*?)</(?:strong|p)>", html)
    return [line for line in map(unescape, said) if line not in english], english


def told_without_english(error: AvatarError, language: str) -> str:
    """Title, what is wrong and what to do."""
    told, english = paragraphs(error, language)
    assert english == [] and len(told) == 3, error
    return " ".join(told)


NUMBERS = ("low", "high", "multiple", "most", "usable", "need")
LETTERS = "ab;:,.'\"[]() \n\t\u202e\u0301-_!?"
SIGNS = st.text(LETTERS, max_size=12)
VALUES = st.integers(-5, 9999) | st.floats(-2, 9) | SIGNS | st.none() | st.sampled_from([
    "a; b", "a'; \"b", "a, got b", "b], got 'c", "c. rank must be text, got 'd'", "rank must be in [1, 9], got 50; x",
    "x" * 400, "\udc80",
])
NAMES = SIGNS | st.sampled_from(["Anna", "", "x" * 81, "A\nb", "...", "\udc80", "\u202ea", "; is no name"])
NOUNS = SIGNS | st.sampled_from(["woman", "b@d", "ink style", "sks", "sks man", "a; b", "must; be", "x" * 99])
OF_PHOTOS = st.sampled_from(["min_face_px", "framing", "background", "background_colour", "caption_template", "look"])


@st.composite
def written(draw: st.DrawFn) -> tuple[Method, dict[str, Any]]:
    """A method, and anything for some of its settings."""
    method = draw(st.sampled_from(list(Method)))
    return method, draw(st.dictionaries(st.sampled_from(sorted(PLANS[method].__fields__)), VALUES, max_size=4))


@pytest.mark.parametrize("language", OTHERS)
@given(name=NAMES, noun=NOUNS, plan=written(), photos=st.dictionaries(OF_PHOTOS, VALUES, max_size=3))
def test_nothing_that_is_wrong_with_what_was_written_is_told_in_english(
    language: str, name: str, noun: str, plan: tuple[Method, dict[str, Any]], photos: dict[str, Any]
) -> None:
    method, values = plan
    error = refused_by(
        lambda: checked_name(name), lambda: checked_noun(noun), lambda: refuse_together([(PLANS[method], values)]),
        lambda: validated(PhotoSettings, photos), lambda: meant(noun, values),
    )
    if error is not None:
        told_without_english(error, language)


@pytest.mark.parametrize("language", OTHERS)
@given(plan=st.fixed_dictionaries({}, optional={
    "goal": st.sampled_from([goal.value for goal in Goal]), "optimiser": st.sampled_from(["muon", "prodigy", "adamw"]),
    "prior_weight": st.sampled_from([0.0, 1.0]), "prior_from": st.sampled_from(["pictures", "prediction"]),
    "gpus": st.integers(1, 4), "accumulate": st.integers(1, 4), "steps": st.integers(0, 50),
    "warmup_steps": st.integers(0, 2000), "text_encoder_learning_rate": st.sampled_from([0.0, 0.1, 1.0]),
    "trigger_word": st.sampled_from(["woman", "photo", "zwx"]), "dora": st.booleans(),
    "words_factor": st.sampled_from([1.0, 4.0]),
}))
def test_what_settings_cannot_do_together_is_not_told_in_english(language: str, plan: dict[str, Any]) -> None:
    def tried() -> None:
        made = plan_for(BASE, Method.LORA, plan)
        all_refused(
            lambda: refuse_taken(made.trigger_word, BASE, "woman"), lambda: refuse_endless_warmup(made, plan)
        )

    if (error := refused_by(tried)) is not None:
        told_without_english(error, language)


@pytest.mark.parametrize("language", OTHERS)
def test_every_problem_and_remedy_of_the_table_is_found_again_by_its_english_words(language: str) -> None:
    for key in (*known(), *known("remedy"), *STARTS):
        filled = {"name": "rank", "why": "", **dict.fromkeys(NUMBERS, "7")}
        places = dict.fromkeys(re.findall(r"\{(\w+)\}", text(key)), "x") | filled
        assert translated(text(key, **places), [key], language, places=PLACES) == text(key, language, **places), key


def test_all_that_is_wrong_is_told_under_the_labels_of_the_page() -> None:
    error = refused_by(
        lambda: checked_name(""), lambda: checked_noun("b@d"),
        lambda: refuse_together([(PLANS[Method.LORA], {"rank": 5000, "trigger_word": "a b"})]),
        lambda: validated(PhotoSettings, {"min_face_px": -5}),
    )
    assert error is not None
    said = told_without_english(error, "zh")
    assert said.count("必须") == 4 and "名称须为 1 至 80 个字符" in said
    assert all(text(key, "zh") in said for key in ("plan.rank", "plan.trigger_word", "check.min_face", "photos.noun"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_in_a_sentence_is_called_as_on_the_page(language: str) -> None:
    plans: list[dict[str, Any]] = [
        {"warmup_steps": 60, "steps": 50}, {"optimiser": "prodigy", "text_encoder_learning_rate": 0.1},
        {"accumulate": 3, "gpus": 2},
    ]
    for plan in plans:
        with pytest.raises(InvalidSettings) as caught:
            refuse_endless_warmup(plan_for(BASE, Method.LORA, plan), plan)
        told = " ".join(paragraphs(caught.value, language)[0])
        assert not any(name in re.sub("“[^”]+”", "", told) for name in ("_", "steps", "accumulate")), told
        assert told.count("“") >= 2


def test_each_problem_brings_what_to_do_about_it() -> None:
    error = refused_by(lambda: checked_name("a\nb"), lambda: checked_noun("sks"))
    assert error is not None
    for language in LANGUAGES:
        (_, _, todo), _ = paragraphs(error, language)
        assert todo == f"{text('remedy.name.control', language)} {text('remedy.noun.trigger', language)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_job_kept_is_told_as_it_was_at_first(language: str) -> None:
    error = refused_by(
        lambda: checked_name("a\nb"), lambda: checked_noun("sks"),
        lambda: refuse_together([(PLANS[Method.LORA], {"trigger_word": "a; b", "a{b}": 1, "rank": "; "})]),
    )
    assert error is not None
    told_without_english(error, language)
    assert stored_error_box(error.to_json(), language) == error_box(error, language)


@pytest.mark.parametrize(("names", "words"), [
    (["a{b}"], "a{b} 不是设置；现有设置：rank"), (["a", "b c"], "a, b c 不是设置；现有设置：rank"),
    (["rank must be text, got 5"], "rank must be text, got 5 不是设置"), (["a; {name}"], "a; {name} 不是设置"),
])
def test_settings_that_are_none_are_told_in_the_language_of_the_page(names: list[str], words: str) -> None:
    class Few(Settings):
        rank: int = setting(1, "plan.rank")

    for values in (dict.fromkeys(names, 1), {**dict.fromkeys(names, 1), "rank": "x"}):
        error = refused_by(partial(validated, Few, values))
        assert error is not None and words in told_without_english(error, "zh")
        told_without_english(error, "vi")


@pytest.mark.parametrize(("reasons", "chinese"), [
    ([], "可用照片 2 张，需要 3 张。"),
    ([(Reason.BLURRED,), (Reason.NO_FACE,), (Reason.BLURRED,), ()],
     "可用照片 2 张，需要 3 张 (2 × 模糊、1 × 未找到人脸、1 × 已手动排除)。"),
])
def test_how_many_photos_can_be_used_and_why_not_more_is_told(reasons: list[tuple[Reason, ...]], chinese: str) -> None:
    fine = [PhotoVerdict(Path("a")), PhotoVerdict(Path("b"))]
    left = PhotoChoice(take=False)
    found = PhotoReport((*fine, *(PhotoVerdict(Path("c"), reasons=why, choice=left) for why in reasons)))
    with pytest.raises(TooFewPhotos) as caught:
        refuse_few(found, 3, is_style=False)
    assert paragraphs(caught.value, "zh") == ([text("error.TOO_FEW_PHOTOS.title", "zh"), chinese,
                                        text("error.TOO_FEW_PHOTOS.hint", "zh")], [])


@pytest.mark.parametrize("language", OTHERS)
def test_a_full_queue_is_told_with_its_number(language: str) -> None:
    for key, values in (("all", {"n": 64}), ("one", {"n": 20, "user": "lan"})):
        error = QueueFull(text(f"error.QUEUE_FULL.{key}", **values))
        told, english = paragraphs(error, language)
        assert english == [] and str(values["n"]) in told[1]
