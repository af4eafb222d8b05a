"""The panel "One photo" in a real browser: languages, widths, keyboard, photos, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.chrome import NARROW_PX, WIDE_PX, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Page]
PLACES = ("one_files", "one_photo", "one_second", "one_pose")


@pytest.mark.parametrize(("language", "word"), [("en", "Restyle"), ("vi", "Đổi phong cách"), ("zh-CN", "改变照片风格")])
def test_everything_unfolded_fits_in_each_language(open_page: Open, language: str, word: str) -> None:
    page = open_page(language, NARROW_PX)
    page.go("one_photo")
    page.wait(lambda: word in page.text("one_do"))
    assert page.fits(f"one-{language}", WIDE_PX) and page.fits(f"one-{language}", NARROW_PX)
    page.click("one_do", "input[value=restyle]")
    page.wait(lambda: page.part("one_photo").is_displayed())
    for name in ("one_set_advanced", "one_people", "one_first_box"):
        page.unfold(name)
    page.wait(lambda: page.part("one_first_left").is_displayed())
    assert page.fits(f"one-open-{language}", WIDE_PX) and page.fits(f"one-open-{language}", NARROW_PX)
    assert page.complaints() == []


def test_photos_are_shown_and_what_is_missing_is_named(open_page: Open, samples: Path) -> None:
    page = open_page()
    page.go("one_photo")
    page.upload([samples / "01.jpg", samples / "02.jpg"], into="one_files")
    page.wait(lambda: len(page.parts("one_shown", "img")) == 2, 60)
    assert [picture.get_attribute("alt") for picture in page.parts("one_shown", "img")] == ["01.jpg", "02.jpg"]
    page.type("one_prompt", "a portrait of {subject}")
    page.click("one_start")
    page.wait(lambda: "Nobody stated" in page.text("one_message"))
    page.tick("one_consent", True)
    page.click("one_start")
    page.wait(lambda: "Nobody stated" not in page.text("one_message") and page.text("one_message"))


def test_each_place_for_photos_has_a_name_and_the_keyboard(open_page: Open) -> None:
    page = open_page("vi")
    page.go("one_photo")
    page.click("one_do", "input[value=restyle]")
    page.unfold("one_people")
    page.wait(lambda: page.part("one_layout").is_displayed())
    page.click("one_layout", "input[value=left-to-right]")
    for name in PLACES:
        drop = page.wait(lambda name=name: page.part(name, "[role=button]"))  # type: ignore[misc]
        assert (drop.get_attribute("aria-label"), drop.get_attribute("tabindex")) == (
            "Thả ảnh vào đây, hoặc bấm để chọn",
            "0",
        )
