"""A character that does not exist, on drawings of which it is known whom they show."""
from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.captions.files import written_caption
from personal_avatar.commands import invent as command
from personal_avatar.domain import Avatar
from personal_avatar.errors import AvatarError, ConsentMissing, InvalidSettings, NotFound, WrongState
from personal_avatar.jobs.events import SampleMade
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.pictures import GENERATED, infotext_of, load_picture, source_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.inventing import InventRequest, marked, statement_of
from personal_avatar.terminal import Terminal

from tests.unit.api.house import GOOD
from tests.unit.sketches import SketchingHost, sketch, sketching_studio, who

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

RUBY = InventRequest("a woman with long red hair", class_noun="woman", count=40, keep=4, seed=100,
                     settings={"captions": True})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> Studio:
    return sketching_studio(tmp_path_factory.mktemp("shared") / "data", face_weights)


@pytest.fixture(scope="module")
def ruby(shared: Studio) -> JobView:
    """An invention that found somebody."""
    return ended(shared, RUBY)


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Iterator[Studio]:
    yield sketching_studio(tmp_path / "data", face_weights)


def ended(studio: Studio, request: InventRequest) -> JobView:
    return studio.queue.wait(studio.invention.start(request).id, 60)


def result(view: JobView) -> dict[str, Any]:
    assert view.result is not None, view.status.error
    return view.result


# -- what is kept


def test_the_kept_pictures_show_one_character(ruby: JobView) -> None:
    assert ruby.status.state is State.SUCCEEDED
    shown = [who(image["seed"]) for image in result(ruby)["images"]]
    assert len(shown) >= RUBY.keep
    assert len(set(shown)) == 1


def test_it_ends_as_soon_as_nobody_can_doubt(ruby: JobView) -> None:
    found = result(ruby)
    assert found["made"] < RUBY.count
    assert found["similarity"] > found["runner_up"] if found["runner_up"] is not None else True
    assert found["look"] == "drawn"


def test_each_is_a_photo_with_caption_and_origin(shared: Studio, ruby: JobView) -> None:
    for photo in shared.invention.kept(ruby.job.id):
        assert load_picture(photo).shape == (192, 192, 3)
        assert source_of(photo) == GENERATED
        assert "Invented with: avatar-tiny" in infotext_of(photo)
        caption = written_caption(photo)
        assert caption.split(", ")[0].endswith("portrait of sks woman")
        assert "red hair" not in caption


def test_prompts_vary_around_the_description(shared: Studio, ruby: JobView) -> None:
    prompts = [event.prompt for event in samples(shared, ruby)]
    assert all(RUBY.description in prompt for prompt in prompts)
    assert len(set(prompts)) >= len(prompts) // 2


def samples(studio: Studio, view: JobView) -> list[SampleMade]:
    return [record.event for record in studio.events(view.job.id) if isinstance(record.event, SampleMade)]


def test_the_gallery_hands_out_the_pictures(shared: Studio, ruby: JobView) -> None:
    assert shared.gallery.picture(ruby.job.id, 0) == shared.invention.kept(ruby.job.id)[0]
    assert ruby.job.id in [view.job.id for view in shared.invention.runs()]


def test_a_seed_invents_the_same_character_again_and_without_variation_the_description_stands_alone(
    shared: Studio, ruby: JobView
) -> None:
    again = ended(shared, replace(RUBY, settings={"vary": False, "captions": True}))
    assert [image["seed"] for image in result(again)["images"]] == [image["seed"] for image in result(ruby)["images"]]
    assert {event.prompt for event in samples(shared, again)} == {RUBY.description}
    assert written_caption(shared.invention.kept(again.job.id)[0]) == ""


# -- when it cannot be done


@pytest.mark.parametrize(("change", "said"), [
    ({"keep": 41}, "keep must be at most count"),
    ({"count": 3}, "count must be in"),
    ({"description": "  "}, "No description"),
    ({"description": "x" * 1001}, "1001 characters"),
    ({"class_noun": "người"}, "English noun"),
    ({"settings": {"colour": 1}}, "colour is not a setting"),
])
def test_what_cannot_work_is_refused_before_it_starts(shared: Studio, change: dict[str, Any], said: str) -> None:
    jobs = len(shared.jobs.views())
    with pytest.raises(InvalidSettings, match=said):
        shared.invention.start(replace(RUBY, **change))
    assert len(shared.jobs.views()) == jobs


def test_an_avatar_that_is_not_there_is_refused(shared: Studio) -> None:
    with pytest.raises(NotFound, match="nobody"):
        shared.invention.start(replace(RUBY, avatar_id="nobody"))


def test_no_consistent_character_is_an_error_with_a_remedy(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    monkeypatch.setattr(SketchingHost, "draws", staticmethod(lambda seed: noise))
    view = ended(studio, replace(RUBY, count=4, keep=3))
    assert view.status.state is State.FAILED
    assert view.status.error is not None
    assert view.status.error["code"] == "NO_CHARACTER"
    assert "4 pictures were made, and 0 of them show one face" in view.status.error["message"]
    assert "Lower keep" in view.status.error["hint"]
    assert len(samples(studio, view)) == 4
    with pytest.raises(WrongState):
        studio.invention.kept(view.job.id)


def test_a_cancel_keeps_what_was_found(studio: Studio) -> None:
    job = studio.invention.start(replace(RUBY, count=400, settings={"similarity": 1.0}))
    while len(samples(studio, studio.jobs.view(job.id))) < 6:
        time.sleep(0.05)
    studio.queue.cancel(job.id)
    view = studio.queue.wait(job.id, 30)
    assert view.status.state is State.CANCELLED
    assert len(result(view)["images"]) >= 2
    assert result(view)["made"] < 400
    assert len({who(image["seed"]) for image in result(view)["images"]}) == 1


# -- training, and more of the same


def test_nobodys_consent_is_needed_and_the_record_says_why(studio: Studio, shared: Studio, ruby: JobView) -> None:
    photos = shared.invention.kept(ruby.job.id)
    job = studio.trainings.start(TrainRequest("Ruby", photos, "woman"))
    studio.queue.wait(job.id, 60)
    consent = studio.avatars.find("Ruby").consent
    assert consent is not None
    assert consent.statement == "Nobody is in these pictures: the character was invented, made by avatar-tiny."
    with pytest.raises(ConsentMissing):
        studio.trainings.start(TrainRequest("Anna", (*photos, GOOD[0]), "woman"))


def test_only_pictures_that_were_invented_here_need_no_consent(ruby: JobView, shared: Studio, tmp_path: Path) -> None:
    photos = shared.invention.kept(ruby.job.id)
    assert statement_of(photos)
    assert statement_of([]) == ""
    assert statement_of([*photos, GOOD[0]]) == ""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"Invented with: me")
    assert statement_of([broken]) == ""


@pytest.mark.parametrize("title", ["avatar-tiny", 'a "good", new model: v2 [0123abcd]', "Модель 2.safetensors"])
def test_the_mark_names_any_checkpoint(title: str, tmp_path: Path) -> None:
    from personal_avatar.pictures import save_picture

    picture = save_picture(sketch(1, 1), tmp_path / "a.png", marked("a prompt\nSteps: 20, Seed: 1", title))
    assert f"made by {title.replace(chr(34), '')}." in statement_of([picture])
    assert marked(infotext_of(picture), "another") == infotext_of(picture)


@pytest.fixture()
def trained(studio: Studio, shared: Studio, ruby: JobView) -> Avatar:
    """Ruby, with the face of her most typical picture as reference."""
    photos = shared.invention.kept(ruby.job.id)
    studio.queue.wait(studio.trainings.start(TrainRequest("Ruby", photos, "woman")).id, 60)
    image, reader = load_picture(photos[0]), studio.analyser()
    reference = tuple(reader.embed(image, reader.detect(image)[0]).tolist())
    avatar = replace(studio.avatars.find("Ruby"), reference=reference)
    studio.avatars.save(avatar)
    return avatar


def test_a_trained_character_gets_new_pictures_that_are_like_its_own(studio: Studio, trained: Avatar) -> None:
    view = ended(studio, InventRequest(avatar_id=trained.id, count=16, keep=3, seed=500))
    found = result(view)
    assert len({who(image["seed"]) for image in found["images"]}) == 1
    assert min(image["likeness"] for image in found["images"]) >= found["needed"] - 1e-3
    assert all("<lora:" in event.prompt and "sks woman" in event.prompt for event in samples(studio, view))
    photos = studio.invention.photos(view.job.id)
    own = len(photos) - len(found["images"])
    assert own >= RUBY.keep
    assert photos[own:] == studio.invention.kept(view.job.id)
    assert statement_of(photos)
    studio.delete_avatar(trained.id)
    assert not any(path.exists() for path in photos)


def test_pictures_made_for_a_real_person_never_say_that_nobody_is_in_them(studio: Studio, trained: Avatar) -> None:
    assert trained.consent is not None
    studio.avatars.save(replace(trained, consent=replace(trained.consent, statement="It is me.")))
    view = ended(studio, InventRequest(avatar_id=trained.id, count=16, keep=3, seed=500))
    assert result(view)["images"] and statement_of(studio.invention.kept(view.job.id)) == ""


def test_an_invention_can_be_erased_by_itself(shared: Studio) -> None:
    view = ended(shared, replace(RUBY, keep=3, seed=300, settings={}))
    photos = shared.invention.kept(view.job.id)
    assert written_caption(photos[0]) == ""  # nobody asked for captions
    assert all(path.is_file() for path in photos)
    shared.gallery.erase(view.job.id)
    assert not any(path.exists() for path in photos)


# -- from the command line


def run(studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **args: Any) -> Any:
    monkeypatch.setattr(command, "local_studio", lambda data, checkpoint: studio)
    told = {"description": RUBY.description, "avatar": "", "class_noun": "woman", "count": 40, "keep": 3, "seed": 100,
            "checkpoint": "", "pairs": ["captions=true"], "data": None, **args}
    status = command.invent(Namespace(**told), Terminal(True))
    return status, json.loads(capsys.readouterr().out or "null")


def test_the_command_puts_photos_and_captions_into_a_folder(
    shared: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, document = run(shared, monkeypatch, capsys, out=tmp_path / "ruby")
    assert status == 0
    paths = [Path(image["path"]) for image in document["images"]]
    assert len(paths) >= 3
    assert all(path.is_file() and path.with_suffix(".txt").is_file() for path in paths)
    assert len({who(image["seed"]) for image in document["images"]}) == 1
    assert document["error"] is None
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "001.png").write_bytes(b"my own photo")
    _, document = run(shared, monkeypatch, capsys, out=tmp_path / "own")  # others' pictures are not mixed with these
    assert {Path(image["path"]).parent for image in document["images"]} == {tmp_path / "own-2"}
    assert [path.read_bytes() for path in (tmp_path / "own").iterdir()] == [b"my own photo"]


def test_the_command_wants_to_know_who(
    shared: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettings, match="Nobody was described"):
        run(shared, monkeypatch, capsys, description="", out=tmp_path)
    with pytest.raises(AvatarError):
        run(shared, monkeypatch, capsys, keep=50, out=tmp_path)
