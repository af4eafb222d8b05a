"""What an avatar was trained on stays until a training on other photos has succeeded."""
from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Avatar, Method, from_json
from personal_avatar.jobs.endings import STATE_COMPLETE, STATE_FOLDER
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.photos import kohya
from personal_avatar.storage import sha256_of, write_json
from personal_avatar.studio import Studio, TrainRequest, results
from personal_avatar.training.planning.plan import ORIGINS
from personal_avatar.training.planning.task import TrainTask
from PIL import Image

from tests.unit.api.house import GOOD, LEARN, build_studio, failing

pytestmark = pytest.mark.slow

BEA = TrainRequest("Bea", tuple(GOOD[:3]), "man", consent="Bea agreed.")
OTHER = replace(BEA, photos=(GOOD[3], GOOD[0]), class_noun="woman", consent="Another one agreed.")
# Whose dataset was made of the new photos before it failed, one of which the avatar has, too.
SPOILING = """
import hashlib, json
asked = json.loads((folder / "job.json").read_text(encoding="utf-8"))["payload"]
home = Path(asked["avatar_folder"]) / "dataset"
home.mkdir(exist_ok=True)
told = [{"source_sha256": hashlib.sha256(Path(photo).read_bytes()).hexdigest()} for photo in asked["photos"]]
(home / "manifest.json").write_text(json.dumps({"dataset": {"samples": told, "held_out": []}}))
emit(Failed({"code": "OUT_OF_VRAM", "message": "8 GB were not enough.", "hint": "Try rank=8."}))
sys.exit(1)
"""
LEAVING = """
state.parent.mkdir(exist_ok=True)
state.write_text("{}")
emit(Failed({"code": "OUT_OF_VRAM", "message": "8 GB were not enough.", "hint": "Try rank=8."}))
sys.exit(1)
"""


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


def trained(studio: Studio, request: TrainRequest, state: State = State.SUCCEEDED, learn: str = LEARN) -> Job:
    studio.host.learn = learn  # type: ignore[attr-defined]
    job = studio.trainings.start(request)
    assert studio.queue.wait(job.id, 30).status.state is state
    return job


def files(studio: Studio) -> list[str]:
    return sorted(path.name for path in (studio.avatars.folder("bea") / "photos").iterdir())


def eventually(check: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not check() and time.monotonic() < end:
        time.sleep(0.02)
    return check()


def is_as_before(studio: Studio, before: Avatar) -> bool:
    return (
        studio.avatars.load("bea") == before
        and tuple(map(sha256_of, studio.avatars.photos("bea"))) == tuple(map(sha256_of, BEA.photos))
        and len(files(studio)) == len(BEA.photos)
    )


def waiting(studio: Studio, request: TrainRequest) -> Job:
    studio.queue._serves = False
    return studio.trainings.start(request)


def test_a_training_that_is_cancelled_while_it_waits_leaves_all_as_it_was(studio: Studio) -> None:
    trained(studio, BEA)
    before = studio.avatars.load("bea")
    job = waiting(studio, OTHER)
    assert studio.avatars.load("bea") == before and len(studio.avatars.photos("bea")) == 3
    assert all(Path(photo).is_file() for photo in job.payload["photos"]) and len(files(studio)) == 5
    assert job.payload["avatar"]["consent"]["statement"] == "Another one agreed."
    assert job.payload["avatar"]["consent"]["photo_sha256"] == [*map(sha256_of, OTHER.photos)]
    studio.queue.cancel(job.id)
    assert is_as_before(studio, before)
    assert studio.told_of([before])[0]["photos"] == 3


@pytest.mark.parametrize("learn", [failing("lora"), SPOILING])
def test_a_training_that_fails_leaves_all_as_it_was(studio: Studio, learn: str) -> None:
    trained(studio, BEA)
    before = studio.avatars.load("bea")
    trained(studio, OTHER, State.FAILED, learn)
    assert eventually(lambda: is_as_before(studio, before))


def test_photos_of_an_avatar_of_an_earlier_version_stay_too(studio: Studio) -> None:
    trained(studio, BEA)
    studio.avatars.save(replace(studio.avatars.load("bea"), photos=()))
    trained(studio, OTHER, State.FAILED, SPOILING)
    assert eventually(lambda: is_as_before(studio, studio.avatars.load("bea")))


def test_a_training_that_succeeds_takes_photos_class_and_consent_with_it(studio: Studio) -> None:
    trained(studio, BEA)
    job = trained(studio, OTHER)
    avatar = studio.avatars.load("bea")
    assert (avatar.class_noun, avatar.trigger, avatar.job_id) == ("woman", "sks woman", job.id)
    assert [one.statement for one in avatar.consents] == ["Bea agreed.", "Another one agreed."]
    assert avatar.consent is not None and avatar.consent.photo_sha256 == tuple(map(sha256_of, OTHER.photos))
    assert [*map(sha256_of, studio.avatars.photos("bea"))] == [*map(sha256_of, OTHER.photos)]
    assert len(files(studio)) == 2


def test_a_comparison_takes_the_photos_once(studio: Studio) -> None:
    trained(studio, BEA)
    few = replace(OTHER, plan={"min_photos": 2})
    for job in studio.comparing.start(few, (Method.LORA, Method.TEXTUAL_INVERSION)).jobs:
        assert studio.queue.wait(job.id, 60).status.state is State.SUCCEEDED
    assert [one.statement for one in studio.avatars.load("bea").consents] == ["Bea agreed.", "Another one agreed."]
    assert len(files(studio)) == 2


def test_a_failed_training_that_can_be_resumed_keeps_its_photos_whatever_is_trained_since(studio: Studio) -> None:
    studio.queue.wait(studio.trainings.start(BEA).id, 30)
    failed = trained(studio, OTHER, State.FAILED, LEAVING)
    trained(studio, replace(BEA, photos=(GOOD[4],)))
    assert all(Path(photo).is_file() for photo in failed.payload["photos"])
    assert len(studio.avatars.photos("bea")) == 1 and studio.avatars.load("bea").class_noun == "man"
    studio.host.learn = LEARN  # type: ignore[attr-defined]
    studio.queue.resume(failed.id)
    assert studio.queue.wait(failed.id, 30).status.state is State.SUCCEEDED
    assert len(studio.avatars.photos("bea")) == len(files(studio)) == 2
    avatar = studio.avatars.load("bea")
    assert avatar.class_noun == "woman" and len(avatar.consents) == 3


def dataset_of(folder: Path, repeats: int) -> tuple[Path, ...]:
    """The photos of Bea as a kohya dataset with masks."""
    home = folder / f"{repeats}_ohwx man"
    home.mkdir(parents=True)
    (folder / "masks").mkdir()
    for photo in BEA.photos:
        shutil.copy(photo, home)
        Image.new("L", (64, 64), repeats).save(folder / "masks" / f"{photo.stem}.png")
    return tuple(sorted(home.iterdir()))


def known(job: Job) -> list[tuple[int, bytes]]:
    """What the work of a training finds of the kohya dataset that it was asked for with."""
    task = from_json(TrainTask, job.payload)
    found = kohya.kept(task.avatar_folder / ORIGINS / task.origins)
    return [(one.repeats, one.mask.read_bytes() if one.mask else b"") for one in found.values()]


@pytest.mark.parametrize("repeats", [0, 7])
def test_a_failed_training_that_can_be_resumed_keeps_its_repeats_and_masks_whatever_is_asked_for_since(
    studio: Studio, tmp_path: Path, repeats: int
) -> None:
    """Since: other photos, or the same with other repeats and masks."""
    failed = trained(studio, replace(BEA, photos=dataset_of(tmp_path / "first", 5)), State.FAILED, LEAVING)
    before = known(failed)
    assert [one for one, _ in before] == [5, 5, 5] and all(mask for _, mask in before)
    since = replace(BEA, photos=dataset_of(tmp_path / "since", repeats)) if repeats else OTHER
    other = waiting(studio, since)
    assert [one for one, _ in known(other)] == [repeats] * (3 if repeats else 0)
    studio.queue.cancel(other.id)
    assert studio.queue.can_go_on(studio.jobs.view(failed.id)) and known(failed) == before
    assert known(other) == []


def test_repeats_and_masks_go_with_the_last_training_that_needs_them(studio: Studio, tmp_path: Path) -> None:
    job = waiting(studio, replace(BEA, photos=dataset_of(tmp_path / "first", 5)))
    assert len(known(job)) == 3
    studio.queue.cancel(job.id)
    assert known(job) == [] and not (studio.avatars.folder("bea") / ORIGINS).exists()


def test_what_a_job_needed_that_was_deleted_since_goes_with_the_next_training(studio: Studio) -> None:
    trained(studio, BEA)
    job = waiting(studio, OTHER)
    write_json(studio.jobs.folder(job.id) / STATE_FOLDER / STATE_COMPLETE, {})
    studio.jobs.move(job.id, State.FAILED)
    studio.jobs.delete(job.id)
    assert len(files(studio)) == 5
    studio.queue.cancel(waiting(studio, BEA).id)
    assert len(files(studio)) == 3


def test_the_photos_of_an_avatar_that_was_never_trained_are_those_given_last(studio: Studio) -> None:
    studio.queue.cancel(waiting(studio, BEA).id)
    assert len(studio.avatars.photos("bea")) == 3
    studio.queue.cancel(waiting(studio, OTHER).id)
    assert len(studio.avatars.photos("bea")) == len(files(studio)) == 2
    assert studio.avatars.load("bea").class_noun == "woman"


def test_erasing_takes_the_photos_of_every_training(studio: Studio) -> None:
    trained(studio, BEA)
    folder = studio.avatars.folder("bea")
    trained(studio, OTHER, State.FAILED, "state.parent.mkdir(exist_ok=True)\nstate.write_text('{}')\nsys.exit(3)")
    assert len(files(studio)) == 5
    assert "5 photos" in studio.delete_avatar("bea")["erased"]
    assert not folder.exists()


SAVING = """
(folder / "artifacts" / "samples").mkdir(parents=True)
for name in ("bea-000001.safetensors", "bea-000001.yaml", "report.html", "samples/1.png"):
    (folder / "artifacts" / name).touch()
"""


@pytest.mark.parametrize(("method", "left"), [
    (Method.DREAMBOOTH, ["report.html", "samples"]),
    (Method.LORA, ["bea-000001.safetensors", "bea-000001.yaml", "report.html", "samples"]),
])
def test_checkpoints_of_a_dreambooth_do_not_stay_besides_the_published_one(
    studio: Studio, method: Method, left: list[str]
) -> None:
    job = trained(studio, replace(BEA, method=method), learn=SAVING + LEARN)
    assert sorted(path.name for path in (studio.jobs.folder(job.id) / "artifacts").iterdir()) == left


def test_consent_to_a_training_that_was_cut_short_stands_in_the_avatar(studio: Studio) -> None:
    job = trained(studio, BEA)
    result = studio.jobs.view(job.id).result or {}
    known = studio.avatars.load("bea")
    other = replace(job, payload={**job.payload, "avatar": {
        **job.payload["avatar"], "consent": {"statement": "To more.", "given_by": "local", "given_at": "2026-01-01"},
    }})
    point = {**result["checkpoint"], "likeness": None, "scores": None}
    point["path"] = str(Path(point["path"]).with_name("bea-2.safetensors"))
    unmeasured = {**result, "likeness": None, "checkpoints": [point]}
    for _ in range(2):  # the same twice, as after a crash
        results.taken(studio, other, unmeasured)
    found = studio.avatars.load("bea")
    assert [consent.statement for consent in found.consents] == ["To more.", "Bea agreed."]
    assert [one.path.name for one in found.checkpoints] == ["bea.safetensors", "bea-2.safetensors"]
    assert found.best == known.best
    assert replace(found, earlier_consents=(), checkpoints=known.checkpoints) == known
