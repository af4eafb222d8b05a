"""Finished pictures in the WebUI's page: sent to its tabs as its own buttons do, liked, compared, deleted."""
from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from personal_avatar.pictures import GENERATED, source_of
from PIL import Image

from tests.webui.webui_server import Server

if TYPE_CHECKING:
    from tests.webui.webui_page import WebuiPage

# Where each tab shows a picture that was handed to it, and what is the same as in the picture then.
SHOWN = {"img2img": "#img2img_image", "inpaint": "#img2maskimg", "extras": "#extras_image"}


@pytest.fixture()
def results(page: WebuiPage, portraits: dict[str, Any]) -> WebuiPage:
    """The panel with the finished run in sight."""
    page.show_ours()
    page.go("results")
    page.wait(lambda: len(page.parts("gallery", "img")) >= len(portraits["result"]["images"]))
    return page


def press_in_large_view(page: WebuiPage, name: str) -> None:
    """Open the best picture and press a button by its words."""
    page.driver.execute_script("arguments[0].click()", page.parts("gallery", ".pa-open")[0])
    page.wait(lambda: page.part("large").is_displayed())
    button = next(button for button in page.parts("large", "button") if button.text == name)
    page.driver.execute_script("arguments[0].click()", button)


def picture_in(page: WebuiPage, selector: str) -> np.ndarray:
    """The picture that a tab's input holds, as the page shows it; on a canvas for inpainting."""
    script = """
        const found = document.querySelector(arguments[0] + " img, " + arguments[0] + " canvas");
        return found && (found.src || found.toDataURL("image/png"));
    """
    source = page.wait(lambda: page.driver.execute_script(script, selector))
    data = base64.b64decode(source.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_text_goes_to_txt2img(results: WebuiPage, portraits: dict[str, Any]) -> None:
    best = portraits["result"]["images"][0]
    press_in_large_view(results, "Send to txt2img")
    results.wait(lambda: results.one("#tab_txt2img").is_displayed())
    results.wait(lambda: results.one("#txt2img_seed input").get_property("value") == str(best["seed"]))
    assert results.one("#txt2img_prompt textarea").get_property("value") == best["prompt"]
    assert results.one("#txt2img_steps input[type=number]").get_property("value") == "12"
    results.shot("webui-sent-txt2img")


@pytest.mark.parametrize("tab", list(SHOWN))
def test_the_picture_goes_to_the_tabs_that_take_one(
    results: WebuiPage, server: Server, portraits: dict[str, Any], tab: str
) -> None:
    best = portraits["result"]["images"][0]
    sent = np.asarray(Image.open(io.BytesIO(server.get(best["url"]).content)).convert("RGB"))
    press_in_large_view(results, f"Send to {tab}")
    found = picture_in(results, SHOWN[tab])
    if tab != "inpaint":  # its canvas has the size of the window
        assert np.array_equal(found, sent)
    results.wait(lambda: results.one("#tab_extras" if tab == "extras" else "#tab_img2img").is_displayed())
    if tab != "extras":
        results.wait(lambda: results.one("#img2img_seed input").get_property("value") == str(best["seed"]))
    results.shot(f"webui-sent-{tab}")


def test_what_the_webui_saved_says_that_it_is_generated(server: Server, portraits: dict[str, Any], data: Path) -> None:
    saved = sorted((data / "outputs").rglob("*.png"))
    names = {image["path"] for image in portraits["result"]["images"]}
    ours = [path for path in saved if path.name in names]
    assert len(ours) == len(names)
    assert all(source_of(path) == GENERATED for path in ours)
    assert all(Image.open(path).info["parameters"] for path in ours)


def liked(server: Server, portraits: dict[str, Any]) -> list[int]:
    answer = server.get(f"/personal-avatar/v1/jobs/{portraits['id']}/images?filter=favourite")
    return [image["n"] for image in answer.json()["images"]]


def test_the_better_of_two_becomes_a_favourite(
    results: WebuiPage, server: Server, portraits: dict[str, Any]
) -> None:
    for place in (0, 1):
        results.driver.execute_script("arguments[0].click()", results.parts("gallery", ".pa-pick")[place])
        results.wait(lambda place=place: len(results.parts("gallery", ".pa-picked")) == place + 1)
    results.press("#pa-compare")
    results.wait(lambda: results.part("large").is_displayed())
    button = next(button for button in results.parts("large", "button") if button.text == "B is better")
    button.click()
    results.wait(lambda: liked(server, portraits) == [1])
    results.shot("webui-ab")


def test_a_deleted_picture_stays_in_the_webuis_folder_unless_that_is_asked(
    results: WebuiPage, server: Server, portraits: dict[str, Any], data: Path
) -> None:
    last = portraits["result"]["images"][-1]["path"]
    results.driver.execute_script("arguments[0].click()", results.parts("gallery", ".pa-open")[-1])
    results.wait(lambda: results.part("large").is_displayed())
    for words in ("Delete", "Delete for good"):
        next(button for button in results.parts("large", "button") if button.text == words).click()
    results.wait(lambda: len(results.parts("gallery", ".pa-figure")) == len(portraits["result"]["images"]) - 1)
    assert last in results.text("results_told")
    assert any(path.name == last for path in (data / "outputs").rglob("*.png"))
