"""An avatar whose trained file is not here says so before anything starts; its photos still serve."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Avatar, Checkpoint, Engine, Method
from personal_avatar.errors import WrongState
from personal_avatar.host import Folders
from personal_avatar.jobs.events import Log
from personal_avatar.studio import CreateRequest, Studio, TrainRequest
from personal_avatar.studio.inventing import InventRequest
from personal_avatar.studio.oneshot import OneShot
from personal_avatar.studio.restoring import RestoreRequest
from personal_avatar.studio.sitters import _painted_with
from personal_avatar.studio.trained import lies_here

from tests.unit.api.house import GOOD, build_studio

pytestmark = pytest.mark.slow

NEXT_BEST = (
    "anna.safetensors, the best trained file of Anna, is no longer here: the next best is used, anna-2.safetensors "
    "(lora, kohya)."
)
PAINT = CreateRequest(avatar_id="anna", prompt="a portrait", settings={"count": 1, "restore": False})


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    made = build_studio(tmp_path / "data", face_weights)
    job = made.trainings.start(TrainRequest("Anna", (GOOD[0],), "woman", consent="she agreed"))
    made.queue.wait(job.id, 30)
    return made


def state(studio: Studio) -> str:
    return str(studio.told_of([studio.avatars.load("anna")])[0]["state"])


def best(avatar: Avatar) -> Checkpoint:
    assert avatar.best is not None
    return avatar.best


def test_an_avatar_that_was_copied_without_its_file_says_what_is_missing(
    studio: Studio, tmp_path: Path, face_weights: Path
) -> None:
    """Its file lies in the other data folder, where this one's host does not look."""
    other = build_studio(tmp_path / "copy", face_weights)
    shutil.copytree(studio.avatars.folder("anna"), tmp_path / "copy" / "avatars" / "anna")
    assert (state(studio), state(other)) == ("ready", "lost")
    for refused in (lambda: other.create(PAINT), lambda: other.invention.start(InventRequest(avatar_id="anna"))):
        with pytest.raises(WrongState, match="anna.safetensors, the trained file of Anna, is not here") as told:
            refused()
        assert "Copy it" in told.value.hint and "LoRAs" in told.value.hint
    assert other.jobs.ids() == []
    shutil.copy(best(studio.avatars.load("anna")).path, other.host.folders().loras / "anna.safetensors")
    assert state(other) == "ready"


def test_photos_serve_where_the_file_is_lost(studio: Studio) -> None:
    avatar = studio.avatars.load("anna")
    assert _painted_with(studio, avatar, OneShot(identity={}))[0] is not None
    best(avatar).path.unlink()
    assert _painted_with(studio, avatar, OneShot(identity={}))[0] is None


def with_another(studio: Studio) -> tuple[Checkpoint, Checkpoint]:
    """The best file, and one that comes after it."""
    avatar = studio.avatars.load("anna")
    ours = best(avatar)
    assert ours.scores is not None
    path = shutil.copy(ours.path, ours.path.with_name("anna-2.safetensors"))
    likeness = replace(ours.scores.likeness, after=ours.scores.likeness.after - 0.1)
    other = replace(ours, path=path, scores=replace(ours.scores, likeness=likeness), engine=Engine.KOHYA)
    studio.avatars.save(avatar.with_checkpoints((other,)))
    assert studio.avatars.load("anna").best == ours
    return ours, other


@pytest.mark.parametrize("wanted", ["", "lora"])
def test_where_the_best_file_is_gone_the_next_best_serves_and_that_is_told(studio: Studio, wanted: str) -> None:
    ours, other = with_another(studio)
    assert _painted_with(studio, studio.avatars.load("anna"), OneShot(file=wanted))[0] == ours
    ours.path.unlink()
    assert state(studio) == "ready"
    (told,) = studio.told_of([studio.avatars.load("anna")])
    assert [one["file"] for one in told["checkpoints"] if one["used"]] == [other.path.name]
    view = studio.queue.wait(studio.create(replace(PAINT, file=wanted)).id, 60)
    assert "<lora:anna-2:" in studio.host.requests[-1].prompt  # type: ignore[attr-defined]
    assert told_by(studio, view.job.id) == [NEXT_BEST]
    with pytest.raises(WrongState, match="anna.safetensors, the trained file of Anna, is not here"):
        studio.create(replace(PAINT, file="anna.safetensors"))


def told_by(studio: Studio, job_id: str) -> list[str]:
    """What a job says of a file that is gone."""
    said = (record.event.message for record in studio.events(job_id) if isinstance(record.event, Log))
    return [sentence for sentence in said if "is no longer here" in sentence]


def test_inventing_tells_that_the_best_file_is_gone(studio: Studio) -> None:
    ours, _ = with_another(studio)
    wanted = InventRequest(avatar_id="anna", count=4, keep=3)
    assert told_by(studio, studio.queue.wait(studio.invention.start(wanted).id, 60).job.id) == []
    ours.path.unlink()
    view = studio.queue.wait(studio.invention.start(wanted).id, 60)
    assert "<lora:anna-2:" in studio.host.requests[-1].prompt  # type: ignore[attr-defined]
    assert told_by(studio, view.job.id) == [NEXT_BEST]


def test_a_second_pass_tells_that_the_best_file_is_gone(studio: Studio) -> None:
    ours, _ = with_another(studio)
    wanted = RestoreRequest(GOOD[:1], avatar_id="anna", settings={"second_pass": True})
    assert told_by(studio, studio.queue.wait(studio.restoring.start(wanted).id, 60).job.id) == []
    ours.path.unlink()
    assert told_by(studio, studio.queue.wait(studio.restoring.start(wanted).id, 60).job.id) == [NEXT_BEST]


@pytest.mark.parametrize(("method", "folder"), [
    (Method.LORA, "loras"), (Method.DREAMBOOTH_LORA, "more"), (Method.TEXTUAL_INVERSION, "embeddings"),
    (Method.DREAMBOOTH, "checkpoints"),
])
def test_files_are_looked_for_by_name_where_their_kind_belongs(
    studio: Studio, tmp_path: Path, method: Method, folder: str
) -> None:
    places = {name: tmp_path / name for name in ("loras", "more", "embeddings", "checkpoints")}
    folders = Folders(tmp_path, places["loras"], places["embeddings"], places["checkpoints"],
                      more_loras=(places["more"],))
    point = replace(best(studio.avatars.load("anna")), method=method)
    assert not lies_here(point, folders)
    (places[folder] / "people").mkdir(parents=True)
    (places[folder] / "people" / point.path.name).touch()
    assert lies_here(point, folders)
