"""The accordion in the WebUI's page: photos in, a person in the picture, settings back from an infotext."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.webui.webui_data import ASSETS
from tests.webui.webui_families import choose
from tests.webui.webui_identity import ERROR, ONE, SDXL, make_identity_folder, paint, person
from tests.webui.webui_server import Server

if TYPE_CHECKING:
    from tests.webui.webui_page import WebuiPage

OURS, THEIRS = "#script_txt2img_personal_avatar_", "#script_img2img_personal_avatar_"
PHOTO, SAME = ASSETS / "samples" / "01.jpg", ASSETS / "samples" / "05.jpg"
QUICK = {"steps": "2", "width": "64", "height": "64", "cfg_scale": "4"}


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Iterator[Server]:
    """A WebUI with its page that can put people into pictures."""
    models = weights_folder.parent / "insightface" / "buffalo_s"
    folder = make_identity_folder(tmp_path_factory.mktemp("paged") / "data", models)
    with Server(folder, prepare=True, wait_s=900) as running:
        choose(running, SDXL.name)
        yield running


@pytest.fixture()
def opened(paged: Server, tmp_path: Path) -> Iterator[WebuiPage]:
    """txt2img with the accordion open, set to small pictures."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from tests.browser import chrome
    from tests.webui.webui_page import WebuiPage

    if chrome.missing():
        pytest.skip(chrome.missing())
    with chrome.chrome(tmp_path / "profile", "en", (1300, 1100)) as driver:
        page = WebuiPage(driver, paged.url)
        page.open()
        page.one(OURS + "enabled .label-wrap").click()
        page.wait(lambda: page.one(OURS + "references").is_displayed())
        for name, value in QUICK.items():
            field = page.one(f"#txt2img_{name} input[type=number]")
            field.clear()
            field.send_keys(value + "\t")
        yield page


def give(page: WebuiPage, name: str, *photos: Path) -> None:
    page.one(f"{OURS}{name} input[type=file]").send_keys("\n".join(map(str, photos)))
    page.wait(lambda: len(page.all(f"{OURS}{name}_shown img")) == len(photos))


def generate(page: WebuiPage, word: str) -> str:
    """The infotext below the picture, once it holds `word`."""
    page.press("#txt2img_generate")
    page.wait(lambda: word in page.one("#html_info_txt2img").text, 120)
    return str(page.one("#html_info_txt2img").text)


def value(page: WebuiPage, name: str) -> str:
    return str(page.one(f"{name} input[type=number]").get_property("value"))


def test_photos_go_in_and_the_person_is_in_the_picture(opened: WebuiPage) -> None:
    give(opened, "references", PHOTO, SAME)
    said = generate(opened, "Personal Avatar identity: instantid")
    opened.shot("webui-identity")
    assert ERROR not in said and "Personal Avatar references:" in said


def test_every_widget_has_its_label(opened: WebuiPage) -> None:
    for name in ("several", "more"):
        opened.one(f"{OURS}{name} .label-wrap").click()
    words = {"layout": "Who is where", "person1_left": "Left edge", "down_weight": "Weight in the down blocks"}
    for name, label in words.items():
        opened.wait(lambda name=name, label=label: label in opened.one(OURS + name).text)
    opened.shot("webui-identity-open")


def test_a_second_person_gets_a_place_of_their_own(opened: WebuiPage) -> None:
    give(opened, "references", PHOTO)
    opened.one(OURS + "several .label-wrap").click()
    opened.wait(lambda: opened.all(OURS + "several .tab-nav button"))[1].click()
    give(opened, "person2_references", ASSETS / "samples" / "someone-else.jpg")
    field = opened.one(OURS + "person2_left input[type=number]")
    field.clear()
    field.send_keys("0.5\t")
    assert "photos@0.5/0/1/1*1" in generate(opened, "Personal Avatar people")


def test_an_infotext_comes_back_and_goes_on_to_img2img(opened: WebuiPage, paged: Server) -> None:
    said = paint(paged, person(ONE, adapter_weight=0.65, second_pass=True)).infotexts[0]
    prompt = opened.one("#txt2img_prompt textarea")
    opened.driver.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        prompt, said,
    )
    opened.press("#paste")
    opened.wait(lambda: value(opened, OURS + "adapter_weight") == "0.65")
    assert opened.one(OURS + "second_pass input").is_selected()
    assert opened.one(OURS + "pasted_photos").is_displayed()
    give(opened, "references", SAME)
    generate(opened, "The photos are not those that the pasted picture was made from")
    opened.press("#txt2img_send_to_img2img")
    opened.wait(lambda: value(opened, THEIRS + "adapter_weight") == "0.65")


def test_no_default_of_the_accordion_is_frozen(paged: Server) -> None:
    frozen = json.loads((paged.data / "ui-config.json").read_text(encoding="utf-8"))
    assert [key for key in frozen if key.startswith("customscript/personal_avatar.py")] == []
