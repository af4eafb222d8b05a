"""The panels, from photos to portraits, as a visitor without a browser uses them."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from personal_avatar.domain import Engine, Method
from personal_avatar.jobs.control import Control
from personal_avatar.photos.read import Limits
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.storage import sha256_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.works import TRAIN
from personal_avatar.ui import photo_files, tab
from personal_avatar.wording import text

from tests.unit.api.house import GOOD, LEARN, SAMPLES, failing
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.slow


def laid_out(
    visit: Visit, key: str, name: str, *photos: Path, consent: bool = True, noun: str = "woman"
) -> Visitor:
    """A visitor whose photos have been checked."""
    visitor = visit(key=key)
    visitor.choose_files(*(photos or GOOD[:3]))
    visitor.enter(name=name, noun=noun, consent=consent)
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    return visitor


def trained(visit: Visit, key: str, name: str) -> Visitor:
    visitor = laid_out(visit, key, name)
    visitor.click("start")
    visitor.wait(lambda: f"{name} is ready" in visitor.text("training"))
    return visitor


# -- photos


def test_each_photo_has_a_card_with_a_verdict_in_words_and_a_reason(visit: Visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing behind it")
    visitor = laid_out(visit, "1" * 32, "Anna", *GOOD[:3], SAMPLES / "blurred.jpg", SAMPLES / "no-face.jpg", broken)
    assert visitor.text("report").startswith("✓ 3 of 6 accepted")
    cards = re.findall(r"<li class=\"pa-card.*?(?=<li class=\"pa-card|$)", visitor.value("photo_cards"), re.S)
    assert len(cards) == 6
    assert "Accepted" in cards[0] and "Similarity" in cards[0] and "Sharpness" in cards[0]
    assert "Rejected" in cards[3] and 'data-reason="BLURRED"' in cards[3] and "Use a sharper photo." in cards[3]
    assert 'data-reason="NO_FACE"' in cards[4]
    assert 'data-reason="UNREADABLE"' in cards[5] and "<img" not in cards[5]
    assert cards[5].count("Open it in an image viewer") == 1 and "lang=" not in cards[5]
    visitor.speak("zh")
    assert re.search(r'<span class="pa-detail" lang="en">\(broken.png', visitor.value("photo_cards"))
    assert "Open it in an image viewer" not in visitor.value("photo_cards")
    visitor.speak("en")
    assert visitor.prop("proceed", "visible") is True


def test_a_verdict_says_nothing_twice_and_no_face_is_ticked_where_the_user_is_asked_for_it(
    visit: Visit, tmp_path: Path
) -> None:
    again = tmp_path / "again.png"
    save_picture(load_picture(GOOD[0]), again)
    visitor = laid_out(visit, "2f" * 16, "Ida", *GOOD[:3], again, SAMPLES / "no-face.jpg", SAMPLES / "two-people.jpg")
    said = visitor.text("photo_cards")
    assert "No face found. Use a photo" in said
    assert re.search(r"Shows the same as another photo\. \((again\.png|01\.jpg)\) It is left out", said)
    assert "Choose the right one" in said
    assert visitor.value("photo_cards").count('aria-pressed="false"') == 2
    assert 'aria-pressed="true"' not in visitor.value("photo_cards")


def test_beside_the_accepted_photos_it_is_told_what_a_training_still_needs(visit: Visit) -> None:
    visitor = visit(key="1f" * 16)
    assert visitor.text("photos_lacking") == ""
    visitor = laid_out(visit, "1f" * 16, "", consent=False)
    assert visitor.text("photos_lacking").endswith("can start: the name, the tick that the person agreed.")
    visitor.put("consent", True)
    assert visitor.text("photos_lacking").endswith("can start: the name.")
    visitor.enter(name="Ana")
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    assert visitor.text("photos_lacking") == ""


def test_a_folder_that_is_not_there_is_named(visit: Visit) -> None:
    visitor = visit(key="2" * 32)
    visitor.enter(folder="/no/such/folder")
    visitor.click("check")
    assert "There is no folder /no/such/folder." in visitor.text("photos_message")


def test_the_pictures_of_a_folder_are_checked(visit: Visit, tmp_path: Path) -> None:
    for photo in GOOD[:2]:
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / "notes.txt").write_text("not a picture")
    visitor = visit(key="3" * 32)
    visitor.enter(folder=str(tmp_path))
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    assert "2 of 3 accepted" in visitor.text("report")


def test_a_page_that_may_not_ask_for_folders_takes_none(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = replace(studio.host.folders(), callers_name_folders=False)
    monkeypatch.setattr(studio.host, "folders", lambda: elsewhere)
    with TestClient(gr.routes.App.create_app(tab.build(studio))) as client:
        visitor = Visitor(client, key="3a" * 16)
        assert visitor.prop("folder", "visible") is False
        visitor.enter(folder=str(SAMPLES))
        visitor.click("check")
        assert "No photos were given." in visitor.text("photos_message")


def test_what_is_too_large_is_named_and_neither_read_nor_copied(
    visit: Visit, studio: Studio, tmp_path: Path
) -> None:
    film = tmp_path / "film.mov"
    with film.open("wb") as file:
        file.truncate(Limits().file_bytes + 1)
    visitor = visit(key="3b" * 16)
    visitor.enter(folder=str(tmp_path))
    visitor.click("check")
    assert "Larger than 40 MB: film.mov." in visitor.text("photos_message")
    (tmp_path / "good.jpg").write_bytes(GOOD[0].read_bytes())
    visitor.enter(folder=str(tmp_path))
    visitor.click("check")
    visitor.wait(lambda: "1 of 1 accepted" in visitor.text("report"))
    assert "Left out, larger than 40 MB film.mov" in visitor.text("report")
    assert [path.name for path in (studio.host.folders().data / "drafts" / ("3b" * 16) / "photos").iterdir()] == [
        "good.jpg"
    ]


def test_a_folder_is_read_no_further_than_the_limit(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        (tmp_path / f"{number}.jpg").write_bytes(bytes([number]))
    read: list[Path] = []
    monkeypatch.setattr(photo_files, "MAX_PHOTOS", 3)
    monkeypatch.setattr(photo_files, "sha256_of", lambda path: read.append(path) or sha256_of(path))
    visitor = visit(key="3c" * 16)
    visitor.enter(folder=str(tmp_path))
    visitor.click("check")
    assert "9 photos were given, the limit is 3." in visitor.text("photos_message")
    assert len(read) == 4


def test_pressing_check_without_photos_says_what_to_do(visit: Visit) -> None:
    visitor = visit(key="4" * 32)
    visitor.click("check")
    assert "Too few photos" in visitor.text("photos_message")
    assert "Choose files, or name a folder" in visitor.text("photos_message")


def test_an_upload_that_has_not_arrived_is_not_taken_for_a_broken_photo(visit: Visit, tmp_path: Path) -> None:
    empty = tmp_path / "still-coming.jpg"
    empty.touch()
    visitor = visit(key="4a" * 16)
    visitor.choose_files(empty)
    visitor.click("check")
    assert "still-coming.jpg has not arrived yet" in visitor.text("photos_message")


def test_photos_are_added_to_those_that_are_there_and_the_same_file_counts_once(visit: Visit) -> None:
    visitor = laid_out(visit, "4b" * 16, "Mia", *GOOD[:2])
    visitor.choose_files(GOOD[1], GOOD[2])
    visitor.upload()
    visitor.wait(lambda: "3 of 3 accepted" in visitor.text("report"))


def test_what_is_being_filled_in_is_left_alone_while_photos_are_checked(visit: Visit) -> None:
    visitor = visit(key="4c" * 16)
    visitor.choose_files(*GOOD[:2])
    visitor.upload()
    visitor.enter(name="Ola", consent=True)
    visitor.wait(lambda: "2 of 2 accepted" in visitor.text("report"))
    assert (visitor.value("name"), visitor.value("consent")) == ("Ola", True)


def test_a_reopened_page_shows_the_laid_out_photos_again(visit: Visit) -> None:
    laid_out(visit, "5" * 32, "Bea")
    again = visit(key="5" * 32)
    assert "3 of 3 accepted" in again.text("report")
    assert (again.value("name"), again.value("noun"), again.value("consent")) == ("Bea", "woman", True)


def test_another_browser_does_not_see_them(visit: Visit) -> None:
    laid_out(visit, "6" * 32, "Cleo")
    other = visit(key="7" * 32)
    assert "accepted" not in other.text("report")
    assert other.value("name") == ""


def test_clear_erases_the_photos_from_the_disk(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, "8" * 32, "Dora")
    folder = studio.host.folders().data / "drafts" / ("8" * 32)
    assert len(list((folder / "photos").iterdir())) == 3
    visitor.click("clear")
    assert not folder.exists()
    assert "Good photos" in visitor.text("report")


# -- training


def test_training_without_photos_or_consent_is_refused_by_name(visit: Visit, studio: Studio) -> None:
    visitor = visit(key="9" * 32)
    visitor.click("start")
    assert "Too few photos" in visitor.text("train_message")
    visitor = laid_out(visit, "b" * 32, "Eva", consent=False)
    visitor.click("start")
    assert "Consent is missing" in visitor.text("train_message")
    assert not [view for view in studio.jobs.views() if view.job.title == "Eva"]


def test_a_name_that_is_nearly_anothers_is_told_to_be_somebody_else(visit: Visit, studio: Studio) -> None:
    other = studio.avatars.open("Nell", user_id="local", class_noun="woman", statement="She agreed.")
    studio.avatars.save(other)
    said = []
    for key, name in (("e7" * 16, "nell"), ("e8" * 16, "Nell")):
        visitor = laid_out(visit, key, name)
        visitor.refresh()
        said.append(visitor.text("train_what"))
    assert "Nell is here already; nell becomes somebody else." in said[0] and "is here already" not in said[1]
    studio.delete_avatar(other.id)


def test_pictures_of_a_style_need_no_faces_and_are_trained_as_a_style(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, "9b" * 16, "Hatching", *GOOD[:2], SAMPLES / "no-face.jpg", noun="ink style")
    assert visitor.text("report").startswith("✓ 3 of 3 accepted")
    visitor.refresh()
    assert [code for _, code in visitor.prop("goal", "choices")] == ["style"]
    visitor.click("start")
    visitor.wait(lambda: any(view.job.title == "Hatching" for view in studio.jobs.views()))
    job = next(view.job for view in studio.jobs.views() if view.job.title == "Hatching")
    assert job.payload["plan"]["goal"] == "style"


def test_of_an_animal_no_faces_are_looked_for_unless_the_user_wants_it(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, "9c" * 16, "Rex", *GOOD[:2], SAMPLES / "no-face.jpg", noun="old dog")
    assert visitor.text("report").startswith("✓ 3 of 3 accepted")
    assert "As an animal is trained" in visitor.text("report")
    visitor.refresh()
    assert visitor.value("photo_set_faces") == "ignored"
    visitor.put("photo_set_faces", "needed")
    visitor.wait(lambda: visitor.text("report").startswith("✓ 2 of 3 accepted"))
    assert "animal" not in visitor.text("report")


def test_decisions_and_settings_of_the_photos_go_with_the_training(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, "9d" * 16, "Ivy")
    visitor.enter(photo_set_framing="half", value_photo=json.dumps({"do": "leave", "photo": GOOD[1].name}))
    visitor.click("check")
    visitor.wait(lambda: "3 of 3 accepted" in visitor.text("report"))
    visitor.click("press_photo")
    visitor.click("start")
    visitor.wait(lambda: any(view.job.title == "Ivy" for view in studio.jobs.views()))
    payload = next(view.job.payload for view in studio.jobs.views() if view.job.title == "Ivy")
    assert payload["photo_settings"] == {"framing": "half"} and len(payload["photos"]) == 2
    assert payload["choices"] == {sha256_of(GOOD[1]): {"take": False, "face": None}}


def test_a_refusal_of_the_page_is_in_the_users_language(visit: Visit) -> None:
    visitor = visit(key="9a" * 16, accept="vi")
    visitor.click("start")
    assert (
        visitor.text("train_message") == "✕ Quá ít ảnh Chưa có ảnh nào đã kiểm tra. Hãy thêm và kiểm tra ảnh ở thẻ Ảnh."
    )


def test_the_widgets_hold_what_suits_the_loaded_checkpoint(visit: Visit) -> None:
    visitor = visit(key="c" * 32)
    assert visitor.value("plan_rank") == 16
    assert "File size" in visitor.text("estimate")
    before = visitor.text("estimate")
    visitor.enter(plan_steps=50)
    visitor.refresh()
    assert visitor.text("estimate") != before


def test_a_setting_out_of_its_range_is_named(visit: Visit) -> None:
    visitor = laid_out(visit, "d" * 32, "Fay")
    visitor.enter(plan_learning_rate=50)
    visitor.click("start")
    assert "“Learning rate” must be in" in visitor.text("train_message")


def test_a_second_click_starts_no_second_job(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, start_lane = laid_out(visit, "e" * 32, "Gina"), studio.queue.start_lane
    monkeypatch.setattr(studio.queue, "start_lane", lambda kind: None)  # the first is not over before the second click
    visitor.click("start")
    visitor.click("start")
    start_lane(TRAIN)
    mine = [view for view in studio.jobs.views() if view.job.title == "Gina"]
    assert len(mine) == 1
    assert visitor.text("train_message") == ""
    visitor.wait(lambda: "Gina is ready" in visitor.text("training"))


def test_a_training_tells_its_likeness_and_how_to_use_the_file(visit: Visit) -> None:
    visitor = trained(visit, "f" * 32, "Hana")
    said = visitor.text("training")
    assert "Likeness before 0.10" in said and "Recovered 50%" in said
    assert "<lora:hana:1> sks woman" in said
    assert "Leakage 0.01" in said and "Prompt following 97%" in said
    assert "Diversity 80%" in said and "Memory 1.2 GB" in said
    assert visitor.prop("onward", "visible") is True and "pa-train-cancel" not in visitor.value("training")


def test_a_training_tells_why_this_checkpoint_and_what_to_do_better_and_opens_its_report(
    visit: Visit, studio: Studio, client: TestClient
) -> None:
    visitor = trained(visit, "fc" * 16, "Hoa")
    job = next(view for view in studio.jobs.views() if view.job.title == "Hoa").job
    said = visitor.text("training")
    assert "Which checkpoint, and why The checkpoint of step 2 was chosen of 3." in said
    assert "What to do Only 3 photos were used: add some." in said
    address = re.search(r'href="(file=[^"]+)"', visitor.value("training")).group(1)  # type: ignore[union-attr]
    assert client.get("/" + address).text == f"<h1>The report of {job.id}</h1>"
    assert "Nên làm gì Only 3 photos" in visit(key="fc" * 16, accept="vi").text("training")


@pytest.mark.parametrize(
    ("method", "used"),
    [
        (Method.DREAMBOOTH_LORA, "In any prompt <lora:isa:1> sks woman"),
        (Method.DREAMBOOTH, "Choose this checkpoint isa In any prompt sks woman"),
        (Method.TEXTUAL_INVERSION, "In any prompt sks woman"),
    ],
)
def test_each_method_is_trained_and_says_how_its_file_is_used(
    visit: Visit, studio: Studio, method: Method, used: str
) -> None:
    visitor = laid_out(visit, "fa" * 16, "Isa")
    visitor.enter(method=method.value, goal="face-quick")
    visitor.refresh()
    visitor.enter(plan_steps=60)
    visitor.click("start")
    assert visitor.text("train_message") == ""
    visitor.wait(lambda: used in visitor.text("training"))
    payload = next(view for view in studio.jobs.views() if view.job.title == "Isa").job.payload
    assert (payload["method"], payload["engine"]) == (method.value, "diffusers")
    assert payload["plan"] == {"goal": "face-quick", "steps": 60}


def test_all_methods_are_compared_each_with_what_it_has_of_the_settings_and_each_job_shows_the_table_ever_after(
    visit: Visit, studio: Studio, client: TestClient
) -> None:
    """Also when somebody else was trained since."""
    visitor = laid_out(visit, "fb" * 16, "Lia")
    visitor.enter(method=Method.TEXTUAL_INVERSION.value, plan_vectors=6)
    visitor.refresh()
    visitor.enter(method=Method.LORA.value, plan_steps=70, plan_rank=48)
    visitor.refresh()
    assert "Vectors: 6" in visitor.text("compare_takes") and "Steps: 70" in visitor.text("compare_takes")
    visitor.enter(goal="face-quick", compare_one_photo=True)
    visitor.click("compare")
    assert visitor.text("train_message") == ""
    visitor.wait(lambda: visitor.text("comparison").count("50%") == len(Method))
    said = visitor.text("comparison")
    assert all(name in said for name in ("LoRA", "Dreambooth-LoRA", "Dreambooth", "Textual Inversion"))
    assert visitor.value("comparison").count('alt="Sample picture, Dreambooth-LoRA"') == 2
    payloads = [view.job.payload for view in studio.jobs.views() if view.job.title == "Lia"]
    assert {payload["method"] for payload in payloads} == {method.value for method in Method}
    taken = {payload["method"]: payload["plan"] for payload in payloads}
    common = {"goal": "face-quick", "steps": 70}
    assert taken == {
        "lora": {**common, "rank": 48}, "dreambooth-lora": {**common, "rank": 48}, "dreambooth": common,
        "textual-inversion": {**common, "vectors": 6},
    }
    told = visitor.text("offer")
    assert "“Photos alone” is left out" in told and "has not the size of a usual" in told and "--fetch" not in told
    assert "Photos alone" not in said
    visitor = trained(visit, "f8" * 16, "Zoe")
    assert visitor.text("comparison") == ""
    jobs = {named(job): job for job in visitor.value("jobs").split('<li class="pa-job"')[1:]}
    assert text("compare.title") not in jobs.pop("Training · Zoe · LoRA")
    mine = [job for name, job in jobs.items() if "Lia" in name]
    assert len(mine) == len(Method)
    for job in mine:
        folded = job[job.index('<details id="pa-comparison-'):]
        assert text("compare.title") in folded and folded.count("<tr>") == 1 + len(Method)
        assert folded.count('alt="Sample picture, Dreambooth"') == 2
        (address, *_) = re.findall(r'<img src="([^"]*)"', folded)
        assert client.get(f"/{address}").headers["content-type"].startswith("image/")


def test_the_photos_alone_are_not_offered_ticked_where_they_cannot_be_compared(visit: Visit) -> None:
    visitor = laid_out(visit, "fe" * 16, "Noi")
    assert visitor.value("compare_one_photo") is False and visitor.prop("compare_one_photo", "mode") == "static"
    told = visitor.text("compare_takes")
    assert "cannot be compared here" in told and "has not the size of a usual" in told
    assert "comes on top" not in told


def test_the_photos_alone_are_compared_too_and_the_table_says_how_to_read_their_row(
    visit: Visit, studio: Studio, faceid: Path
) -> None:
    folder = studio.host.folders().identity_folders[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(faceid, target_is_directory=True)
    visitor = laid_out(visit, "fd" * 16, "Nga")
    assert visitor.value("compare_one_photo") is True and visitor.prop("compare_one_photo", "mode") == "dynamic"
    assert "What the photos alone need comes on top." in visitor.text("compare_takes")
    visitor.enter(goal="face-quick")
    visitor.click("compare")
    folder.unlink()
    assert (visitor.text("train_message"), visitor.text("offer")) == ("", "")
    visitor.wait(lambda: "Photos alone 0.34 30%" in visitor.text("comparison"))
    said = visitor.text("comparison")
    assert "0.21 0.26 4 s 1.1 GB –" in said and "Photos alone: nothing is trained and no file is made." in said
    assert "Likeness now" in said and "from 0.10" in said
    assert visitor.value("comparison").count('alt="Sample picture, Photos alone"') == 2
    listed = visitor.text("jobs")
    assert "Measurement · Nga · Photos alone" in listed and listed.count("Photos alone 0.34 30%") == 1 + len(Method)
    assert all(f"Training · Nga · {name}" in listed for name in ("LoRA", "Dreambooth-LoRA", "Textual Inversion"))


def test_of_a_comparison_without_the_photos_alone_a_method_that_failed_is_in_the_table_with_reason_and_remedy(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.host, "learn", failing("dreambooth"))
    visitor = laid_out(visit, "fa" * 16, "Quy")
    visitor.enter(goal="face-quick", compare_one_photo=False)
    visitor.click("compare")
    assert visitor.text("offer") == ""
    begun = [view.job.kind for view in studio.jobs.views() if view.job.title == "Quy"]
    assert begun == [TRAIN] * len(Method)
    visitor.wait(lambda: visitor.text("comparison").count("50%") == len(Method) - 1)
    visitor.wait(lambda: "8 GB were not enough." in visitor.text("comparison"))
    rows = visitor.value("comparison").split("<tr>")
    (row,) = (row for row in rows if "8 GB were not enough." in row)
    assert ">Dreambooth<" in row and text("error.OUT_OF_VRAM.title") in row and "Try rank=8." in row


def test_the_pictures_of_a_comparison_stand_below_what_they_were_asked_for(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompts = ("a portrait of sks woman", "an oil painting of sks woman, <thick> strokes, a wide gilded frame around")
    kept = [
        str(save_picture(load_picture(GOOD[0]), tmp_path / f"{seed}.png", f"{prompt}\nSeed: {seed}"))
        for seed, prompt in enumerate(prompts, 1000)
    ]
    monkeypatch.setattr(studio.host, "learn", LEARN.replace('payload["photos"][:2]', repr(kept)))
    visitor = laid_out(visit, "f9" * 16, "Uyen")
    visitor.enter(goal="face-quick", compare_one_photo=False)
    visitor.click("compare")
    visitor.wait(lambda: visitor.text("comparison").count("50%") == len(Method))
    shown = visitor.value("comparison")
    heads = re.findall(r'<small title="([^"]*)" lang="en">([^<]*)</small>', shown)
    assert [unescape(short) for _, short in heads] == [
        "a portrait of sks woman, seed 1000", "an oil painting of sks woman, <thick> strokes, a wide …"
    ]
    assert unescape(heads[1][0]) == f"{prompts[1]}, seed 1001"
    assert 'alt="Sample picture, Dreambooth: a portrait of sks woman, seed 1000"' in shown


def named(job: str) -> str:
    """The title of a job in the list, of its HTML."""
    return unescape(re.findall(r"<strong>([^<]*)</strong>", job)[0])


def test_a_running_training_can_be_cancelled(visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(folder: Path, *rest: object) -> object:
        Control(folder).ask("hold")
        return started(folder, *rest)

    from personal_avatar.jobs import process

    started = process.start
    monkeypatch.setattr(process, "start", held)
    visitor = laid_out(visit, "ab" * 16, "Ida")
    visitor.click("start")
    visitor.wait(lambda: "Running" in visitor.text("training"))
    assert 'data-pa-busy="1"' in visitor.value("status")
    visitor.press("training", "Cancel, keep what is done")
    visitor.wait(lambda: "Cancelled" in visitor.text("training") or "Failed" in visitor.text("training"))
    job = next(view for view in studio.jobs.views() if view.job.title == "Ida" and view.job.kind == TRAIN)
    visitor.enter(log_of=job.job.id)
    visitor.click("press_log")
    assert visitor.prop("job_log", "visible") is True


# -- portraits and results


def test_portraits_are_shown_best_first_and_can_be_taken_along(visit: Visit, studio: Studio) -> None:
    visitor = trained(visit, "cd" * 16, "Jana")
    visitor.enter(avatar="Jana", **{"styles_avatar-tiny": ["Shaded portrait (tiny)"]}, create_count=4, create_seed=7)
    visitor.click("generate")
    assert visitor.text("create_message") == ""
    visitor.wait(lambda: visitor.prop("create_to_results", "visible") is True)
    places = re.findall(r'<span class="pa-place">(\d+)</span>', visitor.value("gallery"))
    assert places == ["1", "2", "3", "4"]
    numbers = [
        float(value) for value in re.findall(r'class="pa-caption">likeness (-?[\d.]+)', visitor.value("gallery"))
    ]
    assert numbers == sorted(numbers, reverse=True)
    assert "no face found" in visitor.text("gallery")
    visitor.click("zip")
    assert visitor.text("zip_message") == ""
    visitor.wait(lambda: "download=" in visitor.value("zip_file"))
    (path,) = re.findall(r'href="file=([^"]+)"', visitor.value("zip_file"))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names[0].startswith("001") and len([name for name in names if name[:3].isdecimal()]) >= 4
        assert names[-3:] == ["contact-sheet.jpg", "scores.csv", "scores.json"]


def prompt_with(visitor: Visitor, studio: Studio, choice: str) -> str:
    """Of the picture that is made when this file of the person is chosen."""
    before = len(studio.host.requests)  # type: ignore[attr-defined]
    visitor.enter(file=choice)
    visitor.click("generate")
    assert visitor.text("create_message") == ""
    visitor.wait(lambda: len(studio.host.requests) > before)  # type: ignore[attr-defined]
    return str(studio.host.requests[-1].prompt)  # type: ignore[attr-defined]


def test_which_of_several_files_is_used_is_told_and_can_be_chosen(visit: Visit, studio: Studio) -> None:
    visitor = trained(visit, "ce" * 16, "Lan")
    visitor.enter(avatar="Lan")
    visitor.refresh()
    assert visitor.prop("file", "visible") is False and visitor.text("file_why") == ""
    photos = tuple(studio.avatars.photos("lan"))
    studio.trainings.start(TrainRequest("Lan", photos, "woman", method=Method.TEXTUAL_INVERSION, consent="she agreed"))
    visitor.wait(lambda: visitor.prop("file", "visible") is True)
    codes = [code for _, code in visitor.prop("file", "choices")]
    assert codes == ["best", "textual-inversion/lan.safetensors", "lora/lan.safetensors"]
    assert visitor.value("file") == "best"
    assert visitor.text("file_why").startswith("The best is Textual Inversion (lan.safetensors): of the files that")
    visitor.enter(prompt="a portrait", create_count=1, create_restore=False)
    for choice, words in (("lora/lan.safetensors", "<lora:lan:"), ("best", "sks woman")):
        prompt = prompt_with(visitor, studio, choice)
        assert words in prompt and ("<lora" in prompt) is (choice != "best")


def test_of_two_engines_each_file_can_be_chosen_the_better_one_first(visit: Visit, studio: Studio) -> None:
    visitor = trained(visit, "cf" * 16, "Mo")
    avatar = studio.avatars.load("mo")
    (ours,) = avatar.checkpoints
    assert ours.scores is not None
    better = replace(ours.scores, likeness=replace(ours.scores.likeness, after=ours.scores.likeness.after + 0.1))
    other = replace(ours, path=ours.path.with_name("mo-2.safetensors"), scores=better, engine=Engine.KOHYA)
    other.path.write_bytes(ours.path.read_bytes())
    studio.avatars.save(avatar.with_checkpoints((other,)))
    visitor.enter(avatar="Mo")
    visitor.refresh()
    assert visitor.prop("file", "choices")[1:] == [
        ["LoRA, kohya (sd-scripts) (mo-2.safetensors)", "lora/mo-2.safetensors"],
        ["LoRA (mo.safetensors)", "lora/mo.safetensors"],
    ]
    assert visitor.text("file_why").startswith("The best is LoRA, kohya (sd-scripts) (mo-2.safetensors)")
    visitor.enter(prompt="a portrait", create_count=1, create_restore=False)
    for choice, name in (("lora/mo.safetensors", "mo"), ("best", "mo-2")):
        assert f"<lora:{name}:" in prompt_with(visitor, studio, choice)
    other.path.unlink()
    visitor.refresh()
    assert visitor.prop("file", "visible") is False
    assert visitor.text("file_why").endswith("is no longer here: LoRA (mo.safetensors) is used instead.")
    assert "<lora:mo:" in prompt_with(visitor, studio, "best")


def test_a_picture_of_the_gallery_can_be_loaded(visit: Visit, client: object) -> None:
    visitor = trained(visit, "ef" * 16, "Kira")
    visitor.enter(avatar="Kira", prompt="a portrait", create_count=1, create_restore=False)
    visitor.click("generate")
    visitor.wait(lambda: visitor.prop("create_to_results", "visible") is True)
    assert "Portraits · Kira" in visitor.text("jobs")
    address = re.search(r'src="(file=[^"]+)"', visitor.value("gallery")).group(1)  # type: ignore[union-attr]
    answer = client.get("/" + address)  # type: ignore[attr-defined]
    assert answer.status_code == 200 and answer.content[8:12] == b"WEBP"  # a small version of it


def test_generating_needs_an_avatar_and_a_style_or_a_prompt(visit: Visit) -> None:
    visitor = visit(key="12" * 16)
    visitor.enter(avatar=None)
    visitor.click("generate")
    assert "No avatar was chosen." in visitor.text("create_message")


def test_a_person_is_erased_only_when_that_was_confirmed(visit: Visit, studio: Studio) -> None:
    visitor = trained(visit, "56" * 16, "Nora")
    file = studio.host.folders().loras / "nora.safetensors"
    visitor.enter(avatar="Nora")
    visitor.click("erase")
    assert "Nothing of Nora was erased." in visitor.text("erase_message") and file.is_file()
    visitor.enter(erase_sure=True)
    visitor.click("erase")
    assert "Nora was erased." in visitor.text("erased") and visitor.value("erase_sure") is False
    assert not file.exists() and "Nora" not in visitor.prop("avatar", "choices")
    assert not (studio.host.folders().data / "drafts" / ("56" * 16)).exists()


def test_everything_is_there_again_in_another_language(visit: Visit) -> None:
    trained(visit, "34" * 16, "Lena")
    visitor = visit(key="34" * 16, accept="vi-VN,vi;q=0.9,en;q=0.5")
    assert "Lena đã sẵn sàng" in visitor.text("training")
    assert visitor.prop("start", "value") == "Bắt đầu huấn luyện"
    visitor.enter(styles_painting=["Tranh sơn dầu"])
    visitor.speak("中文")
    assert visitor.prop("start", "value") == "开始训练"
    assert visitor.value("styles_painting") == ["油画"]
    assert "Lena" in visitor.text("jobs") and "完成" in visitor.text("jobs")
