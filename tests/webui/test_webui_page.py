"""The tab in the WebUI's page, the card in its Lora tab, and "Reload UI"."""
from __future__ import annotations

from typing import Any

from tests.webui.webui_page import Page
from tests.webui.webui_server import Server


def test_the_tab_opens_with_its_panels(page: Page) -> None:
    assert "Personal Avatar" in page.tabs()
    page.tab("Personal Avatar")
    page.wait(lambda: page.one("#tab_personal_avatar").is_displayed())
    assert not page.all("#pa_trouble")
    panels = [button.text.strip() for button in page.all("#tab_personal_avatar .tab-nav button")]
    assert [panel for panel in panels if panel] == ["Photos", "Train", "Create", "Results", "Jobs"]
    page.shot("webui-tab")
    assert page.errors() == []


def test_a_trained_avatar_has_a_card_in_the_lora_tab(page: Page, avatar: dict[str, Any]) -> None:
    name = avatar["prompt"].split(":")[1]
    page.press("#txt2img_extra_tabs .tab-nav button:nth-child(5)")
    page.press("#txt2img_lora_extra_refresh")
    page.wait(lambda: page.all(f'#txt2img_lora_cards .card[data-name="{name}"]'))
    card = page.one(f'#txt2img_lora_cards .card[data-name="{name}"]')
    assert card.find_elements("css selector", "img.preview"), "the card has no preview picture"
    page.shot("webui-lora-card")


def test_results_show_the_ranked_pictures_and_send_one_to_txt2img(page: Page, portraits: dict[str, Any]) -> None:
    page.tab("Personal Avatar")
    page.press("#personal_avatar_panels > .tab-nav button:nth-child(4)")
    page.wait(lambda: len(page.all("#personal_avatar_gallery img")) == len(portraits["result"]["images"]))
    page.wait(lambda: all(image.get_property("naturalWidth") > 0 for image in page.all("#personal_avatar_gallery img")))
    page.shot("webui-results")
    page.press("#personal_avatar_gallery [data-pa-large]")
    page.press("#personal_avatar_large .pa-main")
    best = portraits["result"]["images"][0]
    page.wait(lambda: page.one("#txt2img_seed input").get_property("value") == str(best["seed"]))
    assert page.one("#txt2img_prompt textarea").get_property("value") == best["prompt"]
    page.wait(lambda: page.one("#tab_txt2img").is_displayed())
    page.shot("webui-sent")


def test_reload_ui_keeps_tab_api_and_jobs(page: Page, server: Server, avatar: dict[str, Any]) -> None:
    before = server.job(avatar["job"]["id"])
    starts = server.log().count("Startup time: ")
    page.press("#settings_restart_gradio")
    server.wait_ready(starts + 1)
    assert server.job(avatar["job"]["id"]) == before
    again = Page(page.driver, server.url)
    again.tab("Personal Avatar")
    again.wait(lambda: again.one("#tab_personal_avatar").is_displayed())
    assert not again.all("#pa_trouble")
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 1, "settings": {"steps": 4},
    })
    job = server.wait_job(accepted.json()["generation_job_id"])
    assert (job["state"], len(job["result"]["images"])) == ("succeeded", 1)
