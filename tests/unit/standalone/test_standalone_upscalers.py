"""Upscalers without a WebUI: none that only resamples, and tiles that nobody can see."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.errors import UpscalerMissing
from personal_avatar.standalone import upscalers
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.upscalers import Upscalers, tiled
from PIL import Image, ImageFilter


def smoothed(image: np.ndarray) -> np.ndarray:
    """Twice as large, each pixel with a little of its neighbours: what a small network does."""
    picture = Image.fromarray(image.repeat(2, axis=0).repeat(2, axis=1))
    return np.asarray(picture.filter(ImageFilter.BoxBlur(3)))


@settings(max_examples=20)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 99))
def test_tiles_leave_no_seams(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upscalers, "TILE_PX", 40)
        made = tiled(image, smoothed, 2)
    assert np.array_equal(made, smoothed(image))


def test_without_weights_there_is_no_upscaler(tmp_path: Path) -> None:
    host = StandaloneHost(tmp_path)
    assert host.upscalers() == ()
    with pytest.raises(UpscalerMissing, match="Lanczos"):
        host.upscale(np.zeros((8, 8, 3), np.uint8), "Lanczos", 2)


def test_weights_are_offered_by_the_names_of_their_files_where_they_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "RealESRGAN_x4plus.pth").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    can_load = all(importlib.util.find_spec(library) for library in upscalers.LIBRARIES)
    assert Upscalers(tmp_path).names() == (("RealESRGAN_x4plus",) if can_load else ())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UpscalerMissing, match="broken"):
        Upscalers(tmp_path).upscale(np.zeros((8, 8, 3), np.uint8), "broken", 2)


def test_a_network_makes_pictures_exactly_as_many_times_larger(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    from tests.miniature_upscaler import make_upscaler

    make_upscaler(tmp_path / "mini.pth")
    image = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    for factor in (2, 4):
        assert Upscalers(tmp_path).upscale(image, "mini", factor).shape == (37 * factor, 51 * factor, 3)
