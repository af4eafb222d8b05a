"""The size of portraits when nobody said one, and networks besides the person's."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import IdentityRequest, IdentitySettings
from personal_avatar.params import validated
from personal_avatar.studio.creating import CreateSettings, Sitter, picture_size, tags

PLAIN = CreateSettings()
ANNA = IdentityRequest(IdentitySettings(), ())


def of(width: int, height: int) -> Sitter:
    return Sitter("woman", image=np.broadcast_to(np.uint8(0), (height, width, 3)))


@pytest.mark.parametrize(("native", "sitter", "size"), [
    (512, Sitter("woman"), (512, 512)),
    (512, Sitter("woman", identity=ANNA), (512, 512)),
    (1024, Sitter("woman"), (1024, 1024)),
    (1024, Sitter("woman", identity=ANNA), (1016, 1016)),
    (1024, of(900, 1200), (896, 1152)),
    (512, of(1920, 1080), (672, 384)),
])
def test_it_is_the_checkpoints_own_in_the_shape_of_the_photo(
    native: int, sitter: Sitter, size: tuple[int, int]
) -> None:
    assert picture_size(PLAIN, native, sitter) == size


@pytest.mark.parametrize(("said", "networks"), [
    ("ink:0.6, film", ["<lora:ink:0.6>", "<lora:film:1>"]), (" <lora:styface:0.4> ", ["<lora:styface:0.4>"]),
    ("ink:0:1, film:te=0:unet=1", ["<lora:ink:0:1>", "<lora:film:te=0:unet=1>"]),
    ("<lora:a:0.4><lora:b> c:2", ["<lora:a:0.4>", "<lora:b:1>", "<lora:c:2>"]), ("", []),
])
def test_networks_are_named_plainly_or_as_in_prompts(said: str, networks: list[str]) -> None:
    assert tags(validated(CreateSettings, {"loras": said}).loras) == networks


@pytest.mark.parametrize("said", [
    "<lyco:ink:1>", "<lora:>", "<lora:my,ink:0.5>", "ink>", "<lora:<lora:a>>", "ink:nan", "film, ink:1e999",
    "ink:heavy", "ink:1:inf",
])
def test_what_names_no_network_is_refused_with_how_to_write_it(said: str) -> None:
    with pytest.raises(InvalidSettings, match="loras must be names with weights, such as film-grain:0.6, got"):
        validated(CreateSettings, {"loras": said})


def test_what_was_said_is_done() -> None:
    assert picture_size(CreateSettings(width_px=640), 512, of(100, 300)) == (640, 512)
    assert picture_size(CreateSettings(width_px=100, height_px=1), 512, of(100, 300)) == (96, 64)
    said = CreateSettings(width_px=1024, height_px=1024)
    assert picture_size(said, 1024, Sitter("woman", identity=ANNA)) == (1024, 1024)


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([64, 128, 512, 768, 1024]))
def test_any_photo_gives_sides_that_a_checkpoint_takes(width: int, height: int, native: int) -> None:
    sides = picture_size(PLAIN, native, of(width, height))
    assert all(side % 8 == 0 and side >= 8 for side in sides)
    if 1 / 3 < width / height < 3:
        assert sides[0] * sides[1] == pytest.approx(native**2, rel=0.25)
        assert sides[0] / sides[1] == pytest.approx(width / height, rel=0.25)
