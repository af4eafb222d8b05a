"""More pictures like one: the request that made it, once more."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Consent, Style, to_json
from personal_avatar.errors import WrongState
from personal_avatar.jobs.store import Job
from personal_avatar.studio import CreateRequest
from personal_avatar.studio.again import request_like
from personal_avatar.studio.creating import CreateTask
from personal_avatar.studio.oneshot import KeptNeighbour, Neighbour, OneShot
from personal_avatar.studio.sitters import planned
from personal_avatar.studio.works import CREATE

STYLES = (Style("oil", "Oil", "{subject} in oil"), Style("prompt", "Prompt", "{subject} on the moon", "clouds"))
TASK = CreateTask("anna", STYLES, {"count": 9, "seed": 7, "steps": 12})


def job(task: CreateTask) -> Job:
    return Job("a", CREATE, "Anna", "u1", task.avatar_id, 0.0, to_json(task))


def test_the_settings_stay_but_the_seed_and_the_count() -> None:
    wish = request_like(job(TASK), "oil", Path("/jobs/a"), 4)
    assert (wish.avatar_id, wish.user_id, wish.styles, wish.prompt) == ("anna", "u1", ("oil",), "")
    assert wish.settings == {"count": 4, "seed": -1, "steps": 12}


def test_a_prompt_of_the_users_own_is_one_again() -> None:
    wish = request_like(job(TASK), "prompt", Path("/jobs/a"), 4)
    assert (wish.styles, wish.prompt, wish.negative_prompt) == ((), "{subject} on the moon", "clouds")


def test_the_trained_file_that_was_chosen_is_used_again() -> None:
    chosen = replace(TASK, one_shot=replace(TASK.one_shot, file="lora"))
    assert request_like(job(chosen), "oil", Path("/jobs/a"), 4).file == "lora"


def test_a_style_that_the_job_does_not_know_is_named() -> None:
    with pytest.raises(WrongState, match="not known how"):
        request_like(job(TASK), "gone", Path("/jobs/a"), 4)


def test_photos_consent_and_neighbours_are_those_of_the_job(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("00.jpg", "person2-00.jpg", "image.jpg"):
        (folder / name).write_bytes((samples / "01.jpg").read_bytes())
    one = OneShot(
        ("00.jpg",), {"method": "faceid"}, image="image.jpg", strength=0.4, class_noun="man",
        consent=Consent("Both agreed.", "u1", "2026-01-01T00:00:00Z"), box=(0.0, 0.0, 0.5, 1.0),
        neighbours=(KeptNeighbour(("person2-00.jpg",), "woman", (0.5, 0.0, 1.0, 1.0)),),
    )
    wish = request_like(job(replace(TASK, avatar_id="", one_shot=one)), "oil", tmp_path, 2)
    assert wish.references == (folder / "00.jpg",) and wish.image == folder / "image.jpg"
    assert wish.neighbours == (Neighbour((folder / "person2-00.jpg",), "woman", (0.5, 0.0, 1.0, 1.0)),)
    again, _ = planned(wish, has_avatar=False)
    assert replace(again, consent=one.consent) == one
    assert again.consent is not None and again.consent.statement == "Both agreed."


def test_the_person_of_a_run_from_one_image_stays_the_one_in_that_image(samples: Path, tmp_path: Path) -> None:
    wish = CreateRequest(image=samples / "01.jpg", consent="I agreed.", styles=("oil",))
    one, files = planned(wish, has_avatar=False)
    (tmp_path / "photos").mkdir()
    for name, path in files.items():
        (tmp_path / "photos" / name).write_bytes(path.read_bytes())
    again = request_like(job(replace(TASK, avatar_id="", one_shot=one)), "oil", tmp_path, 2)
    painted = samples / "02.jpg"
    _, kept = planned(replace(again, image=painted), has_avatar=False)
    assert [path.read_bytes() for path in (kept["00.jpg"], kept["image.jpg"])] == [
        (samples / "01.jpg").read_bytes(), painted.read_bytes()
    ]
