"""Erasing a person: their files wherever they lie now, and nobody else's."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Method
from personal_avatar.errors import NotReadable, WrongState
from personal_avatar.provenance import MADE_BY
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.training.data.class_folders import SHARED, noted

from tests.unit.api.house import GOOD, LEARN, build_studio
from tests.unit.locks import lock, unreadable

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

ANNA = TrainRequest("Anna", (GOOD[0],), "woman", consent="she agreed")


# As a training tells them: the file, its card and its preview.
PUBLISHES = LEARN.replace(
    '"files": [str(target)]', '"files": [str(target.with_suffix(one)) for one in (".safetensors", ".json", ".png")]'
)


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    """Anna was trained, with a card and a preview beside her file."""
    made = build_studio(tmp_path / "data", face_weights, PUBLISHES)
    made.queue.wait(made.trainings.start(ANNA).id, 30)
    for suffix in (".json", ".png"):
        (made.host.folders().loras / f"anna{suffix}").touch()
    return made


def into_subfolder(studio: Studio) -> Studio:
    loras = studio.host.folders().loras
    for path in list(loras.iterdir()):
        (loras / "people").mkdir(exist_ok=True)
        path.rename(loras / "people" / path.name)
    return studio


def into_another_data_folder(studio: Studio) -> Studio:
    data = studio.host.folders().data
    shutil.move(data, data.with_name("renamed"))
    return Studio(type(studio.host)(data.with_name("renamed")), serves=False)


def test_a_trained_file_that_was_renamed_is_found_and_erased_and_nobody_elses(studio: Studio) -> None:
    loras = studio.host.folders().loras
    studio.queue.wait(studio.trainings.start(replace(ANNA, name="Ben")).id, 30)
    (loras / "anna.safetensors").rename(loras / "me in summer.safetensors")
    (loras / "anna.json").rename(loras / "me in summer.json")
    told = studio.delete_avatar("anna")
    assert str(loras / "me in summer.safetensors") in told["erased"] and told["left"] == []
    assert [path.name for path in loras.iterdir()] == ["ben.safetensors"]


@pytest.mark.parametrize("move", [into_subfolder, into_another_data_folder])
def test_a_trained_file_that_was_moved_is_found_and_erased_with_what_lies_beside_it(
    studio: Studio, move: Callable[[Studio], Studio]
) -> None:
    moved = move(studio)
    loras = moved.host.folders().loras
    there = sorted(str(path) for path in loras.rglob("anna.*"))
    told = moved.delete_avatar("anna")
    assert not list(loras.rglob("anna.*"))
    assert sorted(told["erased"][:-2]) == there and told["left"] == []


@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH])
def test_in_a_copied_data_folder_the_files_of_the_copy_are_erased_and_those_of_the_original_only_named(
    studio: Studio, method: Method
) -> None:
    studio.queue.wait(studio.trainings.start(replace(ANNA, name="Bea", method=method)).id, 30)
    data = studio.host.folders().data
    file = studio.host.folders().results_of(method) / "bea.safetensors"
    file.with_suffix(".png").touch()
    copy = data.with_name("copy")
    with suppress(shutil.Error):  # a claim that was given back meanwhile
        shutil.copytree(data, copy)
    told = Studio(type(studio.host)(copy), serves=False).delete_avatar("bea")
    assert sorted(told["left"]) == [str(file.with_suffix(".png")), str(file)]
    assert str(copy / file.relative_to(data)) in told["erased"] and not list((copy / "models").rglob("bea.*"))
    assert file.is_file() and str(file) in studio.delete_avatar("bea")["erased"]


def test_what_a_copied_training_began_to_publish_is_erased_in_the_copy_alone(studio: Studio) -> None:
    data, copy = studio.host.folders().data, studio.host.folders().data.with_name("copy")
    half = studio.host.folders().loras / ".anna.safetensors.0123abcd.part"
    half.touch()
    job = studio.jobs.folder(studio.jobs.views()[0].job.id)
    write_json(job / "publishing.json", [{"file": str(half.with_name("anna.safetensors")), "metadata": {}}])
    with suppress(shutil.Error):  # a claim that was given back meanwhile
        shutil.copytree(data, copy)
    told = Studio(type(studio.host)(copy), serves=False).delete_avatar("anna")
    assert str(copy / half.relative_to(data)) in told["erased"] and half.is_file()


def afresh(studio: Studio) -> Studio:
    """The same data folder after a restart, without its jobs."""
    data = studio.host.folders().data
    shutil.rmtree(data / "jobs")
    return Studio(type(studio.host)(data), serves=False)


def test_nobody_is_erased_whose_file_cannot_be_opened_for_a_moment(studio: Studio) -> None:
    again = afresh(studio)
    with pytest.MonkeyPatch.context() as patch:
        unreadable(patch, "avatar.json")
        with pytest.raises(NotReadable, match=r"avatar\.json"):
            again.delete_avatar("anna")
    told = again.delete_avatar("anna")
    assert str(again.host.folders().loras / "anna.safetensors") in told["erased"] and "1 photo" in told["erased"]


def test_what_was_trained_of_somebody_of_whom_nothing_tells_any_more_is_named(studio: Studio) -> None:
    studio.queue.wait(studio.trainings.start(replace(ANNA, name="Ben")).id, 30)
    loras = studio.host.folders().loras
    told = json.dumps({"__metadata__": {MADE_BY: "0", "modelspec.title": "Anna"}}).encode()
    (loras / "summer.safetensors").write_bytes(len(told).to_bytes(8, "little") + told)
    (loras / "of-another-program").mkdir()
    (loras / "of-another-program" / "anna.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (studio.avatars.folder("anna") / "avatar.json").write_bytes(b"{")
    left = afresh(studio).delete_avatar("anna")["left"]
    names = ("anna.json", "anna.png", "anna.safetensors", "summer.safetensors")
    assert sorted(left) == [str(loras / name) for name in names]


def test_a_file_in_a_folder_that_the_host_has_left_is_erased(
    studio: Studio, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "loras of before"
    studio.host.folders().loras.rename(elsewhere)
    avatar = studio.avatars.load("anna")
    points = tuple(replace(point, path=elsewhere / point.path.name) for point in avatar.checkpoints)
    studio.avatars.save(replace(avatar, checkpoints=points))
    told = studio.delete_avatar("anna")
    assert str(elsewhere / "anna.safetensors") in told["erased"] and not list(elsewhere.iterdir())


def test_a_file_behind_a_link_to_the_data_folder_is_erased(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(studio.host.folders().data, target_is_directory=True)
    linked = Studio(type(studio.host)(tmp_path / "link"), serves=False)
    assert linked.delete_avatar("anna")["left"] == [] and not list(studio.host.folders().loras.iterdir())


def test_an_erasure_of_a_moved_file_that_failed_can_be_finished(studio: Studio) -> None:
    into_subfolder(studio)
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, "anna.json")
        with pytest.raises(WrongState, match=r"anna\.json"):
            studio.delete_avatar("anna")
    assert studio.delete_avatar("anna")["left"] == []
    assert not list(studio.host.folders().loras.rglob("anna.*"))


def test_what_could_not_be_erased_is_named_once_and_nothing_that_is_gone(studio: Studio) -> None:
    loras = studio.host.folders().loras
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, "anna.json")
        with pytest.raises(WrongState) as refused:
            studio.delete_avatar("anna")
    assert sorted(path.name for path in loras.iterdir()) == ["anna.json", "anna.safetensors"]
    assert refused.value.message == f"These could not be erased: {loras / 'anna.json'}, {loras / 'anna.safetensors'}."
    told = studio.delete_avatar("anna")
    assert told["erased"] == [str(loras / "anna.json"), str(loras / "anna.safetensors"), "1 job"]


def test_another_file_of_the_same_name_is_nobodys_to_erase(studio: Studio) -> None:
    loras = studio.host.folders().loras
    for path in (loras / "people" / "anna.safetensors", loras / "people" / "anna.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"of somebody else")
    assert studio.delete_avatar("anna")["left"] == []
    assert sorted(path.name for path in loras.rglob("anna.*")) == ["anna.png", "anna.safetensors"]


def test_another_file_in_the_place_of_a_trained_one_is_left_and_named_with_what_lies_beside_it(studio: Studio) -> None:
    into_subfolder(studio)
    loras = studio.host.folders().loras
    taken = loras / "anna.safetensors"
    taken.write_bytes(b"of somebody else")
    taken.with_suffix(".png").touch()
    told = studio.delete_avatar("anna")
    assert sorted(told["left"]) == [str(taken.with_suffix(".png")), str(taken)]
    assert str(loras / "people" / "anna.safetensors") in told["erased"]
    assert [path.name for path in sorted(loras.rglob("anna.*"))] == ["anna.png", "anna.safetensors"]


@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".bin"])
def test_what_lies_beside_another_model_that_took_the_place_of_a_trained_one_stays_with_it(
    studio: Studio, ending: str
) -> None:
    loras = studio.host.folders().loras
    (loras / "anna.safetensors").unlink()
    for suffix in (ending, ".preview.png", ".yaml"):
        (loras / f"anna{suffix}").write_bytes(b"of another model")
    there = sorted(str(path) for path in loras.iterdir())
    told = studio.delete_avatar("anna")
    assert sorted(str(path) for path in loras.iterdir()) == sorted(told["left"]) == there
    assert told["erased"] == ["1 photo", "1 job"]


def test_a_trained_file_that_was_given_another_ending_is_erased_with_what_lies_beside_it(studio: Studio) -> None:
    loras = studio.host.folders().loras
    (loras / "anna.safetensors").rename(loras / "anna.pt")
    assert studio.delete_avatar("anna")["left"] == [] and not list(loras.iterdir())


def test_what_is_not_there_is_not_called_erased(studio: Studio) -> None:
    for path in studio.host.folders().loras.iterdir():
        path.unlink()
    assert studio.delete_avatar("anna")["erased"] == ["1 photo", "1 job"]


def test_what_a_training_left_that_was_killed_while_it_published_is_erased(
    tmp_path: Path, face_weights: Path
) -> None:
    ends = LEARN[: LEARN.index('(folder / "report.html")')] + "sys.exit(1)"
    note = '(folder / "publishing.json").write_text(json.dumps([{"file": str(target), "metadata": {}}]))\n'
    made = build_studio(tmp_path / "data", face_weights, ends.replace("told = json", note + "told = json").replace(
        '"personal_avatar.version": "0", "job": job["id"]', ""
    ))
    made.queue.wait(made.trainings.start(ANNA).id, 30)
    loras = made.host.folders().loras
    for name in ("anna.png", ".anna.safetensors.0123abcd.part", "anna-2.safetensors"):
        (loras / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, "anna.png")
        with pytest.raises(WrongState, match=r"anna\.png"):
            made.delete_avatar("anna")
    assert str(loras / "anna.safetensors") in made.delete_avatar("anna")["erased"]
    assert [path.name for path in loras.iterdir()] == ["anna-2.safetensors"]


def test_the_file_of_an_earlier_training_is_found_too(studio: Studio) -> None:
    into_subfolder(studio)
    avatar = studio.avatars.load("anna")
    studio.avatars.save(replace(avatar, checkpoints=()))
    studio.delete_avatar("anna")
    assert not list(studio.host.folders().loras.rglob("anna.*"))


@pytest.fixture()
def whole(studio: Studio) -> Studio:
    """Carla is a checkpoint, which is chosen; trainings on it, on another one, and of an earlier version left pictures
    of anybody."""
    host = studio.host
    studio.queue.wait(studio.trainings.start(replace(ANNA, name="Carla", method=Method.DREAMBOOTH)).id, 30)
    other = host.checkpoint()
    assert other.config is not None
    shutil.copyfile(other.config, host.folders().checkpoints / "carla.yaml")
    carla = host.find_checkpoint("carla")
    for name, base in (("of-carla", carla), ("of-another", replace(other, sha256="0" * 64)), ("of-nobody-knows", None)):
        folder = host.folders().data / "cache" / SHARED / name
        folder.mkdir(parents=True)
        (folder / "90000.png").touch()
        if base is not None:
            noted(folder, base)
    host.choose_checkpoint("carla")  # type: ignore[attr-defined]
    return studio


def test_what_a_persons_checkpoint_painted_is_erased_with_it_and_another_one_is_chosen(whole: Studio) -> None:
    folder = whole.host.folders().data / "cache" / SHARED
    told = whole.delete_avatar("carla")
    assert [path.name for path in folder.iterdir()] == ["of-another"] and told["left"] == []
    assert {str(folder / "of-carla"), str(folder / "of-nobody-knows")} <= set(told["erased"])
    assert told["checkpoint"] == whole.host.checkpoint().title == "avatar-tiny"


def test_who_was_no_checkpoint_takes_no_pictures_of_a_class_along(whole: Studio) -> None:
    told = whole.delete_avatar("anna")
    assert len(list((whole.host.folders().data / "cache" / SHARED).iterdir())) == 3
    assert "checkpoint" not in told and whole.host.checkpoint().title == "carla"


def on_another_disk(path: Path, disk: Path) -> Path:
    """Where it lies now, with a link in its place."""
    disk.mkdir(exist_ok=True)
    shutil.move(path, disk / path.name)
    path.symlink_to(disk / path.name)
    return disk / path.name


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("part", ["avatars/anna", "avatars/anna/photos", f"jobs/{'?' * 32}", "models/loras"])
def test_a_part_that_was_moved_to_another_disk_and_linked_is_erased_there(
    studio: Studio, tmp_path: Path, part: str
) -> None:
    data, disk = studio.host.folders().data, tmp_path / "disk"
    (moved,) = [on_another_disk(path, disk) for path in data.glob(part)]
    told = Studio(type(studio.host)(data), serves=False).delete_avatar("anna")
    assert files_below(disk) == [] and told["left"] == []
    assert told["erased"][-2:] == ["1 photo", "1 job"] and len(told["erased"]) == 5
    links = [path for folder in ("avatars", "jobs") for path in (data / folder).rglob("*") if path.is_symlink()]
    assert links == [] and moved.exists() == (moved.name == "loras")


@pytest.mark.parametrize("suffixes", [(".safetensors",), (".safetensors", ".json", ".png")])
def test_a_trained_file_that_was_moved_to_another_disk_and_linked_is_erased_there(
    studio: Studio, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    loras = studio.host.folders().loras
    moved = [on_another_disk(loras / f"anna{suffix}", tmp_path / "disk") for suffix in suffixes]
    told = studio.delete_avatar("anna")
    assert not any(path.exists() for path in moved) and not list(loras.iterdir())
    assert told["left"] == [] and str(loras / "anna.safetensors") in told["erased"]


def test_what_links_lead_to_is_left_and_named_where_nothing_says_that_it_is_the_persons(
    studio: Studio, tmp_path: Path
) -> None:
    data, disk = studio.host.folders().data, tmp_path / "disk"
    loras, folder = studio.host.folders().loras, studio.avatars.folder("anna")
    photos = on_another_disk(folder / "photos", disk)
    whole = on_another_disk(folder, disk)
    (folder / "dataset").mkdir(exist_ok=True)
    own = [photos / "01-0123456789ab.jpg", photos / "summer.jpg", whole / "diary.txt"]
    own += [disk / "cut.png", disk / "an.png"]
    for path in own:
        path.write_bytes(b"somebody's own")
    (folder / "dataset" / "cut.png").symlink_to(own[3])
    (loras / "anna.png").unlink()
    (loras / "anna.png").symlink_to(own[4])
    (loras / "anna.yaml").symlink_to(tmp_path / "a disk that is away" / "anna.yaml")
    told = studio.delete_avatar("anna")
    assert files_below(disk) == sorted(path.name for path in own) and "1 photo" in told["erased"]
    left = [photos, whole, own[3], own[4], tmp_path / "a disk that is away" / "anna.yaml"]
    assert sorted(told["left"]) == sorted(map(str, left)) and str(loras / "anna.png") not in told["erased"]
    assert not (data / "avatars" / "anna").exists() and not list(loras.iterdir())


def test_of_a_photo_that_is_a_link_the_original_is_left_named_and_not_counted(studio: Studio, tmp_path: Path) -> None:
    (photo,) = studio.avatars.photos("anna")
    moved = on_another_disk(photo, tmp_path / "originals")
    told = studio.delete_avatar("anna")
    assert moved.is_file() and told["left"] == [str(moved)] and "1 job" in told["erased"]
    assert "1 photo" not in told["erased"]


@pytest.mark.parametrize(
    ("part", "persons"),
    [
        ("avatars/anna", ""), ("avatars/anna/photos", ""), ("models/loras/anna.safetensors", ""),
        (f"jobs/{'?' * 32}", ""), (f"drafts/{'5' * 32}", ""), ("avatars", "anna"), ("jobs", "?" * 32),
        ("drafts", "5" * 32), ("models/loras", "anna.safetensors"),
    ],
)
def test_what_a_copied_data_folder_and_its_original_both_lead_to_is_the_originals(
    studio: Studio, tmp_path: Path, part: str, persons: str
) -> None:
    data, copy = studio.host.folders().data, tmp_path / "copy"
    write_json(data / "drafts" / ("5" * 32) / "draft.json", {"name": "Anna"})
    (linked,) = data.glob(part)
    moved = on_another_disk(linked, tmp_path / "disk")
    (lies,) = moved.glob(persons) if persons else [moved]
    there = files_below(tmp_path / "disk")
    with suppress(shutil.Error):  # a claim that was given back meanwhile
        shutil.copytree(data, copy, symlinks=True)
    told = Studio(type(studio.host)(copy), serves=False).delete_avatar("anna")
    assert files_below(tmp_path / "disk") == there and str(lies) in told["left"]
    assert persons or not (copy / linked.relative_to(data)).is_symlink()
    assert Studio(type(studio.host)(data), serves=False).delete_avatar("anna")["left"] == []
    assert not lies.exists()


def test_a_link_that_leads_to_itself_keeps_nobody_from_being_erased(studio: Studio) -> None:
    folder, loras = studio.avatars.folder("anna"), studio.host.folders().loras
    (folder / "dataset").mkdir(exist_ok=True)
    (loras / "anna.png").unlink()
    for loop in (folder / "dataset" / "loop", folder / "photos" / "02-loop.jpg", loras / "anna.png"):
        loop.symlink_to(loop)
    told = studio.delete_avatar("anna")
    assert told["left"] == [] and str(loras / "anna.safetensors") in told["erased"]
    assert not folder.exists() and not list(loras.iterdir())


def test_what_a_link_led_to_and_nobody_may_look_into_counts_as_left(studio: Studio, tmp_path: Path) -> None:
    moved = on_another_disk(studio.avatars.folder("anna") / "photos", tmp_path / "disk")
    (moved / "diary.txt").touch()
    look = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path == moved:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        assert studio.delete_avatar("anna")["left"] == [str(moved)]


def test_photos_on_another_disk_that_could_not_be_erased_are_erased_by_the_next_attempt(
    studio: Studio, tmp_path: Path
) -> None:
    moved = on_another_disk(studio.avatars.folder("anna") / "photos", tmp_path / "disk")
    (photo,) = files_below(moved)
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, photo)
        with pytest.raises(WrongState, match="photos"):
            studio.delete_avatar("anna")
    assert files_below(moved) == [photo]
    assert studio.delete_avatar("anna")["left"] == [] and not moved.exists()
