"""The prepared pictures as sd-scripts wants them, and the file that tells of them."""
from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kohya_orders import dataset_in
from personal_avatar.domain import Method
from personal_avatar.training.data.classes import ClassPictures
from personal_avatar.training.engines.kohya.pictures import (
    EPOCH_BATCHES,
    TOKEN,
    Group,
    Item,
    alpha_of,
    class_items,
    dataset_toml,
    items_of,
    more_repeats,
    spoken,
    toml_value,
    write_groups,
)
from personal_avatar.training.planning.plan import DreamboothLoraPlan, LoraPlan, TrainPlan
from PIL import Image

tomllib = pytest.importorskip("tomllib")  # Python 3.11

CAPTIONS = ["a man", "a man in a garden", "a portrait of a man"]
MEN = ClassPictures(Path("class"), [np.full((64, 64, 3), 90, np.uint8)] * 3, CAPTIONS)


def toml_of(plan: TrainPlan, groups: list[Group], method: Method = Method.LORA) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(dataset_toml(groups, plan, method, 512, plan.batch_size))
    return found


def test_pictures_and_captions_lie_together(tmp_path: Path) -> None:
    dataset, plan = dataset_in(tmp_path / "data", (1, 3)), LoraPlan()
    groups = write_groups(tmp_path / "out", items_of(dataset, plan, Method.LORA), [], plan)
    assert [group.repeats for group in groups] == [groups[0].repeats, 3 * groups[0].repeats]
    assert (groups[1].folder / "0001.txt").read_text() == "sks man, picture 1\n"
    with Image.open(groups[1].folder / "0001.png") as picture:
        assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", (200, 10, 0))


def test_what_was_there_before_is_gone(tmp_path: Path) -> None:
    (tmp_path / "out" / "person-1").mkdir(parents=True)
    (tmp_path / "out" / "person-1" / "old.png").touch()
    dataset = dataset_in(tmp_path / "data")
    (group,) = write_groups(tmp_path / "out", items_of(dataset, LoraPlan(), Method.LORA), [], LoraPlan())
    assert not (group.folder / "old.png").exists()


def test_masks_become_the_alpha_channel(tmp_path: Path) -> None:
    dataset, plan = dataset_in(tmp_path / "data", masked=True), LoraPlan(unmasked_weight=0.4)
    (group,) = write_groups(tmp_path / "out", items_of(dataset, plan, Method.LORA), [], plan)
    with Image.open(group.folder / "0001.png") as picture:
        assert picture.getpixel((5, 5)) == (200, 0, 0, 102)
    assert toml_of(plan, [group])["datasets"][0]["subsets"][0]["alpha_mask"] is True


def test_masks_are_left_out_when_everything_counts_alike(tmp_path: Path) -> None:
    dataset, plan = dataset_in(tmp_path, masked=True), LoraPlan(unmasked_weight=1.0)
    assert [item.mask for item in items_of(dataset, plan, Method.LORA)] == [None, None]


@given(st.integers(0, 255), st.floats(0, 1))
def test_alpha_is_between_the_weight_outside_and_the_whole(level: int, outside: float) -> None:
    assert round(255 * outside) <= alpha_of(level, outside) <= 255
    assert alpha_of(255, outside) == 255
    assert alpha_of(0, outside) == round(255 * outside)


def test_the_class_is_held_by_its_pictures(tmp_path: Path) -> None:
    plan = DreamboothLoraPlan(prior_from="pictures")
    dataset = dataset_in(tmp_path / "data")
    classes = class_items(dataset, plan, MEN)
    *_, group = write_groups(tmp_path / "out", items_of(dataset, plan, Method.LORA), classes, plan)
    subset = toml_of(plan, [group])["datasets"][0]["subsets"][0]
    assert subset == {"image_dir": str(group.folder), "num_repeats": 1, "is_reg": True}
    assert (group.folder / "0002.txt").read_text() == "a man in a garden\n"


def test_or_by_the_checkpoints_own_answers_to_the_persons_pictures(tmp_path: Path) -> None:
    plan = LoraPlan(prior_weight=0.5, prior_from="prediction")
    dataset = dataset_in(tmp_path / "data", masked=True)
    classes = class_items(dataset, plan, None)
    assert [item.caption for item in classes] == ["man, picture 0", "man, picture 1"]
    *_, group = write_groups(tmp_path / "out", items_of(dataset, plan, Method.LORA), classes, plan)
    subset = toml_of(plan, [group])["datasets"][0]["subsets"][0]
    assert subset["custom_attributes"] == {"diff_output_preservation": True}


def test_a_style_is_left_out_where_it_is_not_asked_for(tmp_path: Path) -> None:
    plan = LoraPlan(goal="style", prior_weight=0.5, prior_from="prediction")
    dataset = replace(dataset_in(tmp_path), trigger="sks style", class_noun="style")
    samples = tuple(replace(sample, caption="a garden in sks style") for sample in dataset.samples)
    found = class_items(replace(dataset, samples=samples), plan, None)
    assert {item.caption for item in found} == {"a garden"}


def test_pictures_of_the_class_count_as_little_as_masks_make_the_persons_count(tmp_path: Path) -> None:
    plan = DreamboothLoraPlan(prior_from="pictures", unmasked_weight=0.4)
    dataset = dataset_in(tmp_path / "data", masked=True)
    items, classes = items_of(dataset, plan, Method.LORA), class_items(dataset, plan, MEN)
    *_, group = write_groups(tmp_path / "out", items, classes, plan)
    with Image.open(group.folder / "0001.png") as picture:
        assert picture.getpixel((5, 5)) == (90, 90, 90, 102)
    assert toml_of(plan, [group])["datasets"][0]["subsets"][0]["alpha_mask"] is True


def test_without_a_prior_there_is_no_class(tmp_path: Path) -> None:
    assert class_items(dataset_in(tmp_path), LoraPlan(prior_weight=0.0), MEN) == []


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 200), st.integers(1, 8))
def test_an_epoch_is_long_enough_and_uses_every_class_picture(repeats: list[int], classes: int, batch: int) -> None:
    items = [Item(Path("a.png"), "a", None, times) for times in repeats]
    pictures = sum(repeats) * more_repeats(items, classes, batch)
    assert pictures >= classes
    assert math.ceil(pictures / batch) >= EPOCH_BATCHES


def test_captions_are_shuffled_and_dropped_as_planned() -> None:
    plan = LoraPlan(shuffle_captions=True, keep_tags=2, caption_dropout=0.1, flip=True)
    person, other = toml_of(plan, [Group(Path("/a"), 2), Group(Path("/b"), 1, is_class=True)])["datasets"][0]["subsets"]
    assert person == {
        "image_dir": "/a", "num_repeats": 2, "flip_aug": True, "shuffle_caption": True, "keep_tokens": 2,
        "caption_dropout_rate": 0.1,
    }
    assert "caption_dropout_rate" not in other


def test_textual_inversion_takes_no_dropout() -> None:
    plan = LoraPlan(caption_dropout=0.1)
    found = toml_of(plan, [Group(Path("/a"), 2)], Method.TEXTUAL_INVERSION)
    assert "caption_dropout_rate" not in found["datasets"][0]["subsets"][0]


def test_pictures_are_never_made_larger() -> None:
    dataset = toml_of(LoraPlan(batch_size=3), [])["datasets"][0]
    assert (dataset["enable_bucket"], dataset["bucket_no_upscale"]) == (True, True)
    assert (dataset["resolution"], dataset["batch_size"], dataset["max_bucket_reso"]) == (512, 3, 1024)


@pytest.mark.parametrize("method", Method)
def test_textual_inversion_says_a_word_of_its_own(method: Method) -> None:
    expected = f"a photo of {TOKEN} man" if method is Method.TEXTUAL_INVERSION else "a photo of sks man"
    assert spoken("a photo of sks man", "sks man", method) == expected


def test_a_textual_inversion_hears_its_word_where_it_stands_alone() -> None:
    said = spoken("Sks in a park, not sksan", "sks man", Method.TEXTUAL_INVERSION)
    assert said == f"{TOKEN} in a park, not sksan"


def test_the_trained_word_is_none_that_clip_knows() -> None:
    import personal_avatar
    from transformers import CLIPTokenizer

    folder = Path(personal_avatar.__file__).parent / "assets" / "avatar-tiny" / "diffusers" / "tokenizer"
    vocabulary = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True).get_vocab()
    assert not {TOKEN, TOKEN + "</w>"} & set(vocabulary)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_path_survives_toml(text: str) -> None:
    assert tomllib.loads(f"a = {toml_value(text)}") == {"a": text}
