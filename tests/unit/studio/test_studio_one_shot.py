"""Portraits without training, and photos painted anew: what is asked of the host, what is refused, what is erased."""
from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ldm_layout import STANDARD, STANDARD_SDXL, Size, header_only, shapes_of, usual
from miniature_adapters import make_adapter
from miniatures import make as make_checkpoint
from personal_avatar.domain import Avatar, BaseModelFile, Checkpoint, Consent, Family, Method, Use
from personal_avatar.errors import (
    AvatarError,
    BaseUnsupported,
    ConsentMissing,
    InvalidSettings,
    NoFace,
    NotFound,
    UnreadablePhoto,
    WeightsMissing,
    WrongState,
)
from personal_avatar.host import PictureRequest, Rules
from personal_avatar.identities import IdentitySettings
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.identity.shelf import Shelf
from personal_avatar.jobs.events import Log
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import sha256_of
from personal_avatar.studio import CreateRequest, Studio, TrainRequest
from personal_avatar.studio.judges import FETCH_CLIP
from personal_avatar.studio.oneshot import parts_for, shelf_of
from personal_avatar.wording import text

from tests.unit.api.house import GOOD, SAMPLES, build_studio

pytestmark = pytest.mark.slow  # loads models of faces

ANNA = CreateRequest(
    styles=("oil-painting",), references=(GOOD[0],), consent="she agreed", class_noun="woman",
    settings={"count": 3, "seed": 5, "restore": False},
)


@pytest.fixture()
def bare(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


@pytest.fixture()
def studio(bare: Studio, faceid: Path) -> Studio:
    folder = bare.host.folders().identity_folders[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(faceid, target_is_directory=True)
    return bare


def made(studio: Studio, request: CreateRequest = ANNA) -> tuple[JobView, list[PictureRequest]]:
    """The job when it has ended, and what it asked the host for."""
    view = studio.queue.wait(studio.create(request).id, 60)
    assert view.status.state is State.SUCCEEDED, view.status.error
    return view, studio.host.requests  # type: ignore[attr-defined]


def photos_of(request: PictureRequest) -> tuple[np.ndarray, ...]:
    assert request.identity is not None
    (person,) = request.identity.people
    return person.photos


def trained(studio: Studio, family: Family = Family.SD1, photos: tuple[Path, ...] = (GOOD[1],)) -> Avatar:
    """An avatar with photos and a LoRA for `family`."""
    avatar = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="she agreed")
    studio.avatars.save(avatar)
    studio.avatars.add_photos(avatar, photos)
    file = studio.host.folders().loras / "anna.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    point = Checkpoint(file, "", 5, Method.LORA, family, avatar.trigger)
    studio.avatars.save(replace(avatar, checkpoints=(point,)))
    return studio.avatars.load(avatar.id)


def test_portraits_of_a_photo_come_ranked_by_likeness_to_it(studio: Studio) -> None:
    view, (request, *_) = made(studio)
    assert request.prompt == studio.styles()[0].prompt.replace("{subject}", "woman") or "woman" in request.prompt
    assert "lora:" not in request.prompt and "sks" not in request.prompt
    (photo,) = photos_of(request)
    assert np.array_equal(photo, load_picture(GOOD[0]))
    assert view.result is not None
    likeness = [image["likeness"] for image in view.result["images"]]
    assert likeness == sorted(likeness, reverse=True) and likeness[0] > 0.9
    assert (view.result["model_id"], view.job.avatar_id, view.job.title) == ("", "", "One photo")
    assert [one.job.id for one in studio.gallery.runs()] == [view.job.id]


def test_the_photo_lies_in_the_jobs_folder_with_the_consent_and_is_erased_with_it(studio: Studio) -> None:
    view, _ = made(studio)
    folder = studio.jobs.folder(view.job.id)
    (kept,) = (folder / "photos").iterdir()
    assert kept.read_bytes() == GOOD[0].read_bytes()
    consent = view.job.payload["one_shot"]["consent"]
    assert Consent(**{**consent, "photo_sha256": tuple(consent["photo_sha256"])}) == Consent(
        "she agreed", "local", consent["given_at"], (sha256_of(GOOD[0]),), Use.PICTURES
    )
    archive = studio.host.folders().data / "cache" / "archives" / f"-{view.job.id[:8]}.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    erased = studio.gallery.erase(view.job.id)
    assert len(erased["erased"]) == 3 and erased["left"] == []
    assert not folder.exists() and not archive.exists() and studio.gallery.runs() == []
    with pytest.raises(NotFound):
        studio.gallery.erase(view.job.id)


def test_only_ended_jobs_of_portraits_are_erased(studio: Studio) -> None:
    job = studio.trainings.start(TrainRequest("Berta", (GOOD[0],), "woman", consent="she agreed"))
    studio.queue.wait(job.id, 30)
    with pytest.raises(WrongState, match="belongs to its avatar"):
        studio.gallery.erase(job.id)


@pytest.mark.parametrize(("changes", "error"), [
    ({"references": ()}, InvalidSettings),
    ({"consent": " "}, ConsentMissing),
    ({"references": (), "image": GOOD[0], "consent": ""}, ConsentMissing),
    ({"references": (GOOD[0],) * 21}, InvalidSettings),
    ({"references": (SAMPLES / "no-face.jpg",)}, NoFace),
    ({"references": (Path(__file__),)}, UnreadablePhoto),
    ({"image": Path(__file__)}, UnreadablePhoto),
    ({"pose": Path(__file__)}, UnreadablePhoto),
    ({"strength": 1.5}, InvalidSettings),
    ({"strength": float("nan")}, InvalidSettings),
    ({"class_noun": "1"}, InvalidSettings),
    ({"identity": {"adapter_weight": 3}}, InvalidSettings),
    ({"identity": {"references": ["aGVsbG8="]}}, InvalidSettings),
    ({"identity": {"method": "instantid"}}, BaseUnsupported),
    ({"identity": {"adapter": "nobody"}}, NotFound),
    ({"settings": {"count": 0}}, InvalidSettings),
    ({"styles": ()}, InvalidSettings),
    ({"avatar_id": "nobody"}, NotFound),
])
def test_what_cannot_work_is_refused_before_anything_starts(
    studio: Studio, changes: dict[str, Any], error: type[AvatarError]
) -> None:
    with pytest.raises(error):
        studio.create(replace(ANNA, **changes))
    assert studio.jobs.ids() == []
    assert not list((studio.host.folders().data).glob("jobs/.*"))


def test_a_checkpoint_of_another_size_is_refused_before_weights_are_asked_for(bare: Studio) -> None:
    with pytest.raises(BaseUnsupported, match="avatar-tiny.safetensors has not the size of a usual") as caught:
        bare.create(ANNA)
    assert "train an avatar" in caught.value.hint
    status = bare.identity_status()
    assert (status.methods, status.missing) == ((), ())
    assert (status.problem, status.remedy) == (caught.value.message, caught.value.hint)


def test_weights_that_are_there_and_do_not_fit_are_none(bare: Studio) -> None:
    make_adapter(AdapterKind.FACEID, Family.SD1, bare.host.folders().identity_folders[0])
    with pytest.raises(BaseUnsupported, match="has not the size of a usual"):
        bare.create(ANNA)
    assert bare.identity_status().methods == ()


def test_of_weights_that_are_there_those_are_taken_that_fit(studio: Studio, tmp_path: Path) -> None:
    other = make_adapter(AdapterKind.FACEID_PLUS_V2, Family.SD1, tmp_path / "first")
    folders = (tmp_path / "first", *studio.host.folders().identity_folders)
    base = studio.host.checkpoint()
    taken, *_ = parts_for(Shelf(folders), IdentitySettings(), base)
    assert taken.parent != other.parent and studio.identity_status().methods == ("faceid",)


def test_where_weights_fit_another_size_only_what_else_they_need_is_asked_for(bare: Studio, faceid: Path) -> None:
    folder = bare.host.folders().identity_folders[0]
    folder.mkdir(parents=True)
    shutil.copy(next(faceid.glob("ip-adapter*")), folder)
    with pytest.raises(WeightsMissing):
        bare.create(ANNA)
    (part,) = bare.identity_status().missing
    assert part.weights == ("clip-vision-h", "buffalo_l")


@pytest.mark.parametrize(("family", "size"), [(Family.SD1, STANDARD), (Family.SDXL, STANDARD_SDXL)])
def test_for_checkpoints_of_the_published_sizes_there_is_a_download(
    bare: Studio, tmp_path: Path, family: Family, size: Size
) -> None:
    path = header_only(tmp_path / "true.safetensors", shapes_of(size))
    with pytest.raises(WeightsMissing):
        parts_for(shelf_of(bare.host.folders()), IdentitySettings(), BaseModelFile(path, "true", family))


def test_without_networks_it_says_what_to_get(bare: Studio) -> None:
    bare.host.choose_checkpoint(usual(bare.host.folders().checkpoints))  # type: ignore[attr-defined]
    with pytest.raises(WeightsMissing, match="faceid"):
        bare.create(ANNA)
    status = bare.identity_status()
    assert (status.family, status.methods, status.adapters, status.ready) == ("sd1", (), (), False)
    (part,) = status.missing
    assert part.method == "faceid" and part.weights and "http" in part.hint


def test_with_networks_it_says_what_works(studio: Studio) -> None:
    status = studio.identity_status()
    assert (status.checkpoint, status.methods, status.missing, status.problem) == ("avatar-tiny", ("faceid",), (), "")
    (found,) = status.adapters
    assert (found.method, found.kind, found.family) == ("faceid", "faceid-plus-v2", "sd1")


def test_a_family_without_networks_is_named(studio: Studio) -> None:
    make_checkpoint(Family.SD2, studio.host.folders().checkpoints, name="two")
    studio.host.choose_checkpoint("two")  # type: ignore[attr-defined]
    with pytest.raises(BaseUnsupported):
        studio.create(ANNA)
    status = studio.identity_status()
    assert (status.family, status.methods) == ("sd2", ()) and "Stable Diffusion 2" in status.problem


def test_an_avatars_own_photos_and_its_training_go_together(studio: Studio) -> None:
    avatar = trained(studio)
    _, (request, *_) = made(studio, replace(ANNA, avatar_id=avatar.id, references=(), identity={}, consent=""))
    assert "<lora:anna:1> sks woman" in request.prompt
    assert np.array_equal(photos_of(request)[0], load_picture(GOOD[1]))
    _, requests = made(studio, replace(ANNA, avatar_id=avatar.id))
    assert "<lora:anna:1> sks woman" in requests[-1].prompt
    assert np.array_equal(photos_of(requests[-1])[0], load_picture(GOOD[0]))


def test_an_avatar_of_another_family_is_put_in_by_its_photos_alone(studio: Studio) -> None:
    avatar = trained(studio, Family.SDXL)
    wanted = replace(ANNA, avatar_id=avatar.id, references=(), consent="")
    with pytest.raises(BaseUnsupported, match="was trained for Stable Diffusion XL"):
        studio.create(wanted)
    view, (request, *_) = made(studio, replace(wanted, identity={"adapter_weight": 0.6}))
    assert "lora" not in request.prompt and "woman" in request.prompt
    assert request.identity is not None and request.identity.settings.adapter_weight == 0.6
    assert (view.job.title, view.job.avatar_id) == ("Anna", avatar.id)
    studio.delete_avatar(avatar.id)
    assert studio.jobs.ids() == []


def test_a_photo_alone_is_restyled_in_its_own_shape(studio: Studio, tmp_path: Path) -> None:
    photo = tmp_path / "wide.png"
    save_picture(load_picture(GOOD[0])[60:460], photo)
    wanted = replace(ANNA, references=(), image=photo, strength=0.4)
    _, (request, *_) = made(studio, wanted)
    native = studio.host.checkpoint().native_px
    assert request.image is not None and request.strength == 0.4
    assert request.image.shape == (request.height_px, request.width_px, 3)
    assert request.width_px > native > request.height_px and request.width_px % 8 == request.height_px % 8 == 0
    assert photos_of(request)[0].shape == (400, 512, 3)
    _, requests = made(studio, replace(wanted, settings={**ANNA.settings, "width_px": 128, "height_px": 192}))
    assert requests[-1].image is not None and requests[-1].image.shape == (192, 128, 3)


def test_a_trained_avatar_restyles_a_photo_without_any_network(bare: Studio) -> None:
    avatar = trained(bare)
    analyser, picture = bare.analyser(), load_picture(GOOD[0])
    vector = analyser.embed(picture, analyser.detect(picture)[0])
    bare.avatars.save(replace(avatar, reference=tuple(vector.tolist()), recogniser=analyser.name))
    _, (request, *_) = made(bare, replace(ANNA, avatar_id=avatar.id, references=(), image=GOOD[0], consent=""))
    assert request.identity is None and request.image is not None and "sks woman" in request.prompt


def test_another_picture_gives_the_pose(studio: Studio) -> None:
    _, (request, *_) = made(studio, replace(ANNA, pose=GOOD[2], identity={"keypoints": "image"}))
    assert request.identity is not None and request.identity.keypoints_image is not None
    assert np.array_equal(request.identity.keypoints_image, load_picture(GOOD[2]))


def test_a_job_that_waited_while_the_program_ended_finds_its_photo_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = tmp_path / "mine.JPG"
    photo.write_bytes(GOOD[0].read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(studio.queue, "start_lane", lambda kind: None)
        job = studio.create(replace(ANNA, references=(photo,)))
    photo.unlink()
    again = Studio(studio.host)
    again._analyser = studio.analyser()
    again.open()
    assert again.queue.wait(job.id, 60).status.state is State.SUCCEEDED
    assert np.array_equal(photos_of(studio.host.requests[-1])[0], load_picture(GOOD[0]))  # type: ignore[attr-defined]


def told_of(studio: Studio, view: JobView) -> list[str]:
    """What a job says of its pictures; not by whom they are judged on this machine."""
    messages = [record.event.message for record in studio.events(view.job.id) if isinstance(record.event, Log)]
    by_whom = (text("remark.one_recogniser"), text("remark.no_clip", command=FETCH_CLIP))
    return [message for message in messages if message not in by_whom]


def test_settings_that_leave_no_step_to_the_person_are_told(studio: Studio) -> None:
    view, _ = made(studio, replace(ANNA, identity={"start": 0.6, "end": 0.4}))
    (told,) = told_of(studio, view)
    assert "start (0.6) and end (0.4)" in told


def test_a_pose_without_a_face_is_refused_or_told(studio: Studio) -> None:
    faceless = replace(ANNA, pose=SAMPLES / "no-face.jpg")
    with pytest.raises(NoFace):
        studio.create(replace(faceless, identity={"keypoints": "image"}))
    view, _ = made(studio, faceless)
    told = told_of(studio, view)
    assert len(told) == 1 and "pose" in told[0]


def test_a_photo_of_somebody_else_among_them_is_told(studio: Studio) -> None:
    photos = (GOOD[0], GOOD[1], GOOD[2], SAMPLES / "no-face.jpg")
    view, (request, *_) = made(studio, replace(ANNA, references=photos))
    assert view.job.title == "4 photos" and len(photos_of(request)) == 4
    told = told_of(studio, view)
    assert len(told) == 1 and "4" in told[0]


def test_the_whole_way_through_real_networks(tmp_path: Path, face_weights: Path, faceid: Path) -> None:
    host = StandaloneHost(tmp_path / "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights").symlink_to(face_weights, target_is_directory=True)
    folder = host.folders().identity_folders[0]
    shutil.copytree(faceid, folder)
    make_adapter(AdapterKind.FACEID_PLUS_V2, Family.SD1, folder)
    make_checkpoint(Family.SD1, host.folders().checkpoints, name="one")
    host.choose_checkpoint("one")
    studio = Studio(host)
    settings = {**ANNA.settings, "steps": 2, "width_px": 64, "height_px": 64}
    view = studio.queue.wait(studio.create(replace(ANNA, settings=settings)).id, 120)
    assert view.status.state is State.SUCCEEDED, view.status.error
    assert view.result is not None and len(view.result["images"]) == 3
    host.unload()


def test_many_may_wait_but_not_too_many(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    from personal_avatar.errors import QueueFull

    monkeypatch.setattr(studio.queue, "_rules", lambda: Rules(waiting=0))
    seen: list[Callable[..., Any]] = []
    monkeypatch.setattr(studio, "analyser", lambda: seen.append(studio.create))
    with pytest.raises(QueueFull):
        studio.create(ANNA)
    assert seen == []  # nobody's photos are read for nothing
