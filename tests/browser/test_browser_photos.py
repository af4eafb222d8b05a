"""The panel "Photos" in a real browser: deciding by keyboard, captions while they are typed, each language."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.chrome import NARROW_PX, WIDE_PX, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Page]
WORDS = {"English": "Captions", "Tiếng Việt": "Chú thích", "中文": "图片说明"}
FIRST = "a woman with green eyes, hat"
FIELDS = "return [...document.querySelectorAll('[data-pa-typing]')].map((field) => field.{})"
LONG_S = 300.0  # for work that a busy machine may be slow at


def lay_out(page: Page, photos: list[Path]) -> None:
    page.upload(photos)
    page.wait(lambda: page.parts("photo_cards", ".pa-card"), LONG_S)


def focused(page: Page) -> WebElement:
    return page.driver.switch_to.active_element


def test_photos_are_decided_about_with_the_keyboard_and_a_reload_keeps_it(open_page: Open, samples: Path) -> None:
    page = open_page()
    lay_out(page, [samples / "01.jpg", samples / "02.jpg", samples / "two-people.jpg"])
    assert "2 of 3 accepted" in page.text("report")

    page.part("photo_cards", "[id^=pa-decide]").send_keys(Keys.ENTER)
    page.wait(lambda: "1 of 3 accepted" in page.text("report"))
    page.wait(lambda: focused(page).text == "As checked")
    assert page.driver.find_element("id", "personal_avatar_live_region").text.startswith("1 of 3 accepted")

    other = page.part("photo_cards", ".pa-facebox[aria-pressed=false]").get_attribute("id")
    page.driver.find_element("id", other).send_keys(Keys.SPACE)
    page.wait(lambda: page.driver.find_element("id", other).get_attribute("aria-pressed") == "true")
    page.wait(lambda: focused(page).get_attribute("id") == other)
    page.wait(lambda: "judging again" not in page.text("report"))
    kept = page.text("report")

    page.part("photo_cards", ".pa-open").send_keys(Keys.ENTER)
    page.wait(lambda: "01.jpg" in page.text("photo_large"))
    page.wait(lambda: page.part("photo_large", "img").is_displayed())
    for name in ("02.jpg", "two-people.jpg", "01.jpg"):
        page.keys(Keys.ARROW_RIGHT)
        page.wait(lambda name=name: name in page.text("photo_large"))
    page.keys(Keys.ESCAPE)
    page.wait(lambda: not page.part("photo_large").is_displayed())

    page.open()
    page.wait(lambda: page.text("report") == kept)
    assert page.driver.find_element("id", other).get_attribute("aria-pressed") == "true"
    page.unfold("photo_settings")
    page.unfold("photo_set_advanced")
    page.number("photo_set_min_sharpness", 100)
    page.wait(lambda: "0 of 3 accepted" in page.text("report"))
    page.click("photo_cards", "[id^=pa-remove]")
    page.wait(lambda: len(page.parts("photo_cards", ".pa-card")) == 2)
    page.parts("photo_cards", ".pa-open")[1].send_keys(Keys.ENTER)
    page.wait(lambda: page.part("photo_large").is_displayed())
    next(button for button in page.parts("photo_large", "button") if button.text == "Remove").send_keys(Keys.ENTER)
    page.wait(lambda: len(page.parts("photo_cards", ".pa-card")) == 1)
    page.wait(lambda: focused(page) == page.part("photo_cards", ".pa-open"))
    assert page.complaints() == []


def test_a_caption_stays_while_it_is_typed_and_everything_fits(open_page: Open, samples: Path) -> None:
    page = open_page()
    lay_out(page, [samples / "01.jpg", samples / "02.jpg"])
    show_captions(page, 2)
    page.parts("caption_list", "textarea")[0].send_keys(FIRST, Keys.TAB)
    page.wait(lambda: "green eyes" in page.text("caption_faults"))
    second = page.parts("caption_list", "textarea")[1]
    second.send_keys("half a capt")
    page.click("caption_faults", "#pa-mend-all")
    page.wait(lambda: "green eyes" not in (page.parts("caption_list", "textarea")[0].get_property("value") or ""))
    page.wait(lambda: page.parts("caption_list", "textarea")[1].get_property("value") == "half a capt")
    page.click("caption_undo")
    page.wait(lambda: page.part("caption_redo").is_enabled())
    page.click("caption_undo")
    page.wait(lambda: [field.get_property("value") for field in page.parts("caption_list", "textarea")] == [FIRST, ""])
    assert page.complaints() == []

    for language, word in WORDS.items():
        speak(page, language)
        page.wait(lambda word=word: word in page.text("photo_part"))
        for size_px in (WIDE_PX, NARROW_PX):
            assert page.fits(f"photos-captions-{word}", size_px)


def fields(page: Page) -> list[WebElement]:
    return page.parts("caption_list", "textarea")


def written(page: Page) -> list[str]:
    """What the fields hold."""
    return list(page.driver.execute_script(FIELDS.format("value")))


def show_captions(page: Page, count: int) -> None:
    page.click("photo_part", "input[value=captions]")
    page.wait(lambda: len(fields(page)) == count)


@pytest.mark.parametrize("latency_ms", [0, 300])
def test_captions_that_are_typed_one_after_the_other_all_arrive(
    open_page: Open, samples: Path, latency_ms: int
) -> None:
    page = open_page()
    lay_out(page, sorted(samples.glob("0[1-6].jpg")))
    show_captions(page, 6)
    words = [f"{word} cap" for word in ("one", "two", "three", "four", "five", "six")]
    page.network(latency_ms=latency_ms)
    page.driver.execute_script("arguments[0].focus()", fields(page)[0])
    for text in words:
        page.keys(*text, Keys.TAB)
        time.sleep(0.1)
    page.driver.execute_script("document.activeElement.blur()")  # behind the last one nothing takes the focus
    page.wait(lambda: written(page) == words)
    page.wait(lambda: page.driver.execute_script(FIELDS.format("defaultValue")) == words, 120)
    page.wait(lambda: written(page) == words)
    page.network()
    page.open()
    show_captions(page, 6)
    assert written(page) == words


MADE_ANEW = """
    const [field, leave] = arguments, list = field.closest('#personal_avatar_caption_list');
    window.oldField = field;
    field.focus();
    window.setTimeout(() => { list.firstElementChild.innerHTML += ''; }, 0);  // comes before what leaving begins
    if (leave) { field.blur(); }
"""


@pytest.mark.parametrize("leave", [False, True])
def test_a_list_that_is_made_anew_takes_the_focus_from_no_field_and_gives_it_to_none_that_was_left(
    open_page: Open, samples: Path, leave: bool
) -> None:
    page = open_page()
    lay_out(page, [samples / "01.jpg"])
    show_captions(page, 1)
    field = fields(page)[0]
    name = field.get_attribute("id")
    page.driver.execute_script(MADE_ANEW, field, leave)
    page.wait(lambda: page.driver.execute_script("return !window.oldField.isConnected"))
    time.sleep(0.2)
    assert (focused(page).get_attribute("id") == name) is not leave


def test_a_caption_arrives_although_its_field_was_never_left(open_page: Open, samples: Path) -> None:
    page = open_page()
    lay_out(page, [samples / "01.jpg"])
    show_captions(page, 1)
    fields(page)[0].send_keys("a hat")
    page.driver.switch_to.new_window("tab")
    page.open()
    page.wait(lambda: page.parts("photo_cards", ".pa-card"))
    show_captions(page, 1)
    page.wait(lambda: written(page) == ["a hat"])


def test_a_second_tab_forgets_name_and_consent_with_the_photos(open_page: Open, samples: Path) -> None:
    page = open_page()
    lay_out(page, [samples / "01.jpg"])
    page.type("name", "Ann")
    page.tick("consent", True)
    page.wait(lambda: "Ann" in (page.go("train") or page.text("train_what")))
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open()
    page.wait(lambda: page.part("name", "input").get_property("value") == "Ann")
    page.wait(lambda: page.part("consent", "input").is_selected())
    page.click("clear")
    page.wait(lambda: not page.parts("photo_cards", ".pa-card"))
    page.driver.switch_to.window(first)
    page.go("photos")
    page.wait(lambda: page.part("name", "input").get_property("value") == "")
    page.wait(lambda: not page.part("consent", "input").is_selected())


def test_letters_of_the_name_stay_whatever_is_refreshed(open_page: Open, samples: Path) -> None:
    page = open_page()
    page.network(latency_ms=200)
    lay_out(page, [samples / "01.jpg", samples / "02.jpg"])
    name = page.part("name", "input")
    name.send_keys("An Le")
    name.send_keys(*[Keys.ARROW_LEFT] * 3)
    for letter in "h Thi":
        page.keys(letter)
        page.driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        time.sleep(0.4)
    assert name.get_property("value") == "Anh Thi Le"
    page.tick("consent", True)
    page.wait(lambda: "Anh Thi Le" in (page.go("train") or page.text("train_what")))


def speak(page: Page, language: str) -> None:
    page.click("language", "input")
    page.wait(lambda: any(language in item.text for item in page.parts("language", "li")))
    next(item for item in page.parts("language", "li") if language in item.text).click()
