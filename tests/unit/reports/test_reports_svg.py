"""Charts are well-formed, stay inside their frame and speak."""
from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.reports.svg import HEIGHT_PX, WIDTH_PX, Chart, chart, nice_ticks, smoothed

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32)
ASSETS = Path(__file__).resolve().parents[3] / "extension" / "personal_avatar" / "assets"
SVG = "{http://www.w3.org/2000/svg}"


@given(st.lists(NUMBERS, min_size=2, max_size=30), st.lists(NUMBERS, max_size=2))
def test_every_point_lies_inside_the_picture(values: list[float], heights: list[float]) -> None:
    marks = [(f"mark {number}", height) for number, height in enumerate(heights)]
    root = ElementTree.fromstring(chart(Chart("Loss", list(enumerate(values)), marks, dots=True)))
    for circle in root.iter(f"{SVG}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH_PX and 0 <= float(circle.attrib["cy"]) <= HEIGHT_PX
    assert len(list(root.iter(f"{SVG}circle"))) == len(values)


@given(NUMBERS, st.floats(1e-3, 1e6))
def test_ticks_are_few_and_within_the_range(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert 1 <= len(ticks) <= 11 and ticks == sorted(ticks)
    assert all(low - span * 1e-6 - 1e-9 <= tick <= low + span * (1 + 1e-6) + 1e-9 for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"), [(0, 1, [0, 0.5, 1]), (0, 400, [0, 100, 200, 300, 400]), (3, 3, [3])]
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == ticks


@given(st.lists(NUMBERS, min_size=1, max_size=200))
def test_smoothing_keeps_length_and_range(values: list[float]) -> None:
    result = [y for _, y in smoothed(list(enumerate(values)))]
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert len(result) == len(values) and min(values) - slack <= min(result) and max(result) <= max(values) + slack


def test_a_smoothed_curve_is_calmer_and_goes_where_the_rough_one_does() -> None:
    falling = [1 - step / 100 for step in range(100)]
    rough = [value + (0.2 if step % 2 else -0.2) for step, value in enumerate(falling)]
    smooth = [y for _, y in smoothed(list(enumerate(rough)))]
    assert max(abs(after - before) for before, after in zip(smooth[50:], smooth[51:], strict=False)) < 0.1
    assert smooth[-1] == pytest.approx(falling[-1], abs=0.15)


@pytest.mark.parametrize(("height", "shown"), [(0.0, 0.05), (1e-9, 0.05), (0.3, 0.32), (-0.3, -0.28), (2e-5, 2.1e-5)])
def test_a_flat_curve_has_an_axis_of_its_own_size(height: float, shown: float) -> None:
    root = ElementTree.fromstring(chart(Chart("Likeness", [(1, height), (2, height)])))
    *ticks, _ = [text.text for text in root.iter(f"{SVG}text") if text.attrib["text-anchor"] == "end" and text.text]
    assert max(map(float, ticks)) == pytest.approx(shown, rel=0.05)


def test_a_chart_says_in_words_what_it_shows() -> None:
    text = chart(Chart("Likeness <&>", [(0, 0.4), (100, 0.625)], [("real pictures", 0.78)]))
    title = ElementTree.fromstring(text).find(f"{SVG}title")
    assert title is not None
    assert title.text == "Likeness <&>: from 0.4 at 0 to 0.625 at 100 steps; real pictures 0.78"
    spoken = chart(Chart("相似度", [(0, 0.4), (100, 0.625)], language="zh"))
    assert "<title>相似度：从第 0 步的 0.4 到第 100 步的 0.625</title>" in spoken


@pytest.mark.parametrize(("height", "anchor"), [(0.78, "start"), (0.38, "end")])
def test_a_marked_height_is_named_where_the_curve_does_not_run_through_its_name(height: float, anchor: str) -> None:
    root = ElementTree.fromstring(chart(Chart("Likeness", [(0, 0.4), (100, 0.76)], [("mark", height)])))
    assert [text.attrib["text-anchor"] for text in root.iter(f"{SVG}text") if text.text == f"mark {height}"] == [anchor]


def test_values_that_are_no_numbers_are_left_out() -> None:
    points = [(0, 1.0), (1, math.nan), (2, math.inf), (3, 0.5)]
    assert "nan" not in chart(Chart("Loss", points)) and "inf" not in chart(Chart("Loss", points))
    assert chart(Chart("Loss", points[:3])) == "" == chart(Chart("Loss", []))


def light(colour: tuple[float, ...]) -> float:
    """Relative luminance, as WCAG 2 counts it."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_the_thin_line_of_each_step_can_be_seen_behind_the_mean(scheme: int) -> None:
    thin, thick = ElementTree.fromstring(
        chart(Chart("Loss", [(0, 1), (9, 2)], background=[(0, 3), (9, 4)]))
    ).iter(f"{SVG}polyline")
    assert float(thin.attrib["stroke-width"]) < float(thick.attrib["stroke-width"])
    found = re.findall(r":root \{([^}]*)\}", (ASSETS / "report.css").read_text(encoding="utf-8"))[scheme]
    colours = {
        f"var({name})": tuple(int(value[at : at + 2], 16) / 255 for at in (0, 2, 4))
        for name, value in re.findall("(--[a-z0-9-]+): #([0-9a-f]{6})", found)
    }
    share, ink, ground = float(thin.attrib["stroke-opacity"]), colours[thin.attrib["stroke"]], colours["var(--card)"]
    line = tuple(share * one + (1 - share) * other for one, other in zip(ink, ground, strict=True))
    darker, lighter = sorted((light(line), light(ground)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3
