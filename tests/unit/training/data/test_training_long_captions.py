"""Captions of more than 75 tokens are read in windows, as the WebUI reads long prompts; parity with the standalone
host's reader, which is compared with the WebUI itself."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import make
from personal_avatar.captions.tokens import MOST, count
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.standalone.texts import encode_pair
from personal_avatar.standalone.windows import token_rows, windows_of
from personal_avatar.training import compute
from personal_avatar.training.data import cache, reading
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.evaluation.untrained import UntrainedPictures
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.text import tokenizer
from personal_avatar.training.families.windows import MOST_WINDOWS, Unit, cut, side_by_side
from personal_avatar.training.families.windows import row as window_row
from personal_avatar.training.methods.base import Subject
from personal_avatar.training.methods.new_words import ExpandingTokenizer
from personal_avatar.training.methods.textual_inversion import TextualInversion
from personal_avatar.training.planning.plan import TextualInversionPlan

SHORT = "a photo of sks man, smiling"
LONG = "sks man, " + ", ".join(f"tag number {number}" for number in range(25))
LONGER = LONG + ", " + " ".join(f"word{number}" for number in range(30))
BATCH = [SHORT, LONGER, "", LONG, SHORT]
PLAN = TextualInversionPlan(vectors=5)
Models = Callable[[Family], DiffusionModel]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    torch.set_num_threads(1)
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in Family}


@pytest.fixture(scope="module")
def models(bases: dict[Family, BaseModelFile]) -> Models:
    """Loaded once, for tests that change nothing."""
    return lru_cache(lambda family: registry.load(bases[family], compute.choose("fp32"), 64))


def said(model: DiffusionModel, captions: list[str], clip_skip: int = 1) -> Conditioning:
    with torch.no_grad():
        return model.encode_text(captions, clip_skip)


def close(one: Conditioning, other: Conditioning) -> bool:
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and torch.allclose(one[name], other[name], atol=1e-5) for name in one
    )


def row(text: Conditioning, number: int) -> Conditioning:
    return {name: one[number : number + 1] for name, one in text.items()}


def test_the_captions_of_these_tests_need_one_two_and_three_windows(models: Models) -> None:
    assert models(Family.SD1).windows(BATCH) == [1, 3, 1, 2, 1]
    assert models(Family.SD1).lengths(BATCH) == [count(caption) for caption in BATCH]
    assert 115 < count(LONG) < 150 < count(LONGER) < MOST


# -- as the WebUI


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("caption", [SHORT, LONG, LONGER, "", "very " * 100, LONG.replace(",", " ,") + ","])
def test_a_caption_is_read_as_the_same_prompt(models: Models, family: Family, caption: str) -> None:
    model = models(family)
    read = said(model, [caption])
    assert close(read, encode_pair(model, caption, "")[0 if caption else 1])
    assert read["states"].shape[1] == 77 * model.windows([caption])[0]


@pytest.mark.slow
def test_also_with_layers_left_out(models: Models) -> None:
    model = models(Family.SD1)
    with torch.no_grad():
        prompt = side_by_side(model.encode_tokens(token_rows(model, windows_of(model, LONG, {})), 2), 1)
    assert close(said(model, [LONG], 2), prompt) and not close(said(model, [LONG], 1), prompt)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([",", "word", "a photo of", "red, blue", "x1y2", ".", "wow!!!"]), max_size=110))
@pytest.mark.slow
def test_windows_end_where_those_of_prompts_end(models: Models, parts: list[str]) -> None:
    model, text = models(Family.SDXL), " ".join(parts)
    for mine, prompts in zip(model.tokenise([text]), token_rows(model, windows_of(model, text, {})), strict=True):
        assert torch.equal(mine, prompts)


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_captions_of_one_window_are_tokenised_as_transformers_does(models: Models, family: Family) -> None:
    model = models(family)
    captions = [SHORT, "", " ", "naïve café — 日本語", "BREAK (red:1.2)", "word " * 75, "oh! wow!!!"]
    assert model.windows(captions) == [1] * len(captions)
    for found, known in zip(model.tokenise(captions), model.tokenizers, strict=True):
        filled = known(captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        assert torch.equal(found, filled.input_ids)


@pytest.mark.slow
def test_what_is_beyond_the_most_tokens_is_not_read(models: Models) -> None:
    model, words = models(Family.SD1), "word " * MOST
    assert model.windows([words]) == [3] and model.lengths([words + "more"]) == [MOST + 1]
    assert torch.equal(model.tokenise([words])[0], model.tokenise([words + "more and more"])[0])


def test_commas_cut_the_most_tokens_into_four_windows_and_never_more() -> None:
    known = tokenizer(None)
    lengths = [len(cut(known, ("word " * words + ", ") * 120).windows) for words in range(1, 80)]
    assert lengths[54] == max(lengths) == MOST_WINDOWS == 4 and min(lengths) == 3


# As open_clip 2.20 reads them in the WebUI 1.10.1.
MARKS = {
    "hello!": [3306, 256],
    "wow!!! nice": [2781, 995, 1805],
    "smile!, red hat": [3490, 29325, 736, 3801],
    "!?": [6004],
    "wow!~": [2781, 0, 349],
}


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("caption", MARKS)
def test_exclamation_marks_are_words_and_never_the_filling(models: Models, family: Family, caption: str) -> None:
    model, ids = models(family), [49406, *MARKS[caption], 49407]
    fillings = [49407] * (family is not Family.SD2) + [0] * (family is not Family.SD1)
    for read in (model.tokenise([caption]), token_rows(model, windows_of(model, caption, {}))):
        assert [rows.tolist() for rows in read] == [[ids + [each] * (77 - len(ids))] for each in fillings]


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_exclamation_marks_take_one_window_where_the_webui_takes_one(models: Models, family: Family) -> None:
    assert models(family).windows(["wow!!!! " * 30]) == [1]


def test_exclamation_marks_beside_new_words_are_words() -> None:
    expanding = ExpandingTokenizer(tokenizer(None, open_clip=True), "sks", 2)
    ids = [49406, *expanding.new_ids, 256, 49407]
    assert window_row(cut(expanding, "sks!").windows[0], expanding) == ids + [0] * (77 - len(ids))


# -- captions of different length


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_behind_shorter_captions_of_a_batch_stand_empty_windows(models: Models, family: Family) -> None:
    model = models(family)
    together, alone = said(model, BATCH), [said(model, [caption]) for caption in BATCH]
    empty = encode_pair(model, " ", "")[0]["states"]
    for number, own in enumerate(alone):
        behind = 3 - own["states"].shape[1] // 77
        filling = torch.zeros_like(empty) if model.zero_without_words and not BATCH[number] else empty
        states = torch.cat([own["states"], *[filling] * behind], 1)
        assert close(row(together, number), {**own, "states": states}), BATCH[number]


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_no_words_have_one_answer_however_long_the_captions_beside_them(models: Models, family: Family) -> None:
    model, noisy = models(family), torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    times = torch.tensor([400])
    with torch.no_grad():
        alone = model.predict(noisy, times, said(model, [""]))
        beside = model.predict(noisy, times, row(said(model, BATCH), BATCH.index("")))
    assert torch.allclose(alone, beside, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("reader", [reading.text_states, reading.read])
def test_what_was_read_before_is_as_long_as_a_batch_needs(models: Models, family: Family, reader: Any) -> None:
    model = models(family)
    known = reader(model, BATCH)
    assert known.states["states"].shape[:2] == (7, 77)
    for asked in (BATCH, [SHORT], ["", SHORT], [LONG, ""], [LONGER, LONG]):
        assert close(known.of(asked), said(model, asked)), asked


@pytest.mark.slow
def test_kept_states_are_read_again_and_not_those_that_were_cut(models: Models, tmp_path: Path) -> None:
    model = models(Family.SDXL)
    fresh, kept = (cache.cached_text_states(tmp_path, model, BATCH, 1) for _ in range(2))
    (file,) = tmp_path.iterdir()
    assert close(kept.of(BATCH), fresh.of(BATCH)) and close(kept.of([SHORT, LONG]), said(model, [SHORT, LONG]))

    def name_before(captions: list[str]) -> str:
        """As it was while captions were cut."""
        return f"text-{cache.fingerprint(cache.identity(model.base), list(dict.fromkeys(captions)), 1)}"

    assert file.stem != name_before(BATCH)
    cache.cached_text_states(tmp_path, model, [SHORT, ""], 1)
    (file,) = tmp_path.iterdir()
    assert file.stem == name_before([SHORT, ""])


@pytest.mark.slow
def test_pictures_of_the_untrained_checkpoint_are_kept_for_how_their_prompts_are_read(
    models: Models, tmp_path: Path
) -> None:
    model, how = models(Family.SD1), SampleSettings(64, steps=2, batch=2)
    shots = [Shot(SHORT, 1), Shot(LONG, 1)]
    kept = UntrainedPictures(tmp_path, model)
    made = kept.of(shots, how, lambda missing: make_pictures(model, missing, how))
    assert made.shape == (2, 64, 64, 3) and reading.how_long(model, [SHORT, ""]) == ()
    assert [reading.how_long(model, [caption]) for caption in (LONG, LONGER)] == [("windows",)] * 2
    assert (kept.of(shots, how, lambda missing: pytest.fail("they are kept")) == made).all()


# -- new words


@pytest.fixture(scope="module")
def trained(
    bases: dict[Family, BaseModelFile], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Family], tuple[DiffusionModel, Path]]:
    """A model with new words, and the folder with the file that a training saves of them; one of each family."""

    def train(family: Family) -> tuple[DiffusionModel, Path]:
        model, folder = registry.load(bases[family], compute.choose("fp32"), 64), tmp_path_factory.mktemp("words")
        words = TextualInversion(model, PLAN, Subject("sks man", "man"))
        words.load({key: 3.0 * torch.randn_like(rows) for key, rows in words.state().items()})
        words.save(folder / "sks.safetensors", {})
        return model, folder

    return lru_cache(train)


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("before", [0, 69, 70, 74, 75, 80, 149])
def test_new_words_are_found_in_every_window_as_prompts_have_them(
    trained: Callable[[Family], tuple[DiffusionModel, Path]], models: Models, family: Family, before: int
) -> None:
    """The file that a training saves, in the prompt of the host."""
    model, folder = trained(family)
    caption = "red " * before + "sks man, " + "blue " * 20
    read = said(model, [caption])
    assert close(read, encode_pair(models(family), caption, "", folder)[0])
    assert not close(read, said(models(family), [caption])), "without new words"


@pytest.mark.slow
def test_new_words_of_the_second_window_are_trained(bases: dict[Family, BaseModelFile]) -> None:
    model = registry.load(bases[Family.SDXL], compute.choose("fp32"), 64)
    words = TextualInversion(model, PLAN, Subject("sks man", "man"))
    text = model.encode_text(["red " * 80 + "sks man", SHORT.replace("sks", "a")])
    noisy = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    model.predict(noisy, torch.tensor([300, 600]), text).square().mean().backward()
    (group,) = words.parameter_groups()
    assert all(rows.grad is not None and bool((rows.grad != 0).any(1).all()) for rows in group["params"])


def test_the_vectors_of_a_new_word_are_never_torn_apart() -> None:
    expanding = ExpandingTokenizer(tokenizer(None), "sks", 5)
    new = Unit(tuple(expanding.new_ids))
    for before in range(65, 80):
        first, second = cut(expanding, "red " * before + "sks sks man").windows
        assert first.count(new) + second.count(new) == 2, before
    beyond = cut(expanding, "red " * (MOST - 4) + "sks man").windows
    assert new not in [unit for window in beyond for unit in window]
    expanding.enabled = False
    assert new not in cut(expanding, "sks man").windows[0]


def test_a_caption_is_looked_up_once_until_there_are_new_words() -> None:
    known = tokenizer(None)
    before = cut(known, "sks <personal-avatar-0>")
    assert cut(known, "sks <personal-avatar-0>") is before
    expanding = ExpandingTokenizer(known, "sks", 1)
    (new,) = expanding.new_ids
    assert Unit((new,)) in cut(known, "sks <personal-avatar-0>").windows[0] and Unit((new,)) not in before.windows[0]
    assert cut(expanding, "sks").windows == ((Unit((new,)),),)
    expanding.enabled = False
    assert cut(expanding, "sks") == cut(known, "sks") != cut(tokenizer(None), "sks man")
