"""Captions as use cases: taggers and what they lack, suggestions, files that are never lost, faults."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import blip_miniature
import numpy as np
import pytest
import wd_tagger
from personal_avatar.captions.files import caption_file
from personal_avatar.captions.taggers import WD14
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Look
from personal_avatar.errors import InvalidSettings, NotFound, TooFewPhotos, TrainerMissing, WeightsMissing, WrongState
from personal_avatar.jobs import queue
from personal_avatar.jobs.states import State
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio
from personal_avatar.studio.captioning import Captioning, names_of, to_document
from personal_avatar.weights.registry import find_all

from tests.unit.api.house import GOOD, DrawingHost

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

ECHO = """
import json
job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
sizes = [path.stat().st_size for path in sorted((folder / "photos").iterdir())]
emit(Done({"captions": dict(zip(job["payload"]["names"], map(str, sizes))), "skipped": {}}))
"""


class TellingHost(DrawingHost):
    """Has an interrogator of its own, like the WebUI, and one whose weights are missing."""

    def interrogators(self) -> tuple[str, ...]:
        return ("deepdanbooru", "webui-blip")

    def interrogator_lacks(self, name: str) -> str:
        return "" if name == "deepdanbooru" else "model.pth (896 MB, BSD-3-Clause) is not in models/BLIP."

    def interrogate(self, image: np.ndarray, name: str) -> str:
        if lacks := self.interrogator_lacks(name):
            raise WeightsMissing(lacks)
        return f"1man, beard, {'wide' if image.shape[1] > image.shape[0] else 'high'}, shirt"


@pytest.fixture(autouse=True)
def nothing_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.2)


@pytest.fixture
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    data = tmp_path / "data"
    (data / "weights").mkdir(parents=True)
    for path in face_weights.iterdir():
        (data / "weights" / path.name).symlink_to(path)
    return Studio(TellingHost(data, ECHO))


@pytest.fixture
def captions(studio: Studio) -> Captioning:
    return studio.captions


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    return [Path(shutil.copy(photo, folder)) for photo in GOOD[:2]]


def with_wd14(studio: Studio, name: str = "wd-vit-tagger-v3") -> None:
    wd_tagger.make(studio.weights_folder / "wd14" / name)


def test_every_tagger_is_told_of_and_what_it_lacks(captions: Captioning) -> None:
    found = {status.name: status for status in captions.taggers()}
    assert list(found) == ["template", *WD14, "blip", "deepdanbooru", "webui-blip"]
    assert {name for name, status in found.items() if status.ready} == {"template", "deepdanbooru"}
    assert "378.5 MB, Apache-2.0" in found["wd14-vit"].missing and "wd14-tags" in found["wd14-vit"].weights
    assert "989.8 MB, BSD-3-Clause" in found["blip"].missing and not found["blip"].here
    assert "896 MB" in found["webui-blip"].missing


@pytest.mark.parametrize("name", [*WD14, "blip"])
def test_what_a_tagger_lacks_can_be_fetched_by_its_name(captions: Captioning, name: str) -> None:
    status = next(status for status in captions.taggers() if status.name == name)
    assert tuple(weight.name for weight in find_all(name)) == status.weights
    assert f"--fetch {name}" in status.hint


def test_a_tagger_whose_files_are_there_is_ready(studio: Studio) -> None:
    with_wd14(studio)
    ready = {status.name for status in studio.captions.taggers() if status.ready}
    assert "wd14-vit" in ready and "wd14-swinv2" not in ready


def test_drawings_are_best_told_in_tags_and_photos_in_sentences(studio: Studio) -> None:
    studio.host.interrogators = lambda: ()  # type: ignore[method-assign]
    assert studio.captions.recommended(Look.PHOTO) == studio.captions.recommended(Look.DRAWN) == "template"
    with_wd14(studio)
    blip_miniature.make(studio.weights_folder / "blip")
    assert studio.captions.recommended(Look.PHOTO) == "blip"
    assert studio.captions.recommended(Look.DRAWN) == "wd14-vit"


def test_a_table_of_tags_is_shared_by_the_three(studio: Studio) -> None:
    folder = studio.weights_folder / "wd14"
    with_wd14(studio, "wd-swinv2-tagger-v3")
    (folder / "wd-swinv2-tagger-v3" / "selected_tags.csv").rename(folder / "selected_tags.csv")
    assert next(status for status in studio.captions.taggers() if status.name == "wd14-swinv2").ready


def test_the_template_needs_nothing(captions: Captioning, photos: list[Path]) -> None:
    said = captions.suggest(photos, "template", trigger="sks man", class_noun="man")
    assert said == dict.fromkeys(photos, "a photo of sks man")


def test_any_wd14_is_the_one_that_is_there(studio: Studio, photos: list[Path]) -> None:
    with_wd14(studio, "wd-eva02-large-tagger-v3")
    seen: list[tuple[int, int]] = []
    all_tags = {"tag_from": 0, "character_from": 0}
    asked: dict[str, Any] = {"trigger": "sks man", "class_noun": "man", "settings": all_tags}
    said = studio.captions.suggest(photos, "wd14", lambda done, total: seen.append((done, total)), **asked)
    assert seen == [(1, 2), (2, 2)]
    assert said == studio.captions.suggest(photos, "wd14-eva02", **asked)
    assert all(text.startswith("sks man, ") and "long hair" not in text and "hat" in text for text in said.values())


def test_the_hosts_interrogator_is_one_of_them(captions: Captioning, photos: list[Path]) -> None:
    said = captions.suggest(photos, "deepdanbooru", trigger="sks man", class_noun="man")
    assert set(said.values()) <= {"sks man, 1man, wide, shirt", "sks man, 1man, high, shirt"}
    raw = captions.suggest(photos, "deepdanbooru", settings={"mend": False})
    assert all("beard" in text for text in raw.values())


def test_a_photo_that_cannot_be_read_is_told_and_left_out(captions: Captioning, photos: list[Path]) -> None:
    photos[0].write_bytes(b"no picture")
    found = captions.describe(photos, "deepdanbooru")
    assert list(found.captions) == [photos[1]] and list(found.skipped) == [photos[0]]


@pytest.mark.parametrize(
    ("tagger", "error", "said"),
    [
        ("wd14", WeightsMissing, "wd14-vit lacks wd14/wd-vit-tagger-v3/model.onnx"),
        ("webui-blip", WeightsMissing, "896 MB"),
        ("blip", WrongState, "packages for training"),
        ("clip", NotFound, "no tagger 'clip'"),
    ],
)
def test_what_cannot_describe_says_why(
    captions: Captioning, photos: list[Path], tagger: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        captions.suggest(photos, tagger)


def test_settings_that_cannot_be_are_refused(captions: Captioning, photos: list[Path]) -> None:
    with pytest.raises(InvalidSettings, match="tag_from must be in"):
        captions.suggest(photos, "deepdanbooru", settings={"tag_from": 2})


def test_a_job_gets_copies_and_answers_by_file_name(studio: Studio, photos: list[Path]) -> None:
    with_wd14(studio)
    job = studio.captions.start(photos, "wd14", trigger="sks man", title="Anna", user_id="lan")
    view = studio.queue.wait(job.id, 30)
    assert view.status.state is State.SUCCEEDED and view.job.kind == "caption"
    assert (view.job.title, view.job.user_id) == ("Anna", "lan")
    assert view.result == {
        "captions": {photo.name: str(photo.stat().st_size) for photo in photos}, "skipped": {},
    }  # fmt: skip
    assert view.job.payload["tagger"] == "wd14-vit"


@pytest.mark.parametrize(
    ("tagger", "error"),
    [("blip", WeightsMissing), ("deepdanbooru", WrongState), ("template", WrongState), ("x", NotFound)],
)
def test_a_job_that_cannot_work_is_refused_before_it_starts(
    studio: Studio, photos: list[Path], tagger: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        studio.captions.start(photos, tagger)
    assert studio.jobs.views() == []


def test_a_job_needs_the_trainer(studio: Studio, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise TrainerMissing("It is not set up.")

    with_wd14(studio)
    monkeypatch.setattr(studio.host, "trainer", missing)
    with pytest.raises(TrainerMissing):
        studio.captions.start(photos, "wd14")


def test_a_job_without_a_name_is_called_after_its_photos(studio: Studio, photos: list[Path]) -> None:
    with_wd14(studio)
    assert studio.captions.start(photos, "wd14").title == "01.jpg … 02.jpg"
    assert studio.captions.start(photos[:1], "wd14").title == "01.jpg"
    with pytest.raises(TooFewPhotos):
        studio.captions.start([], "wd14")


def test_captions_of_a_person_are_erased_with_the_person(studio: Studio, photos: list[Path]) -> None:
    with_wd14(studio)
    avatar = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="yes")
    studio.avatars.save(avatar)
    jobs = [studio.captions.start(photos, "wd14", title=title, user_id=user) for title, user in (
        ("Anna", "local"), ("Anna", "lan"), ("Bo", "local"),
    )]
    for job in jobs:
        studio.queue.wait(job.id, 30)
    assert studio.delete_avatar(avatar.id)["left"] == []
    assert {view.job.id for view in studio.jobs.views()} == {job.id for job in jobs[1:]}


def test_no_copy_of_a_photo_outlives_a_job_that_never_began(studio: Studio, photos: list[Path]) -> None:
    with_wd14(studio)
    job = studio.jobs.create(CAPTION, {}, title="Anna", user_id="local", avatar_id="", files={"0000": photos[0]})
    assert (studio.jobs.folder(job.id) / "photos" / "0000").is_file()
    assert studio.queue.cancel(job.id).status.state is State.CANCELLED
    assert not (studio.jobs.folder(job.id) / "photos").exists()


def test_an_unwanted_job_is_ended_and_erased(studio: Studio, photos: list[Path]) -> None:
    job = studio.jobs.create(CAPTION, {}, title="Anna", user_id="local", avatar_id="", files={"0000": photos[0]})
    studio.captions.drop(job.id)
    studio.captions.drop(job.id)
    assert studio.jobs.views() == []


def test_what_was_described_before_it_had_a_name_is_erased_with_the_person(
    studio: Studio, photos: list[Path]
) -> None:
    avatar = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="yes")
    studio.avatars.save(avatar)
    jobs = [
        studio.jobs.create(CAPTION, {}, title="Captions", user_id="local", avatar_id="", files={"0000": photos[0]})
        for _ in range(3)
    ]
    for job in jobs:
        studio.queue.cancel(job.id)
    drafts = studio.host.folders().data / "drafts"
    write_json(drafts / "a1" / "draft.json", {"name": "Anna", "caption_jobs": [jobs[0].id], "caption_job": jobs[1].id})
    write_json(drafts / "b2" / "draft.json", {"name": "Bo", "caption_jobs": [jobs[2].id]})
    assert studio.delete_avatar(avatar.id)["left"] == []
    assert [view.job.id for view in studio.jobs.views()] == [jobs[2].id] and not (drafts / "a1").exists()


def test_names_are_told_apart() -> None:
    assert names_of([Path("a/1.jpg"), Path("b/1.jpg"), Path("2.jpg")]) == ("1.jpg", "2-1.jpg", "2.jpg")


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(captions: Captioning, photos: list[Path]) -> None:
    caption_file(photos[0]).write_text("mine")
    said = dict.fromkeys(photos, "a\nphoto ")
    assert captions.write(said) == {photos[0]: False, photos[1]: True}
    assert captions.read(photos).captions == {photos[0]: "mine", photos[1]: "a photo"}
    assert captions.write(said, overwrite=True) == dict.fromkeys(photos, True)
    assert caption_file(photos[0]).read_bytes() == b"a photo\n"
    assert sorted(path.suffix for path in photos[0].parent.iterdir()) == [".jpg", ".jpg", ".txt", ".txt"]


def test_a_file_that_is_no_text_is_a_problem(captions: Captioning, photos: list[Path]) -> None:
    caption_file(photos[0]).write_bytes(b"\xff\x00caf\xe9")
    found = captions.read(photos)
    assert found.captions == {} and "not written in UTF-8" in found.problems[photos[0]]


def test_faults_are_a_document_and_mended(captions: Captioning) -> None:
    found, mended = captions.lint({"1.jpg": "a man with a beard and a hat"}, "sks man", "man")
    assert mended == {"1.jpg": "sks man with a hat"}
    (identity, missing) = to_document(found)
    assert (identity["code"], identity["words"], identity["mended"]) == ("IDENTITY", ["a beard"], "a man with a hat")
    assert missing["code"] == "TRIGGER_MISSING" and missing["why"]
