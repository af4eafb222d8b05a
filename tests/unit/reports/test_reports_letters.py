"""Fonts for the signs that a text has, and lines that fit."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from personal_avatar.reports import letters
from personal_avatar.reports.letters import NO_SIGN, can_write, font, shortened, width_of, wrapped, write
from PIL import Image, ImageDraw

CHINESE, KOREAN = "小红", "김민지"


def make_font(path: Path, signs: str) -> Path:
    """A font whose signs are bars, each of another height, and which draws what it lacks as a square."""
    heights = {".notdef": 1000} | {f"sign{number}": 100 + 50 * number for number in range(len(signs))}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(heights))
    builder.setupCharacterMap({ord(sign): f"sign{number}" for number, sign in enumerate(signs)})
    builder.setupGlyf({name: _bar(height) for name, height in heights.items()})
    builder.setupHorizontalMetrics(dict.fromkeys(heights, (1000, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


def _bar(height: int) -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, height), (900, height), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


@pytest.fixture(autouse=True)
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the system's fonts, empty; what was known of fonts is forgotten before and after."""
    usual = letters._candidates

    def candidates(bold: bool, wide: bool) -> list[str]:
        """The font that is carried along, then those of the folder."""
        carried, *names = usual(bold, wide)
        found = (next((tmp_path / "fonts").glob(f"{Path(name).stem}.*"), None) for name in names)
        return [carried, *(str(path) for path in found if path)]

    monkeypatch.setattr(letters, "_candidates", candidates)
    _forget()
    yield tmp_path / "fonts"
    _forget()


def _forget() -> None:
    for known in (letters._file_for, letters._is_there, letters._drawn, letters._loaded):
        known.cache_clear()


def name_of(text: str, bold: bool = False) -> str:
    return Path(font(20, bold, text).path).name


def test_signs_that_the_usual_font_lacks_are_taken_from_one_that_has_them(fonts: Path) -> None:
    usual = name_of("Ruby")
    assert name_of(CHINESE) == usual
    _forget()
    make_font(fonts / "wqy-microhei.ttc", CHINESE)
    make_font(fonts / "malgun.ttf", KOREAN)
    assert (name_of(CHINESE), name_of(KOREAN)) == ("wqy-microhei.ttc", "malgun.ttf")
    assert name_of("Ruby") == name_of("Nguyễn Thị Ánh – “Tuyết”") == usual


def test_where_no_font_has_all_signs_the_one_with_the_most_is_taken(fonts: Path) -> None:
    make_font(fonts / "msyh.ttc", CHINESE)
    make_font(fonts / "malgun.ttf", KOREAN)
    assert name_of(CHINESE + KOREAN) == "malgun.ttf"


def test_bold_signs_are_taken_from_a_font_that_is_not_where_no_bold_one_has_them(fonts: Path) -> None:
    make_font(fonts / "msyh.ttc", CHINESE)
    assert name_of(CHINESE, bold=True) == "msyh.ttc"
    _forget()
    make_font(fonts / "msyhbd.ttc", CHINESE)
    assert name_of(CHINESE, bold=True) == "msyhbd.ttc"


def test_what_is_written_has_the_signs_and_no_boxes(fonts: Path) -> None:
    make_font(fonts / "NotoSansCJK-Regular.ttc", CHINESE)

    def drawn(text: str) -> np.ndarray:
        sheet = Image.new("RGB", (80, 40))
        write(ImageDraw.Draw(sheet), (2, 2), text, (255, 255, 255), 20)
        return np.asarray(sheet)

    assert not np.array_equal(drawn(CHINESE), drawn(CHINESE[::-1]))
    assert not np.array_equal(drawn(CHINESE), drawn(NO_SIGN * 2))


def test_letters_with_marks_of_their_own_are_those_with_marks_inside() -> None:
    assert width_of("Nguye\u0302\u0303n", 20) == width_of("Nguyễn", 20)


def test_a_name_is_shortened_in_the_letters_that_it_is_written_in(fonts: Path) -> None:
    make_font(fonts / "NotoSansCJK-Regular.ttc", CHINESE + ".")
    cut = shortened(CHINESE * 40, 20, 300, bold=True)
    assert cut.startswith(CHINESE) and cut.endswith("...") and width_of(cut, 20, bold=True) <= 300


@pytest.mark.parametrize("text", ["one two three four five six", "a" * 80, f"{'b' * 40} c", "", "short"])
@pytest.mark.parametrize("most", [1, 2, 9])
def test_lines_fit_and_are_not_more_than_wanted(text: str, most: int) -> None:
    lines = wrapped(text, 14, 90, most)
    assert len(lines) <= most and all(width_of(line, 14) <= 90 for line in lines)
    if not any("..." in line for line in lines):
        assert " ".join(lines) == text


def test_what_no_font_has_cannot_be_written(fonts: Path) -> None:
    assert can_write("Ruby, Nguyễn Thị Ánh") and can_write("") and not can_write(CHINESE)
    _forget()
    make_font(fonts / "msyh.ttc", CHINESE)
    assert can_write(CHINESE) and not can_write(CHINESE + KOREAN)


def test_words_without_spaces_between_them_fill_lines_of_which_none_begins_with_a_stop(fonts: Path) -> None:
    said = "时间从照片算到出图，包括加载底模和网络。“对他人的影响”（LoRA）是在 照片启用时测得：任何人都会换上这张脸。"
    make_font(fonts / "msyh.ttc", "".join(sorted({sign for sign in said if sign > "~"})))
    for room_px in range(140, 400, 17):
        lines = wrapped(said, 14, room_px, 50)
        assert "".join("".join(lines).split()) == "".join(said.split())
        assert all(width_of(line, 14) <= room_px for line in lines)
        assert not [line for line in lines if line[0] in "，。：）”" or line[-1] in "（“"]


def test_a_font_is_asked_once_of_each_sign(fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_font(fonts / "msyh.ttc", CHINESE)
    assert name_of(CHINESE) == "msyh.ttc"
    load, asked = letters._loaded, []
    with monkeypatch.context() as changed:
        changed.setattr(letters, "_loaded", lambda name, size_px: (asked.append(size_px), load(name, size_px))[1])
        assert [name_of(text) for text in (CHINESE[0], CHINESE[1], CHINESE[::-1] + CHINESE)] == ["msyh.ttc"] * 3
    assert set(asked) == {20}  # the size that is written in, not that at which signs are looked at
