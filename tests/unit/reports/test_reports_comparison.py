"""Several trainings side by side."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.reports import comparison_sheet as sheets
from personal_avatar.reports.comparison import comparable, notes, table, to_document
from personal_avatar.reports.comparison_sheet import (
    ERROR_LINES,
    TILE_PX,
    comparison_sheet,
    picture_heads,
    write_comparison_sheet,
)
from personal_avatar.wording import LANGUAGES, text


def measured(after: float, floor: float = 0.4, ceiling: float = 0.9) -> dict[str, float]:
    return {"floor": floor, "after": after, "ceiling": ceiling, "recovered": (after - floor) / (ceiling - floor)}


def result(method: str, recovered: float | None, **more: Any) -> dict[str, Any]:
    likeness = None if recovered is None else measured(0.4 + recovered / 2)
    document = {
        "method": method, "engine": "diffusers", "files": [f"/x/{method}.safetensors"], "likeness": likeness,
        "leakage": 0.0, "prompt_following": 0.9, "prompt_following_before": 0.9, "diversity": None,
        "seconds": 81.4, "peak_memory_gb": 1.25, "file_mb": 3.3, "dataset_fingerprint": "a", "base": "tiny",
        "samples": [],
    }
    return {**document, **more}


def test_the_best_comes_first_and_what_was_not_measured_last() -> None:
    rows = comparable([result("lora", 0.5), result("dreambooth", None), result("textual-inversion", 0.8)])
    assert [row.method for row in rows] == ["textual-inversion", "lora", "dreambooth"]


def test_a_word_that_misleads_the_checkpoint_puts_nothing_before_what_is_more_alike() -> None:
    floors = {"lora": (0.59, 0.4928), "textual-inversion": (0.60, 0.5912), "dreambooth": (0.55, 0.5623)}
    found = [result(method, 0.0, likeness=measured(*pair, ceiling=0.7988)) for method, pair in floors.items()]
    rows = comparable(found)
    assert [row.method for row in rows] == ["textual-inversion", "lora", "dreambooth"]
    told = to_document(rows)
    assert [(one["floor"], one["ceiling"]) for one in told] == [(0.5912, 0.7988)] * 3
    assert [one["likeness"] for one in told] == [0.60, 0.59, 0.55]
    assert [table(rows)[at][2] for at in (1, 2)] == ["4%", "-1%"]
    (note,) = notes(rows)
    assert "0.59" in note and "0.80" in note


def test_what_leaks_or_lost_its_prompts_stands_behind_what_is_a_little_less_alike() -> None:
    for fault in ({"leakage": 0.3}, {"prompt_following": 0.5}):
        rows = comparable([result("lora", 0.6, **fault), result("textual-inversion", 0.55)])
        assert [row.method for row in rows] == ["textual-inversion", "lora"]
        assert rows[0].numbers["merit"] == 0.55


def test_who_began_with_less_obedience_gains_nothing_by_it() -> None:
    lost = result("lora", 0.6, prompt_following=0.5, prompt_following_before=0.5)
    assert comparable([lost, result("textual-inversion", 0.55)])[0].method == "textual-inversion"


def test_only_trainings_on_the_same_photos_and_checkpoint_are_compared() -> None:
    strangers = [result("lora", 0.9, dataset_fingerprint="b"), result("dreambooth", 0.9, base="other"), {"files": []}]
    assert [row.method for row in comparable([result("dreambooth-lora", 0.1), *strangers])] == ["dreambooth-lora"]


def test_only_pictures_made_alike_are_compared() -> None:
    usual = {"guidance": 5.0, "sample_steps": 16, "score_pictures": 8, "rank": 16}
    names = ("guidance", "sample_steps", "score_pictures")
    others = [result("dreambooth", 0.9, plan={**usual, name: 3}) for name in names]
    alike = result("textual-inversion", 0.2, plan={**usual, "rank": None})
    rows = comparable([result("lora", 0.1, plan=usual), *others, alike])
    assert [row.method for row in rows] == ["textual-inversion", "lora"]


def test_of_one_method_the_newest_counts_and_another_engine_is_another_row() -> None:
    rows = comparable([result("lora", 0.3), result("lora", 0.9), result("lora", 0.6, engine="kohya")])
    assert [(row.named(), row.numbers["recovered"]) for row in rows] == [
        ("LoRA, kohya (sd-scripts)", 0.6), ("LoRA", 0.3)]


def test_what_was_cut_short_has_a_row_where_nothing_of_its_method_was_measured() -> None:
    cut = [result(method, None, files=[f"/x/{method}-2.safetensors"]) for method in ("lora", "dreambooth")]
    rows = comparable([*cut, result("lora", 0.5)])
    assert [(row.file, row.is_unmeasured) for row in rows] == [
        ("lora.safetensors", False), ("dreambooth-2.safetensors", True)]


def test_trainings_of_a_style_stand_in_the_order_of_their_resemblance_and_say_so() -> None:
    found = [result("lora", None, resemblance=measured(0.5)),
             result("dreambooth", None, resemblance=measured(0.7))]
    rows = comparable(found)
    assert [(row.method, row.numbers["recovered"]) for row in rows] == [("dreambooth", 0.6), ("lora", 0.2)]
    heads, best, _ = table(rows)
    assert heads[1:3] == ("resemblance", "recovered") and best[1:3] == ("0.70", "60%") and "likeness" not in heads
    assert (to_document(rows)[0]["likeness"], to_document(rows)[0]["resemblance"]) == (None, 0.7)
    assert table(comparable([result("lora", 0.5)]))[0][1:3] == ("likeness", "recovered")


@pytest.mark.parametrize(("measure", "whom"), [("likeness", "the person"), ("resemblance", "it")])
def test_the_order_is_told_of_what_was_measured(measure: str, whom: str) -> None:
    rows = comparable([result(way, None, **{measure: measured(0.5)}) for way in ("lora", "dreambooth")])
    (told,) = notes(rows)
    other = ({"likeness", "resemblance"} - {measure}).pop()
    assert f"the share of the {measure} that was recovered" in told and other not in told
    assert f"any of their words for {whom}, to 0.90" in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_table_is_read_by_calls_its_columns_as_the_reports_do(language: str) -> None:
    order, alone = notes(comparable([result("one-photo", 0.3), result("lora", 0.5)]), language)
    merit, leakage = (text(f"report.{name}", language).lower() for name in ("merit", "leakage"))
    assert merit in order.lower() and leakage in alone.lower()


FAILURE = {"code": "OUT_OF_VRAM", "message": "8 GB were not enough.", "hint": "Try rank=8."}


def failed(method: str) -> dict[str, Any]:
    place = {"dataset_fingerprint": "a", "base": "tiny"}
    return {"method": method, "engine": "diffusers", "error": FAILURE, **place}


def test_a_method_that_failed_stands_last_with_why_and_what_to_do() -> None:
    rows = comparable([failed("lora"), result("dreambooth", None), result("lora", 0.9), result("one-photo", 0.1)])
    assert [row.method for row in rows] == ["one-photo", "dreambooth", "lora"]
    assert [row["error"] for row in to_document(rows)] == [None, None, FAILURE]
    heads, *lines = table(rows)
    assert heads[-1] == "failed" and [line[-1] for line in lines] == ["", "", "8 GB were not enough. Try rank=8."]
    assert "failed" not in table(comparable([result("lora", 0.5)]))[0]
    assert notes(comparable([failed("one-photo")])) == []


def test_the_sheet_writes_why_a_method_failed() -> None:
    told, silent = (comparison_sheet("Ruby", comparable([one])) for one in (failed("lora"), result("lora", None)))
    assert told.shape == silent.shape and (told != silent).any()
    assert (told[120:180] != told[0, 0]).any()


def inked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written onto sheets from now on, line by line."""
    lines: list[str] = []
    written = sheets.write

    def write(pen: Any, place: Any, text: str, *how: Any, **more: Any) -> None:
        lines.append(text)
        written(pen, place, text, *how, **more)

    monkeypatch.setattr(sheets, "write", write)
    return lines


@pytest.mark.parametrize(("language", "said"), [
    ("en", ["Prompt following", "Photos alone", "81 s", "Resemblance"]),
    ("vi", ["Bám sát mô tả", "Chỉ dùng ảnh", "81 giây", "Độ gần với ảnh mẫu"]),
    ("zh", ["遵循提示词", "仅用照片", "81 秒", "样图接近度"]),
])
def test_the_sheet_is_written_in_the_language_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, language: str, said: list[str]
) -> None:
    monkeypatch.setattr(sheets, "can_write", lambda text: True)
    alone = result("one-photo", None, resemblance=measured(0.5))
    rows = comparable([alone, result("lora", None, resemblance=measured(0.7)), failed("dreambooth")])
    lines = inked(monkeypatch)
    comparison_sheet("Ruby", rows, language)
    assert set(said) <= set(lines)
    order, note = notes(rows, language)
    below = "".join(lines[lines.index(FAILURE["hint"]) + 1 :])
    assert "".join(below.split()) == "".join((order + note).split())
    assert (text("error.OUT_OF_VRAM.title", language) in lines) == (language != "en") and FAILURE["message"] in lines


def test_without_a_font_for_the_language_the_sheet_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "can_write", str.isascii)
    lines = inked(monkeypatch)
    comparison_sheet("Ruby", comparable([result("lora", 0.5)]), "zh")
    assert "Prompt following" in lines and "遵循提示词" not in lines


@pytest.mark.parametrize("pictures", [0, 4])
def test_what_to_do_is_told_to_its_end_however_long_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: int
) -> None:
    long = {**FAILURE, "message": "8 GB were not enough for it. " * 80}
    made = result("dreambooth", 0.3, samples=pictures_with(tmp_path, ["a portrait"] * pictures))
    lines = inked(monkeypatch)
    comparison_sheet("Ruby", comparable([{**failed("lora"), "error": long}, made]))
    told = lines[lines.index("LoRA") + 1 :]
    assert len(told) == ERROR_LINES and told[-1].endswith("Try rank=8.") and told[-2].endswith("...")


def test_a_name_that_is_wider_than_the_sheet_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = inked(monkeypatch)
    sheet = comparison_sheet("Ruby " * 16, comparable([result("textual-inversion", 0.5, engine="kohya")]))
    assert lines[0].startswith("Ruby Ruby") and lines[0].endswith("...") and (sheet[:80, -20:] == sheet[0, 0]).all()
    assert "Textual Inversion, kohya (sd-scripts)" in lines


def pictures_with(folder: Path, prompts: list[str]) -> list[str]:
    """Pictures as trainings keep them, with prompt and seed."""
    grey = np.full((8, 8, 3), 128, np.uint8)
    made = (
        save_picture(grey, folder / f"{prompt[-20:]}-{seed}.png", f"{prompt}\nSeed: {seed}")
        for seed, prompt in enumerate(prompts, 1000)
    )
    return [str(path) for path in made]


def test_columns_say_what_their_pictures_were_asked_for_in_the_words_that_all_rows_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["a portrait of {} woman", "an oil painting of {} woman, smiling"]
    words = {"lora": "sks", "textual-inversion": "pa-ruby", "one-photo": "a"}
    found = [
        result(method, 0.5, samples=pictures_with(tmp_path, [one.format(word) for one in prompts]))
        for method, word in words.items()
    ]
    wanted = ["a portrait of … woman, seed 1000", "an oil painting of … woman, smiling, seed 1001"]
    assert picture_heads(comparable(found)) == wanted
    assert picture_heads(comparable(found[:1]))[0] == "a portrait of sks woman, seed 1000"
    lines = inked(monkeypatch)
    sheet = comparison_sheet("Ruby", comparable(found))
    assert " ".join(lines[1:]).startswith(" ".join(wanted))
    assert (sheet[80:125, 330:] != sheet[0, 0]).any()


def test_pictures_that_do_not_say_what_they_were_asked_for_have_no_heads(tmp_path: Path) -> None:
    path = save_picture(np.full((8, 8, 3), 9, np.uint8), tmp_path / "plain.png")
    rows = comparable([result("lora", 0.5, samples=[str(path), str(tmp_path / "gone.png")])])
    assert picture_heads(rows) == ["", ""]


def test_nothing_compares_to_an_empty_table() -> None:
    assert comparable([]) == []


def test_the_table_speaks_in_units_and_the_document_in_numbers() -> None:
    rows = comparable([result("lora", 0.5)])
    heads, words = table(rows)
    spoken = dict(zip(heads, words, strict=True))
    assert (spoken["recovered"], spoken["seconds"], spoken["peak memory gb"]) == ("50%", "81 s", "1.2 GB")
    assert spoken["diversity"] == "–"
    assert to_document(rows)[0]["recovered"] == 0.5


@pytest.mark.parametrize("pictures", [0, 1, 4])
def test_the_sheet_shows_every_picture_of_every_row(tmp_path: Path, pictures: int) -> None:
    colours = np.random.default_rng(0).integers(60, 255, (pictures, 1, 1, 3), dtype=np.uint8)
    paths = [save_picture(np.tile(one, (40, 40, 1)), tmp_path / f"{at}.png") for at, one in enumerate(colours)]
    rows = comparable([result("lora", 0.5, samples=[str(path) for path in paths]), result("dreambooth", 0.4)])
    sheet = comparison_sheet("Ruby", rows)
    for colour in colours:
        assert (sheet == colour.reshape(1, 1, 3)).all(axis=2).sum() == TILE_PX**2


def test_a_sheet_is_written_even_when_a_picture_is_gone(tmp_path: Path) -> None:
    rows = comparable([result("lora", 0.5, samples=[str(tmp_path / "gone.png")])])
    assert load_picture(write_comparison_sheet("Ruby", rows, tmp_path / "sheet.png")).shape[2] == 3


def test_photos_alone_are_a_row_without_a_file_and_the_table_says_how_to_read_it(tmp_path: Path) -> None:
    alone = result("one-photo", 0.3, files=[], file_mb=None)
    rows = comparable([alone, result("lora", 0.5)])
    assert [(row.named(), row.file) for row in rows] == [("LoRA", "lora.safetensors"), ("Photos alone", "")]
    assert table(rows)[2][-1] == "–" and to_document(rows)[1]["file_mb"] is None
    assert len(notes(rows)) == 2 and notes(rows)[1].startswith("Photos alone")
    assert notes(comparable([result("lora", 0.5)])) == []
    told, plain = (comparison_sheet("Ruby", comparable(found)) for found in ([alone], [result("lora", 0.5)]))
    assert told.shape[0] > plain.shape[0] and (told[plain.shape[0] - 10 :] != told[0, 0]).any()
