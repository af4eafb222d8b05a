"""Finished pictures in a real browser: compared by pointer and keyboard, liked, taken along, deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.chrome import NARROW_PX, Page, chrome
from tests.browser.conftest import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def gallery_url(browser: None, weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with two finished runs of three pictures, of which the second one is restored."""
    from personal_avatar.standalone.host import StandaloneHost
    from personal_avatar.studio import Studio

    from tests.unit.runs import finished_run

    folder = tmp_path_factory.mktemp("results")
    studio = Studio(StandaloneHost(folder / "data"))
    for _ in range(2):
        finished_run(studio)
    with serving(folder, weights_folder) as address:
        yield address


@pytest.fixture()
def page(gallery_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The panel of results with its pictures, 1300 px wide where the test does not say otherwise."""
    size_px = getattr(request, "param", (1300, 1000))
    with chrome(tmp_path / "profile", "en", size_px) as driver:
        opened = Page(driver, gallery_url)
        opened.open()
        opened.go("results")
        opened.wait(lambda: len(opened.parts("gallery", "img")) >= 2)
        yield opened


def button(page: Page, words: str) -> WebElement:
    """A button of the large view."""
    return page.wait(lambda: next(one for one in page.parts("large", "button") if words in one.text))



def press(page: Page, *keys: str) -> None:
    ActionChains(page.driver).send_keys(*keys).perform()


def test_a_restored_picture_is_compared_with_its_original_by_keys_and_pointer(page: Page) -> None:
    page.parts("gallery", ".pa-open")[1].send_keys(Keys.ENTER)
    divider = page.wait(lambda: page.part("large", ".pa-divider"))
    assert divider.get_attribute("aria-label") == (
        "Divider between Original · likeness 0.80 and Restored · likeness 0.95"
    )
    page.driver.execute_script("arguments[0].focus()", divider)
    press(page, Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.wait(lambda: divider.get_attribute("value") == "2")
    assert page.text("large").startswith("2.")  # arrow keys move the divider there, not the picture
    ActionChains(page.driver).move_to_element_with_offset(divider, divider.size["width"] // 4, 0).click().perform()
    page.wait(lambda: 70 <= int(divider.get_attribute("value") or 0) <= 80)
    style = page.part("large", ".pa-stage").get_attribute("style")
    assert style and f"--pa-cut: {divider.get_attribute('value')}%" in style
    button(page, "Side by side").click()
    page.wait(lambda: len(page.parts("large", ".pa-compare img")) == 2)
    press(page, Keys.ARROW_RIGHT)
    page.wait(lambda: page.text("large").startswith("3."))
    press(page, Keys.ESCAPE)
    page.wait(lambda: page.driver.switch_to.active_element == page.parts("gallery", ".pa-open")[2])
    assert page.complaints() == []


MADE_ANEW = """
    const found = arguments[0];
    window.presses = 0;
    document.getElementById(found.dataset.paPress).addEventListener("click", () => { window.presses += 1; });
    window.renew = () => found.parentElement.replaceChild(found.cloneNode(true), found);
    const {left, top, width, height} = found.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
"""


@pytest.mark.parametrize("renewed", [True, False])
def test_a_button_that_is_made_anew_under_the_mouse_is_pressed_once(page: Page, renewed: bool) -> None:
    heart = page.part("gallery", ".pa-heart")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", heart)
    x, y = page.driver.execute_script(MADE_ANEW, heart)

    def mouse(kind: str) -> None:
        where = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", where)

    mouse("mousePressed")
    if renewed:
        page.driver.execute_script("window.renew()")
    mouse("mouseReleased")
    page.wait(lambda: page.driver.execute_script("return window.presses"))
    time.sleep(1)
    assert page.driver.execute_script("return window.presses") == 1


def test_a_job_in_the_list_leads_to_its_pictures(page: Page) -> None:
    page.go("jobs")
    older = page.wait(lambda: page.parts("jobs", "button[id^=pa-pictures-]"))[-1].get_attribute("id") or ""
    page.click("jobs", f"#{older}")
    page.wait(lambda: page.part("gallery").is_displayed())
    chosen = page.part("run", "input").get_property("value")
    assert str(chosen).endswith(older.removeprefix("pa-pictures-")[:8])
    page.wait(lambda: page.parts("gallery", "img"))
    assert page.complaints() == []


def test_arrow_keys_go_on_through_all_pictures(page: Page) -> None:
    openers = page.parts("gallery", ".pa-open")
    page.driver.execute_script("arguments[0].focus()", openers[0])
    press(page, Keys.ENTER)
    page.wait(lambda: page.text("large").startswith("1."))
    for place in [*range(2, len(openers) + 1), 1]:
        press(page, Keys.ARROW_RIGHT)
        page.wait(lambda place=place: page.text("large").startswith(f"{place}."))


def test_two_are_chosen_with_the_keyboard_and_the_better_one_is_liked(page: Page) -> None:
    for place in (0, 1):
        page.driver.execute_script("arguments[0].focus()", page.parts("gallery", ".pa-pick")[place])
        press(page, Keys.ENTER)
        page.wait(lambda place=place: len(page.parts("gallery", ".pa-picked")) == place + 1)
        page.wait(lambda place=place: page.driver.switch_to.active_element == page.parts("gallery", ".pa-pick")[place])
    page.driver.find_element("id", "pa-compare").click()
    button(page, "B is better").click()
    page.wait(lambda: "B is a favourite now." in page.text("large"))
    hearts = page.wait(lambda: page.parts("gallery", ".pa-heart[aria-pressed=true]"))
    assert [heart.get_attribute("aria-label") for heart in hearts] == ["Favourite: place 2"]


@pytest.mark.parametrize("page", [NARROW_PX], indirect=True)
def test_on_a_phone_a_picture_is_taken_along_and_deleted_after_a_question(page: Page) -> None:
    count = len(page.parts("gallery", ".pa-figure"))
    page.driver.execute_script("arguments[0].click()", page.parts("gallery", ".pa-open")[0])
    page.wait(lambda: page.part("large").is_displayed())
    box = page.part("large")
    assert page.driver.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", box)
    assert page.fits("large", NARROW_PX)
    size = page.part("large", "select")
    page.driver.execute_script(
        "arguments[0].value = 'linkedin'; arguments[0].dispatchEvent(new Event('change'))", size
    )
    page.driver.execute_script("arguments[0].click()", button(page, "Download"))
    page.wait(lambda: "Saved: 001-" in page.text("large") and "-linkedin.png" in page.text("large"))
    title = page.part("large_title").text
    page.driver.execute_script("arguments[0].click()", button(page, "Delete"))
    page.wait(lambda: button(page, "Keep it") == page.driver.switch_to.active_element)
    assert len(page.parts("gallery", ".pa-figure")) == count
    page.driver.execute_script("arguments[0].click()", button(page, "Delete for good"))
    page.wait(lambda: len(page.parts("gallery", ".pa-figure")) == count - 1)
    page.wait(lambda: page.part("large_title").text != title and page.part("large").is_displayed())
