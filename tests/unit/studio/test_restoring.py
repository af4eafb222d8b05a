"""Restoration as the doors ask for it: files, jobs, what is written and what is never touched."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Avatar, Face
from personal_avatar.errors import InvalidSettings, NoFace, NotFound, RestorerMissing, WrongState
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.jobs import queue
from personal_avatar.jobs.events import Log, SampleMade
from personal_avatar.jobs.states import State
from personal_avatar.pictures import EDITED, infotext_of, load_picture, save_picture, source_of
from personal_avatar.storage import sha256_of
from personal_avatar.studio import Studio
from personal_avatar.studio.restored import AFTER, BEFORE, RESTORED, WITH
from personal_avatar.studio.restoring import RestoreRequest
from personal_avatar.studio.second_pass import repainted
from PIL import Image, ImageFilter

from tests.unit.api.house import GOOD, SAMPLES, build_studio

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

SETTINGS = PictureRestoreSettings(below_px=0, below_sharpness=0.0)
EVERY = {"below_px": 0, "below_sharpness": 0.0}


def sharp() -> np.ndarray:
    return np.asarray(Image.fromarray(load_picture(GOOD[1])).resize((256, 256), Image.Resampling.LANCZOS))


def blurry() -> np.ndarray:
    return np.asarray(Image.fromarray(sharp()).filter(ImageFilter.GaussianBlur(2.5)))


def truth(image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None) -> np.ndarray:
    """The best restorer that can be: it knows how the picture was before it was blurred."""
    height, width = image.shape[:2]
    blurred, best = blurry(), sharp()
    for top in range(blurred.shape[0] - height + 1):
        for left in range(blurred.shape[1] - width + 1):
            if np.array_equal(blurred[top : top + height, left : left + width], image):
                clean = best[top : top + height, left : left + width].astype(float)
                return np.rint(clean + fidelity * (image - clean)).astype(np.uint8)
    return image


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio whose restorer knows the truth."""
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.2)
    made = build_studio(tmp_path / "data", face_weights)
    monkeypatch.setattr(made.host, "restore", truth)
    return made


@pytest.fixture()
def blurred(tmp_path: Path) -> Path:
    """The person, out of focus, with an infotext."""
    return save_picture(blurry(), tmp_path / "blurred.png", "a man\nSteps: 20, Seed: 1", "")


def anna(studio: Studio) -> Avatar:
    """An avatar with photos and a reference, as a training leaves it."""
    made = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="she agreed")
    reader = studio.analyser()
    picture = load_picture(GOOD[0])
    vector = reader.embed(picture, reader.detect(picture)[0])
    made = replace(made, reference=tuple(vector.tolist()), recogniser=reader.name)
    studio.avatars.save(made)
    studio.avatars.add_photos(made, [GOOD[0], GOOD[2]])
    return made


def test_a_better_face_is_written_beside_the_original_and_says_what_was_done(
    studio: Studio, blurred: Path, tmp_path: Path
) -> None:
    before, target = sha256_of(blurred), tmp_path / "out.png"
    judge = studio.restoring.judge(photos=[GOOD[0]])
    people = [studio.restoring.person_from([GOOD[0], GOOD[2]], judge)]
    found = studio.restoring.file(blurred, target, people, judge, SETTINGS)
    assert found.count == 1 and sha256_of(blurred) == before
    assert np.array_equal(load_picture(target), found.image)
    said = infotext_of(target)
    assert said.startswith("a man\nSteps: 20, Seed: 1, ") and source_of(target) == EDITED
    assert f"{RESTORED}: 1, {WITH}: same" in said and BEFORE in said and AFTER in said
    (face,) = found.faces
    assert all(new >= old for old, new in zip(face.before, face.after, strict=True))


def test_a_photo_that_was_restored_still_has_no_prompt(studio: Studio, tmp_path: Path) -> None:
    photo, judge, asked = save_picture(blurry(), tmp_path / "photo.png", "", ""), studio.restoring.judge(), []
    once, twice = tmp_path / "once.png", tmp_path / "twice.png"
    studio.restoring.file(photo, once, [], judge, SETTINGS)

    def restorer(image: np.ndarray, model: str, fidelity: float, prompt: str, face: Face) -> np.ndarray:
        asked.append(prompt)
        return truth(image, model, fidelity)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio.host, "restore", restorer)
        studio.restoring.file(once, twice, [], judge, SETTINGS)
    assert infotext_of(once).startswith(f"{RESTORED}: 1") and set(asked) == {""}


def test_what_is_transparent_stays_so(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sharpened(image: np.ndarray, model: str, fidelity: float, prompt: str, face: Face) -> np.ndarray:
        return np.asarray(Image.fromarray(image).filter(ImageFilter.UnsharpMask(2, 60)))

    monkeypatch.setattr(studio.host, "restore", sharpened)
    alpha = np.full((256, 256), 255, np.uint8)
    alpha[:, :4] = 0
    cut_out = save_picture(np.dstack([blurry(), alpha]), tmp_path / "cut-out.png", "", "")
    target, judge = tmp_path / "out.png", studio.restoring.judge()
    assert studio.restoring.file(cut_out, target, [], judge, SETTINGS.copy(update={"self_drop": 0.2})).count == 1
    made = np.asarray(Image.open(target))
    assert np.array_equal(made[..., 3], alpha) and (made[alpha == 255, :3] != blurry()[alpha == 255]).any()


def test_nothing_is_written_when_nothing_was_restored(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, judge = tmp_path / "out" / "restored.png", studio.restoring.judge()
    found = studio.restoring.file(SAMPLES / "no-face.jpg", target, [], judge, SETTINGS)
    assert not found.count and "no face" in found.reason and not target.exists()
    monkeypatch.setattr(studio.host, "restorers", tuple)
    with pytest.raises(RestorerMissing):
        studio.restoring.file(GOOD[0], target, [], judge, SETTINGS)


def test_a_restorer_that_is_not_here_is_told_with_how_to_get_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.host, "restorers", lambda: ("Redraw",))
    with pytest.raises(NotFound, match="GFPGAN is not installed") as absent:
        studio.restoring.model("GFPGAN")
    folder = str(studio.weights_folder / "face-restoration")
    for told in (folder, "doctor --fetch gfpgan", "spandrel", "Or use: Redraw"):
        assert told in absent.value.hint
    with pytest.raises(NotFound) as unknown:
        studio.restoring.model("Eraser")
    assert unknown.value.hint == "There are: Redraw."
    monkeypatch.setattr(studio.host, "restorers", tuple)
    with pytest.raises(RestorerMissing, match="doctor --fetch codeformer"):
        studio.restoring.model("CodeFormer")


def test_an_avatar_is_its_reference_and_its_photos_speak_to_other_recognisers(studio: Studio) -> None:
    avatar, judge = anna(studio), studio.restoring.judge()
    person = studio.restoring.person(avatar, judge)
    assert person.name == "Anna" and len(person.vectors) == len(judge.readers)
    assert person.vectors[0] == pytest.approx(np.asarray(avatar.reference), abs=1e-5)
    stranger = replace(avatar, recogniser="another")
    told = studio.restoring.person(stranger, judge).vectors[0]
    assert told is not None and 0.5 < float(told @ np.asarray(avatar.reference)) < 0.9999
    for photo in (studio.avatars.folder(avatar.id) / "photos").iterdir():
        photo.unlink()
    with pytest.raises(WrongState):
        studio.restoring.person(stranger, judge)


def test_a_prompt_names_avatars(studio: Studio) -> None:
    anna(studio)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio.host, "checkpoint", lambda: pytest.fail("nobody asks for it where nobody was trained"))
        assert studio.restoring.named_in("<lora:pa-anna:1> sks woman") == []


@pytest.mark.slow
def test_a_job_restores_one_picture_after_the_other(studio: Studio, blurred: Path) -> None:
    job = studio.restoring.start(RestoreRequest(
        (blurred, SAMPLES / "README.md", SAMPLES / "no-face.jpg"), references=(GOOD[0], GOOD[2]), settings=EVERY
    ))
    view = studio.queue.wait(job.id, 60)
    assert view.status.state is State.SUCCEEDED, view.status.error
    result = view.result
    assert result is not None and result["restored"] == 1 and len(result["images"]) == len(result["faces"]) == 2
    first, second = result["images"]
    assert first["scores"]["restored"] >= first["scores"]["before"] and first["restored"] and not second["restored"]
    assert "embedding" not in str(result)
    assert studio.gallery.picture(job.id, 0) == Path(first["restored"])
    assert load_picture(studio.gallery.picture(job.id, 1)).shape == load_picture(SAMPLES / "no-face.jpg").shape
    said = [record.event for record in studio.events(job.id)]
    assert any("README.md is left out" in str(event) for event in said)
    assert any("no-face.jpg is left unrestored" in str(event) for event in said)
    assert Path(first["restored"]).is_relative_to(studio.jobs.folder(job.id))


def test_a_job_says_that_of_an_animation_the_first_picture_is_left(
    studio: Studio, blurred: Path, tmp_path: Path
) -> None:
    frames = [Image.fromarray(one) for one in (blurry(), sharp())]
    frames[0].save(tmp_path / "waving.webp", save_all=True, append_images=frames[1:], lossless=True)
    job = studio.restoring.start(RestoreRequest(
        (tmp_path / "waving.webp", blurred), references=(GOOD[0], GOOD[2]), settings=EVERY
    ))
    result = studio.queue.wait(job.id, 60).result
    assert result is not None and result["restored"] == 2
    said = [record.event.message for record in studio.events(job.id) if isinstance(record.event, Log)]
    assert [one for one in said if "animation" in one] == [
        "waving.webp is an animation: only its first picture was restored."
    ]


def test_a_strangers_picture_says_how_little_it_is_like_the_person(studio: Studio) -> None:
    avatar, rng = anna(studio), np.random.default_rng(0)
    studio.avatars.save(replace(avatar, reference=tuple(rng.standard_normal(len(avatar.reference)).tolist())))
    job = studio.restoring.start(RestoreRequest((GOOD[1],), avatar_id=avatar.id, settings=EVERY))
    result = studio.queue.wait(job.id, 60).result
    assert result is not None
    (image,), ((face,),) = result["images"], result["faces"]
    assert (face["person"], face["measured_by"]) == (None, "itself")
    assert image["likeness"] < 0.3 and "restored" not in image["scores"] and "before" not in image["scores"]


def test_a_deleted_picture_leaves_nothing_in_the_records_of_a_restoration(studio: Studio, blurred: Path) -> None:
    pictures = (blurred, SAMPLES / "no-face.jpg")
    job = studio.restoring.start(RestoreRequest(pictures, references=(GOOD[0],), settings=EVERY))
    assert studio.queue.wait(job.id, 60).status.state is State.SUCCEEDED
    folder = studio.jobs.folder(job.id)
    assert studio.gallery.delete(job.id, 0)["left"] == []
    result = studio.jobs.view(job.id).result
    assert result is not None and json.loads((folder / "artifacts" / "restored.json").read_text()) == result
    assert (len(result["images"]), result["faces"], result["restored"]) == (1, [[]], 0)
    assert [entry.number for entry in studio.gallery.of(job.id)] == [1]
    told = [record.event.path for record in studio.events(job.id) if isinstance(record.event, SampleMade)]
    assert told == ["photos/image-001.jpg"]
    assert not list(folder.rglob("*000*")) and "image-000" not in (folder / "events.jsonl").read_text()


def test_what_is_restored_of_an_avatar_goes_with_it(studio: Studio, blurred: Path) -> None:
    avatar = anna(studio)
    job = studio.restoring.start(RestoreRequest((blurred,), avatar_id="anna", settings=EVERY))
    assert studio.queue.wait(job.id, 60).status.state is State.SUCCEEDED
    studio.delete_avatar(avatar.id)
    with pytest.raises(NotFound):
        studio.jobs.folder(job.id)


@pytest.mark.parametrize(("changes", "error"), [
    ({"images": ()}, InvalidSettings),
    ({"settings": {"below_px": -1}}, InvalidSettings),
    ({"settings": {"mode": "x"}}, InvalidSettings),
    ({"settings": {"model": "GFPGAN"}}, NotFound),
    ({"avatar_id": "nobody"}, NotFound),
    ({"references": (GOOD[0],) * 21}, InvalidSettings),
])
def test_what_cannot_work_leaves_no_trace(studio: Studio, changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        studio.restoring.start(replace(RestoreRequest((GOOD[0],)), **changes))  # type: ignore[arg-type]
    assert studio.jobs.ids() == []


def test_photos_without_a_face_end_a_job_by_name(studio: Studio, blurred: Path) -> None:
    job = studio.restoring.start(RestoreRequest((blurred,), references=(SAMPLES / "no-face.jpg",)))
    status = studio.queue.wait(job.id, 60).status
    assert status.state is State.FAILED and status.error is not None and status.error["code"] == NoFace.code


@pytest.mark.slow
def test_small_faces_are_painted_anew_only_of_the_person_and_never_less_alike(
    studio: Studio, blurred: Path
) -> None:
    judge = studio.restoring.judge()
    people, asked = [studio.restoring.person_from([GOOD[0]], judge)], []
    picture = load_picture(blurred)

    def paint(how: Callable[[np.ndarray], np.ndarray]) -> Callable[[str, np.ndarray, float], np.ndarray]:
        def painter(prompt: str, crop: np.ndarray, strength: float) -> np.ndarray:
            asked.append((prompt, strength))
            return how(crop)
        return painter

    small = SETTINGS.copy(update={"second_pass_below_px": 1024, "second_pass_strength": 0.5})
    better = repainted(picture, people, judge, small, paint(lambda crop: truth(crop, "", 0.2)), "a man")
    assert better.count == 1 and asked[0] == ("a man", 0.5)
    other = load_picture(SAMPLES / "someone-else.jpg")
    worse = paint(lambda crop: np.asarray(Image.fromarray(other).resize(crop.shape[1::-1])))
    assert repainted(picture, people, judge, small, worse, "a man").image is picture
    asked.clear()
    assert repainted(picture, people, judge, small.copy(update={"second_pass_below_px": 32}), worse, "").count == 0
    assert repainted(picture, [], judge, small.copy(update={"others": True}), worse, "").count == 0
