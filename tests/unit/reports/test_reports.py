"""Contact sheet and page: everything in one file, whatever is missing or strange."""
from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Advice, Likeness, PhotoReport, PhotoVerdict, Portrait, Reason
from personal_avatar.jobs.events import Log, Progress, SampleMade, Score
from personal_avatar.pictures import EDITED, GENERATED, load_picture, save_picture, source_of
from personal_avatar.provenance import source_in
from personal_avatar.reports import contact_sheet as sheets
from personal_avatar.reports import training_page
from personal_avatar.reports.contact_sheet import COLUMNS, contact_sheet, write_contact_sheet
from personal_avatar.reports.content import Curves, Report, curves_from
from personal_avatar.reports.letters import shortened, width_of
from personal_avatar.reports.page import page, write_page
from personal_avatar.wording import DEFAULT, LANGUAGES, text
from PIL import Image

from tests.unit.reports.pages import Tags, in_language


@pytest.fixture
def report(tmp_path: Path) -> Report:
    colours = np.random.default_rng(0).integers(0, 256, (8, 3), dtype=np.uint8)
    paths = [save_picture(np.full((64, 48, 3), colour), tmp_path / f"{n}.png") for n, colour in enumerate(colours)]
    portraits = (
        Portrait(paths[0], 5, "a portrait of sks woman <lora:anna:1>", "anime", 0.71, {"restored": 0.74}, 1, paths[1]),
        Portrait(paths[2], 6, "a portrait", "own:x", 0.52, {"sharpness": 0.3}, 1),
        Portrait(paths[3], 7, "a portrait", "anime", None, {}, 0),
    )
    refused = PhotoVerdict(paths[5], (Reason.BLURRED, Reason.DARK), "sharpness 9, need 27")
    lacking = (Advice("NO_LEFT", "Add photos from the side."),)
    photos = PhotoReport((PhotoVerdict(paths[4], similarity=0.93), refused), lacking)
    return Report(
        "Anna's avatar", "sks woman", portraits, photos, Likeness(0.41, 0.62, 0.78, 0.01),
        curves=Curves(((1, 0.3), (2, 0.2)), ((0, 0.41), (2, 0.62))), network="<lora:anna:1> sks woman",
        files=(Path("demo/anna.safetensors"),), facts=(("Steps", "400"),), style_names={"anime": "Anime"},
    )


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    tags = Tags(page(report))
    assert tags.open == []
    for _, name, value in tags.attributes:
        if name in ("src", "href"):
            assert value.startswith("data:image/jpeg;base64,") or value in {f"#{language}" for language in LANGUAGES}
    assert not any(tag in ("script", "link", "iframe") for tag, _, _ in tags.attributes)
    assert "@import" not in page(report) and "url(" not in page(report)


def test_the_page_tells_photos_numbers_portraits_and_how_to_use_it(report: Report) -> None:
    told = Tags(page(report)).text
    for part in (
        "1 of 2 photos can be used", "Blurred, Too dark", "sharpness 9, need 27", "head turned to the left", "0.62",
        "57% of the way", "<lora:anna:1> sks woman", "demo/anna.safetensors", "likeness 0.710 before, 0.740 after",
        "no face found", "Anime", "own:x", "Steps", "a portrait of sks woman <lora:anna:1>",
    ):
        assert part in told, part
    assert told.index("0.710") < told.index("0.520") < told.index("no face found")


def test_pictures_in_the_page_say_of_their_making_what_their_files_say(report: Report, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(tmp_path / "photo.png")
    photos = PhotoReport((PhotoVerdict(tmp_path / "photo.png"),), ())
    shown = [value.removeprefix("data:image/jpeg;base64,") for _, name, value in Tags(
        page(replace(report, photos=photos))).attributes if name == "src"]
    stated = [source_in(base64.b64decode(data)) for data in shown]
    assert stated.count("") == 1 and stated.count(GENERATED) == len(stated) - 1 > 3


def test_every_picture_has_words(report: Report) -> None:
    tags = Tags(page(report))
    pictures = [value for tag, name, value in tags.attributes if (tag, name) == ("img", "alt")]
    assert len(pictures) == 10 and all(pictures)


def test_the_words_of_pictures_are_of_no_language_or_of_all(report: Report) -> None:
    pictures = {value for tag, name, value in Tags(page(report)).attributes if (tag, name) == ("img", "alt")}
    portraits = {"1: Anime", "2: own:x", "3: Anime", "1: Anime, 0.710", "2: own:x, 0.520", "3: Anime, –"}
    pair = {f"{which} restoring / {vi} khi phục hồi / 修复{zh}" for which, vi, zh in [
        ("before", "trước", "前"), ("after", "sau", "后")]}
    assert pictures == {"4.png", "5.png"} | portraits | pair


def test_names_cannot_smuggle_markup_into_the_page(report: Report) -> None:
    evil = "<script>alert(1)</script>\"'>"
    photo = PhotoVerdict(Path(evil), (Reason.BLURRED,), evil)
    portrait = replace(report.portraits[0], prompt=evil, scores={evil: 0.5})
    everywhere = page(Report(
        evil, evil, (portrait,), PhotoReport((photo,), (Advice("OWN", evil),)), network=evil, files=(Path(evil),),
        facts=((evil, evil),), style_names={"anime": evil},
    ))
    assert "<script" not in everywhere and everywhere.count("&lt;script&gt;") > 12


def test_parts_without_content_are_left_out() -> None:
    told = Tags(page(Report("Nothing yet"))).text
    for part in ("Photos", "Training", "Portraits", "Restored", "Use it", "mean"):
        assert part not in told
    assert "Nothing yet" in told


def test_a_picture_that_is_gone_leaves_a_box(report: Report, tmp_path: Path) -> None:
    report.portraits[0].path.unlink()
    (tmp_path / "4.png").write_bytes(b"damaged")
    assert [in_language(page(report), one).count(text("report.unreadable", one)) for one in LANGUAGES] == [3, 3, 3]
    contact_sheet(report)


def test_the_page_is_written_whole(report: Report, tmp_path: Path) -> None:
    path = write_page(report, tmp_path / "demo" / "report.html")
    assert path.read_text(encoding="utf-8") == page(report)
    assert re.match(r'<!doctype html><html lang="en">', path.read_text(encoding="utf-8"))


def test_the_contact_sheet_grows_with_the_portraits(report: Report, tmp_path: Path) -> None:
    many = replace(report, portraits=report.portraits * 8)
    small, large = contact_sheet(report), contact_sheet(many)
    assert small.shape[1] < large.shape[1] and small.shape[0] < large.shape[0]
    assert -(-len(many.portraits) // COLUMNS) == 4
    path = write_contact_sheet(many, tmp_path / "contact-sheet.png")
    assert np.array_equal(load_picture(path), large) and source_of(path) == EDITED


def test_the_contact_sheet_shows_the_restored_picture_first(report: Report) -> None:
    sheet = contact_sheet(report)
    restored = load_picture(report.portraits[0].restored)[0, 0]  # type: ignore[arg-type]
    first = load_picture(report.portraits[0].path)[0, 0]
    assert (sheet == restored).all(axis=2).sum() > 10_000
    assert (sheet == first).all(axis=2).sum() < 1_000


@pytest.mark.parametrize("likeness", [None, Likeness(0.5, 0.4, 0.9), Likeness(0.5, 1.2, 0.9), Likeness(0.5, 0.5, 0.5)])
def test_a_contact_sheet_is_made_of_any_numbers(likeness: Likeness | None) -> None:
    assert contact_sheet(Report("Nothing yet", likeness=likeness)).ndim == 3


@pytest.mark.parametrize(("language", "can_write", "said"), [
    ("en", True, ["Photos", "Before training 0.41", "Real pictures 0.78", "no face", "Restored"]),
    ("vi", True, ["Ảnh", "Trước khi học 0.41", "Ảnh thật 0.78", "không có mặt", "Đã phục hồi"]),
    ("zh", True, ["照片", "训练前 0.41", "真实照片 0.78", "无人脸", "已修复"]),
    ("zh", False, ["Photos", "Before training 0.41", "Real pictures 0.78", "no face", "Restored"]),
])
def test_the_contact_sheet_speaks_its_language_where_a_font_has_its_signs(
    report: Report, monkeypatch: pytest.MonkeyPatch, language: str, can_write: bool, said: list[str]
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(sheets, "can_write", lambda text: can_write or text.isascii())
    monkeypatch.setattr(sheets, "write", lambda pen, place, told, *how, **more: lines.append(told))
    contact_sheet(replace(report, language=language))
    assert set(said) <= set(lines)
    assert "0.74" in lines and "0.71" not in lines, "of the picture that is shown, which is the restored one"
    ours = {report.title, report.network, "Anime", "own:x"}
    if language != DEFAULT and can_write:
        assert [line for line in set(lines) - ours if re.search("[A-Za-z]{2,}", line) and line.isascii()] == []


def test_long_names_are_shortened_to_their_room() -> None:
    assert shortened("short", 14, 200) == "short"
    cut = shortened("a style with a name that never seems to end", 14, 120)
    assert cut.endswith("...") and width_of(cut, 14) <= 120


def test_curves_come_from_the_events_of_a_job() -> None:
    steps = [Progress(0, 10), Progress(1, 10, 0.5), Log("x"), SampleMade("a", 1), Progress(2, 10, 0.25)]
    wanted = Curves(((1.0, 0.5), (2.0, 0.25)), ((0.0, 0.4), (2.0, 0.6)))
    assert curves_from([Score(0, 0.4), *steps, Score(2, 0.6)]) == wanted
    on_other_seeds = Score(1, 0.7, leakage=0.0)
    assert curves_from([Score(0, 0.4), *steps, Score(2, 0.6), on_other_seeds]) == wanted


def test_merit_is_explained_by_all_that_it_is_made_of() -> None:
    assert "merit" in training_page.MEANINGS
    said = text("report.merit.means")
    assert all(part in said for part in ("likeness", "prompt following", "leakage"))


@pytest.mark.parametrize(("language", "parts"), [
    ("en", ("In short", "1 of 2 photos can be used.", "57% of the way", "Restored faces", "Blurred, Too dark")),
    ("vi", ("Tóm tắt", "Dùng được 1 trên 2 ảnh.", "Đã đi được 57%", "Khuôn mặt đã phục hồi", "Bị mờ, Quá tối")),
    ("zh", ("概要", "2 张照片中有 1 张可用。", "已达成 57%", "修复后的人脸", "未找到人脸")),
])
def test_the_page_is_read_in_the_language_that_its_address_ends_with(
    report: Report, language: str, parts: tuple[str, ...]
) -> None:
    told = in_language(page(report), language)
    assert [part for part in parts if part not in told] == []
    if language != DEFAULT:
        assert not re.search("[Pp]hotos|pictures|likeness|before|Training", told)


def test_a_page_in_three_languages_holds_each_picture_once(report: Report) -> None:
    shown = [value for _, name, value in Tags(page(report)).attributes if name == "src"]
    assert len(shown) == 10
    assert [style for style in ("#vi:target", "#zh:target") if style not in page(report)] == []
