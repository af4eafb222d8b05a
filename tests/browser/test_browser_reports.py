"""A report that is opened by its path in a real browser: one language at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.reports.training_page import page
from personal_avatar.wording import LANGUAGES, text
from selenium.webdriver.common.by import By

from tests.browser.chrome import chrome

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_report_begins_in_its_language_and_shows_that_of_its_address(browser: None, tmp_path: Path) -> None:
    words = {language: text("report.words", language) for language in LANGUAGES}
    with chrome(tmp_path / "profile", "en", (1300, 1000)) as driver:
        for begins in LANGUAGES:
            path = tmp_path / f"{begins}.html"
            path.write_text(page({"name": "Linh", "language": begins}), encoding="utf-8")
            for wanted in ("", *LANGUAGES):
                driver.get("about:blank")
                driver.get(f"file://{path}#{wanted}")
                shown = driver.find_element(By.TAG_NAME, "main").text
                assert [language for language in LANGUAGES if words[language] in shown] == [wanted or begins]
