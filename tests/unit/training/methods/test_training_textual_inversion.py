from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import InvalidSettings, SelfTestFailed
from personal_avatar.params import validated
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import Subject
from personal_avatar.training.methods.new_words import first_rows
from personal_avatar.training.methods.textual_inversion import TextualInversion
from personal_avatar.training.planning.plan import TextualInversionPlan
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

SUBJECT = Subject("sks man", "man")
PLAN = TextualInversionPlan(vectors=3)
FAMILIES = tuple(Family)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in FAMILIES}


def load(base: BaseModelFile) -> DiffusionModel:
    torch.set_num_threads(1)
    return registry.load(base, compute.choose("fp32"), 64)


def said(model: DiffusionModel, caption: str) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return model.encode_text([caption])


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", FAMILIES)
def test_new_words_mean_what_the_words_mean_whose_vectors_they_have(
    bases: dict[Family, BaseModelFile], family: Family
) -> None:
    """Also where the end of the text is looked for (the pooled states), which new ids must not confuse."""
    model = load(bases[family])
    expected = said(model, "a photo of old red hat man, smiling")
    ids = [tokenizer("old red hat", add_special_tokens=False).input_ids for tokenizer in model.tokenizers]
    tables = [encoder.get_input_embeddings().weight for encoder in model.text_encoders.values()]
    words = TextualInversion(model, PLAN, SUBJECT)
    words.load({key: table[at] for key, table, at in zip(words.state(), tables, ids, strict=True)})
    assert same(said(model, "a photo of SKS man, smiling"), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_at_weight_zero_the_word_is_an_ordinary_one(bases: dict[Family, BaseModelFile], family: Family) -> None:
    model = load(bases[family])
    bare, other = said(model, "sks man"), said(model, "a man")
    words = TextualInversion(model, PLAN, SUBJECT)
    with words.strength(0.0):
        assert same(said(model, "sks man"), bare)
    assert not same(said(model, "sks man"), bare)
    assert same(said(model, "a man"), other)
    with pytest.raises(ValueError, match="stop"), words.strength(0.0):
        raise ValueError("stop")
    assert not same(said(model, "sks man"), bare)


def test_between_it_is_on_the_way_from_the_word_that_it_began_as(bases: dict[Family, BaseModelFile]) -> None:
    words = TextualInversion(load(bases[Family.SD1]), PLAN, SUBJECT)
    began = words.state()["emb_params"]
    words.load({"emb_params": began + 2.0})
    with words.strength(0.5):
        assert torch.allclose(words.state()["emb_params"], began + 1.0)
    assert torch.allclose(words.state()["emb_params"], began + 2.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_new_rows_train(bases: dict[Family, BaseModelFile], family: Family) -> None:
    model = load(bases[family])
    before = {name: one.clone() for encoder in model.text_encoders.values() for name, one in encoder.named_parameters()}
    words = TextualInversion(model, PLAN, SUBJECT)
    start = words.state()
    (group,) = words.parameter_groups()
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (5e-3, 0.0, len(start))
    optimiser = torch.optim.AdamW([group])
    text = model.encode_text(["a photo of sks man"])
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    model.predict(noisy, torch.tensor([300]), text).square().mean().backward()
    optimiser.step()
    after = {
        name.replace(".table.", "."): one
        for encoder in model.text_encoders.values()
        for name, one in encoder.named_parameters()
        if not name.endswith(".rows")
    }
    assert set(after) == set(before)
    assert all(torch.equal(after[name], before[name]) and after[name].grad is None for name in before)
    assert all(bool((rows != start[key]).all()) for key, rows in words.state().items())


def test_steps_bring_the_answers_nearer_to_those_for_another_word(bases: dict[Family, BaseModelFile]) -> None:
    """What a hidden word does to the answers is learned through UNet and text encoder, from answers alone."""
    model = load(bases[Family.SD1])
    noisy = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    times = torch.tensor([200, 600])
    with torch.no_grad():
        wanted = model.predict(noisy, times, model.encode_text(["a photo of old red hat man"] * 2))
    words = TextualInversion(model, PLAN, SUBJECT)
    optimiser = torch.optim.AdamW(words.parameter_groups())
    errors = []
    for _ in range(15):
        found = model.predict(noisy, times, model.encode_text(["a photo of sks man"] * 2))
        loss = (found - wanted).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        errors.append(float(loss.detach()))
    assert errors[-1] < 0.8 * errors[0], errors


def test_the_word_is_replaced_only_where_it_stands_alone(bases: dict[Family, BaseModelFile]) -> None:
    model = load(bases[Family.SD1])
    TextualInversion(model, PLAN, SUBJECT)
    expanded = model.tokenizers[0].expanded(["sks man", "(SKS:1.1), sks", "asks sksy", "pa-sks-2"])
    names = "<personal-avatar-0> <personal-avatar-1> <personal-avatar-2>"
    assert expanded == [f"{names} man", f"({names}:1.1), {names}", "asks sksy", "pa-sks-2"]


@given(known=st.integers(1, 6), count=st.integers(1, 12))
def test_the_first_vectors_are_repeated_or_averaged_and_never_equal(known: int, count: int) -> None:
    table = torch.randn((50, 16), generator=torch.Generator().manual_seed(2))
    ids = list(range(10, 10 + known))
    rows = first_rows(table, ids, count, seed=1)
    assert rows.shape == (count, 16)
    assert len({tuple(row.tolist()) for row in rows}) == count
    assert torch.equal(rows, first_rows(table, ids, count, seed=1))
    if known == 1:
        assert float((rows - table[10]).abs().max()) < 0.5 * float(table[10].std()) + 1e-6
    if count == 1:
        assert torch.allclose(rows[0], table[ids].mean(dim=0), atol=0.5)
    if known == count:
        assert torch.allclose(rows, table[ids], atol=0.5)


def test_an_empty_word_to_begin_with_is_the_class_noun(bases: dict[Family, BaseModelFile]) -> None:
    named, unnamed, other = (
        TextualInversion(load(bases[Family.SD1]), TextualInversionPlan(vectors=2, init_word=word), SUBJECT).state()
        for word in ("man", " ", "woman")
    )
    assert torch.equal(named["emb_params"], unnamed["emb_params"])
    assert not torch.equal(named["emb_params"], other["emb_params"])


@pytest.mark.parametrize("word", ["\u200b", " \u200b \t", "\ufffd", "?!"])
def test_a_word_without_letters_is_refused(word: str) -> None:
    with pytest.raises(InvalidSettings, match="must be a word to begin with"):
        validated(TextualInversionPlan, {"init_word": word})


def test_a_saved_file_is_checked_against_the_text_encoders(bases: dict[Family, BaseModelFile], tmp_path: Path) -> None:
    words, file = TextualInversion(load(bases[Family.SDXL]), PLAN, SUBJECT), tmp_path / "pa-linh.safetensors"
    words.save(file, {})
    assert words.matched(file) == 6
    assert all(torch.equal(rows, words.state()[key]) for key, rows in words.read(file).items())
    rows = words.state()
    save_file({**rows, "clip_l": torch.full_like(rows["clip_l"], torch.inf)}, tmp_path / "inf.safetensors")
    save_file({**rows, "clip_l": rows["clip_g"].clone()}, tmp_path / "wide.safetensors")
    save_file({"emb_params": rows["clip_l"]}, tmp_path / "other.safetensors")
    for name in ("inf", "wide", "other"):
        with pytest.raises(SelfTestFailed):
            words.matched(tmp_path / f"{name}.safetensors")
