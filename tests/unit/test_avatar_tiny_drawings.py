"""The drawing code of avatar-tiny: repeatable, truthful, and made of parts that can be checked one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tools.avatar_tiny import canvas, captions, characters, hair, samples
from tools.avatar_tiny.draw_set import draw_shard
from tools.avatar_tiny.drawing import draw

SIZE_PX = 64
seeds = st.integers(0, 2**31)


def portrait(seed: int, **fixed: object) -> np.ndarray:
    return draw(characters.random_character(seed), characters.random_shot(seed, **fixed), SIZE_PX).picture


@pytest.mark.parametrize("style", characters.STYLES)
def test_the_same_seed_draws_the_same_picture(style: str) -> None:
    assert np.array_equal(portrait(5, style=style), portrait(5, style=style))


@pytest.mark.parametrize("style", characters.STYLES)
@pytest.mark.parametrize("cut", characters.CUTS)
def test_every_cut_can_be_drawn_in_every_style(style: str, cut: str) -> None:
    drawing = draw(characters.random_character(1, cut=cut), characters.random_shot(1, style=style), SIZE_PX)
    assert drawing.picture.shape == (SIZE_PX, SIZE_PX, 3)
    assert drawing.picture.dtype == np.uint8
    assert drawing.picture.std() > 10


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_landmarks_lie_in_the_picture_with_eyes_above_nose_above_mouth(seed: int) -> None:
    drawing = draw(characters.random_character(seed), characters.random_shot(seed), SIZE_PX)
    left_eye, right_eye, nose, left_corner, right_corner = drawing.landmarks_px
    assert (drawing.landmarks_px > 0).all()
    assert (drawing.landmarks_px < SIZE_PX).all()
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_corner[0] < right_corner[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < max(left_corner[1], right_corner[1])


@pytest.mark.parametrize("name", characters.COLOURS)
def test_the_background_has_the_colour_of_the_caption(name: str) -> None:
    picture = portrait(3, style="flat", background_name=name)
    corner = picture[2:5, 2:5].reshape(-1, 3).mean(0)
    distances = {other: np.abs(corner - colour).sum() for other, colour in characters.COLOURS.items()}
    assert min(distances, key=distances.get) == name


def changed_pixels(seed: int, style: str, **change: object) -> float:
    """Share of the pixels that an attribute changes visibly."""
    shot = characters.random_shot(seed, 0.0, style=style)
    character = characters.random_character(seed, sex="man", cut="short", beard=False, glasses=False)
    other = characters.random_character(
        seed, **{"sex": "man", "cut": "short", "beard": False, "glasses": False, **change}
    )
    difference = draw(character, shot, 96).picture.astype(int) - draw(other, shot, 96).picture
    return float((np.abs(difference).max(-1) > 40).mean())


@pytest.mark.parametrize("style", characters.STYLES)
def test_glasses_and_beard_are_large_enough_to_be_learned(style: str) -> None:
    assert changed_pixels(4, style, glasses=True) > 0.01
    assert changed_pixels(4, style, beard=True, hair_name="black") > 0.02


@pytest.mark.parametrize("expression", characters.EXPRESSIONS)
def test_expressions_look_different(expression: str) -> None:
    others = [name for name in characters.EXPRESSIONS if name != expression]
    mine = portrait(9, style="shaded", expression=expression).astype(int)
    for other in others:
        difference = np.abs(mine - portrait(9, style="shaded", expression=other)).max(-1)
        assert (difference > 40).sum() > 12


@settings(max_examples=50)
@given(seeds, seeds)
def test_a_training_caption_says_nothing_false(seed: int, words: int) -> None:
    facts = characters.attributes(characters.random_character(seed), characters.random_shot(seed))
    caption = captions.training_caption(facts, np.random.default_rng(words))
    assert ("glasses" in caption) <= facts["glasses"]
    assert ("beard" in caption) <= facts["beard"]
    for phrase in (part.strip() for part in caption.replace(" with ", ",").replace(" and ", ",").split(",")):
        if phrase.endswith(" shirt"):
            assert phrase == f"{facts['shirt']} shirt"
        if phrase.endswith(" background"):
            assert phrase == f"{facts['background']} background"
        if phrase.endswith(" hair"):
            assert set(phrase.split()) <= {facts["cut"], facts["hair"], "hair"}


def test_the_caption_of_a_subject_leaves_out_what_belongs_to_the_person() -> None:
    facts = characters.attributes(characters.random_character(2, glasses=True), characters.random_shot(2))
    caption = captions.full_caption(facts, subject="sks woman")
    assert "of sks woman" in caption
    assert "glasses" not in caption
    assert "hair" not in caption
    assert f"{facts['background']} background" in caption


def test_a_mask_is_the_same_within_any_frame() -> None:
    page = canvas.Canvas(40, (0.5, 0.5), 0.8, 0.0)
    small, whole = page.fill(canvas.ellipse(0.2, 0.1, 0.3, 0.2)), page.whole()
    full = small.cropped(whole)
    assert full.shape == (40, 40)
    assert full.sum() == pytest.approx(small.alpha.sum())
    assert np.array_equal(full[small.window], small.alpha)
    assert whole.without(small).within(small).alpha.max() == 0


def test_a_bald_head_has_no_hair() -> None:
    bald = characters.random_character(1, cut="bald")
    assert not [*hair.behind(bald), *hair.in_front(bald), *hair.locks(bald)]


def test_a_finished_shard_is_not_drawn_again(tmp_path: Path) -> None:
    first = draw_shard(tmp_path, 0, count=2, size_px=32)
    written = first.stat().st_mtime_ns
    assert draw_shard(tmp_path, 0, count=2, size_px=32) == first
    assert first.stat().st_mtime_ns == written


def test_the_samples_are_ten_good_and_five_bad_pictures(tmp_path: Path) -> None:
    paths = samples.write_samples(tmp_path, size_px=96)
    assert len(paths) == 15
    assert sum(path.stem.isdigit() for path in paths) == 10
    assert all(Image.open(path).mode == "RGB" for path in paths)
    assert "show nobody" in (tmp_path / "README.md").read_text()
