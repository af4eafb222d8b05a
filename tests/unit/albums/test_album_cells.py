"""Tables that spreadsheets open."""
from __future__ import annotations

import csv
import io

import pytest
from personal_avatar.albums.archive import COLUMNS, table
from personal_avatar.albums.cells import harmless

FORMULA = '=HYPERLINK("http://example.org", "anna")'


@pytest.mark.parametrize("text", [FORMULA, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a photo of anna", "anna = somebody", "1-2"])
def test_other_text_stays(text: str) -> None:
    assert harmless(text) == text


def test_the_table_of_scores_holds_no_formula_and_numbers_stay_numbers() -> None:
    row = {**dict.fromkeys(COLUMNS), "prompt": FORMULA, "infotext": "@SUM(A1)", "number": 3, "likeness": -0.25}
    (read,) = csv.DictReader(io.StringIO(table([row]).decode("utf-8-sig")))
    assert (read["prompt"], read["infotext"]) == (f"'{FORMULA}", "'@SUM(A1)")
    assert (read["number"], read["style"]) == ("3", "") and read.get("likeness") == "-0.25"
