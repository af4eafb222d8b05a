"""From photos to portraits in a real browser, with real training on the shipped tiny checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.chrome import NARROW_PX, TABS, WIDE_PX, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Page]
VIETNAMESE = ["Ảnh", "Huấn luyện", "Tạo ảnh", "Một ảnh", "Sáng tạo", "Kết quả", "Xếp hạng", "Công việc"]
CHINESE = ["照片", "训练", "生成", "单张照片", "虚构角色", "结果", "排名", "任务"]
STICKING_OUT = """
    const room = document.documentElement.clientWidth;
    const found = document.querySelectorAll("#personal_avatar_root :is(textarea, input, button, img, .pa-card)");
    return [...found].filter((one) => one.offsetParent && one.getBoundingClientRect().right > room + 1)
        .map((one) => one.id || one.className);
"""
IN_SIGHT = """
    const {top, bottom} = arguments[0].getBoundingClientRect();
    return top >= 0 && bottom <= window.innerHeight;
"""
BELOW = "return arguments[0].getBoundingClientRect().top - arguments[1].getBoundingClientRect().top"
SCROLLED_TO = """
    document.documentElement.style.paddingBottom = "900px";
    window.scrollBy(0, arguments[0].getBoundingClientRect().top - arguments[1]);
"""
AT_ONCE_S = 4.0  # where nothing goes on the page looks by itself every 15 s
LONG_S = 600.0  # for work that a busy machine may be slow at; what is waited for usually comes within seconds


def lay_out(page: Page, photos: list[Path], name: str) -> None:
    page.upload(photos)
    page.type("name", name)
    page.tick("consent", True)
    page.wait(lambda: page.parts("photo_cards", ".pa-card"), LONG_S)


def choose_a_quick_training(page: Page) -> None:
    page.unfold("plan_advanced")
    page.wait(lambda: page.part("plan_save_count").is_displayed())
    few = {
        "steps": 20, "batch_size": 1, "save_count": 1, "score_pictures": 1, "sample_steps": 2, "class_pictures": 4,
        "resolution_px": 64,
    }
    for name, value in few.items():
        page.number(f"plan_{name}", value)
    page.tick("plan_must_rise", False)


def test_photos_become_portraits_and_a_reload_loses_nothing(open_page: Open, samples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing behind it")
    page = open_page()
    lay_out(page, [*sorted(samples.glob("0[1-6].jpg")), samples / "no-face.jpg", broken], "Linh")
    assert "6 of 8 accepted" in page.text("report")
    assert "No face found." in page.text("photo_cards") and "Cannot be read." in page.text("photo_cards")

    page.click("proceed")
    page.wait(lambda: "6 of 8 accepted" in page.text("train_what"))
    choose_a_quick_training(page)
    page.click("start")
    page.wait(lambda: "Running" in page.text("training"), LONG_S)
    page.click("start")
    page.wait(lambda: "No second training of Linh" in page.text("train_begun"), 30)
    page.wait(lambda: page.parts("curves", "svg"), LONG_S)
    page.wait(lambda: "Linh is ready" in page.text("training"), LONG_S)
    assert page.parts("samples", "img")
    assert "Which checkpoint, and why" in page.text("training")
    report = page.part("training", "a").get_attribute("href")
    assert report and "report.html" in report

    page.open()
    page.go("create")
    page.unfold("styles_avatar-tiny_box")
    page.wait(lambda: page.part("styles_avatar-tiny", "label").is_displayed())
    page.click("styles_avatar-tiny", "label")
    page.number("create_count", 3)
    page.tick("create_restore", False)
    page.unfold("create_advanced")
    page.wait(lambda: page.part("create_steps").is_displayed())
    page.number("create_steps", 4)
    page.click("generate")
    page.wait(lambda: page.part("create_to_results").is_displayed(), LONG_S)
    page.click("create_to_results")
    page.wait(lambda: len(page.parts("gallery", ".pa-figure")) == 3)

    page.open()
    assert "6 of 8 accepted" in page.text("report")
    page.go("train")
    page.wait(lambda: "Linh is ready" in page.text("training"))
    assert page.part("plan_steps", "input[type=number]").get_property("value") == "20"
    page.go("results")
    pictures = page.wait(lambda: page.parts("gallery", "img"))
    page.wait(lambda: all(picture.get_property("naturalWidth") for picture in page.parts("gallery", "img")))
    assert [place.text for place in page.parts("gallery", ".pa-place")] == ["1", "2", "3"]
    assert all((picture.get_attribute("alt") or "").startswith("Place ") for picture in pictures)

    page.parts("gallery", ".pa-open")[0].click()
    page.wait(lambda: page.part("large").is_displayed() and "<lora:linh:1>" in page.text("large"))
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    page.wait(lambda: page.text("large").startswith("2."))
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    page.wait(lambda: not page.part("large").is_displayed())

    page.go("jobs")
    page.wait(lambda: sum("Linh" in job.text for job in page.parts("jobs", ".pa-job")) == 2)
    page.parts("jobs", "button[id^=pa-log]")[1].click()
    page.wait(lambda: page.part("job_log").is_displayed())
    assert page.complaints() == []


def test_errors_are_told_in_words(open_page: Open) -> None:
    page = open_page()
    page.click("check")
    page.wait(lambda: "Too few photos" in page.text("photos_message"))
    page.go("train")
    page.click("start")
    page.wait(lambda: "Add photos in the panel Photos" in page.text("train_message"))
    assert page.part("train_message", "[role=alert]").is_displayed()


@pytest.mark.parametrize("size_px", [NARROW_PX, (1300, 768)])
def test_a_refusal_is_brought_into_sight(open_page: Open, size_px: tuple[int, int]) -> None:
    page = open_page("en", size_px)
    page.go("train")
    page.wait(lambda: page.part("plan_rank").is_displayed())
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'end'})", page.part("start"))
    page.part("start").click()
    page.wait(lambda: page.driver.execute_script(IN_SIGHT, page.part("train_message", "[role=alert]")))


@pytest.mark.parametrize("seen_px", [25, -200])
def test_a_refusal_of_which_only_the_edge_is_in_sight_is_shown_whole(open_page: Open, seen_px: int) -> None:
    page = open_page("en", WIDE_PX)

    def refused() -> WebElement:
        return page.wait(lambda: page.part("train_message", "[role=alert]"))

    def opened() -> None:
        page.open()
        page.go("train")
        page.wait(lambda: page.part("plan_rank").is_displayed() and page.text("estimate"))

    opened()
    page.click("start")
    below_px = page.driver.execute_script(BELOW, refused(), page.part("start"))
    opened()
    start = page.part("start")
    page.driver.execute_script(SCROLLED_TO, start, WIDE_PX[1] - below_px - seen_px)
    start.click()
    alert = refused()
    page.wait(lambda: page.driver.execute_script(IN_SIGHT, alert))
    assert page.driver.execute_script(IN_SIGHT, start), "it was not scrolled farther than needed"


def test_the_language_is_the_browsers_and_a_chosen_one_is_remembered(open_page: Open) -> None:
    page = open_page("vi")
    page.wait(lambda: [tab.text for tab in page.tabs()] == VIETNAMESE)
    assert page.text("check") == "Kiểm tra ảnh"
    page.click("language", "input")
    page.wait(lambda: page.parts("language", "li"))
    next(item for item in page.parts("language", "li") if "中文" in item.text).click()
    page.wait(lambda: page.text("check") == "检查照片")
    page.go("jobs")
    page.wait(lambda: [tab.text for tab in page.tabs()] == CHINESE)
    page.open()
    page.wait(lambda: page.text("check") == "检查照片")
    page.wait(lambda: page.part("root").get_attribute("lang") == "zh")


def test_the_keyboard_reaches_tabs_folds_and_the_drop_zone(open_page: Open) -> None:
    page = open_page()
    page.tabs()[0].send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.tabs()[1].get_attribute("aria-selected") == "true")
    page.wait(lambda: page.driver.switch_to.active_element == page.tabs()[1])
    fold = page.part("plan_advanced", ".label-wrap")
    for said in ("true", "false", "true"):
        fold.send_keys(Keys.ENTER)
        page.wait(lambda said=said: fold.get_attribute("aria-expanded") == said, AT_ONCE_S)
        assert page.part("plan_alpha").is_displayed() is (said == "true")
    drop = page.part("files", "[role=button]")
    assert drop.get_attribute("aria-label") == "Drop photos here, or click to choose"


def test_a_lost_connection_is_told_once_and_forgotten_when_it_is_back(open_page: Open) -> None:
    page = open_page()
    page.offline(True)
    page.wait(lambda: "The connection is lost" in page.text("away"))
    page.go("train")
    page.click("start")
    page.wait(lambda: page.driver.find_elements("css selector", ".toast-body"))
    time.sleep(1)  # they fade in
    assert not any(toast.is_displayed() for toast in page.driver.find_elements("css selector", ".toast-body"))
    page.offline(False)
    page.wait(lambda: page.text("away") == "", 60)


def test_nothing_sticks_out_sideways(open_page: Open, samples: Path, tmp_path: Path) -> None:
    page = open_page("en", NARROW_PX)
    photo = shutil.copy(samples / "01.jpg", tmp_path / "WhatsApp_Image_2024-05-12_at_12.34.01.jpeg")
    lay_out(page, [photo], "Ana")
    page.click("photo_part", "input[value=captions]")
    page.wait(lambda: page.parts("caption_list", "textarea"))
    assert page.driver.execute_script(STICKING_OUT) == []
    for name in TABS:
        page.go(name)
        page.wait(lambda: page.part("root").is_displayed())
        assert page.fits(name, WIDE_PX) and page.fits(name, NARROW_PX)
