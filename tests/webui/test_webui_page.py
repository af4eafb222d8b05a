"""The tab in the WebUI's page, the card in its Lora tab, "send to txt2img" and "Reload UI"."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.webui.webui_data import DRAWINGS
from tests.webui.webui_server import Server

if TYPE_CHECKING:
    from tests.webui.webui_page import WebuiPage

PANELS = ["Photos", "Train", "Create", "One photo", "Invent", "Results", "Rank", "Jobs"]
QUICK_TRAINING = {"steps": 50, "batch_size": 1, "save_count": 1, "score_pictures": 1, "sample_steps": 2}


def test_the_tab_opens_with_its_panels(page: WebuiPage) -> None:
    assert "Personal Avatar" in page.webui_tabs()
    page.show_ours()
    assert not page.all("#pa_trouble")
    assert [tab.text for tab in page.tabs()] == PANELS
    page.shot("webui-tab")
    severe = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if "ERR_NAME_NOT_RESOLVED" not in message] == []


def test_a_training_started_in_the_tab_ends_in_the_lora_folder(page: WebuiPage, data: Path) -> None:
    page.show_ours()
    page.upload(DRAWINGS[:6])
    page.wait(lambda: page.parts("photo_cards", ".pa-card"), 120)
    page.type("name", "Tabea")
    page.tick("consent", True)
    assert "6 of 6 accepted" in page.text("report")
    page.shot("webui-photos")
    page.click("proceed")
    page.wait(lambda: "6 of 6 accepted" in page.text("train_what"))
    page.unfold("plan_advanced")
    page.wait(lambda: page.part("plan_save_count").is_displayed())
    for name, value in QUICK_TRAINING.items():
        page.number(f"plan_{name}", value)
    page.tick("plan_must_rise", False)
    page.click("start")
    page.wait(lambda: page.in_sight(page.part("training", "[role=progressbar]")), 120)  # far above the button
    page.wait(lambda: page.parts("curves", "svg"), 600)
    page.wait(lambda: "Tabea is ready" in page.text("training"), 600)
    page.shot("webui-train")
    assert (data / "models" / "Lora" / "tabea.safetensors").is_file()


def test_a_trained_avatar_has_a_card_in_the_lora_tab(page: WebuiPage, avatar: dict[str, Any]) -> None:
    name = avatar["prompt"].split(":")[1]
    page.press("#txt2img_extra_tabs .tab-nav button:nth-child(5)")
    page.press("#txt2img_lora_extra_refresh")
    page.one(f'#txt2img_lora_cards .card[data-name="{name}"] img.preview')  # the cards are drawn anew by the refresh
    page.shot("webui-lora-card")


def test_results_show_the_ranked_pictures_and_send_one_to_txt2img(
    page: WebuiPage, server: Server, portraits: dict[str, Any]
) -> None:
    images = server.get(f"/personal-avatar/v1/jobs/{portraits['id']}/images").json()["images"]  # less what was deleted
    page.show_ours()
    page.go("results")
    page.wait(lambda: len(page.parts("gallery", "img")) == len(images))
    page.wait(lambda: all(picture.get_property("naturalWidth") for picture in page.parts("gallery", "img")))
    page.shot("webui-results")
    page.parts("gallery", ".pa-open")[0].click()
    page.wait(lambda: page.part("large").is_displayed())
    page.click("large", ".pa-main")
    page.wait(lambda: page.one("#txt2img_seed input").get_property("value") == str(images[0]["seed"]))
    assert page.one("#txt2img_prompt textarea").get_property("value") == images[0]["prompt"]
    page.wait(lambda: page.one("#tab_txt2img").is_displayed())
    page.shot("webui-sent")


def test_reload_ui_keeps_tab_api_and_jobs(page: WebuiPage, server: Server, avatar: dict[str, Any]) -> None:
    before = server.job(avatar["job"]["id"])
    starts = server.log().count("Startup time: ")
    page.press("#settings_restart_gradio")
    server.wait_ready(starts + 1)
    assert server.job(avatar["job"]["id"]) == before
    page.open()
    page.show_ours()
    assert not page.all("#pa_trouble")
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 1, "settings": {"steps": 4},
    })
    job = server.wait_job(accepted.json()["generation_job_id"])
    assert (job["state"], len(job["result"]["images"])) == ("succeeded", 1)
