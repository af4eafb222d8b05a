"""A person with two trained files in a real browser: how they compare, and which of them is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Method

from tests.browser.chrome import Page, chrome
from tests.browser.conftest import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained_url(browser: None, weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with one person, of whom a LoRA and an embedding were trained on the same photos."""
    from personal_avatar.studio import TrainRequest

    from tests.unit.api.house import GOOD, build_studio

    folder = tmp_path_factory.mktemp("trained")
    studio = build_studio(folder / "data", weights_folder)
    lora = TrainRequest("Anna", tuple(GOOD[:2]), "woman", consent="she agreed")
    for request in (lora, replace(lora, method=Method.TEXTUAL_INVERSION)):
        studio.queue.wait(studio.trainings.start(request).id, 120)
    with serving(folder, weights_folder) as address:
        yield address


@pytest.fixture()
def page(trained_url: str, tmp_path: Path) -> Iterator[Page]:
    with chrome(tmp_path / "profile", "en", (1300, 1000)) as driver:
        opened = Page(driver, trained_url)
        opened.open()
        yield opened


def test_the_comparison_folds_out_in_the_list_of_jobs_and_stays_so(page: Page) -> None:
    page.go("jobs")
    page.wait(lambda: len(page.parts("jobs", "[id^=pa-comparison-] > summary")) == 2)
    assert not any(table.is_displayed() for table in page.parts("jobs", "[id^=pa-comparison-] table"))
    page.click("jobs", "[id^=pa-comparison-] > summary")
    table = "[id^=pa-comparison-][open] table"
    page.wait(lambda: page.part("jobs", table).is_displayed())
    heads = {row.text.partition(" (")[0] for row in page.parts("jobs", f"{table} tbody th")}
    assert heads == {"LoRA", "Textual Inversion"}
    page.go("train")
    page.go("jobs")
    page.wait(lambda: page.part("jobs", table).is_displayed())
    assert page.complaints() == []


def test_which_of_the_files_is_used_can_be_chosen_in_create(page: Page) -> None:
    page.go("create")
    page.wait(lambda: page.part("file").is_displayed() and "The best is" in page.text("file_why"))
    assert page.part("file", "input[value=best]").is_selected()
    labels = [label.text for label in page.parts("file", "label")]
    assert len(labels) == 3 and {"LoRA (anna.safetensors)", "Textual Inversion (anna.safetensors)"} < set(labels)
    chosen = "input[value='lora/anna.safetensors']"
    page.click("file", chosen)
    page.go("train")
    page.go("create")
    page.wait(lambda: page.part("file").is_displayed())
    assert page.part("file", chosen).is_selected()
    assert page.complaints() == []
