"""A small face is painted anew by a picture within the picture, which leaves nothing but the face."""
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.unit.webui.conftest import Loaded

CROP = np.full((40, 30, 3), 90, dtype=np.uint8)


class Inner:
    """The img2img of a face."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def close(self) -> None:
        pass


@pytest.fixture()
def second_pass(loaded: Loaded, stood_in: ModuleType) -> Any:
    stood_in.processing.StableDiffusionProcessingImg2Img = Inner
    module = loaded("identity.second_pass")
    module.describe = lambda info: SimpleNamespace(native_px=512)
    return module


def painted_anew(second_pass: Any, webui: ModuleType, meanwhile: Callable[[], None] = lambda: None) -> np.ndarray:
    """A face, while whose picture is made something happens."""

    def process(inner: Inner) -> Any:
        meanwhile()
        return SimpleNamespace(images=[Image.new("RGB", (inner.width, inner.height), "red")])

    webui.processing.process_images = process
    unet = SimpleNamespace()
    outer = SimpleNamespace(
        iteration=0, batch_size=1, all_prompts=["a"], all_negative_prompts=[""], all_seeds=[3], sampler_name="Euler",
        scheduler="Automatic", steps=3, cfg_scale=4, tiling=False, get_token_merging_ratio=lambda: 0.0,
        sd_model=SimpleNamespace(model=SimpleNamespace(diffusion_model=unet)),
    )
    found: np.ndarray = second_pass.again(outer, None, CROP, 0.4)
    return found


def test_a_face_comes_back_in_its_size(second_pass: Any, stood_in: ModuleType) -> None:
    found = painted_anew(second_pass, stood_in)
    assert found.shape == CROP.shape and (found == (255, 0, 0)).all()


@pytest.mark.parametrize("button", ["interrupted", "skipped"])
def test_a_face_that_is_not_finished_is_left_as_it_was(second_pass: Any, stood_in: ModuleType, button: str) -> None:
    found = painted_anew(second_pass, stood_in, lambda: setattr(stood_in.shared.state, button, True))
    assert np.array_equal(found, CROP)


def test_faces_are_not_kept_where_the_webui_keeps_what_is_painted_anew(second_pass: Any, stood_in: ModuleType) -> None:
    """Nothing that erases a person would find them there."""
    told: list[bool] = []
    painted_anew(second_pass, stood_in, lambda: told.append(stood_in.shared.opts.save_init_img))
    assert told == [False] and stood_in.shared.opts.save_init_img
