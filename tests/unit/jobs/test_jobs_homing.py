"""A data folder that was copied or moved: its jobs work in the one where they are now, and nowhere else."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from personal_avatar import publishing
from personal_avatar.domain import to_json
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.jobs.homing import homed
from personal_avatar.jobs.store import JobStore
from personal_avatar.worker.main import work

Move = Callable[[Path, Path], object]
MOVES = pytest.mark.parametrize("move", [shutil.copytree, shutil.move])


def task(data: Path, **others: Any) -> dict[str, Any]:
    outside = data.parent
    return {
        "avatar_folder": data / "avatars" / "anna", "photos": [data / "avatars" / "anna" / "photos" / "1.jpg"],
        "base": {"path": data / "models" / "checkpoints" / "base.safetensors", "vae": outside / "vae.pt"},
        "publish_to": data / "models" / "loras", "weights_folder": data / "weights", "cache": data / "cache",
        "beside": [outside / "webui" / "Lora", outside / f"{data.name}-2" / "loras"], "language": "en", **others,
    }


def asked(data: Path, payload: dict[str, Any], kind: str = "train") -> str:
    labels = {"title": "t", "user_id": "u", "avatar_id": "anna"}
    return JobStore(data / "jobs").create(kind, to_json(payload), **labels).id


def payload_in(data: Path, job_id: str) -> Any:
    return JobStore(data / "jobs").job(job_id).payload


@MOVES
@pytest.mark.parametrize("nested", [False, True])
def test_paths_of_a_training_in_the_data_folder_follow_it_and_others_stay(
    tmp_path: Path, move: Move, nested: bool
) -> None:
    old, new = tmp_path / "data", tmp_path / "else" / "where"
    wrapped = (lambda one: {"training": one, "identity_cache": one["cache"]}) if nested else (lambda one: one)
    job_id = asked(old, wrapped(task(old)))
    move(old, new)
    expected = {**task(new), **{name: task(old)[name] for name in ("beside",)}}
    expected["base"] = {**expected["base"], "vae": tmp_path / "vae.pt"}
    assert payload_in(new, job_id) == to_json(wrapped(expected))


def test_the_original_of_a_copy_works_on_in_its_own_folder(tmp_path: Path) -> None:
    job_id = asked(tmp_path / "data", task(tmp_path / "data"))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert payload_in(tmp_path / "data", job_id) == to_json(task(tmp_path / "data"))


def test_where_results_lie_outside_of_the_data_folder_they_go_on_doing_so(tmp_path: Path) -> None:
    job_id = asked(tmp_path / "data", task(tmp_path / "data", publish_to=tmp_path / "webui" / "Lora"))
    shutil.move(tmp_path / "data", tmp_path / "new")
    assert payload_in(tmp_path / "new", job_id)["publish_to"] == str(tmp_path / "webui" / "Lora")


def test_a_data_folder_that_is_reached_by_a_link_has_not_moved(tmp_path: Path) -> None:
    job_id = asked(tmp_path / "data", task(tmp_path / "data"))
    (tmp_path / "link").symlink_to(tmp_path / "data", target_is_directory=True)
    assert payload_in(tmp_path / "link", job_id) == to_json(task(tmp_path / "data"))


def test_paths_of_another_system_are_found_again(tmp_path: Path) -> None:
    job_id = asked(tmp_path, {"weights_folder": r"C:\pa\weights", "avatar_folder": r"C:\pa\avatars\anna",
                              "photos": [r"C:\pa\avatars\anna\photos\1.jpg", r"D:\mine\2.jpg"]})
    there = [str(tmp_path / "avatars" / "anna" / "photos" / "1.jpg"), r"D:\mine\2.jpg"]
    assert payload_in(tmp_path, job_id)["photos"] == there


def test_on_another_machine_paths_stay_as_they_were_handed_there(tmp_path: Path) -> None:
    there = tmp_path / "job"
    there.mkdir()
    payload = to_json(task(tmp_path / "home"))
    (there / "job.json").write_text(json.dumps({"id": "1", "kind": "train", "payload": payload}))
    assert homed(payload, there) == payload


@MOVES
def test_the_worker_is_given_the_paths_of_the_folder_in_which_it_works(tmp_path: Path, move: Move) -> None:
    old, new, given = tmp_path / "data", tmp_path / "new", []
    job_id = asked(old, task(old))
    move(old, new)
    folder = new / "jobs" / job_id

    def kind(payload: dict[str, Any]) -> Callable[..., dict[str, Any]]:
        given.append(payload["publish_to"])
        return lambda *_: {}

    assert work(folder, EventWriter(folder), Control(folder), {"train": kind}) == 0
    assert given == [str(new / "models" / "loras")]


@MOVES
def test_what_was_half_published_is_looked_for_in_the_folder_of_now(tmp_path: Path, move: Move) -> None:
    old, new = tmp_path / "data", tmp_path / "new"
    folder, loras = old / "jobs" / asked(old, task(old)), old / "models" / "loras"
    loras.mkdir(parents=True)
    (loras / ".anna.safetensors.0123abcd.part").touch()
    publishing.note(folder, loras / "anna.safetensors", {})
    move(old, new)
    found = publishing.begun(new / "jobs" / folder.name)
    assert found == [new / "models" / "loras" / ".anna.safetensors.0123abcd.part"]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"payload": 1}', '{"payload": {"weights_folder": 1}}'])
def test_nothing_is_made_of_a_damaged_job(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "jobs" / "1"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(text)
    assert homed({"file": "/data/a"}, folder) == {"file": "/data/a"}
