"""Finished pictures: looked at, liked, deleted, packed; on real runs in real folders."""
from __future__ import annotations

import csv
import io
import json
import shutil
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.albums import favourites
from personal_avatar.albums.entries import Entry, arranged
from personal_avatar.domain import Portrait, Style, to_json
from personal_avatar.errors import InvalidSettings, NotFound, NotReadable, WrongState
from personal_avatar.jobs.events import Done, EventWriter, read_events
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.jobs.states import State
from personal_avatar.pictures import EDITED, GENERATED, infotext_of, load_picture, save_picture, source_of
from personal_avatar.provenance import source_in
from personal_avatar.reports import contact_sheet
from personal_avatar.reports.content import Report
from personal_avatar.studio import Studio, keeping
from personal_avatar.studio.creating import CreateTask
from personal_avatar.studio.picking import VARIATION
from personal_avatar.studio.works import INVENT, RANK, RESTORE, TRAIN
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES, build_studio
from tests.unit.runs import INFOTEXT
from tests.unit.runs import finished_run as run

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


def numbers(studio: Studio, job_id: str) -> list[int]:
    return [entry.number for entry in studio.gallery.of(job_id)]


def everything_below(folder: Path) -> str:
    """What the files of a folder hold, as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


# -- looking and liking


def test_pictures_of_a_run_come_with_number_scores_and_mark(studio: Studio) -> None:
    job_id = run(studio)
    found = studio.gallery.of(job_id)
    assert [(entry.number, entry.likeness, entry.favourite, entry.owned) for entry in found] == [
        (0, 0.9, False, True), (1, 0.95, False, True), (2, pytest.approx(0.7), False, True),
    ]
    assert found[1].shown.name == "0001-restored.png"


def test_favourites_stay_and_go_with_the_run(studio: Studio) -> None:
    job_id = run(studio)
    assert studio.gallery.favourite(job_id, 2).favourite
    studio.gallery.favourite(job_id, 0)
    studio.gallery.favourite(job_id, 2, liked=False)
    again = Studio(studio.host)
    assert [entry.number for entry in again.gallery.of(job_id) if entry.favourite] == [0]
    studio.gallery.erase(job_id)
    assert not list((studio.host.folders().data / "jobs").rglob(favourites.FILE))


def test_two_programs_that_like_pictures_at_once_lose_none(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, read = run(studio, 6), favourites.read

    def slow(folder: Path) -> frozenset[int]:
        found = read(folder)
        time.sleep(0.02)
        return found

    monkeypatch.setattr(favourites, "read", slow)
    programs = [(studio, (0, 1, 2)), (Studio(studio.host), (3, 4, 5))]
    likes = [
        threading.Thread(target=lambda who=who, which=which: [who.gallery.favourite(job_id, n) for n in which])
        for who, which in programs
    ]
    for one in likes:
        one.start()
    for one in likes:
        one.join()
    assert read(studio.jobs.folder(job_id)) == {0, 1, 2, 3, 4, 5}


def test_a_damaged_list_of_favourites_is_an_empty_one(studio: Studio) -> None:
    job_id = run(studio)
    (studio.jobs.folder(job_id) / favourites.FILE).write_text('{"favourites": ["x"]}')
    assert not any(entry.favourite for entry in studio.gallery.of(job_id))


def test_hearts_that_could_not_be_read_for_a_moment_are_there_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = run(studio)
    studio.gallery.favourite(job_id, 1)
    again = Studio(studio.host)

    def refused(_: Path) -> frozenset[int]:
        raise NotReadable("It cannot be read now.")

    with monkeypatch.context() as patch:
        patch.setattr(favourites, "read", refused)
        assert not any(entry.favourite for entry in again.gallery.of(job_id))
    assert [entry.number for entry in again.gallery.of(job_id) if entry.favourite] == [1]


@pytest.mark.parametrize("number", [3, -1])
def test_a_number_that_is_not_there_is_named(studio: Studio, number: int) -> None:
    job_id = run(studio)
    with pytest.raises(NotFound, match=f"no number {number}"):
        studio.gallery.favourite(job_id, number)


def test_a_small_version_is_made_once_and_again_when_the_picture_changes(studio: Studio) -> None:
    (entry, *_) = studio.gallery.of(run(studio))
    small = studio.gallery.thumbnail(entry)
    assert max(Image.open(small).size) <= 448 and source_of(small) == GENERATED
    before = small.stat().st_mtime_ns
    assert studio.gallery.thumbnail(entry) == small and small.stat().st_mtime_ns == before
    save_picture(np.zeros((90, 60, 3), np.uint8), entry.portrait.path)
    assert Image.open(studio.gallery.thumbnail(entry)).size == (60, 90)


# -- deleting


def test_a_deleted_picture_is_gone_with_twin_small_version_and_record_and_the_others_keep_their_numbers(
    studio: Studio,
) -> None:
    job_id = run(studio)
    folder, entry = studio.jobs.folder(job_id), studio.gallery.entry(job_id, 1)
    studio.gallery.thumbnail(entry)
    studio.gallery.favourite(job_id, 1)
    studio.gallery.favourite(job_id, 2)
    ids = [record.id for record in read_events(folder)]

    told = studio.gallery.delete(job_id, 1)
    assert len(told["erased"]) == 3 and told["left"] == []
    assert numbers(studio, job_id) == [0, 2]
    assert "0001" not in everything_below(folder) and not list(folder.rglob("0001*"))
    assert [record.id for record in read_events(folder)] == ids
    assert [entry.number for entry in studio.gallery.of(job_id) if entry.favourite] == [2]
    with pytest.raises(NotFound):
        studio.gallery.picture(job_id, 1)

    studio.gallery.delete(job_id, 0)
    assert numbers(Studio(studio.host), job_id) == [2]
    assert studio.gallery.picture(job_id, 2).name == "0002.png"


def test_nothing_of_a_picture_is_deleted_while_the_favourites_cannot_be_read(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = run(studio)
    studio.gallery.favourite(job_id, 1)
    before, read = studio.gallery.of(job_id), Path.read_text

    def refused(path: Path, *args: Any, **how: Any) -> str:
        if path.name == favourites.FILE:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        with pytest.raises(NotReadable, match="Permission denied"):
            studio.gallery.delete(job_id, 1)
    assert all(entry.shown.is_file() and entry.portrait.path.is_file() for entry in before)
    assert Studio(studio.host).gallery.of(job_id) == before


def test_a_photo_of_an_invented_character_goes_with_its_caption_and_its_record(studio: Studio) -> None:
    job = studio.jobs.create(INVENT, {}, title="Mia", user_id="local", avatar_id="")
    folder = studio.jobs.folder(job.id)
    paths = [folder / "artifacts" / "photos" / f"00{number}.png" for number in (1, 2)]
    for path in paths:
        save_picture(load_picture(GOOD[0])[::4, ::4].copy(), path)
        path.with_suffix(".txt").write_text(f"sks woman, {path.name}")
    result = {"images": [to_json(Portrait(path, 0, "a woman")) for path in paths], "similarity": 0.7}
    record = folder / "artifacts" / "character.json"
    record.write_text(json.dumps(result))
    studio.jobs.move(job.id, State.RUNNING)
    EventWriter(folder)(Done(result))
    studio.jobs.move(job.id, State.SUCCEEDED)
    assert len(studio.gallery.delete(job.id, 0)["erased"]) == 2
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["002.png", "002.txt"]
    assert [row["n"] for row in json.loads(record.read_text())["images"]] == [1]
    assert "001.png" not in everything_below(folder)


def test_pictures_among_the_hosts_own_are_deleted_only_when_that_is_asked(studio: Studio, tmp_path: Path) -> None:
    job_id = run(studio, elsewhere=tmp_path / "outputs")
    first = studio.gallery.entry(job_id, 0)
    assert not first.owned
    assert studio.gallery.delete(job_id, 0)["left"] == [str(first.portrait.path)]
    assert first.portrait.path.is_file() and numbers(studio, job_id) == [1, 2]
    second = studio.gallery.entry(job_id, 2)
    assert studio.gallery.delete(job_id, 2, host_files=True)["left"] == []
    assert not second.portrait.path.exists()


def copies_beside(outputs: Path, *stems: str) -> list[str]:
    """What the WebUI writes beside large pictures, and beside all where it is told to."""
    made = [outputs / f"{stem}{suffix}" for stem in stems for suffix in (".jpg", ".txt")]
    for path in made:
        path.touch()
    return [str(path) for path in made]


def test_copies_that_the_host_saved_beside_its_pictures_go_and_are_left_with_them(
    studio: Studio, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    job_id = run(studio, elsewhere=outputs)
    first, second, last, strange = (copies_beside(outputs, stem) for stem in ("0000", "0001", "0002", "00020"))
    assert studio.gallery.delete(job_id, 0)["left"] == [str(outputs / "0000.png"), *first]
    assert set(studio.gallery.delete(job_id, 2, host_files=True)["erased"]) == {str(outputs / "0002.png"), *last}
    told = studio.gallery.erase(job_id)
    assert told["left"] == sorted([str(outputs / "0001.png"), *second])
    assert sorted(str(path) for path in outputs.iterdir()) == sorted(
        [str(outputs / "0000.png"), *first, str(outputs / "0001.png"), *second, *strange]
    )


def test_a_cancelled_run_loses_pictures_in_the_same_way(studio: Studio) -> None:
    from personal_avatar.errors import Cancelled
    from personal_avatar.jobs.events import failure

    job_id = run(studio, state=State.RUNNING)
    result = studio.jobs.view(job_id).result
    EventWriter(studio.jobs.folder(job_id))(failure(Cancelled("Stopped.", "", result)))
    with pytest.raises(WrongState):
        studio.gallery.delete(job_id, 0)
    studio.jobs.move(job_id, State.CANCELLED)
    studio.gallery.delete(job_id, 0)
    assert numbers(studio, job_id) == [1, 2]


def test_pictures_that_were_only_ranked_are_not_ours_to_delete(studio: Studio) -> None:
    job = studio.jobs.create(RANK, {}, title="Anna", user_id="local", avatar_id="")
    with pytest.raises(WrongState, match="only ranked"):
        studio.gallery.delete(job.id, 0, host_files=True)


@pytest.mark.parametrize("name", ["x.zip", ".x.zip.1a2b3c4d.part"])
def test_zips_for_download_do_not_outlive_what_was_deleted(studio: Studio, name: str) -> None:
    """Nor does what a program that was killed had packed of one."""
    job_id = run(studio)
    target = studio.gallery.pack(studio.gallery.of(job_id), studio.gallery.archives / name)
    studio.gallery.delete(job_id, 0)
    assert not target.exists()


def test_a_run_that_a_copied_data_folder_and_its_original_both_lead_to_is_the_originals(
    studio: Studio, tmp_path: Path
) -> None:
    job_id, data, copy = run(studio), studio.host.folders().data, tmp_path / "copy"
    task = {"weights_folder": str(data / "weights"), "avatar_folder": str(data / "avatars" / "anna")}
    studio.jobs.create(TRAIN, task, title="Anna", user_id="local", avatar_id="anna")
    moved, link = tmp_path / "a disk", data / "jobs" / job_id
    shutil.move(link, moved)
    link.symlink_to(moved, target_is_directory=True)
    there = sorted(moved.rglob("*"))
    shutil.copytree(data, copy, symlinks=True)
    told = Studio(type(studio.host)(copy), serves=False).gallery.erase(job_id)
    assert told["left"] == [str(moved)] and told["erased"] == [] and sorted(moved.rglob("*")) == there
    assert not (copy / "jobs" / job_id).is_symlink()
    told = studio.gallery.erase(job_id)
    assert told["left"] == [] and len(told["erased"]) == 3 and not moved.exists() and not link.is_symlink()


def test_nothing_of_a_run_that_was_erased_stays_in_memory(studio: Studio) -> None:
    job_id = run(studio)
    assert studio.gallery.of(job_id)
    studio.gallery.erase(job_id)
    assert job_id not in repr(vars(studio.gallery))


def test_pictures_are_found_where_the_data_folder_was_moved_to(studio: Studio) -> None:
    """Also while a copy of it lies where they were made."""
    job_id, data = run(studio), studio.host.folders().data
    moved = data.with_name("renamed")
    shutil.copytree(data, moved, symlinks=True)
    again = Studio(type(studio.host)(moved), serves=False)
    folder = again.jobs.folder(job_id)
    (first, second, third) = again.gallery.of(job_id)
    assert all(entry.owned and entry.shown.is_relative_to(folder) for entry in (first, second, third))
    assert second.shown.name == "0001-restored.png" and again.gallery.taken(second).data
    assert [path.parent for path in again.gallery.told_by(again.jobs.view(job_id))] == [folder / "artifacts"] * 3

    assert again.gallery.delete(job_id, 1)["left"] == []
    told = (folder / EVENTS_FILE).read_text(encoding="utf-8")
    assert "0001" not in told and "0002" in told and not list(folder.rglob("0001*"))
    assert all(entry.shown.is_file() for entry in studio.gallery.of(job_id))


# -- taking along


@pytest.mark.parametrize(("size", "kind", "px", "mode"), [
    ("linkedin", "jpeg", (400, 400), "RGB"), ("round", "", None, "RGBA"), ("square", "webp", None, "RGB"),
    ("portrait", "png", None, "RGB"), ("story", "", None, "RGB"), ("original", "jpeg", None, "RGB"),
])
def test_every_size_and_format_keeps_infotext_and_mark(
    studio: Studio, tmp_path: Path, size: str, kind: str, px: tuple[int, int] | None, mode: str
) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    taken = studio.gallery.taken(entry, size, kind)
    path = tmp_path / taken.name
    path.write_bytes(taken.data)
    with Image.open(path) as picture:
        assert picture.mode == mode and (px is None or picture.size == px)
        assert taken.media_type == Image.MIME[picture.format or ""]
    assert infotext_of(path) == INFOTEXT.format(seed=0)
    assert source_of(path) == GENERATED


def test_the_cut_is_around_the_face_that_the_analyser_finds(studio: Studio, tmp_path: Path) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    wide = np.full((600, 1600, 3), 200, np.uint8)
    drawing = load_picture(GOOD[0])
    side = min(500, *drawing.shape[:2])
    wide[60 : 60 + side, 1050 : 1050 + side] = drawing[:side, :side]
    save_picture(wide, entry.portrait.path)
    taken = studio.gallery.taken(entry, "linkedin")
    (tmp_path / taken.name).write_bytes(taken.data)
    (face, *_) = studio.analyser().detect(load_picture(tmp_path / taken.name))
    left, _, right, _ = face.box_px
    assert abs((left + right) / 2 - 200) < 30 and face.height_px > 130


def test_an_original_that_others_saved_gets_the_mark_and_keeps_its_pixels(studio: Studio, tmp_path: Path) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    Image.fromarray(load_picture(GOOD[1])).save(entry.portrait.path)
    taken = studio.gallery.taken(entry)
    (tmp_path / "a.png").write_bytes(taken.data)
    assert source_of(entry.portrait.path) == "" and source_of(tmp_path / "a.png") == GENERATED
    assert np.array_equal(load_picture(tmp_path / "a.png"), load_picture(GOOD[1]))


def test_a_picture_of_a_photo_stays_marked_as_edited(studio: Studio, tmp_path: Path) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    save_picture(load_picture(GOOD[0]), entry.portrait.path, source=EDITED)
    taken = studio.gallery.taken(entry, "square", "jpeg")
    (tmp_path / "a.jpg").write_bytes(taken.data)
    assert source_of(tmp_path / "a.jpg") == EDITED


def own(studio: Studio, kind: str, photo: Path) -> str:
    """A job that ranked somebody's own photo, or looked at it and restored nothing; and one that restored it."""
    job = studio.jobs.create(kind, {}, title="Photos", user_id="local", avatar_id="")
    twin = studio.jobs.folder(job.id) / "artifacts" / "000-restored.png"
    save_picture(load_picture(photo), twin, source="")
    rows = [{"path": str(photo), "restored": None}, {"path": str(photo), "restored": str(twin)}]
    studio.jobs.move(job.id, State.RUNNING)
    EventWriter(studio.jobs.folder(job.id))(Done({"images": rows}))
    studio.jobs.move(job.id, State.SUCCEEDED)
    return job.id


@pytest.mark.parametrize("kind", [RANK, RESTORE])
def test_a_photo_of_somebodys_own_never_leaves_as_a_generated_one(studio: Studio, tmp_path: Path, kind: str) -> None:
    photo = tmp_path / "photo.jpg"
    Image.open(GOOD[0]).convert("RGB").save(photo)
    plain, restored = studio.gallery.of(own(studio, kind, photo))
    assert studio.gallery.taken(plain).data == photo.read_bytes()
    assert source_in(studio.gallery.taken(plain, "square", "png").data) == ""
    assert source_of(studio.gallery.thumbnail(plain)) == ""
    assert source_in(studio.gallery.taken(restored).data) == EDITED
    with zipfile.ZipFile(studio.gallery.pack([plain], tmp_path / "own.zip")) as archive:
        assert all(source_in(archive.read(name)) == "" for name in archive.namelist() if name.endswith(".jpg"))
        assert "Every picture here was generated" not in archive.read("scores.json").decode()
    save_picture(load_picture(photo), photo.with_suffix(".png"))  # a picture that says what it is goes on saying so
    (made, _) = studio.gallery.of(own(studio, kind, photo.with_suffix(".png")))
    assert source_in(studio.gallery.taken(made, "square", "jpeg").data) == GENERATED


def test_what_cannot_be_taken_is_named(studio: Studio) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    with pytest.raises(InvalidSettings, match="gif"):
        studio.gallery.taken(entry, "original", "gif")
    with pytest.raises(InvalidSettings, match="poster"):
        studio.gallery.taken(entry, "poster")
    entry.portrait.path.unlink()
    with pytest.raises(NotFound, match="gone"):
        studio.gallery.taken(entry)
    with pytest.raises(NotFound, match="no pictures to pack"):
        studio.gallery.pack([entry], studio.gallery.archives / "x.zip")


def test_an_archive_holds_pictures_sheet_and_tables_and_names_no_folder(studio: Studio, tmp_path: Path) -> None:
    job_id = run(studio)
    studio.gallery.favourite(job_id, 2)
    chosen = arranged(studio.gallery.of(job_id), "quality")
    seen: list[tuple[int, int]] = []
    target = studio.gallery.pack(chosen, tmp_path / "out.zip", on_progress=lambda *at: seen.append(at))
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [
            "001.png", "002.png", "002-restored.png", "003.png", "contact-sheet.jpg", "scores.csv", "scores.json",
        ]
        everything = b"".join(map(archive.read, archive.namelist()))
        rows = list(csv.DictReader(io.StringIO(archive.read("scores.csv").decode("utf-8-sig"))))
        document = json.loads(archive.read("scores.json"))
        archive.extractall(tmp_path)
    assert str(tmp_path).encode() not in everything
    assert [(row["file"], row["number"], row["favourite"], row["second"]) for row in rows] == [
        ("001.png", "2", "True", ""), ("002.png", "1", "False", ""), ("003.png", "0", "False", ""),
    ]
    assert document["pictures"][0]["infotext"] == INFOTEXT.format(seed=2) and document["pictures"][0]["second"] is None
    for name in ("001.png", "002.png", "002-restored.png", "contact-sheet.jpg"):
        assert source_of(tmp_path / name) == GENERATED
    assert infotext_of(tmp_path / "001.png") == INFOTEXT.format(seed=2)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_picture_that_is_deleted_while_it_is_packed_does_not_stay_in_the_zip(studio: Studio, tmp_path: Path) -> None:
    job_id = run(studio)

    def delete_the_first(done: int, total: int) -> None:
        if done == 1:
            studio.gallery.delete(job_id, 0)

    with pytest.raises(NotFound, match="deleted while it was packed"):
        studio.gallery.pack(studio.gallery.of(job_id), tmp_path / "x.zip", on_progress=delete_the_first)
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("name", ["data/cache/archives/x.zip", "x.zip"])
def test_no_zip_outlives_a_run_that_is_erased_while_it_is_packed(studio: Studio, tmp_path: Path, name: str) -> None:
    """Though its file is among the host's own, which stay."""
    job_id = run(studio, 1, elsewhere=tmp_path / "outputs")
    with pytest.raises(NotFound, match="deleted while"):
        studio.gallery.pack(
            studio.gallery.of(job_id), tmp_path / name, on_progress=lambda *_: studio.gallery.erase(job_id) and None
        )
    assert not list(tmp_path.rglob("*x.zip*"))


def test_an_archive_of_cut_pictures_holds_only_the_better_ones(studio: Studio, tmp_path: Path) -> None:
    target = studio.gallery.pack(studio.gallery.of(run(studio)), tmp_path / "out.zip", "linkedin", "webp")
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist()[:3] == ["001.webp", "002-restored.webp", "003.webp"]


def test_many_pictures_get_several_contact_sheets(studio: Studio) -> None:
    (entry, *_) = studio.gallery.of(run(studio, 1))
    many = [replace(entry, number=number) for number in range(61)]
    names = [sheet.name for sheet in keeping._sheets(many, {""}, "en")]
    assert names == ["contact-sheet-01.jpg", "contact-sheet-02.jpg"]


@pytest.mark.parametrize(("can_write", "language", "subject"), [
    (True, "vi", "Số ảnh: 3"), (True, "zh", "图片：3 张"), (False, "en", "Pictures: 3"),
])
def test_the_contact_sheet_of_an_archive_is_in_the_language_that_was_asked_for(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_write: bool, language: str, subject: str
) -> None:
    shown: list[Report] = []
    made = keeping.contact_sheet
    monkeypatch.setattr(contact_sheet, "can_write", lambda text: can_write or text.isascii())
    monkeypatch.setattr(keeping, "contact_sheet", lambda report, first: (shown.append(report), made(report, first))[1])
    asked = language if can_write else "zh"
    studio.gallery.pack(studio.gallery.of(run(studio)), tmp_path / "out.zip", language=asked)
    assert [(report.language, report.subject) for report in shown] == [(language, subject)]


def test_without_a_face_the_middle_is_taken(studio: Studio) -> None:
    entry = studio.gallery.entry(run(studio), 0)
    save_picture(load_picture(SAMPLES / "no-face.jpg"), entry.portrait.path)
    assert studio.gallery.taken(entry, "linkedin").data


def test_an_entry_names_itself_among_all_runs() -> None:
    assert Entry("ab12", 3, Portrait(Path("x.png"), 1, "")).key == "ab12:3"


def test_more_begins_with_the_picture_as_it_was_painted_and_looks_at_no_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, asked = run(studio), []
    path = studio.jobs.folder(job_id) / "job.json"
    task = CreateTask("", (Style("oil", "Oil", "{subject} in oil"),), {"count": 9})
    path.write_text(json.dumps({**json.loads(path.read_text()), "payload": to_json(task)}))
    monkeypatch.setattr(studio, "create", asked.append)
    monkeypatch.setattr(studio, "rankings", None)
    entry = studio.gallery.entry(job_id, 1)
    studio.gallery.more_like(entry, 4)
    assert asked[0].image == entry.portrait.path != entry.shown
    assert (asked[0].strength, asked[0].settings["count"], asked[0].styles) == (VARIATION, 4, ("oil",))
