"""What jobs are called on the page."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Checkpoint, Consent, Family, Method
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobView, Status
from personal_avatar.studio.works import CREATE, INVENT, RANK, RESTORE
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.people import agreed_html, damaged_html
from personal_avatar.ui.scene import JobWatch, Scene

from tests.unit.api.house import build_studio


@pytest.mark.parametrize(("kind", "titles"), [
    (CREATE, ("One photo", "Một ảnh", "单张照片")),
    (RANK, ("Rank", "Xếp hạng", "排名")),
    (RESTORE, ("Restored pictures", "Ảnh đã phục hồi", "修复的图片")),
    (INVENT, ("Mia",) * 3),
    (CAPTION, ("Mia",) * 3),
])
def test_a_job_of_nobody_who_has_a_name_is_called_by_what_it_does(
    tmp_path: Path, face_weights: Path, kind: str, titles: tuple[str, ...]
) -> None:
    desk = Desk(build_studio(tmp_path / "data", face_weights), ask_folder=True)
    for language, title in zip(("en", "vi", "zh"), titles, strict=True):
        scene = Scene(desk.studio, desk, JobWatch(desk.studio), language, "b1" * 16, {})
        for avatar_id, wanted in (("", title), ("mia", "Mia")):
            view = JobView(Job("job", kind, "Mia", "local", avatar_id, 0.0, {}), Status(State.QUEUED))
            assert scene.title(view) == wanted


def test_who_agreed_stands_with_the_person_the_newest_statement_first(tmp_path: Path, face_weights: Path) -> None:
    desk = Desk(build_studio(tmp_path / "data", face_weights), ask_folder=True)
    avatar = desk.studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="<she> agreed")
    avatar = avatar.agreed(Consent("she agreed again", "Otto", "2026-11-20T12:00:00+00:00", ("a" * 64, "b" * 64)))
    point = Checkpoint(tmp_path / "anna.safetensors", "", 5, Method.LORA, Family.SD1, avatar.trigger)
    desk.studio.avatars.save(replace(avatar, checkpoints=(point,)))
    wanted = {"en": "Otto, 2 photos: she agreed again", "vi": "Otto, 2 ảnh: she", "zh": "Otto，2 张照片：she"}
    for language, newest in wanted.items():
        scene = Scene(desk.studio, desk, JobWatch(desk.studio), language, "b1" * 16, {"avatar": "Anna"})
        said = agreed_html(scene)
        assert 0 < said.index(newest) < said.index("&lt;she&gt; agreed")
    nobody = Scene(desk.studio, desk, JobWatch(desk.studio), "en", "b1" * 16, {"avatar": None})
    assert "Consent on record: 2" in agreed_html(nobody), "the one who is proposed"


def test_somebody_whose_file_is_damaged_is_named_with_what_can_be_done(tmp_path: Path, face_weights: Path) -> None:
    desk = Desk(build_studio(tmp_path / "data", face_weights), ask_folder=True)

    def said(language: str) -> str:
        return damaged_html(Scene(desk.studio, desk, JobWatch(desk.studio), language, "b1" * 16, {}))

    avatar = desk.studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="she agreed")
    desk.studio.avatars.save(avatar)
    assert said("en") == ""
    (desk.studio.avatars.folder(avatar.id) / "avatar.json").write_text("{")
    for language, title in {"en": "Not in the list: anna", "vi": "danh sách: anna", "zh": "不在列表中：anna"}.items():
        assert title in said(language) and "avatars/anna" in said(language)
    assert "avatars erase anna --data" in said("en")
