"""The word that stands for the person is one that the checkpoint tells."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.captions.files import own_caption
from personal_avatar.domain import Avatar, BaseModelFile, Dataset, Family, Method, Sample
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import validated
from personal_avatar.training import compute
from personal_avatar.training.data.captions import without_subject
from personal_avatar.training.data.reading import TEXTS_AT_ONCE
from personal_avatar.training.data.trigger_word import FRAMES, WORDS, most_told, said_alone, told, with_word
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.text import tokenizer
from personal_avatar.training.planning.plan import LoraPlan, TextualInversionPlan
from personal_avatar.training.planning.task import TrainTask

TRAINED = (
    Sample(Path("1.png"), "a photo of sks man", "1"),
    Sample(Path("2.png"), "Sks man, sks beside a sksy mansion", "2"),
)
HELD_OUT = (Sample(Path("3.png"), "a photo of sks man", "3"),)
DATASET = Dataset("d", Path("dataset"), TRAINED, HELD_OUT, 64, "sks man", "man", "f")


@pytest.mark.parametrize("open_clip", [False, True])
def test_each_word_is_one_rare_token(open_clip: bool) -> None:
    rows = tokenizer(None, open_clip=open_clip)(list(WORDS)).input_ids
    assert {len(row) for row in rows} == {3}  # with start and end
    assert min(row[1] for row in rows) > 40_000
    assert len(set(WORDS)) == len(WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_the_word_is_the_one_that_changes_most_of_what_the_network_reads(family: Family, tmp_path: Path) -> None:
    model = registry.load(make(family, tmp_path, half=True), compute.choose("fp32"), 64)
    found = told(model, WORDS, "man")
    assert found[most_told(model, "man")] == max(found.values())
    assert found["sks"] == pytest.approx(sum(_apart(model, frame) for frame in FRAMES) / len(FRAMES), rel=1e-4)


@pytest.mark.slow
def test_words_are_read_a_few_at_a_time(
    load_miniature: Callable[[], DiffusionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_miniature()
    rows: list[int] = []
    encode = model.encode_text
    monkeypatch.setattr(model, "encode_text", lambda said, *rest: (rows.append(len(said)), encode(said, *rest))[1])
    most_told(model, "man")
    assert max(rows) <= TEXTS_AT_ONCE and sum(rows) == (len(WORDS) + 1) * len(FRAMES)


def _apart(model: DiffusionModel, frame: str) -> float:
    """One caption at a time, and its positions one by one."""
    with torch.no_grad():
        ours, plain = (model.encode_text([frame.format(word, noun="man")])["states"][0] for word in ("sks", "a"))
    return float(sum(torch.dist(one, other) for one, other in zip(ours, plain, strict=True)) / len(ours))


def test_of_the_shipped_checkpoint_it_tells_several_times_more_than_of_the_usual_one(tiny: BaseModelFile) -> None:
    model = registry.load(tiny, compute.choose("fp32"), 192)
    for noun in ("man", "woman"):
        found = told(model, WORDS, noun)
        assert found[most_told(model, noun)] > 3 * found["sks"]


@pytest.mark.slow
def test_all_captions_get_the_word(load_miniature: Callable[[], DiffusionModel]) -> None:
    found = with_word(DATASET, LoraPlan(trigger_word="Zwx"), load_miniature())
    assert found.trigger == "zwx man"
    assert [one.caption for one in found.samples] == ["a photo of zwx man", "zwx man, zwx beside a sksy mansion"]
    assert [one.caption for one in found.held_out] == ["a photo of zwx man"]
    chosen = with_word(DATASET, LoraPlan(trigger_word="auto"), load_miniature())
    assert chosen.trigger.split()[0] in WORDS
    assert chosen.samples[0].caption == f"a photo of {chosen.trigger}"


@pytest.mark.parametrize(("written", "expected", "of_the_class"), [
    ("zwx man, in a park", "zwx man, in a park", "man, in a park"),
    ("a photo of ZWX man in a park", "a photo of zwx man in a park", "a photo of man in a park"),
    ("photo of zwx, smiling", "zwx man, photo of zwx, smiling", "man, photo of man, smiling"),
    ("sks man, in a park", "zwx man, in a park", "man, in a park"),
    ("photo of sks in a park", "zwx man, photo of zwx in a park", "man, photo of man in a park"),
    ("in a park", "zwx man, in a park", "man, in a park"),
    ("", "a photo of zwx man", "a photo of man"),
])
def test_a_caption_written_with_the_word_of_the_plan_has_it_once(
    written: str, expected: str, of_the_class: str, tmp_path: Path
) -> None:
    photo = tmp_path / "1.png"
    photo.with_suffix(".txt").write_text(written)
    sample = Sample(Path("1.png"), own_caption(photo, "sks man") or "a photo of sks man", "1")
    dataset = replace(DATASET, samples=(sample,), held_out=(sample,))
    found = with_word(dataset, LoraPlan(trigger_word="zwx"), None)  # type: ignore[arg-type]
    assert [one.caption for one in (*found.samples, *found.held_out)] == [expected] * 2
    assert without_subject(found.samples[0].caption, found, is_style=False) == of_the_class


@pytest.mark.slow
def test_nothing_changes_where_none_is_asked_for_or_the_file_gives_its_name(
    load_miniature: Callable[[], DiffusionModel]
) -> None:
    assert with_word(DATASET, LoraPlan(), load_miniature()) is DATASET
    assert with_word(DATASET, TextualInversionPlan(trigger_word="zwx"), load_miniature()) is DATASET


@pytest.mark.parametrize(("captions", "alone"), [
    (("a photo of rose man", "a photo of sks man"), 0), (("rose man holding a Rose", "a garden, rose"), 2),
    (("a rosebud, sks man", "prose"), 0),
])
def test_captions_in_which_the_word_may_mean_something_else_are_counted(captions: tuple[str, ...], alone: int) -> None:
    dataset = replace(DATASET, samples=tuple(Sample(Path("1.png"), one, "1") for one in captions), held_out=())
    assert said_alone(dataset, LoraPlan(trigger_word="rose")) == alone
    for plan in (LoraPlan(), LoraPlan(trigger_word="auto"), TextualInversionPlan(trigger_word="rose")):
        assert said_alone(dataset, plan) == 0


@pytest.mark.parametrize("word", ["two words", "a,b", "(zwx)", "zwx:1", "<zwx>", "x" * 31])
def test_what_is_no_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidSettings, match="trigger_word"):
        validated(LoraPlan, {"trigger_word": word})


@pytest.mark.parametrize("word", ["woman", "WOMAN", "young", "another", "a", "Smiling", "man", "lady", "cat", "photo"])
def test_a_word_by_which_others_are_asked_for_is_refused(word: str, tiny: BaseModelFile) -> None:
    avatar = Avatar("a", "A", "local", "young woman", "sks young woman", "2026-01-01T00:00:00Z")
    here = Path()
    task = TrainTask(avatar, here, (), tiny, Method.LORA, {"trigger_word": word}, here, here)
    with pytest.raises(InvalidSettings, match=f"trigger_word {word.lower()} is one that others"):
        task.settings()
