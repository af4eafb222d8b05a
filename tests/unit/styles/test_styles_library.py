"""Shipped styles are well formed; the user's own become the same kind of template."""
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Style
from personal_avatar.errors import BadInput, NotFound
from personal_avatar.styles.filling import SLOTS, SUBJECT, fill
from personal_avatar.styles.library import categories, find, own_style, own_styles, settings_of, shipped
from personal_avatar.training.planning.presets import TINY_GUIDANCE

PROMPT_WORDS = st.text(alphabet="abc ,{}()prompt:<>1.0ÄÖ字", max_size=60)


def test_there_are_at_least_60_portrait_styles_and_4_for_the_shipped_checkpoint() -> None:
    groups = categories(shipped())
    assert sum(len(members) for name, members in groups.items() if name != "avatar-tiny") >= 60
    assert len(groups["avatar-tiny"]) >= 4


@pytest.mark.parametrize("style", shipped(), ids=lambda style: style.id)
def test_every_shipped_style_is_well_formed(style: Style) -> None:
    assert style.prompt.count(SUBJECT) == 1
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", style.id)
    assert style.category and style.origin == "shipped"
    for text in (style.name, style.prompt, style.negative_prompt):
        assert text == text.strip(" ,") and "  " not in text and " ," not in text and ",," not in text
        assert "<" not in text and "{" not in _without_places(text)
    assert {name for name in SLOTS if "{" + name + "}" in style.prompt} == set(style.slots)
    assert all(style.slots.values()) and style.prompt.count("{") == 1 + len(style.slots)
    assert style.category == "avatar-tiny" or len(style.negative_prompt.split(",")) >= 5


def _without_places(prompt: str) -> str:
    for name in ("subject", *SLOTS):
        prompt = prompt.replace("{" + name + "}", "")
    return prompt


@pytest.mark.parametrize("style", shipped(), ids=lambda style: style.id)
def test_every_shipped_style_says_how_it_is_painted_with_each_family(style: Style) -> None:
    families = ("sd1",) if style.category == "avatar-tiny" else ("sd1", "sd2", "sdxl")
    for family in families:
        asked = settings_of(style, family)
        assert 1 <= asked["guidance"] <= 30 and 1 <= asked["steps"] <= 150
    assert 0.5 <= style.shape <= 2.0
    assert settings_of(own_style("mine", "ink"), "sdxl") == {}


def test_styles_of_the_shipped_checkpoint_are_painted_as_trainings_on_it_are_judged() -> None:
    tiny = [style for style in shipped() if style.category == "avatar-tiny"]
    assert tiny and {settings_of(style, "sd1")["guidance"] for style in tiny} == {TINY_GUIDANCE}


def test_clothes_and_hair_are_tried_on_in_place_of_the_styles_own() -> None:
    prompt, _ = fill(find("linkedin-headshot"), "anna woman", {"clothes": "a red velvet dress", "hair": ""})
    assert "anna woman, friendly" in prompt and "a red velvet dress," in prompt and "blazer" not in prompt


def test_a_style_without_a_place_for_clothes_says_them_of_the_subject() -> None:
    prompt, _ = fill(find("oil-painting"), "anna woman", {"clothes": " a red  dress,", "hair": "silver hair"})
    assert prompt.startswith("classical oil painting of anna woman wearing a red dress with silver hair, three-quarter")


@given(clothes=st.text(max_size=30), hair=st.text(max_size=30), style=st.sampled_from(shipped()))
def test_no_place_stays_open_whatever_is_tried_on(clothes: str, hair: str, style: Style) -> None:
    prompt, _ = fill(style, "anna woman", {"clothes": clothes.replace("{", ""), "hair": hair.replace("{", "")})
    assert "{" not in prompt and prompt.count("anna woman") == 1 and prompt == prompt.strip(" ,")


def test_ids_names_and_prompts_are_unique() -> None:
    for values in ([s.id for s in shipped()], [s.name.casefold() for s in shipped()], [s.prompt for s in shipped()]):
        assert len(values) == len(set(values))


def test_every_prompt_and_negative_fits_into_one_window_of_the_text_encoder() -> None:
    """77 positions, two of them for start and end; counted generously as words, hyphenated parts and commas."""
    for style in shipped():
        for text in fill(style, "anna-maria person"):
            assert len(re.findall(r"[a-z]+|\d|[^\w\s]", text.lower())) <= 75, style.id


COLOURS = "red|green|blue|yellow|purple|orange|pink|white|black|grey"
TINY_WORDS = re.compile(
    r"a (flat cartoon|shaded portrait|soft 3d portrait) of "
    r"(anna|a (man|woman) with (short|long|bob|curly) (black|brown|blonde|red|grey) hair)(, glasses)?(, a beard)?, "
    rf"({COLOURS}) shirt, ({COLOURS}) background, (smiling|neutral expression|sad|surprised)"
)


def test_styles_of_the_shipped_checkpoint_use_its_words_only() -> None:
    for style in categories(shipped())["avatar-tiny"]:
        assert TINY_WORDS.fullmatch(fill(style, "anna")[0]), style.prompt


def test_previews_use_the_words_of_the_shipped_checkpoint_only() -> None:
    assert [style.id for style in shipped() if not TINY_WORDS.fullmatch(style.preview)] == []


def test_a_style_is_found_by_id_or_name_and_the_users_own_come_first() -> None:
    mine = own_style("Oil painting", "impasto, {prompt}")
    assert find("oil-painting").name == "Oil painting"
    assert find(" oil PAINTING ").origin == "shipped"
    assert find("Oil painting", [mine]) == mine
    assert find("oil-painting", [mine]).origin == "shipped"
    assert find(mine.id, [mine]) == mine


def test_an_unknown_style_names_those_that_exist() -> None:
    with pytest.raises(NotFound) as caught:
        find("baroque-selfie")
    assert "baroque-selfie" in caught.value.message and "oil-painting" in caught.value.hint


def test_the_subject_is_put_in() -> None:
    prompt, negative = fill(find("oil-painting"), "  sks \n woman ")
    assert "oil painting of sks woman," in prompt and SUBJECT not in prompt and "photograph" in negative


def test_a_style_without_subject_is_refused() -> None:
    with pytest.raises(BadInput):
        fill(find("anime"), "  ")


@pytest.mark.parametrize(("text", "expected"), [
    ("masterpiece, {prompt}, 8k", "masterpiece, {subject}, 8k"),
    ("cinematic still, film grain", "{subject}, cinematic still, film grain"),
    ("", "{subject}"),
    (" , ,", "{subject}"),
    ("{prompt}", "{subject}"),
    ("{prompt} and {prompt}", "{subject} and"),
    ("statue of {subject} , marble,,", "statue of {subject}, marble"),
])
def test_the_users_own_styles_become_templates(text: str, expected: str) -> None:
    assert own_style("Mine", text).prompt == expected


def test_an_own_style_keeps_its_negative_prompt_and_says_where_it_is_from() -> None:
    style = own_style("My  Style (v2)", "{prompt}, x", "{prompt}, ugly,  blurry ,")
    assert (style.negative_prompt, style.origin) == ("ugly, blurry", "own")
    assert style.id.startswith("own:my-style-v2-")  # and a hash of the name, of which brackets were lost


@pytest.mark.parametrize(("one", "other"), [("Film", "Film+"), ("🌸 Anime", "🔥 Anime"), ("a/b", "a b")])
def test_styles_of_like_names_are_told_apart(one: str, other: str) -> None:
    assert own_style(one, "x").id != own_style(other, "y").id == own_style(f" {other} ", "y").id
    assert own_style("My  Style", "x").id == "own:my-style"


@pytest.mark.parametrize(("text", "expected"), [
    ("oil painting of {prompt} # try on Monday, no cats\nvivid colours", "oil painting of {subject} vivid colours"),
    ("# {prompt} is put first\nink,#black\n  # the end", "{subject}, ink,"),
    ("#all of it", "{subject}"),
])
def test_what_the_webui_takes_for_a_comment_is_not_painted(text: str, expected: str) -> None:
    style = own_style("Mine", text, text)
    assert style.prompt == expected.strip(",") and "#" not in style.negative_prompt


def test_where_comments_are_switched_off_their_sign_is_painted_like_any_other() -> None:
    row = ("Mine", "{prompt}, colour #3\nink", "#nofilter, blurry")
    (kept,), (cut,) = own_styles([row], comments=False), own_styles([row])
    assert (kept.prompt, kept.negative_prompt) == ("{subject}, colour #3 ink", "#nofilter, blurry")
    assert (cut.prompt, cut.negative_prompt) == ("{subject}, colour ink", "")


def test_names_that_differ_in_little_are_two_styles_and_the_first_keeps_its_id() -> None:
    rows = [("Film", "35 mm", ""), ("FILM", "IMAX", ""), ("a b", "c", ""), ("a_b", "d", ""), ("Film", "35 mm", "")]
    film, imax, one, other, _ = own = own_styles(rows)
    assert [film.id, one.id] == ["own:film", "own:a-b"]
    assert imax.id.startswith("own:film-") and other.id.startswith("own:a-b-")
    assert all(find(style.id, own).prompt == style.prompt == find(style.name, own).prompt for style in own)
    assert find("fILM", own) == film and own_styles(rows) == own


@given(name=st.text(max_size=30), prompt=PROMPT_WORDS, negative=PROMPT_WORDS)
def test_any_own_style_has_exactly_one_place_for_the_subject(name: str, prompt: str, negative: str) -> None:
    style = own_style(name, prompt, negative)
    assert style.prompt.count(SUBJECT) == 1 and style.id.startswith("own:") and len(style.id) > 4
    assert "  " not in style.prompt and style.prompt == style.prompt.strip(" ,")
    assert SUBJECT not in fill(style, "anna woman")[0]
