"""WD taggers: what goes into the model, what comes out as words."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import wd_tagger
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.captions.wd14 import CHARACTER, GENERAL, Thresholds, WdTagger, prepared
from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from PIL import Image


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> WdTagger:
    folder = wd_tagger.make(tmp_path_factory.mktemp("wd14"))
    return WdTagger(folder / "model.onnx", folder / "selected_tags.csv")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reference(image: np.ndarray, model: Path) -> np.ndarray:
    """The recipe of the model cards in numpy: pad, resize, turn the channels round, run."""
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    resized = np.asarray(Image.fromarray(square).resize((448, 448), Image.Resampling.BICUBIC), np.float32)
    return onnxruntime.InferenceSession(str(model)).run(None, {"picture": resized[None, ..., [2, 1, 0]]})[0][0]


@pytest.mark.parametrize("size", [(448, 448), (300, 200), (200, 301), (700, 900)])
def test_scores_are_those_of_the_recipe(tagger: WdTagger, size: tuple[int, int]) -> None:
    image = picture(*size)
    scores = tagger.scores(image)
    assert [(name, kind) for name, kind, _ in scores] == wd_tagger.TAGS
    assert np.allclose([score for _, _, score in scores], reference(image, tagger.model), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40))
def test_any_picture_becomes_a_square_with_white_around_it(height: int, width: int) -> None:
    made = prepared(np.zeros((height, width, 3), np.uint8), max(height, width))
    side = max(height, width)
    assert made.shape == (1, side, side, 3) and made.dtype == np.float32
    assert int((made == 0).all(axis=-1).sum()) == height * width
    assert int((made == 255).all(axis=-1).sum()) == side * side - height * width


def test_blue_comes_first() -> None:
    assert prepared(np.full((4, 4, 3), (1, 2, 3), np.uint8), 4)[0, 0, 0].tolist() == [3, 2, 1]


def test_a_caption_has_what_is_likely_enough_the_likeliest_first(tagger: WdTagger) -> None:
    image = picture(448, 448)
    scores = tagger.scores(image)
    limits = Thresholds(0.4, 0.6)
    likely = [
        name for kind, least in ((CHARACTER, 0.6), (GENERAL, 0.4))
        for name, category, score in sorted(scores, key=lambda row: -row[2]) if category == kind and score > least
    ]
    told = tagger.caption(image, limits)
    assert told == ", ".join(name if name == "^_^" else name.replace("_", " ") for name in likely)
    assert tagger.caption(image, Thresholds(1, 1)) == ""


def test_every_tag_can_be_told_but_the_ratings(tagger: WdTagger) -> None:
    told = tagger.caption(picture(448, 448), Thresholds(0, 0)).split(", ")
    assert len(told) == sum(kind != 9 for _, kind in wd_tagger.TAGS)
    assert "^_^" in told and "red dress" in told and "saber (fate)" in told and "explicit" not in told


def test_a_table_that_does_not_belong_to_the_model_is_named(tagger: WdTagger, tmp_path: Path) -> None:
    (tmp_path / "selected_tags.csv").write_text("tag_id,name,category,count\n1,hat,0,5\n")
    with pytest.raises(WeightsCorrupt, match="knows 15 tags and selected_tags.csv 1"):
        WdTagger(tagger.model, tmp_path / "selected_tags.csv").scores(picture(10, 10))
    (tmp_path / "other.csv").write_text("hat\nshoe\n")
    with pytest.raises(WeightsCorrupt, match="not the table of a WD tagger"):
        WdTagger(tagger.model, tmp_path / "other.csv").scores(picture(10, 10))


def test_a_model_that_is_not_there_is_named(tagger: WdTagger, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="gone.onnx"):
        WdTagger(tmp_path / "gone.onnx", tagger.tags).scores(picture(10, 10))
