"""The panel of results, as a visitor without a browser uses it: order, hearts, choices, zips, deletion."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from personal_avatar.errors import NotFound
from personal_avatar.jobs.store import JobStore
from personal_avatar.pictures import GENERATED
from personal_avatar.provenance import source_in
from personal_avatar.studio import Studio
from personal_avatar.studio.works import RANK, TRAIN
from personal_avatar.ui import tab
from PIL import Image

from tests.unit.api.house import GOOD
from tests.unit.runs import finished_run
from tests.unit.ui.visitor import Visitor

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

Visit = Callable[..., Visitor]


@pytest.fixture()
def runs(studio: Studio) -> list[str]:
    """Two finished runs, the newest first; earlier ones of this file are erased."""
    for view in studio.gallery.runs():
        studio.gallery.erase(view.job.id)
    older = finished_run(studio)
    time.sleep(0.01)
    return [finished_run(studio, 2), older]


def shown(visitor: Visitor) -> list[str]:
    """Names of the pictures on the page."""
    return re.findall(r'data-pa-picture="([^"]+)"', visitor.value("gallery"))


def copies(visitor: Visitor, name: str) -> list[Path]:
    """Files that a part of the page gives out."""
    return [Path(unquote(path)) for path in re.findall(r"file=(/[^&\"]+)", unescape(visitor.value(name)))]


def press(visitor: Visitor, action: str, value: Any) -> None:
    """What our script does for a button of the gallery."""
    visitor.enter(results_value=value if isinstance(value, str) else json.dumps(value))
    visitor.click(f"press_{action}")


def test_the_newest_run_is_shown_with_likeness_overall_and_all_parts(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    assert shown(visitor) == [f"{runs[0]}:0", f"{runs[0]}:1"]
    said = visitor.text("gallery")
    assert "likeness 0.90 · overall -" in said and "likeness 0.80 → 0.95" in said
    assert "Likeness, second opinion -" in said and "Technical quality 0.20" in said


def test_all_runs_are_sorted_and_filtered_by_a_part(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    visitor.enter(run="All pictures", results_sort="Technical quality")
    visitor.refresh()
    assert shown(visitor) == [f"{runs[1]}:2", f"{runs[0]}:1", f"{runs[1]}:1", f"{runs[0]}:0", f"{runs[1]}:0"]
    visitor.enter(results_min_quality=0.3)
    visitor.refresh()
    assert shown(visitor) == [f"{runs[1]}:2"] and "Pictures: 1 of 5" in visitor.text("gallery")
    visitor.enter(results_min_second=0.1)
    visitor.refresh()
    assert "No picture fits" in visitor.text("gallery")


def test_the_order_stays_when_the_language_changes(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    visitor.enter(run="All pictures", results_sort="Technical quality")
    visitor.speak("vi")
    assert visitor.value("results_sort") == "Chất lượng kỹ thuật"
    assert shown(visitor)[0] == f"{runs[1]}:2"


def test_hearts_make_favourites_that_have_a_list_of_their_own(visit: Visit, runs: list[str], studio: Studio) -> None:
    visitor = visit()
    visitor.enter(run="Favourites")
    visitor.refresh()
    assert "No favourites yet" in visitor.text("gallery")
    press(visitor, "like", f"{runs[1]}:2:1")
    assert shown(visitor) == [f"{runs[1]}:2"]
    assert studio.gallery.entry(runs[1], 2).favourite
    press(visitor, "like", f"{runs[1]}:2:0")
    assert shown(visitor) == []


def test_two_chosen_pictures_can_be_compared(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    press(visitor, "pick", f"{runs[0]}:1")
    assert "data-pa-ab" not in visitor.value("gallery")
    press(visitor, "pick", f"{runs[0]}:0")
    (both,) = re.findall(r'data-pa-ab="([^"]+)"', visitor.value("gallery"))
    assert [facts["id"] for facts in json.loads(unescape(both))] == [f"{runs[0]}:1", f"{runs[0]}:0"]
    press(visitor, "pick", f"{runs[0]}:1")
    assert "Chosen: 1" in visitor.text("gallery")
    press(visitor, "pick", "")
    assert "Chosen: 0" in visitor.text("gallery")


def test_a_picture_comes_in_a_size_with_its_mark(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    press(visitor, "take", {"id": f"{runs[0]}:1", "size": "linkedin", "format": "jpeg", "restored": True})
    (data,) = re.findall(r'data-pa-taken="data:image/jpeg;base64,([^"]+)"', visitor.value("taken"))
    made = base64.b64decode(data)
    assert Image.open(io.BytesIO(made)).size == (400, 400) and source_in(made) == GENERATED
    assert "restored-linkedin.jpg" in visitor.value("taken")


def test_a_deleted_picture_leaves_the_page_its_copies_and_the_disk(
    visit: Visit, runs: list[str], studio: Studio
) -> None:
    visitor = visit()
    made = copies(visitor, "gallery")
    gone = [path for path in made if "0000" in path.name]
    assert gone and all(path.is_file() for path in made)
    press(visitor, "delete", {"id": f"{runs[0]}:0", "host": False})
    assert shown(visitor) == [f"{runs[0]}:1"] and "Deleted: 1" in visitor.text("results_told")
    assert not any(path.exists() for path in gone)
    assert not list(studio.jobs.folder(runs[0]).rglob("0000*"))
    press(visitor, "delete", {"id": f"{runs[0]}:0", "host": False})
    assert "there is no number 0" in visitor.text("results_message")


def test_chosen_pictures_are_deleted_together_after_a_question(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    press(visitor, "pick", f"{runs[0]}:0 {runs[0]}:1")
    visitor.click("delete_picked")
    assert "No picture was deleted" in visitor.text("delete_message") and len(shown(visitor)) == 2
    visitor.enter(delete_sure=True)
    visitor.click("delete_picked")
    assert "Deleted: 2" in visitor.text("results_told") and visitor.value("delete_sure") is False
    assert visitor.value("results_picked") == ""


def test_what_the_host_saved_is_named_when_it_stays(
    visit: Visit, runs: list[str], studio: Studio, tmp_path: Path
) -> None:
    job_id = finished_run(studio, 1, elsewhere=tmp_path)
    visitor = visit()
    press(visitor, "pick", f"{job_id}:0")
    assert visitor.prop("delete_host", "visible") is True
    press(visitor, "delete", {"id": f"{job_id}:0", "host": False})
    assert f"Still among the WebUI's own pictures: {tmp_path / '0000.png'}" in visitor.text("results_told")


@pytest.mark.parametrize(("source", "count"), [("chosen", 1), ("favourites", 2), ("shown", 2)])
def test_a_zip_holds_what_was_asked_for(visit: Visit, runs: list[str], source: str, count: int) -> None:
    visitor = visit()
    press(visitor, "pick", f"{runs[1]}:0")
    for key in (f"{runs[1]}:0", f"{runs[0]}:0"):
        press(visitor, "like", f"{key}:1")
    visitor.enter(take_what=source, take_size="square", take_format="webp")
    visitor.click("zip")
    visitor.wait(lambda: "download=" in visitor.value("zip_file"))
    assert f"pictures in it: {count}" in visitor.text("zip_file")
    copy = copies(visitor, "zip_file")[0]
    with zipfile.ZipFile(copy) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".webp")]) == count
    press(visitor, "delete", {"id": f"{runs[1]}:0", "host": False})
    assert not copy.exists() and visitor.value("zip_file") == ""


def test_a_zip_of_nothing_says_what_to_do(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    visitor.enter(take_what="chosen")
    visitor.click("zip")
    assert "No picture was chosen" in visitor.text("zip_message")


def test_more_like_a_picture_that_was_not_painted_here_is_refused(visit: Visit, runs: list[str]) -> None:
    visitor = visit()
    press(visitor, "more", f"{runs[0]}:0")
    assert visitor.text("results_message")


def test_a_thousand_pictures_come_in_pages_and_a_refresh_stays_quick(
    visit: Visit, runs: list[str], studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand records of one file: nothing but the list is large."""
    from personal_avatar.domain import to_json
    from personal_avatar.jobs.events import Done, EventWriter
    from personal_avatar.jobs.states import State
    from personal_avatar.studio.works import CREATE

    entry = studio.gallery.entry(runs[0], 0)
    job = studio.jobs.create(CREATE, {}, title="Many", user_id="local", avatar_id="")
    studio.jobs.move(job.id, State.RUNNING)
    images = [{**to_json(entry.portrait), "seed": number} for number in range(1000)]
    EventWriter(studio.jobs.folder(job.id))(Done({"images": images, "seconds": 1.0}))
    studio.jobs.move(job.id, State.SUCCEEDED)
    visitor = visit()
    assert len(shown(visitor)) == 24 and "Page 1 of 42" in visitor.text("gallery")
    press(visitor, "page", "42")
    assert len(shown(visitor)) == 16 and "Page 42 of 42" in visitor.text("gallery")
    read: list[str] = []
    view = JobStore.view
    monkeypatch.setattr(JobStore, "view", lambda store, job_id: read.append(job_id) or view(store, job_id))
    began = time.monotonic()
    visitor.refresh()
    assert time.monotonic() - began < 2.0 and read == []
    studio.gallery.erase(job.id)


def test_where_the_page_around_takes_pictures_they_are_handed_over(studio: Studio, runs: list[str]) -> None:
    bound: dict[str, Any] = {}

    def bind(buttons: dict[str, Any], infotext: Any, image: Any) -> None:
        bound.update(buttons)

    with TestClient(gr.routes.App.create_app(tab.build(studio, send_to=bind))) as client:
        visitor = Visitor(client)
        assert list(bound) == ["txt2img", "img2img", "inpaint", "extras"]
        press(visitor, "send", {"id": f"{runs[0]}:0", "to": "inpaint"})
        assert visitor.value("sent_text").startswith("a portrait of anna <lora:anna:1>\nNegative prompt: blurry")
        assert visitor.value("sent_image").startswith("data:image/png;base64,")
        assert 'data-pa-sent="inpaint"' in visitor.value("sent")


def called(visitor: Visitor, job_id: str) -> str:
    """What the list of runs calls a run."""
    (label,) = [label for label, *_ in map(_plain, visitor.prop("run", "choices")) if label.endswith(job_id[:8])]
    return label


def _plain(choice: Any) -> tuple[str, ...]:
    return (choice,) if isinstance(choice, str) else tuple(choice)


def test_a_chosen_run_stays_chosen_when_one_of_its_pictures_was_deleted_and_it_alone_is_erased(
    visit: Visit, runs: list[str], studio: Studio
) -> None:
    visitor = visit()
    visitor.enter(run=called(visitor, runs[1]))
    visitor.refresh()
    press(visitor, "delete", {"id": f"{runs[1]}:0", "host": False})
    assert shown(visitor) == [f"{runs[1]}:1", f"{runs[1]}:2"] and visitor.value("run") == called(visitor, runs[1])
    studio.gallery.delete(runs[1], 1)  # in another tab
    visitor.enter(erase_run_sure=True)
    visitor.click("erase_run")
    assert [view.job.id for view in studio.gallery.runs()] == [runs[0]]
    assert shown(visitor) == [f"{runs[0]}:0", f"{runs[0]}:1"] and visitor.value("run") == "Newest"


def test_a_run_that_is_gone_takes_no_other_with_it(visit: Visit, runs: list[str], studio: Studio) -> None:
    visitor = visit()
    visitor.enter(run=called(visitor, runs[1]))
    visitor.refresh()
    visitor.enter(erase_run_sure=True)
    studio.gallery.erase(runs[1])  # in another tab
    visitor.click("erase_run")
    assert "Another run is chosen now" in visitor.text("erase_run_message")
    assert visitor.value("erase_run_sure") is False, "it was said of another run"
    assert [view.job.id for view in studio.gallery.runs()] == [runs[0]]


def test_a_run_that_became_the_newest_meanwhile_is_not_the_one_that_was_seen(
    visit: Visit, runs: list[str], studio: Studio
) -> None:
    visitor = visit()
    assert runs[0][:8] in visitor.prop("erase_run_sure", "label")
    visitor.enter(erase_run_sure=True)
    newer = finished_run(studio, 1)
    visitor.click("erase_run")
    assert {view.job.id for view in studio.gallery.runs()} == {newer, *runs}
    assert visitor.value("erase_run_sure") is False and newer[:8] in visitor.prop("erase_run_sure", "label")


# -- the list of jobs


def test_a_finished_job_leads_from_the_list_of_jobs_to_its_pictures(visit: Visit, runs: list[str]) -> None:
    newest, older = runs
    visitor = visit()
    visitor.enter(run="All favourites")
    visitor.refresh()
    buttons = re.findall(r'<button[^>]*id="pa-pictures-([^"]+)"[^>]*>([^<]*)</button>', visitor.value("jobs"))
    assert set(buttons) >= {(newest, "Show results"), (older, "Show results")}
    visitor.enter(log_of=older)
    visitor.click("press_pictures")
    assert visitor.text("jobs_message") == "" and visitor.prop("panels", "selected") == "results"
    assert visitor.value("run").endswith(older[:8])
    assert len(shown(visitor)) == 3
    visitor.enter(log_of=newest)
    visitor.click("press_pictures")
    assert visitor.value("run").endswith(newest[:8]) and len(shown(visitor)) == 2



def test_an_ended_job_can_be_erased_in_the_list_of_jobs_with_its_photos(
    visit: Visit, runs: list[str], studio: Studio
) -> None:
    folder = studio.host.folders().data
    given = {"00000.jpg": GOOD[0], "reference-00.jpg": GOOD[1]}
    job = studio.jobs.create(RANK, {}, title="", user_id="local", avatar_id="", files=given)
    visitor = visit()
    assert f"pa-erase_job-{job.id}" not in visitor.value("jobs"), "it has not ended"
    visitor.enter(log_of=job.id)
    visitor.click("press_erase_job")
    assert "has not ended" in visitor.text("jobs_message") and studio.jobs.folder(job.id).exists()
    studio.jobs.fail(job.id, NotFound("There are no pictures."))
    called = visit(accept="vi").text("jobs")
    assert "Xếp hạng" in called and "Xếp hạng · Xếp hạng" not in called, "what has no name of its own is named once"
    visitor.refresh()
    assert f"pa-erase_job-{job.id}" in visitor.value("jobs") and "photos that were given" in visitor.text("jobs")
    visitor.click("press_erase_job")
    assert "was erased" in visitor.text("job_erased") and job.id not in visitor.value("jobs")
    assert not list(folder.rglob("reference-00.jpg"))


def test_a_training_is_not_erased_in_the_list_of_jobs(visit: Visit, studio: Studio) -> None:
    job = studio.jobs.create(TRAIN, {}, title="Anna", user_id="local", avatar_id="anna")
    studio.jobs.fail(job.id, NotFound("The photos are gone."))
    visitor = visit(accept="vi")
    assert f"pa-erase_job-{job.id}" not in visitor.value("jobs") and "thuộc về nhân vật" in visitor.text("jobs")
    visitor.enter(log_of=job.id)
    visitor.click("press_erase_job")
    assert "chỉ được xóa cùng nhân vật" in visitor.text("jobs_message") and studio.jobs.folder(job.id).exists()
    studio.jobs.delete(job.id)


def test_a_person_of_whom_nothing_was_trained_can_be_erased_with_the_training_that_failed(
    visit: Visit, studio: Studio
) -> None:
    avatar = studio.avatars.open("Failed", user_id="local", class_noun="woman", statement="yes")
    studio.avatars.save(avatar)
    folder = studio.avatars.folder(avatar.id)
    studio.avatars.add_photos(avatar, GOOD[:2])
    job = studio.jobs.create(TRAIN, {}, title="Failed", user_id="local", avatar_id=avatar.id)
    studio.jobs.fail(job.id, NotFound("The photos are gone."))
    visitor = visit()
    assert f"pa-erase_job-{job.id}" in visitor.value("jobs") and "Nothing was trained" in visitor.text("jobs")
    visitor.enter(log_of=job.id)
    visitor.click("press_erase_job")
    assert "was erased" in visitor.text("job_erased")
    assert job.id not in studio.jobs.ids() and not folder.exists()
