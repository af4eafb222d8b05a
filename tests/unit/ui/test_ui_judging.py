"""What is decided by hand about photos: it is judged at once, kept, and found again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import Reason
from personal_avatar.errors import InvalidSettings
from personal_avatar.studio import Studio
from personal_avatar.ui import caption_book, judging, photo_cuts, photo_files
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.photo_pictures import name_of, pictures_of
from personal_avatar.ui.photo_report import GROUPS, coverage_html
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import JobWatch, Scene
from personal_avatar.ui.working import CUT, JUDGE, Workshop

from tests.unit.api.house import GOOD, SAMPLES

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

TWO = SAMPLES / "two-people.jpg"
LayOut = Callable[..., Desk]


@pytest.fixture
def lay_out(studio: Studio) -> LayOut:
    def laid(key: str, *photos: Path) -> Desk:
        desk = Desk(studio, ask_folder=False)
        judging.lay_out(desk, key, list(photos), "")
        return checked(desk, key)

    return laid


def checked(desk: Desk, key: str) -> Desk:
    end = time.monotonic() + 60
    while desk.work.busy(key):
        assert time.monotonic() < end
        time.sleep(0.02)
    return desk


def accepted(desk: Desk, key: str) -> list[str]:
    return [path.name for path in checked(desk, key).draft(key).accepted]


def test_a_photo_left_out_by_hand_stays_out_until_that_is_taken_back(lay_out: LayOut, studio: Studio) -> None:
    key = "a1" * 16
    desk = lay_out(key, *GOOD[:3])
    judging.take(desk, key, GOOD[1].name, False)
    assert accepted(desk, key) == [GOOD[0].name, GOOD[2].name]
    again = Desk(studio, ask_folder=False)
    assert accepted(again, key) == [GOOD[0].name, GOOD[2].name]
    judging.take(again, key, GOOD[1].name, None)
    assert len(accepted(again, key)) == 3


def test_a_rejected_photo_can_be_used_but_never_one_without_a_face(lay_out: LayOut) -> None:
    key = "a2" * 16
    desk = lay_out(key, *GOOD[:2], SAMPLES / "blurred.jpg", SAMPLES / "no-face.jpg")
    judging.take(desk, key, "blurred.jpg", True)
    assert "blurred.jpg" in accepted(desk, key)
    assert Reason.BLURRED in desk.draft(key).verdict("blurred.jpg").reasons
    with pytest.raises(Refusal, match="Nothing of no-face.jpg can be used"):
        judging.take(desk, key, "no-face.jpg", True)


def test_a_removed_photo_is_erased_and_its_decision_comes_back_with_it(lay_out: LayOut) -> None:
    key = "a3" * 16
    desk = lay_out(key, *GOOD[:3])
    small = pictures_of(desk.folder(key)).small(desk.draft(key).photos[1])
    judging.take(desk, key, GOOD[1].name, False)
    judging.remove(desk, key, GOOD[1].name)
    assert [path.name for path in checked(desk, key).draft(key).photos] == [GOOD[0].name, GOOD[2].name]
    assert small is not None and not small.exists()
    assert not list(desk.folder(key).glob(f"**/{GOOD[1].name}"))
    judging.lay_out(desk, key, [GOOD[1]], "")
    assert accepted(desk, key) == [GOOD[0].name, GOOD[2].name]


def test_what_was_seen_in_a_photo_is_forgotten_with_it(lay_out: LayOut, studio: Studio) -> None:
    key, others = "ab" * 16, len(studio.seen)
    desk = lay_out(key, *GOOD[:3])
    assert len(studio.seen) == others + 3
    judging.remove(desk, key, desk.draft(key).photos[0].name)
    checked(desk, key)
    assert len(studio.seen) == others + 2
    desk.clear(key)
    assert len(studio.seen) == others
    studio.check_photos(GOOD[:1])
    assert len(studio.seen) == others


def test_of_several_faces_one_is_chosen_and_judged(lay_out: LayOut, studio: Studio) -> None:
    key = "a4" * 16
    desk = lay_out(key, *GOOD[:2], TWO)
    before = desk.draft(key).verdict(TWO.name)
    assert len(before.people) == 2 and before.face is not None
    other = next(number for number, face in enumerate(before.people) if face.box_px != before.face.box_px)
    judging.mean(desk, key, TWO.name, other)
    after = checked(Desk(studio, ask_folder=False), key).draft(key).verdict(TWO.name)
    assert after.choice.face == other and after.face is not None
    assert after.face.box_px == before.people[other].box_px
    assert after.similarity != before.similarity
    with pytest.raises(Refusal, match="has no such face"):
        judging.mean(desk, key, TWO.name, 7)


def test_only_settings_of_the_check_judge_again(lay_out: LayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "a5" * 16
    desk = lay_out(key, *GOOD[:2])
    judging.set_up(desk, key, {"min_sharpness": 100.0})
    assert accepted(desk, key) == []
    started: list[str] = []
    monkeypatch.setattr(desk.work, "start", lambda *how: started.append(how[1]))
    judging.set_up(desk, key, {"min_sharpness": 100.0, "framing": "half"})
    assert started == [] and desk.draft(key).photo_settings.framing == "half"
    with pytest.raises(InvalidSettings, match="framing must be one of"):
        judging.set_up(desk, key, {"framing": "sideways"})


def test_a_page_that_is_older_than_the_draft_is_told_so(lay_out: LayOut) -> None:
    key = "a6" * 16
    desk = lay_out(key, GOOD[0])
    for act in (lambda: judging.take(desk, key, "gone.jpg", False), lambda: judging.remove(desk, key, "gone.jpg")):
        with pytest.raises(Refusal, match="gone.jpg is not among the photos"):
            act()


def test_a_report_of_an_earlier_version_leaves_the_photos(lay_out: LayOut, studio: Studio) -> None:
    key = "a7" * 16
    desk = lay_out(key, *GOOD[:2])
    path = desk.folder(key) / "draft.json"
    path.write_text(path.read_text().replace('"advice": [', '"advice": ["a sentence", '))
    draft = Desk(studio, ask_folder=False).draft(key)
    assert len(draft.photos) == 2 and draft.report is None


def test_photos_that_differ_in_the_suffix_alone_keep_their_own_captions(lay_out: LayOut, tmp_path: Path) -> None:
    from PIL import Image

    key = "a8" * 16
    for number, name in enumerate(("face.jpg", "sub/face.png")):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        Image.open(GOOD[number]).save(target)
        target.with_suffix(".txt").write_text(f"caption {number}")
    desk = lay_out(key, tmp_path / "face.jpg", tmp_path / "sub" / "face.png")
    assert {path.name: path.with_suffix(".txt").read_text() for path in desk.draft(key).photos} == {
        "face.jpg": "caption 0",
        "face-2.png": "caption 1",
    }


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_photos_whose_names_are_no_text_are_laid_out_under_names_that_are(lay_out: LayOut, tmp_path: Path) -> None:
    key = "ac" * 16
    found = [tmp_path / os.fsdecode(name) for name in (b"caf\xe8.jpg", b"caf\xe9.jpg")]
    for photo, source in zip(found, GOOD, strict=False):
        shutil.copy(source, photo)
        photo.with_suffix(".txt").write_text(source.name)
    desk = lay_out(key, *found)
    told = {path.name: path.with_suffix(".txt").read_text() for path in desk.draft(key).photos}
    assert told == {"caf\ufffd.jpg": GOOD[0].name, "caf\ufffd-2.jpg": GOOD[1].name}
    judging.take(desk, key, "caf\ufffd.jpg", False)
    assert accepted(desk, key) == ["caf\ufffd-2.jpg"]


# -- what the set covers


def test_the_picture_of_what_is_covered_shows_what_is_missing(lay_out: LayOut, studio: Studio) -> None:
    key = "a9" * 16
    desk = lay_out(key, *GOOD[:3])
    report = desk.draft(key).report
    assert report is not None and report.coverage is not None
    made = coverage_html(Scene(studio, desk, JobWatch(studio), "en", key, {}))
    lacking = sum(count == 0 for name in GROUPS for count in getattr(report.coverage, name).values())
    assert made.count("pa-lacking") == lacking > 0
    assert f"What the {report.coverage.photos} accepted photos show" in made
    desk.note(key, report=replace(report, coverage=None))
    assert coverage_html(Scene(studio, desk, JobWatch(studio), "en", key, {})) == ""


# -- pictures of photos


def test_a_picture_is_made_once_and_what_cannot_be_shown_is_not_tried_again(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path / "draft")
    small = pictures.small(GOOD[0])
    assert small is not None and small.stat().st_size < 120_000
    stamp = small.stat().st_mtime_ns
    copy = tmp_path / "copy.jpg"
    shutil.copyfile(GOOD[0], copy)
    assert pictures.small(copy) == small and small.stat().st_mtime_ns == stamp
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8nothing")
    assert pictures.small(broken) is None
    assert (tmp_path / "draft" / "small" / f"{name_of(broken)}.jpg").stat().st_size == 0
    assert pictures.small(tmp_path / "gone.jpg") is None


# -- work in the background


def test_work_of_a_kind_goes_on_once_and_its_failure_is_remembered() -> None:
    shop = Workshop()
    gate: list[bool] = []

    def work(progress: Callable[[int, int], None]) -> None:
        progress(1, 2)
        while not gate:
            time.sleep(0.01)
        raise ValueError("it broke")

    thread = shop.start("k", JUDGE, 2, work)
    with pytest.raises(Refusal, match="being done already"):
        shop.start("k", JUDGE, 2, work)
    assert shop.busy("k") and not shop.busy("other")
    gate.append(True)
    thread.join(10)
    assert not shop.busy("k")
    assert "it broke" in (shop.error("k", JUDGE) or {})["message"]
    shop.start("k", JUDGE, 0, lambda progress: None).join(10)
    assert shop.error("k", JUDGE) is None


# -- erased while work goes on


@pytest.fixture
def gate(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[threading.Event, threading.Event]]:
    """Lets work begin, and end only when it is told to: (it has begun, let it end)."""

    def held(name: str) -> tuple[threading.Event, threading.Event]:
        begun, go_on, real = threading.Event(), threading.Event(), getattr(studio, name)

        def waiting(*given: object, **named: object) -> object:
            begun.set()
            assert go_on.wait(30)
            return real(*given, **named)

        monkeypatch.setattr(studio, name, waiting)
        return begun, go_on

    return held


Gate = Callable[[str], tuple[threading.Event, threading.Event]]


@pytest.mark.parametrize("name", ["prepare_photos", "check_photos"])
def test_nothing_comes_back_of_a_draft_that_was_erased_while_work_went_on(
    lay_out: LayOut, gate: Gate, name: str
) -> None:
    key = "a9" * 16
    desk = lay_out(key, *GOOD[:2])
    begun, go_on = gate(name)
    if name == "prepare_photos":
        photo_cuts.begin(desk, key, 128)
    else:
        judging.lay_out(desk, key, [GOOD[2]], "")
    assert begun.wait(30)
    desk.clear(key)
    go_on.set()
    checked(desk, key)
    assert not desk.folder(key).exists() and desk.draft(key) == Draft()


def test_pictures_cut_for_an_erased_draft_are_not_in_the_next_one(lay_out: LayOut, gate: Gate) -> None:
    key = "b1" * 16
    desk = lay_out(key, *GOOD[:2])
    begun, go_on = gate("prepare_photos")
    photo_cuts.begin(desk, key, 128)
    assert begun.wait(30)
    desk.clear(key)
    judging.lay_out(desk, key, [GOOD[0], GOOD[1]], "")
    go_on.set()
    checked(desk, key)
    assert not desk.cuttings(key).exists() and len(desk.draft(key).photos) == 2
    assert desk.work.error(key, CUT) is None


def test_training_pictures_of_a_removed_photo_go_with_it(lay_out: LayOut) -> None:
    key = "b2" * 16
    desk = lay_out(key, *GOOD[:2])
    photo_cuts.begin(desk, key, 128)
    checked(desk, key)
    assert len(list(desk.cuttings(key).glob("*.jpg"))) == 2
    judging.remove(desk, key, GOOD[0].name)
    checked(desk, key)
    assert not desk.cuttings(key).exists()


def test_what_was_said_while_photos_were_laid_out_stays(
    lay_out: LayOut, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, real = "b3" * 16, judging.distinct
    desk = lay_out(key, GOOD[0])

    def slow(*given: Any) -> list[Path]:
        desk.note(key, name="Anna", consent=True)
        return real(*given)

    monkeypatch.setattr(judging, "distinct", slow)
    judging.lay_out(desk, key, [GOOD[1]], "")
    draft = checked(desk, key).draft(key)
    assert (draft.name, draft.consent, len(draft.photos)) == ("Anna", True, 2)


def test_photos_in_the_place_of_others_leave_those_when_they_are_refused(lay_out: LayOut, tmp_path: Path) -> None:
    key = "b4" * 16
    desk = lay_out(key, *GOOD[:2])
    desk.note(key, name="Anna", consent=True)
    before = desk.draft(key)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(Refusal):
        judging.lay_out(desk, key, [tmp_path / "empty.jpg"], "", instead={"name": "Bo", "consent": False})
    assert desk.draft(key) == before and all(path.is_file() for path in before.photos)
    judging.lay_out(desk, key, [GOOD[2]], "", instead={"name": "Bo", "consent": False})
    after = checked(desk, key).draft(key)
    assert (after.name, after.consent) == ("Bo", False)
    assert [path.name for path in after.photos] == [GOOD[2].name] and len(list(after.photos[0].parent.iterdir())) == 1


# -- laying out more, when something is in the way


@pytest.fixture
def three(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> tuple[Desk, str]:
    """Photos that are laid out, unchecked, the first with a caption; and whose they are."""
    monkeypatch.setattr(judging, "_check", lambda *_: None)
    key = uuid.uuid4().hex
    desk = Desk(studio, ask_folder=False)
    judging.lay_out(desk, key, GOOD[:3], "")
    caption_book.take(desk, key, {GOOD[0].name: "sks woman, hat"})
    return checked(desk, key), key


def names(desk: Desk, key: str) -> list[str]:
    """Of the photos of a draft, which must be there."""
    assert all(path.is_file() for path in desk.draft(key).photos)
    return [path.name for path in desk.draft(key).photos]


def test_a_photo_that_cannot_be_deleted_costs_no_other_one(
    three: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk, key), unlink = three, os.unlink

    def held(path: Any, **how: Any) -> None:
        if Path(path).name == GOOD[1].name:
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", held)
        judging.lay_out(desk, key, [GOOD[3]], "")
        assert names(checked(desk, key), key) == [path.name for path in GOOD[:4]]
        assert caption_book.captions_of(desk.draft(key))[GOOD[0].name] == "sks woman, hat"
        judging.lay_out(desk, key, [GOOD[4]], "", instead={"name": "Bo"})
    assert names(checked(desk, key), key) == [GOOD[4].name]
    judging.lay_out(desk, key, [GOOD[5]], "")
    assert {path.name for path in desk.photos(key).iterdir()} == {GOOD[4].name, GOOD[5].name}


def test_a_caption_that_is_typed_while_photos_are_added_stays(
    three: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk, key), copy = three, photo_files.copy_with_caption

    def typed(photo: Path, target: Path) -> None:
        copy(photo, target)
        if photo == GOOD[3]:
            caption_book.take(desk, key, {GOOD[1].name: "sks woman, typed meanwhile"})

    monkeypatch.setattr(photo_files, "copy_with_caption", typed)
    judging.lay_out(desk, key, [GOOD[3]], "")
    captions = caption_book.captions_of(checked(desk, key).draft(key))
    assert [*captions.values()] == ["sks woman, hat", "sks woman, typed meanwhile", "", ""]


def test_photos_that_two_pages_add_at_once_are_all_there(
    three: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk, key), distinct = three, judging.distinct

    def slow(photos: list[Path]) -> list[Path]:
        monkeypatch.setattr(judging, "distinct", distinct)
        judging.lay_out(desk, key, [GOOD[4]], "")  # the other page is quicker
        checked(desk, key)
        return distinct(photos)

    monkeypatch.setattr(judging, "distinct", slow)
    judging.lay_out(desk, key, [GOOD[3]], "")
    assert names(checked(desk, key), key) == [GOOD[place].name for place in (0, 1, 2, 4, 3)]


def test_photos_that_could_not_all_be_copied_change_nothing_and_leave_nothing(
    three: tuple[Desk, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk, key), distinct = three, judging.distinct
    before = desk.draft(key)
    monkeypatch.setattr(judging, "distinct", lambda photos: [*distinct(photos), tmp_path / "gone.jpg"])
    with pytest.raises(FileNotFoundError):
        judging.lay_out(desk, key, [GOOD[3]], "")
    assert desk.draft(key) == before and names(desk, key) == [path.name for path in GOOD[:3]]
    assert len(list(desk.photos(key).iterdir())) == 4


KILLED = """
import os, sys
from pathlib import Path
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.ui import caption_book, judging
from personal_avatar.ui.desk import Desk

home, *photos = map(Path, sys.argv[1:])
judging._check = lambda *_: None


def laid_out(desk, key, photos, **how):
    judging.lay_out(desk, key, photos, "", **how)
    while desk.work.busy(key):
        pass


def dies_at(moment):
    left = [moment]

    def heard(event, how):
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir") and str(home) in str(how[0]):
            left[0] -= 1
            if not left[0]:
                os._exit(9)

    sys.addaudithook(heard)


for instead in (None, {"name": "Bo"}):
    for moment in range(1, 200):
        studio, key = Studio(StandaloneHost(home), serves=False), os.urandom(16).hex()
        desk = Desk(studio, ask_folder=False)
        laid_out(desk, key, photos[:3])
        caption_book.take(desk, key, {photos[0].name: "hat"})
        child = os.fork()
        if not child:
            dies_at(moment)
            laid_out(desk, key, photos[3:], instead=instead)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        draft = Desk(studio, ask_folder=False).draft(key)
        names = [photo.name for photo in draft.photos]
        before, after = [p.name for p in photos[:3]], [p.name for p in photos if instead is None or p in photos[3:]]
        assert names in (before, after), (instead, moment, names)
        assert names == after if not ended else True, (instead, moment, names)
        assert instead or caption_book.captions_of(draft)[before[0]] == "hat", moment
        assert [p.read_bytes() for p in draft.photos] == [p.read_bytes() for p in photos if p.name in names]
        again = Desk(studio, ask_folder=False)
        laid_out(again, key, photos[3:], instead=instead)
        here = {path for path in again.photos(key).iterdir() if path.suffix != ".txt"}
        assert here == set(again.draft(key).photos) and len(here) == len(after), (instead, moment, here)
        if not ended:
            break
    print(moment)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_program_that_is_killed_while_photos_are_laid_out_loses_none(tmp_path: Path) -> None:
    package = Path(judging.__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *map(str, GOOD[:5])],
        env={**os.environ, "PYTHONPATH": str(package)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert all(int(moments) > 5 for moments in ran.stdout.split()) and len(ran.stdout.split()) == 2


def test_folders_without_a_draft_are_swept_away(lay_out: LayOut) -> None:
    key = "b5" * 16
    desk = lay_out(key, GOOD[0])
    left = desk.folder("b6" * 16) / "cut" / "001.jpg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    novel = left.parents[2] / "My novel" / "chapter.txt"  # somebody's own folder serves as the data folder
    novel.parent.mkdir()
    novel.write_bytes(b"mine")
    desk.sweep()
    assert novel.read_bytes() == b"mine" and not desk.folder("b6" * 16).exists() and len(desk.draft(key).photos) == 1
