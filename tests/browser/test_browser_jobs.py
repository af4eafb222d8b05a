"""A real training is paused in one panel and resumed in another, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chrome import NARROW_PX, WIDE_PX, Page
from tests.browser.test_browser_journey import LONG_S, choose_a_quick_training, lay_out

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Page]
STEPS = 1000


def steps_done(page: Page) -> int:
    """As the panel "Train" tells it; 0 while no steps are told."""
    found = re.search(rf"(\d+) of {STEPS}", page.text("training"))
    return int(found[1]) if found else 0


def test_a_training_rests_and_goes_on_where_it_was(open_page: Open, samples: Path) -> None:
    page = open_page()
    lay_out(page, sorted(samples.glob("0[1-6].jpg")), "Resa")
    page.go("train")
    choose_a_quick_training(page)
    page.number("plan_steps", STEPS)
    page.click("start")
    page.wait(lambda: steps_done(page) >= 2, LONG_S)
    page.click("start")
    page.wait(lambda: "No second training of Resa was started" in page.text("train_begun"))
    page.picture("second-start")
    page.driver.execute_script("window.scrollTo(0, 0)")
    pause = page.part("training", "button[id*=-rest-]")
    assert pause.text == "Pause"
    page.driver.execute_script("arguments[0].focus()", pause)
    pause.send_keys(Keys.ENTER)
    page.wait(lambda: "Paused" in page.text("training"), LONG_S)
    rested_at = steps_done(page)
    assert 2 <= rested_at < STEPS
    assert page.driver.switch_to.active_element.text == "Resume", "the keyboard stays where it was"
    assert page.driver.execute_script("return window.scrollY") == 0, "and so does the page"

    for panel in ("train", "jobs"):
        page.go(panel)
        page.wait(lambda panel=panel: f"Paused · {rested_at} of {STEPS}" in page.part(f"panel_{panel}").text)
        assert page.fits(f"rest-{panel}", WIDE_PX) and page.fits(f"rest-{panel}", NARROW_PX)

    page.click("jobs", "button[id*=-rest-]")
    page.wait(lambda: "Running" in page.text("jobs"), LONG_S)
    page.go("train")
    page.wait(lambda: steps_done(page) > rested_at, LONG_S)
    page.click("training", "button[id*=-cancel-]")
    page.wait(lambda: "Resa is ready" in page.text("training") or "Cancelled" in page.text("training"), LONG_S)
    page.unfold("train_log_box")
    page.wait(lambda: f"step {rested_at}" in page.part("train_log", "textarea").get_property("value"))
    assert page.complaints() == []
