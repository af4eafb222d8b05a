"""The caption editor: every change lies beside the photos at once, and every step can be undone."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Look, PhotoReport, PhotoVerdict
from personal_avatar.errors import NotFound
from personal_avatar.jobs.events import Done, EventWriter
from personal_avatar.jobs.states import State
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.studio.captioning import TaggerStatus
from personal_avatar.ui import caption_book as book
from personal_avatar.ui import caption_taggers, judging
from personal_avatar.ui.captions import _without
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import JobWatch, Scene

from tests.unit.api.house import GOOD, SAMPLES
from tests.unit.ui.visitor import Visitor

KEY = "c" * 32
NAMES = [path.name for path in GOOD[:3]]
Visit = Callable[..., Visitor]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Three photos that have not been checked yet, one of them with a caption."""
    desk = Desk(Studio(StandaloneHost(tmp_path)), ask_folder=False)
    folder = desk.folder(KEY) / "photos"
    folder.mkdir(parents=True)
    for photo in GOOD[:3]:
        (folder / photo.name).write_bytes(photo.read_bytes())
    (folder / NAMES[0]).with_suffix(".txt").write_text("sks woman, red hair, smile\n", encoding="utf-8")
    desk.save(KEY, Draft("Anna", "woman", photos=tuple(folder / name for name in NAMES)))
    return desk


def texts(desk: Desk) -> dict[str, str]:
    return {path.with_suffix(".jpg").name: path.read_text() for path in (desk.folder(KEY) / "photos").glob("*.txt")}


def test_a_change_is_in_the_files_and_can_be_undone_and_redone(desk: Desk) -> None:
    first = book.captions_of(desk.draft(KEY))
    assert first == {NAMES[0]: "sks woman, red hair, smile", NAMES[1]: "", NAMES[2]: ""}
    book.change(desk, KEY, {**first, NAMES[1]: "sks woman, hat"})
    assert texts(desk)[NAMES[1]] == "sks woman, hat"
    book.undo(desk, KEY)
    assert set(texts(desk)) == {NAMES[0]}
    book.undo(desk, KEY)
    assert set(texts(desk)) == {NAMES[0]}
    book.redo(desk, KEY)
    assert texts(desk)[NAMES[1]] == "sks woman, hat"


def test_a_file_that_somebody_else_changed_becomes_a_step_of_its_own(desk: Desk) -> None:
    book.take(desk, KEY, {NAMES[1]: "hat", "stranger.jpg": "nobody"})
    (desk.folder(KEY) / "photos" / NAMES[2]).with_suffix(".txt").write_text("coat")
    book.take(desk, KEY, {NAMES[1]: "scarf"})
    book.undo(desk, KEY)
    assert (texts(desk)[NAMES[1]], texts(desk)[NAMES[2]]) == ("hat", "coat")
    book.undo(desk, KEY)
    assert NAMES[2] not in texts(desk)


def test_a_caption_that_would_not_be_read_is_refused_and_nothing_is_written(desk: Desk) -> None:
    with pytest.raises(Refusal, match="at most 2000 are read"):
        book.take(desk, KEY, {NAMES[1]: "hat", NAMES[2]: "x" * 2001})
    assert set(texts(desk)) == {NAMES[0]}


def test_the_trigger_follows_the_noun(desk: Desk) -> None:
    before = desk.draft(KEY)
    desk.note(KEY, class_noun="person")
    book.rename(desk, KEY, book.trigger_of(before))
    assert texts(desk)[NAMES[0]] == "sks person, red hair, smile"


def test_what_the_training_sees_to_by_itself_is_no_fault(desk: Desk) -> None:
    captions = {NAMES[0]: "red hair, smile", NAMES[1]: "", NAMES[2]: "smile, hat"}
    assert {fault.code.value for fault in book.faults(desk.draft(KEY), captions)} == {"IDENTITY"}


@pytest.mark.parametrize(
    ("caption", "left"),
    [("smile, hat", "hat"), ("a woman with a wide smile in the rain, hat", "a woman with a wide in the rain, hat")],
)
def test_a_word_goes_from_tags_and_from_sentences(caption: str, left: str) -> None:
    assert _without({"a": caption}, "smile") == {"a": left}


def others(folder: Path) -> list[Path]:
    """Photos of somebody else, under the names that the first ones had."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, photo in zip(NAMES, GOOD[3:6], strict=True):
        (folder / name).write_bytes(photo.read_bytes())
    return [folder / name for name in NAMES]


def others_laid_out(desk: Desk) -> None:
    desk.note(KEY, name="Bob", photos=tuple(others(desk.folder(KEY) / "photos")))


def test_the_captions_of_an_erased_person_cannot_be_had_back_by_undo(desk: Desk) -> None:
    book.take(desk, KEY, {NAMES[1]: "sks woman, scar on her cheek"})
    avatar = desk.studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="yes")
    desk.studio.avatars.save(avatar)
    desk.studio.delete_avatar(avatar.id)
    others_laid_out(desk)
    assert not book.history(desk, KEY).can_undo
    book.undo(desk, KEY)
    assert texts(desk) == {}


def test_the_captions_of_photos_that_were_replaced_cannot_be_had_back_by_undo(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_check", lambda *_: None)
    book.take(desk, KEY, {NAMES[1]: "sks woman, scar on her cheek"})
    judging.lay_out(desk, KEY, others(tmp_path / "made"), "", instead={"name": "Ruby"})
    book.undo(desk, KEY)
    assert texts(desk) == {}


# -- captions that a job writes


def ended(desk: Desk, state: State, result: dict[str, Any] | None, error: dict[str, Any] | None = None) -> Scene:
    """A page that sees a job of the draft which has come to its end."""
    jobs = desk.studio.jobs
    job = jobs.create(CAPTION, {}, title="Anna", user_id="local", avatar_id="")
    jobs.move(job.id, State.RUNNING)
    if result is not None:
        EventWriter(jobs.folder(job.id))(Done(result))
    if state is not State.RUNNING:
        jobs.move(job.id, state, error=error)
    draft = desk.draft(KEY)
    begun = {"captions_before": book.captions_of(draft), "captioned": book.contents_of(draft.photos)}
    desk.note(KEY, caption_job=job.id, **begun)
    return Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {})


def test_a_job_hands_over_its_captions_once(desk: Desk) -> None:
    result = {"captions": {NAMES[1]: "sks woman, hat", "stranger.jpg": "nobody"}, "skipped": {}}
    caption_taggers._collect(ended(desk, State.SUCCEEDED, result))
    assert texts(desk)[NAMES[1]] == "sks woman, hat" and desk.draft(KEY).caption_job == ""
    book.undo(desk, KEY)
    assert NAMES[1] not in texts(desk)


def test_what_was_typed_while_a_tagger_wrote_stays(desk: Desk) -> None:
    result = {"captions": {name: f"sks woman, tag {name}" for name in NAMES}}
    scene = ended(desk, State.SUCCEEDED, result)
    book.take(desk, KEY, {NAMES[1]: "by hand"})
    caption_taggers._collect(scene)
    assert (texts(desk)[NAMES[1]], texts(desk)[NAMES[2]]) == ("by hand", f"sks woman, tag {NAMES[2]}")
    assert texts(desk)[NAMES[0]] == f"sks woman, tag {NAMES[0]}" and desk.draft(KEY).captions_before == {}


def test_a_tagger_of_this_process_leaves_what_was_typed_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tagged(photos: list[Path], *_: Any, **__: Any) -> dict[Path, str]:
        book.take(desk, KEY, {NAMES[1]: "by hand"})
        return dict.fromkeys(photos, "tagged")

    monkeypatch.setattr(desk.studio.captions, "suggest", tagged)
    monkeypatch.setattr(caption_taggers, "taggers", lambda scene: (TaggerStatus("wd14", True),))
    caption_taggers.start(Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {}), "wd14", True, {})
    while desk.work.busy(KEY):
        time.sleep(0.01)
    assert texts(desk) == {NAMES[0]: "sks woman, red hair, smile\n", NAMES[1]: "by hand", NAMES[2]: "tagged"}


@pytest.mark.parametrize("broken", [False, True])
def test_what_a_tagger_says_of_an_erased_person_does_not_reach_the_next_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    erased = threading.Event()

    def tagged(photos: list[Path], *_: Any, **__: Any) -> dict[Path, str]:
        assert erased.wait(10)
        if broken:
            raise FileNotFoundError(photos[0])
        return dict.fromkeys(photos, "sks woman, scar on her cheek")

    monkeypatch.setattr(desk.studio.captions, "suggest", tagged)
    monkeypatch.setattr(caption_taggers, "taggers", lambda scene: (TaggerStatus("wd14", True),))
    caption_taggers.start(Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {}), "wd14", False, {})
    desk.clear(KEY)
    others_laid_out(desk)
    erased.set()
    while desk.work.busy(KEY):
        time.sleep(0.01)
    assert texts(desk) == {} and desk.work.error(KEY, "caption") is None


def test_a_job_leaves_photos_alone_that_took_the_names_of_those_it_described(desk: Desk) -> None:
    scene = ended(desk, State.SUCCEEDED, {"captions": {name: f"sks woman, tag {name}" for name in NAMES}})
    (desk.folder(KEY) / "photos" / NAMES[1]).write_bytes(GOOD[5].read_bytes())
    caption_taggers._collect(scene)
    assert set(texts(desk)) == {NAMES[0], NAMES[2]} and texts(desk)[NAMES[2]] == f"sks woman, tag {NAMES[2]}"


def test_a_job_is_forgotten_when_other_photos_are_laid_out_in_place_of_its_own(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_check", lambda *_: None)
    ended(desk, State.RUNNING, None)
    judging.lay_out(desk, KEY, others(tmp_path / "made"), "", instead={"name": "Ruby"})
    draft = desk.draft(KEY)
    assert (draft.caption_job, draft.captions_before, draft.name) == ("", {}, "Ruby")


@pytest.mark.parametrize(("look", "proposed"), [(Look.PHOTO, "blip"), (Look.DRAWN, "wd14-vit")])
def test_the_tagger_that_suits_the_pictures_is_proposed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, look: Look, proposed: str
) -> None:
    ready = tuple(TaggerStatus(name, True) for name in ("wd14-vit", "blip"))
    monkeypatch.setattr(desk.studio.captions, "taggers", lambda: ready)
    desk.note(KEY, report=PhotoReport(tuple(PhotoVerdict(path, look=look) for path in desk.draft(KEY).photos)))
    scene = Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {})
    assert caption_taggers._choices(scene)["value"] == proposed
    chosen = Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {"tagger": "blip"})
    assert caption_taggers._choices(chosen)["value"] == "blip"


def test_why_a_job_wrote_no_captions_stays_to_be_read(desk: Desk) -> None:
    scene = ended(desk, State.FAILED, None, NotFound("BLIP is gone.").to_json())
    caption_taggers._collect(scene)
    again = Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {})
    assert "BLIP is gone." in caption_taggers._progress(again) and desk.draft(KEY).caption_job == ""


def test_a_job_that_goes_on_is_waited_for_and_one_that_is_gone_is_not(desk: Desk) -> None:
    scene = ended(desk, State.RUNNING, None)
    caption_taggers._collect(scene)
    job_id = desk.draft(KEY).caption_job
    assert job_id and "pa-bar" in caption_taggers._progress(scene)
    desk.studio.jobs.move(job_id, State.CANCELLED)
    desk.studio.jobs.delete(job_id)
    caption_taggers._collect(Scene(desk.studio, desk, JobWatch(desk.studio), "en", KEY, {}))
    assert desk.draft(KEY).caption_job == ""


# -- as a visitor uses it


def laid_out(visit: Visit, studio: Studio, key: str, **captions: str) -> Visitor:
    """Checked photos, whose captions are in sight."""
    visitor = visit(key=key)
    visitor.choose_files(*GOOD[:3])
    visitor.upload()
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    for stem, caption in captions.items():
        file = studio.host.folders().data / "drafts" / key / "photos" / f"{stem.lstrip('n')}.txt"
        file.write_text(caption, encoding="utf-8")
    visitor.enter(photo_part="captions")
    visitor.refresh()
    return visitor


def press(visitor: Visitor, name: str, **value: object) -> None:
    visitor.enter(**{f"value_{name}": json.dumps(value)})
    visitor.click(f"press_{name}")


def shown(visitor: Visitor) -> list[str]:
    fields = re.findall(r"<textarea[^>]*>([^<]*)</textarea>", visitor.value("caption_list"))
    return [unescape(field).strip() for field in fields]


@pytest.mark.slow
def test_captions_are_written_mended_and_undone_on_the_page(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c1" * 16, n01="a woman with green eyes, hat")
    assert shown(visitor) == ["a woman with green eyes, hat", "", ""]
    press(visitor, "caption", do="write", texts={"02.jpg": '  coat <b>"big"</b> ', "gone.jpg": "x"})
    assert shown(visitor)[1] == 'coat <b>"big"</b>'
    press(visitor, "caption", do="write", photo="02.jpg", text="as an older page sends it")
    assert "Reload it." in visitor.text("caption_message")
    press(visitor, "caption", do="word", word="")
    assert "<b>" not in visitor.value("caption_list") and "<b>" not in visitor.value("caption_words")
    assert "green eyes" in visitor.text("caption_faults")
    press(visitor, "caption", do="mend_all")
    assert "green eyes" not in shown(visitor)[0] and "hat" in shown(visitor)[0]
    visitor.click("caption_undo")
    assert shown(visitor)[0] == "a woman with green eyes, hat"
    visitor.click("caption_redo")
    again = visit(key="c1" * 16)
    again.enter(photo_part="captions")
    again.refresh()
    assert shown(again) == shown(visitor)


@pytest.mark.slow
def test_a_word_of_the_captions_shows_its_photos_and_can_be_removed(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c2" * 16, n01="hat, smile", n02="smile", n03="coat")
    press(visitor, "caption", do="word", word="hat")
    assert shown(visitor) == ["hat, smile"]
    assert "hat: 1 of 3 captions" in visitor.text("caption_words")
    press(visitor, "caption", do="remove", word="hat")
    assert shown(visitor) == ["smile", "smile", "coat"]


@pytest.mark.slow
def test_search_and_replace_tells_what_would_change_and_does_it(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c3" * 16, n01="smile, hat", n02="what", n03="hat")
    visitor.enter(caption_search="hat", caption_replacement="cap")
    visitor._run(visitor._dependency("input", visitor._ids["caption_search"]))
    assert visitor.text("caption_preview") == "Captions that change: 2 of 3 smile, cap"
    visitor.click("caption_replace")
    assert shown(visitor) == ["smile, cap", "what", "cap"]
    visitor.enter(caption_search="(", caption_regex=True)
    field = visitor._ids["caption_search"]
    visitor._run(visitor._dependency("input", field))
    assert visitor.text("caption_preview") == ""  # not at each letter
    visitor._run(visitor._dependency("blur", field))
    assert "not a regular expression" in visitor.text("caption_preview")
    visitor.click("caption_replace")
    assert "not a regular expression" in visitor.text("caption_message")


@pytest.mark.slow
def test_what_no_tagger_can_do_here_is_said_with_size_and_licence(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c4" * 16)
    said = visitor.text("taggers_missing")
    assert "WD14" in said and "MB, fetched once" in said and "Agree to the licence and download" in said
    assert visitor.prop("tagger_run", "visible") is False


@pytest.mark.slow
def test_strange_values_of_buttons_are_refused_in_words(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c6" * 16)
    for value in ("", "[]", "{", "7"):
        visitor.enter(value_photo=value)
        visitor.click("press_photo")
        assert "does not fit the program" in visitor.text("photos_message")
    press(visitor, "photo", do="leave", photo="../../etc/passwd")
    assert "is not among the photos" in visitor.text("photos_message")


# -- cards and training pictures


@pytest.mark.slow
def test_a_photo_can_be_left_out_and_seen_large_on_the_page(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c7" * 16)
    visitor.enter(photo_part="report")
    press(visitor, "photo", do="leave", photo="01.jpg")
    assert visitor.text("report").startswith("✓ 2 of 3 accepted")
    assert "Left out by choice" in visitor.text("photo_cards") and "As checked" in visitor.text("photo_cards")
    press(visitor, "photo", do="large", photo="02.jpg")
    source = re.search(r'data-source="(file=[^"]+)"', visitor.value("photo_view"))
    assert source and visitor._client.get("/" + source.group(1)).content[:3] == b"\xff\xd8\xff"
    visitor.click("clear")
    assert visitor._client.get("/" + source.group(1)).status_code in (403, 404)


@pytest.mark.slow
def test_captions_are_told_to_be_optional_and_no_word_is_promised_that_only_the_training_finds(
    visit: Visit, studio: Studio
) -> None:
    visitor = laid_out(visit, studio, "ca" * 16)
    told = "a photo of [Trigger word] person"
    assert visitor.text("caption_optional").startswith("Captions are not needed")
    assert f"is trained as “{told}”" in visitor.text("caption_optional")
    assert f"None: “{told}” is used" in unescape(visitor.value("caption_list"))
    assert "sks" not in visitor.value("caption_list")


@pytest.mark.slow
def test_names_of_photos_never_become_markup(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    photo = tmp_path / "<img src=x onerror=alert(1)>\"'.jpg"
    photo.write_bytes((SAMPLES / "two-people.jpg").read_bytes())
    visitor = visit(key="c8" * 16)
    visitor.choose_files(GOOD[0], photo)
    visitor.upload()
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    assert "<img src=x" not in visitor.value("photo_cards") and "onerror" in visitor.text("photo_cards")
    assert visitor.value("photo_cards").count('class="pa-facebox"') == 2


@pytest.mark.slow
def test_training_pictures_are_shown_as_they_will_be(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, studio, "c9" * 16)
    visitor.enter(photo_part="cut")
    visitor.refresh()
    assert visitor.prop("cuts_again", "visible") is True
    visitor.click("cuts_again")
    visitor.wait(lambda: visitor.value("cuts").count("<img") == 3)
    folder = studio.host.folders().data / "drafts" / ("c9" * 16) / "cut"
    assert len(list(folder.glob("*.jpg"))) == 3 and not (folder / "work").exists()
    visitor.refresh()
    assert visitor.prop("cuts_again", "visible") is False
