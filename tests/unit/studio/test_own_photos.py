"""An avatar's own photos are those that it was trained on: what was left out or refused is neither kept nor used."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Avatar, Method, PhotoChoice
from personal_avatar.errors import TooFewPhotos
from personal_avatar.jobs.states import State
from personal_avatar.storage import sha256_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.oneshot import OneShot
from personal_avatar.studio.sitters import _photos

from tests.unit.api.house import GOOD, LEARN, SAMPLES, build_studio
from tests.unit.jobs.children import PATIENT

pytestmark = pytest.mark.slow

STRANGER, TEXT = SAMPLES / "someone-else.jpg", SAMPLES / "README.md"
REQUEST = TrainRequest("Dora", (*GOOD[:2], STRANGER, TEXT), "woman", consent="she agreed")
# Accepts what was given first and second, and says so as trainings do.
ACCEPT_TWO = """
import hashlib as hashing, json as notes
asked = notes.loads((folder / "job.json").read_text(encoding="utf-8"))["payload"]
taken = [hashing.sha256(Path(photo).read_bytes()).hexdigest() for photo in asked["photos"]][:2]
home = Path(asked["avatar_folder"]) / "dataset"
home.mkdir(parents=True, exist_ok=True)
samples = [{"source_sha256": sha256} for sha256 in taken]
(home / "manifest.json").write_text(notes.dumps({"dataset": {"samples": samples[:1], "held_out": samples[1:]}}))
"""
Make = Callable[..., Studio]


@pytest.fixture()
def make(tmp_path: Path, face_weights: Path) -> Make:
    return lambda learn=ACCEPT_TWO + LEARN: build_studio(tmp_path / "data", face_weights, learn)


def trained(studio: Studio, request: TrainRequest = REQUEST) -> Avatar:
    job = studio.trainings.start(request)
    assert studio.queue.wait(job.id, 30).status.state is State.SUCCEEDED
    return studio.avatars.load(job.avatar_id)


def files(studio: Studio) -> list[str]:
    return sorted(path.name for path in (studio.avatars.folder("dora") / "photos").iterdir())


def test_photos_that_were_left_out_are_neither_copied_nor_agreed_to(make: Make) -> None:
    out = {sha256_of(STRANGER): PhotoChoice(take=False), sha256_of(GOOD[0]): PhotoChoice(take=True)}
    studio = make(PATIENT)
    job = studio.trainings.start(replace(REQUEST, photos=(*GOOD[:2], STRANGER), choices=out))
    assert [Path(photo).name[:2] for photo in job.payload["photos"]] == ["01", "02"]
    assert len(files(studio)) == 2 and len(studio.avatars.photos("dora")) == 2
    consent = studio.avatars.load("dora").consent
    assert consent is not None and consent.photo_sha256 == tuple(map(sha256_of, GOOD[:2]))
    studio.queue.cancel(job.id)


def test_nothing_is_begun_when_all_photos_were_left_out(make: Make) -> None:
    studio = make(PATIENT)
    with pytest.raises(TooFewPhotos, match="All photos were left out"):
        studio.trainings.start(replace(REQUEST, photos=(STRANGER,), choices={sha256_of(STRANGER): PhotoChoice(False)}))
    assert studio.avatars.all() == [] and studio.jobs.ids() == []


def test_photos_that_a_training_refused_are_erased_when_it_has_ended(make: Make, tmp_path: Path) -> None:
    (given := tmp_path / "stranger.jpg").write_bytes(STRANGER.read_bytes())
    given.with_suffix(".txt").write_text("a man")
    studio = make()
    avatar = trained(studio, replace(REQUEST, photos=(*GOOD[:2], given, TEXT)))
    assert len(files(studio)) == 2
    (told,) = studio.told_of([avatar])
    assert told["photos"] == 2
    assert avatar.consent is not None and avatar.consent.photo_sha256 == tuple(map(sha256_of, GOOD[:2]))


def test_photos_stay_as_long_as_another_job_needs_them(make: Make) -> None:
    studio = make(ACCEPT_TWO + LEARN.replace("emit(Progress(1, 2", (
        'if payload["method"] != "lora":\n    while not (folder / "control" / "cancel").exists(): time.sleep(0.02)\n'
        "    sys.exit(1)\nemit(Progress(1, 2"), 1))
    request = replace(REQUEST, plan={"min_photos": 2})
    first, second = studio.comparing.start(request, (Method.LORA, Method.TEXTUAL_INVERSION)).jobs
    assert studio.queue.wait(first.id, 30).status.state is State.SUCCEEDED
    assert len(files(studio)) == 4 and all(Path(photo).is_file() for photo in second.payload["photos"])
    assert len(studio.avatars.photos("dora")) == 2, "but nobody is shown them"
    studio.queue.cancel(second.id)
    studio.queue.wait(second.id, 30)


def test_what_earlier_versions_kept_besides_is_not_shown(make: Make) -> None:
    """A folder of before holds all that was given; its dataset tells what was used."""
    studio = make(LEARN)
    avatar = replace(trained(studio), photos=())
    studio.avatars.save(avatar)
    assert len(studio.avatars.photos(avatar.id)) == 4, "nothing tells which"
    told = [{"source_sha256": sha256_of(path)} for path in GOOD[:2]]
    folder = studio.avatars.folder(avatar.id) / "dataset"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"dataset": {"samples": told, "held_out": []}}))
    assert [photo.name[:2] for photo in studio.avatars.photos(avatar.id)] == ["01", "02"]
    (folder / "manifest.json").write_text("{")
    assert len(studio.avatars.photos(avatar.id)) == 4


def test_what_is_no_picture_does_not_keep_the_others_from_being_shown(make: Make) -> None:
    studio = make(LEARN)
    avatar = trained(studio, replace(REQUEST, photos=(TEXT, *GOOD[:2])))
    assert [photo.name[:2] for photo in _photos(studio, avatar, OneShot(), {})] == ["02", "03"]
    judge = studio.restoring.judge(avatar)
    other = replace(avatar, recogniser="another one")
    assert studio.restoring.person(other, judge).vectors[0] is not None
