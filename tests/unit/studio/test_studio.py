"""The use cases below the doors: what is refused before work begins, and what becomes of results."""
from __future__ import annotations

import errno
import itertools
import json
import os
import pkgutil
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from personal_avatar import avatars, documents
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Avatar, Engine, Family, Method, PhotoChoice
from personal_avatar.errors import (
    BaseUnsupported,
    ConsentMissing,
    InvalidSettings,
    NotFound,
    NotReadable,
    TooFewPhotos,
    WrongState,
)
from personal_avatar.jobs import process
from personal_avatar.jobs.events import Done, EventWriter
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import sha256_of, write_json
from personal_avatar.studio import CreateRequest, Studio, TrainRequest, pictures_in
from personal_avatar.studio.inventing import InventRequest
from personal_avatar.studio.rankings import RankRequest
from personal_avatar.studio.restoring import RestoreRequest
from personal_avatar.studio.sitters import file_for

from tests.unit.api.house import GOOD, LEARN, build_studio
from tests.unit.jobs.children import PATIENT, SILENT
from tests.unit.locks import lock

REQUEST = TrainRequest("Anna", (GOOD[0],), "woman", consent="she agreed")
KEPT = "Path(sys.argv[3], 'x').touch(); emit(Failed({'code': 'CANCELLED', 'message': 'm', 'hint': '', 'result': %s}))"


@pytest.fixture()
def make(tmp_path: Path, face_weights: Path) -> Callable[..., Studio]:
    return lambda *learn: build_studio(tmp_path / "data", face_weights, *learn)


@pytest.mark.parametrize(("changes", "error"), [
    ({"consent": "  "}, ConsentMissing),
    ({"photos": ()}, TooFewPhotos),
    ({"photos": (GOOD[0],) * 101}, InvalidSettings),
    ({"plan": {"rank": 0}}, InvalidSettings),
    ({"plan": {"resolution_px": 500}}, InvalidSettings),
    ({"plan": {"trigger_word": "Woman"}}, InvalidSettings),
    ({"photo_settings": {"min_face_px": 1}}, InvalidSettings),
    ({"name": " "}, InvalidSettings),
    ({"class_noun": "1"}, InvalidSettings),
    ({"class_noun": "sks"}, InvalidSettings),
    ({"name": "\udcff"}, InvalidSettings),
    ({"plan": {"gpus": 2}, "even_if_too_large": True}, InvalidSettings),
    ({"plan": {"goal": "style", "prior_weight": 1.0, "prior_from": "pictures"}, "even_if_too_large": True},
     InvalidSettings),
])
def test_an_impossible_training_leaves_no_trace(
    make: Callable[..., Studio], changes: dict[str, object], error: type[Exception]
) -> None:
    studio = make()
    with pytest.raises(error):
        studio.trainings.start(replace(REQUEST, **changes))  # type: ignore[arg-type]
    assert studio.jobs.ids() == []
    assert studio.avatars.all() == []


@pytest.mark.parametrize("door", ["trainings", "comparing"])
def test_captions_that_cannot_be_read_are_refused_by_their_own_names_before_photos_are_replaced(
    make: Callable[..., Studio], tmp_path: Path, door: str
) -> None:
    studio = make()
    avatar = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="She agreed.")
    studio.avatars.save(avatar)
    before = studio.avatars.add_photos(avatar, GOOD[:1])
    photos = tuple(Path(shutil.copy(photo, tmp_path)) for photo in GOOD[:3])
    for photo, words in zip(photos, ("caf\xe9", "a caf\xe9", "a photo"), strict=True):
        photo.with_suffix(".txt").write_bytes(words.encode("latin-1"))
    named = "; ".join(f"{photo.stem}.txt is not written in UTF-8" for photo in photos[:2])
    start = getattr(studio, door).start
    request = replace(REQUEST, photos=photos)
    with pytest.raises(InvalidSettings, match=f"^Captions cannot be used: {named}. Save them as plain UTF-8"):
        start(request)
    assert studio.jobs.ids() == [] and studio.avatars.photos(avatar.id) == list(before)
    out = {sha256_of(photo): PhotoChoice(take=False) for photo in photos[:2]}
    for more in ({"choices": out}, {"photo_settings": {"caption_files": False}}):
        studio.trainings.possible([replace(request, **more).taken()])  # type: ignore[arg-type]


@pytest.mark.parametrize("noun", ["style", "Ink style"])
def test_a_noun_that_means_a_style_trains_a_style_unless_another_goal_is_named(
    make: Callable[..., Studio], noun: str
) -> None:
    studio = make()
    request = replace(REQUEST, class_noun=noun, plan={"steps": 7})
    alone, others = studio.trainings.start(request), replace(request, name="Bea")
    several = replace(others, photos=tuple(GOOD[:3]))
    compared = studio.comparing.start(several, (Method.LORA, Method.TEXTUAL_INVERSION)).jobs
    assert [job.payload["plan"] for job in (alone, *compared)] == [{"goal": "style", "steps": 7}] * 3
    assert alone.payload["avatar"]["class_noun"] == noun
    contrary = replace(request, name="Cid", plan={"goal": "face-quick"})
    for start in (studio.trainings.start, studio.comparing.start):
        with pytest.raises(InvalidSettings, match=f"'{noun}' means a style, and goal 'face-quick'"):
            start(contrary)
    for job in (alone, *compared):
        studio.queue.wait(job.id, 60)


def full_disk(patch: pytest.MonkeyPatch, spared: int = 0) -> None:
    """No description of an avatar can be written any more, but the first `spared` times."""
    write, writes = Path.write_bytes, itertools.count()

    def full(path: Path, data: bytes) -> int:
        if avatars.AVATAR_FILE in path.name and next(writes) >= spared:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    patch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize("spared", [0, 1])
def test_a_full_disk_at_the_start_of_a_training_leaves_no_photo_of_a_new_person(
    make: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch, spared: int
) -> None:
    studio = make()
    full_disk(monkeypatch, spared)
    with pytest.raises(OSError, match="No space left"):
        studio.trainings.start(REQUEST)
    assert studio.jobs.ids() == [] and not list(studio.host.folders().data.glob("avatars/*"))


def test_a_full_disk_at_the_start_of_another_training_leaves_the_person(
    make: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    known = replace(studio.avatars.load("anna"), photos=())  # as earlier versions wrote it
    studio.avatars.save(known)
    full_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        studio.trainings.start(REQUEST)
    assert studio.avatars.load("anna") == known and len(studio.avatars.photos("anna")) == 1


def test_photos_of_a_new_person_never_lie_where_nobody_finds_them(
    make: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the program dies: the avatar is there before its photos."""
    studio, there = make(), list[str]()
    copy = avatars.copy_with_caption

    def watched(photo: Path, target: Path) -> None:
        there.extend(avatar.name for avatar in studio.avatars.all())
        copy(photo, target)

    monkeypatch.setattr(avatars, "copy_with_caption", watched)
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    assert there == ["Anna"]


def test_files_of_each_method_belong_into_a_folder_of_their_kind(make: Callable[..., Studio]) -> None:
    folders = make().host.folders()
    assert {method: folders.results_of(method) for method in Method} == {
        Method.LORA: folders.loras, Method.DREAMBOOTH_LORA: folders.loras,
        Method.DREAMBOOTH: folders.checkpoints, Method.TEXTUAL_INVERSION: folders.embeddings,
    }


def test_of_many_starts_at_once_one_begins(make: Callable[..., Studio]) -> None:
    studio, refused = make(PATIENT), []

    def start() -> None:
        try:
            studio.trainings.start(REQUEST)
        except WrongState as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job_id,) = studio.jobs.ids()
    assert len(refused) == 5
    studio.queue.cancel(job_id, keep_checkpoint=False)
    assert studio.queue.wait(job_id, 20).status.state is State.CANCELLED


def test_a_failed_training_leaves_the_earlier_checkpoint_usable(make: Callable[..., Studio]) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    best = studio.avatars.load("anna").best
    studio.host.learn = "sys.exit(3)"  # type: ignore[attr-defined]
    assert studio.queue.wait(studio.trainings.start(REQUEST).id, 20).status.state is State.FAILED
    assert studio.avatars.load("anna").best == best is not None


def test_what_a_cancelled_training_kept_is_taken_into_the_avatar(make: Callable[..., Studio]) -> None:
    kept = {
        "checkpoints": [{"path": "/x/half.safetensors", "sha256": "", "step": 5, "method": "lora", "family": "sd1",
                         "trigger": "sks woman"}],
        "reference": [1.0], "recogniser": "r", "dataset_fingerprint": "f",
    }
    studio = make(KEPT % repr(kept))
    view = studio.queue.wait(studio.trainings.start(REQUEST).id, 20)
    assert view.status.state is State.CANCELLED
    best = studio.avatars.load("anna").best
    assert best is not None
    assert best.path == Path("/x/half.safetensors")


def again(studio: Studio, after: float, number: int) -> Avatar:
    """As a further training leaves Anna, which makes a file of its own of this likeness, 0.1 before."""
    studio.host.learn = LEARN.replace(".safetensors", f"-{number}.safetensors").replace(  # type: ignore[attr-defined]
        '"after": 0.5', f'"after": {after}')
    assert studio.queue.wait(studio.trainings.start(REQUEST).id, 30).status.state is State.SUCCEEDED
    return studio.avatars.load("anna")


def files(avatar: Avatar) -> list[str]:
    return [point.path.name for point in avatar.checkpoints]


def test_a_worse_training_takes_no_file_away_and_a_better_one_is_the_best(make: Callable[..., Studio]) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    good = studio.avatars.load("anna").best
    worse = again(studio, 0.05, 2)
    assert worse.best == good and files(worse) == ["anna.safetensors", "anna-2.safetensors"]
    told = studio.told_of([worse])[0]["checkpoints"]
    assert [(one["file"], one["used"]) for one in told] == [("anna.safetensors", True), ("anna-2.safetensors", False)]
    better = again(studio, 0.7, 3)
    assert better.best == better.checkpoints[-1] and len(files(better)) == 3


def test_files_of_one_kind_that_were_deleted_go_with_the_next_training(make: Callable[..., Studio]) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    again(studio, 0.4, 2).checkpoints[-1].path.unlink()
    assert files(again(studio, 0.3, 3)) == ["anna.safetensors", "anna-3.safetensors"]


def test_what_a_cancelled_training_kept_can_be_chosen_beside_what_was_measured(make: Callable[..., Studio]) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    before, folders = studio.avatars.load("anna"), studio.host.folders()
    half = folders.loras / "anna-2.safetensors"
    half.write_bytes(b"")
    point = {
        "path": str(half), "sha256": "", "step": 5, "method": "lora", "family": "sd1", "trigger": "sks woman",
    }
    kept = {"checkpoints": [point], "reference": [1.0], "recogniser": "r", "dataset_fingerprint": "other"}
    studio.host.learn = KEPT % repr(kept)  # type: ignore[attr-defined]
    studio.queue.wait(studio.trainings.start(REQUEST).id, 20)
    avatar = studio.avatars.load("anna")
    assert avatar.best == before.best and (avatar.recogniser, avatar.job_id) == (before.recogniser, before.job_id)
    assert file_for(avatar, studio.host.checkpoint(), folders, "anna-2") == avatar.checkpoints[-1]
    before.checkpoints[0].path.unlink()
    assert file_for(avatar, studio.host.checkpoint(), folders) == avatar.checkpoints[-1]


def test_portraits_need_an_avatar_that_was_trained(make: Callable[..., Studio]) -> None:
    studio = make()
    with pytest.raises(NotFound):
        studio.create(CreateRequest("anna", ("oil-painting",)))
    studio.avatars.save(studio.avatars.open("Anna", user_id="u", class_noun="woman", statement="s"))
    with pytest.raises(WrongState, match="has not been trained"):
        studio.create(CreateRequest("anna", ("oil-painting",)))


def test_a_file_of_a_person_can_be_named_by_its_method_or_its_name(make: Callable[..., Studio]) -> None:
    studio = make()
    for method in (Method.LORA, Method.TEXTUAL_INVERSION):
        studio.queue.wait(studio.trainings.start(replace(REQUEST, method=method)).id, 60)
    base, folders, avatar = studio.host.checkpoint(), studio.host.folders(), studio.avatars.load("anna")
    assert file_for(avatar, base, folders) == avatar.best and avatar.best is not None
    named = [file_for(avatar, base, folders, one) for one in ("lora", "textual-inversion/anna.safetensors")]
    assert [one.method if one else None for one in named] == [Method.LORA, Method.TEXTUAL_INVERSION]
    with pytest.raises(InvalidSettings, match="no file 'dreambooth'") as caught:
        studio.create(CreateRequest("anna", prompt="a photo", file="dreambooth"))
    assert "anna.safetensors (lora)" in caught.value.hint
    with pytest.raises(InvalidSettings, match="no avatar"):
        studio.create(CreateRequest(prompt="a photo", file="lora", references=(GOOD[0],), consent="she agreed"))


def test_of_the_files_of_two_engines_each_can_be_named_and_the_method_means_the_better(
    make: Callable[..., Studio]
) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 60)
    base, folders, avatar = studio.host.checkpoint(), studio.host.folders(), studio.avatars.load("anna")
    (ours,) = avatar.checkpoints
    assert ours.scores is not None and ours.engine is Engine.DIFFUSERS
    likeness = replace(ours.scores.likeness, after=ours.scores.likeness.after - 0.1)
    path = ours.path.with_name("anna-2.safetensors")
    path.write_bytes(b"")
    worse = replace(ours, path=path, scores=replace(ours.scores, likeness=likeness), engine=Engine.KOHYA)
    avatar = avatar.with_checkpoints((worse,))
    named = [file_for(avatar, base, folders, one) for one in ("", "lora", "anna", "anna-2", "lora/anna-2.safetensors")]
    assert named == [ours, ours, ours, worse, worse]
    with pytest.raises(InvalidSettings) as caught:
        file_for(avatar, base, folders, "anna-3")
    assert "anna.safetensors (lora), anna-2.safetensors (lora, kohya)" in caught.value.hint
    studio.avatars.save(avatar)
    told = documents.avatar(studio.avatars.load("anna"), 1, "ready")["checkpoints"]
    assert [(one["file"], one["engine"], one["used"]) for one in told] == [
        ("anna.safetensors", "diffusers", True), ("anna-2.safetensors", "kohya", False)]


def test_portraits_need_a_style_or_a_prompt_and_possible_settings(make: Callable[..., Studio]) -> None:
    studio = make()
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    with pytest.raises(InvalidSettings, match="Neither a style nor a prompt"):
        studio.create(CreateRequest("anna", prompt="  "))
    with pytest.raises(NotFound, match="no style"):
        studio.create(CreateRequest("anna", ("no-such",)))
    with pytest.raises(InvalidSettings, match="count must be in"):
        studio.create(CreateRequest("anna", ("oil-painting",), settings={"count": 0}))
    assert [view.job.kind for view in studio.jobs.views()] == ["train"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"settings": {"sampler": "nope"}}, "There is no sampler 'nope'"),
    ({"settings": {"loras": "nope:1"}}, "There is no LoRA named nope"),
    ({"prompt": "a portrait <lora:nope:1>"}, "There is no LoRA named nope"),
    ({"box": (0.9, 0.0, 0.1, 1.0)}, "holds nothing"),
    ({"box": (0.0, 0.5, 1.0, 0.5)}, "holds nothing"),
])
def test_portraits_that_cannot_be_painted_are_refused_before_they_begin(
    make: Callable[..., Studio], changes: dict[str, Any], said: str
) -> None:
    studio = make()
    studio.host.refuse_unknown = partial(StandaloneHost.refuse_unknown, studio.host)  # type: ignore[method-assign]
    wish = CreateRequest(references=GOOD[:1], prompt="a portrait", consent="she agreed", image=GOOD[0])
    with pytest.raises((InvalidSettings, NotFound), match=said):
        studio.create(replace(wish, **changes))
    with pytest.raises((InvalidSettings, NotFound), match="nope"):
        studio.invention.start(InventRequest("a woman <lora:nope:1>", settings={"sampler": "Euler"}))
    assert studio.jobs.ids() == []


def test_a_killed_training_can_be_started_again(make: Callable[..., Studio]) -> None:
    studio = make(SILENT)
    job = studio.trainings.start(REQUEST)
    while not studio.jobs.view(job.id).step:
        time.sleep(0.05)
    status = studio.jobs.status(job.id)
    process.kill(status.pid, status.pid_started_at)
    assert studio.queue.wait(job.id, 20).status.state is State.FAILED
    studio.host.learn = "emit(Failed({'code': 'NO_FACE', 'message': 'm', 'hint': 'h'}))"  # type: ignore[attr-defined]
    error = studio.queue.wait(studio.trainings.start(REQUEST).id, 20).status.error
    assert error is not None
    assert error["code"] == "NO_FACE"


def test_erasing_a_person_erases_the_files_of_earlier_trainings(make: Callable[..., Studio], tmp_path: Path) -> None:
    studio = make()
    first = studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    earlier, saved = tmp_path / "earlier.safetensors", tmp_path / "saved-by-the-host.png"
    for path in (earlier, saved):
        path.touch()
    emit = EventWriter(studio.jobs.folder(first.job.id))
    emit(Done({"files": [str(earlier)], "images": [{"path": str(saved)}]}))
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    erased = studio.delete_avatar("anna")
    assert not earlier.exists()
    assert erased["left"] == [str(saved)]
    assert not list(studio.host.folders().loras.iterdir())


def with_jobs(studio: Studio, tmp_path: Path) -> None:
    """Anna, trained, with other jobs that have ended, an archive, and photos laid out, described before they had a
    name."""
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)
    (photo := tmp_path / "given").touch()
    for kind, avatar_id in (("train", "anna"), ("create", "anna"), (CAPTION, "")):
        job = studio.jobs.create(
            kind, {}, title="t", user_id="local", avatar_id=avatar_id, files={f"{kind}.jpg": photo}
        )
        studio.jobs.move(job.id, State.FAILED)
    draft = studio.host.folders().data / "drafts" / ("5" * 32)
    write_json(draft / "draft.json", {"name": "Anna", "caption_jobs": [job.id]})
    studio.gallery.archives.mkdir(parents=True)
    for path in (draft / "laid-out.jpg", studio.gallery.archives / "old.zip"):
        path.touch()


def left_of_anna(studio: Studio) -> list[str]:
    """Names of what is in the folders that hold something of a person."""
    folders, data = studio.host.folders(), studio.host.folders().data
    held = [folders.loras, data / "avatars", data / "drafts", studio.gallery.archives]
    return [path.name for folder in held for path in folder.rglob("*")] + studio.jobs.ids()


@pytest.mark.parametrize("in_use", [
    "anna.safetensors", "train.jpg", "events.jsonl", "old.zip", "laid-out.jpg", "photos", "avatar.json",
])
def test_an_erasure_that_failed_can_be_finished(make: Callable[..., Studio], tmp_path: Path, in_use: str) -> None:
    studio = make()
    with_jobs(studio, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, in_use)
        with pytest.raises(WrongState, match="could not be erased"):
            studio.delete_avatar("anna")
    assert studio.delete_avatar("anna")["left"] == []
    assert left_of_anna(studio) == [] and not list(studio.host.folders().data.glob("jobs/.*.deleted"))


def test_jobs_that_windows_does_not_let_go_of_are_named_and_erased_by_the_next_attempt(
    make: Callable[..., Studio], tmp_path: Path
) -> None:
    studio = make()
    with_jobs(studio, tmp_path)
    ids, move = studio.jobs.ids(), os.replace

    def refuse(source: Path, target: Path) -> None:
        if str(target).endswith(".deleted"):
            raise PermissionError(13, "Access is denied", str(source))
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(WrongState) as said:
            studio.delete_avatar("anna")
    assert all(job_id in said.value.message for job_id in ids) and studio.jobs.ids() == ids
    assert studio.delete_avatar("anna")["left"] == left_of_anna(studio) == []


WISHES: list[tuple[str, Callable[[Studio], object]]] = [
    ("personal_avatar.studio.sitters.seated", lambda studio: studio.create(CreateRequest("anna", prompt="a portrait"))),
    ("personal_avatar.studio.restoring.Restoring.person",
     lambda studio: studio.restoring.start(RestoreRequest((GOOD[1],), "anna"))),
    ("personal_avatar.studio.rankings.Rankings.scorer",
     lambda studio: studio.rankings.start(RankRequest((GOOD[1],), avatar_id="anna"))),
    ("personal_avatar.studio.studio.Studio.analyser",
     lambda studio: studio.invention.start(InventRequest(avatar_id="anna"))),
]


@pytest.mark.parametrize(("loads", "wish"), WISHES)
def test_no_job_is_taken_for_somebody_who_was_erased_while_models_were_loaded(
    make: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch, loads: str, wish: Callable[[Studio], object]
) -> None:
    studio, load = make(), pkgutil.resolve_name(loads)
    studio.queue.wait(studio.trainings.start(REQUEST).id, 30)

    def loaded(*args: Any, **more: Any) -> Any:
        found = load(*args, **more)
        assert studio.delete_avatar("anna")["left"] == []
        return found

    monkeypatch.setattr(loads, loaded)
    with pytest.raises(NotFound, match="no avatar 'anna'"):
        wish(studio)
    assert studio.jobs.ids() == []


@pytest.mark.parametrize("wish", [wish for _, wish in WISHES])
def test_nobody_is_erased_while_a_job_of_theirs_is_taken(
    make: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch, wish: Callable[[Studio], object]
) -> None:
    trained = make()
    trained.queue.wait(trained.trainings.start(REQUEST).id, 30)
    studio, told = Studio(trained.host, serves=False), list[WrongState]()
    submit = studio.queue.submit

    def erase() -> None:
        try:
            studio.delete_avatar("anna")
        except WrongState as error:
            told.append(error)

    erasing = threading.Thread(target=erase)

    def taken(*args: Any, **more: Any) -> Job:
        erasing.start()
        erasing.join(0.3)
        return submit(*args, **more)

    monkeypatch.setattr(studio.queue, "submit", taken)
    wish(studio)
    erasing.join(20)
    assert [error.message for error in told] == ["A job of Anna has not ended."]
    assert studio.avatars.load("anna").name == "Anna"


def test_photos_laid_out_under_the_name_of_another_users_avatar_are_left_and_named(make: Callable[..., Studio]) -> None:
    studio = make()
    draft = studio.host.folders().data / "drafts" / ("5" * 32)
    write_json(draft / "draft.json", {"name": REQUEST.name})
    for user, left in (("another", [str(draft)]), ("local", [])):
        job = studio.queue.wait(studio.trainings.start(replace(REQUEST, user_id=user)).id, 30).job
        assert studio.delete_avatar(job.avatar_id)["left"] == left
        assert draft.exists() is bool(left)


def test_photos_laid_out_are_found_behind_a_byte_order_mark(make: Callable[..., Studio]) -> None:
    studio = make()
    draft = studio.host.folders().data / "drafts" / ("5" * 32) / "draft.json"
    draft.parent.mkdir(parents=True)
    draft.write_text(json.dumps({"name": REQUEST.name}), encoding="utf-8-sig")
    job = studio.queue.wait(studio.trainings.start(REQUEST).id, 30).job
    studio.delete_avatar(job.avatar_id)
    assert not draft.parent.exists()


def test_nobody_is_erased_by_half_while_whose_photos_are_laid_out_cannot_be_seen(make: Callable[..., Studio]) -> None:
    studio = make()
    unreadable = studio.host.folders().data / "drafts" / ("5" * 32) / "draft.json"
    unreadable.mkdir(parents=True)
    job = studio.queue.wait(studio.trainings.start(REQUEST).id, 30).job
    with pytest.raises(NotReadable, match="draft.json"):
        studio.delete_avatar(job.avatar_id)
    assert studio.avatars.load(job.avatar_id).photos and studio.jobs.view(job.id).result


def test_pictures_of_folders_come_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", ".hidden", "deep/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = pictures_in([tmp_path / "b.png", tmp_path])
    assert [path.name for path in found] == ["b.png", "a.png", "b.png"]


def test_an_avatar_of_another_family_is_refused_by_name(make: Callable[..., Studio]) -> None:
    studio = make()
    avatar = studio.avatars.load(studio.queue.wait(studio.trainings.start(REQUEST).id, 60).job.avatar_id)
    foreign = tuple(replace(point, family=Family.SDXL) for point in avatar.checkpoints)
    studio.avatars.save(replace(avatar, checkpoints=foreign))
    with pytest.raises(BaseUnsupported, match="Stable Diffusion XL"):
        studio.create(CreateRequest(avatar.id, ("linkedin-headshot",)))
