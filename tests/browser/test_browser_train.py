"""The panel "Train" in a real browser: each method, in each language, on a wide and on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from personal_avatar.domain import Goal, Method
from personal_avatar.training.planning.plan import PLANS
from PIL import Image
from selenium.webdriver.common.keys import Keys

from tests.browser.chrome import NARROW_PX, WIDE_PX, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Page]
OWN = {
    Method.LORA: {"rank"},
    Method.DREAMBOOTH_LORA: {"rank"},
    Method.DREAMBOOTH: set(),
    Method.TEXTUAL_INVERSION: {"vectors", "init_word"},
}


def choose(page: Page, method: Method) -> None:
    page.click("method", f"input[value={method.value}]")
    page.wait(lambda: {name for name in OWN[Method.TEXTUAL_INVERSION] | {"rank"} if shown(page, name)} == OWN[method])


def shown(page: Page, setting: str) -> bool:
    return any(part.is_displayed() for part in page.parts(f"plan_{setting}", "input, textarea"))


@pytest.mark.parametrize(("language", "word"), [("en", "small file"), ("vi", "tệp nhỏ"), ("zh-CN", "文件小")])
def test_each_method_has_its_settings_and_fits(open_page: Open, language: str, word: str) -> None:
    page = open_page(language, NARROW_PX)
    page.go("train")
    page.wait(lambda: word in page.text("method"))
    for method in Method:
        choose(page, method)
        page.wait(lambda: page.text("estimate"))
        for size_px in (WIDE_PX, NARROW_PX):
            assert page.fits(f"train-{method.value}-{language}", size_px)
    assert page.complaints() == []


def test_what_the_user_set_stays_when_method_goal_and_language_change(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    page.wait(lambda: page.part("plan_rank").is_displayed())
    proposed = PLANS[Method.LORA].__fields__["rank"].default
    page.number("plan_rank", proposed + 9)
    page.click("goal", "input[value=face-best]")
    choose(page, Method.TEXTUAL_INVERSION)
    choose(page, Method.DREAMBOOTH_LORA)
    page.click("language", "input")
    page.wait(lambda: page.parts("language", "li"))
    next(item for item in page.parts("language", "li") if "中文" in item.text).click()
    page.wait(lambda: page.text("start") == "开始训练")
    assert page.part("plan_rank", "input[type=number]").get_property("value") == str(proposed + 9)
    assert page.part("method", f"input[value={Method.DREAMBOOTH_LORA.value}]").is_selected()
    assert page.part("goal", "input[value=face-best]").is_selected()


def test_method_goal_and_what_the_user_set_are_there_after_a_reload(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    page.wait(lambda: page.part("plan_rank").is_displayed() and page.text("estimate"))
    page.click("goal", "input[value=face-quick]")
    choose(page, Method.DREAMBOOTH_LORA)
    page.number("plan_rank", 41)
    page.wait(lambda: "Rank: 41" in page.text("compare_takes"))
    proposed = page.part("plan_steps", RATE).get_property("value")
    page.open()
    page.go("train")
    page.wait(lambda: page.part("plan_rank", RATE).get_property("value") == "41")
    assert page.part("method", "input[value=dreambooth-lora]").is_selected()
    assert page.part("goal", "input[value=face-quick]").is_selected()
    assert page.part("plan_steps", RATE).get_property("value") == proposed
    page.wait(lambda: "Rank: 41" in page.text("compare_takes") and "Steps" not in page.text("compare_takes"))
    page.number("plan_steps", 150)
    page.wait(lambda: "Steps: 150" in page.text("compare_takes"))
    page.click("plan_back")
    page.wait(lambda: not page.part("plan_back").is_displayed())
    assert page.part("plan_steps", RATE).get_property("value") == proposed
    assert page.part("plan_rank", RATE).get_property("value") != "41"
    assert page.part("method", "input[value=dreambooth-lora]").is_selected()
    assert page.complaints() == []


RATE = "input[type=number]"


def optimise(page: Page, optimiser: str) -> str:
    """Choose an optimiser; the learning rate that stands there when the page has followed."""
    page.unfold("plan_advanced")
    page.wait(lambda: page.part("plan_optimiser").is_displayed())
    page.click("plan_optimiser", "input")
    page.wait(lambda: page.parts("plan_optimiser", "li"))
    next(item for item in page.parts("plan_optimiser", "li") if optimiser in item.text).click()
    page.wait(lambda: f"Optimiser: {optimiser}" in page.text("compare_takes"))
    return str(page.part("plan_learning_rate", RATE).get_property("value"))


def test_a_rate_that_was_typed_stays_after_an_optimiser_proposed_the_same(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    proposed = optimise(page, "lion")
    assert optimise(page, "adafactor") != proposed
    page.open()
    page.go("train")
    page.unfold("plan_advanced")
    page.wait(lambda: page.part("plan_learning_rate").is_displayed())
    page.type("plan_learning_rate", proposed, RATE)
    assert [optimise(page, name) for name in ("lion", "adafactor", "adamw")] == [proposed] * 3
    assert f"Learning rate: {proposed}" in page.text("compare_takes")
    assert page.complaints() == []


def steps_for(page: Page, goal: Goal) -> str:
    """Choose another goal; the steps that stand there when the page has followed."""
    before = page.text("estimate")
    page.click("goal", f"input[value={goal.value}]")
    page.wait(lambda: page.text("estimate") not in ("", before))
    return str(page.part("plan_steps", RATE).get_property("value"))


def test_fields_that_were_only_passed_through_follow_the_goal(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    page.wait(lambda: page.part("plan_rank").is_displayed() and page.text("estimate"))
    quick, usual = steps_for(page, Goal.FACE_QUICK), steps_for(page, Goal.FACE)
    assert quick != usual
    for name in ("plan_rank", "plan_steps"):
        page.click(name, RATE)
        page.keys(Keys.TAB, Keys.TAB)
    assert steps_for(page, Goal.FACE_QUICK) == quick
    assert page.complaints() == []


def test_what_was_stepped_or_chosen_again_stays_although_it_is_what_was_proposed(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    page.wait(lambda: page.part("plan_steps").is_displayed() and page.text("estimate"))
    usual = str(page.part("plan_steps", RATE).get_property("value"))
    page.click("plan_steps", RATE)
    page.keys(Keys.ARROW_UP, Keys.ARROW_DOWN, Keys.TAB)
    page.unfold("plan_advanced")
    page.wait(lambda: page.part("plan_optimiser").is_displayed())
    optimiser = page.part("plan_optimiser", "input").get_property("value")
    page.click("plan_optimiser", "input")
    page.wait(lambda: [item for item in page.parts("plan_optimiser", "li") if optimiser in item.text])[0].click()
    assert steps_for(page, Goal.FACE_QUICK) == usual
    page.wait(lambda: f"Optimiser: {optimiser}" in page.text("compare_takes"))
    assert page.complaints() == []


def test_what_was_put_in_while_the_server_was_away_stays_when_it_is_back(open_page: Open) -> None:
    page = open_page()
    page.go("train")
    page.wait(lambda: page.part("plan_steps").is_displayed() and page.text("estimate"))
    usual = str(page.part("plan_steps", RATE).get_property("value"))
    page.network(away=True)
    page.click("plan_steps", RATE)
    page.keys(Keys.ARROW_UP, Keys.ARROW_DOWN, Keys.TAB)
    page.wait(lambda: [said for said in page.complaints() if "/run/" in said])
    page.network()
    assert steps_for(page, Goal.FACE_QUICK) == usual
    page.wait(lambda: "plan_steps:" in heard(page))
    assert steps_for(page, Goal.FACE) == usual
    page.wait(lambda: "goal:" in heard(page) and "plan_steps:" not in heard(page))  # it is not told again


def heard(page: Page) -> str:
    """What the server answered to last, of what was put into fields."""
    return str(page.part("heard", "i").get_attribute("data-pa-heard"))


WIDE = """
    const columns = [...Array(9).keys()], row = (cell, name) => `<tr><th>${name}</th>` +
        columns.map((column) => `<${cell}>number ${column}</${cell}>`).join("") + "</tr>";
    const holder = document.createElement("div");
    holder.className = "pa-wide";
    holder.innerHTML = `<table class="pa-table"><thead>${row("th", "Method")}</thead>` +
        `<tbody>${row("td", "Textual Inversion, sd-scripts (kohya)")}</tbody></table>`;
    document.querySelector("#personal_avatar_panel_train").prepend(holder);
"""
DRAWN = """
    const holder = document.querySelector("#personal_avatar_root .pa-wide");
    holder.scrollLeft = 150;
    const seen = holder.getBoundingClientRect();
    return [holder.scrollLeft, ...[...holder.querySelectorAll("tr > :first-child")].map((cell) => {
        const place = cell.getBoundingClientRect();
        const above = document.elementFromPoint(place.left + 8, place.top + 8);
        const ground = getComputedStyle(cell).backgroundColor;
        return [place.left - seen.left, above === cell, ground, place.width / seen.width];
    })];
"""

EDGE = """
    const holder = document.querySelector("#personal_avatar_root .pa-wide");
    holder.scrollIntoView({block: "center"});
    holder.scrollLeft = arguments[0];
    const {right, top, bottom} = holder.getBoundingClientRect();
    return [right, top, bottom, holder.scrollWidth > holder.clientWidth];
"""


def edge(page: Page, scrolled_px: int) -> int:
    """How light the right edge of the table is, where no letter stands."""
    right, top, bottom, goes_on = page.driver.execute_script(EDGE, scrolled_px)
    assert goes_on
    shot = Image.open(BytesIO(page.driver.get_screenshot_as_png())).convert("L")
    pixels = sorted(shot.crop((int(right) - 3, int(top) + 4, int(right) - 1, int(bottom) - 20)).getdata())
    return int(pixels[len(pixels) // 2])


def test_a_table_that_goes_on_beyond_its_edge_has_a_shadow_there_until_its_end(open_page: Open) -> None:
    page = open_page("en", (700, 800))
    page.go("train")
    page.wait(lambda: page.text("estimate"))
    page.driver.execute_script(WIDE)
    for theme in ("remove", "add"):
        page.driver.execute_script(f"document.body.classList.{theme}('dark')")
        assert abs(edge(page, 0) - edge(page, 9999)) > 20


RUNNING = """
    document.querySelector("#personal_avatar_training").innerHTML = '<p role="progressbar">20 of 400</p>';
"""
TOP = "return arguments[0].getBoundingClientRect().top"


def test_on_a_phone_how_a_training_goes_comes_first_while_it_does(open_page: Open) -> None:
    page = open_page("en", NARROW_PX)
    page.go("train")
    page.wait(lambda: page.text("estimate"))

    def stands_first() -> bool:
        tops = [page.driver.execute_script(TOP, page.part(name)) for name in ("training", "method")]
        return bool(tops[0] < tops[1])

    assert not stands_first()
    page.driver.execute_script(RUNNING)
    assert stands_first()


def test_the_names_of_rows_stay_when_a_table_is_drawn_sideways_on_a_phone(open_page: Open) -> None:
    page = open_page("en", NARROW_PX)
    page.go("train")
    page.wait(lambda: page.text("estimate"))
    page.driver.execute_script(WIDE)
    grounds = set()
    for theme in ("remove", "add"):
        page.driver.execute_script(f"document.body.classList.{theme}('dark')")
        scrolled, *names = page.driver.execute_script(DRAWN)
        assert scrolled == 150 and len(names) == 2
        for left, above, ground, share in names:
            assert abs(left) < 1 and above and ground.startswith("rgb(") and share < 0.55
            grounds.add(ground)
    assert len(grounds) == 2
