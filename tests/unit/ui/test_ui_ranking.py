"""The panel "Rank", as a visitor without a browser uses it: real faces measured, no picture made."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from personal_avatar.documents import API_PREFIX
from personal_avatar.studio import Studio
from personal_avatar.ui import tab

from tests.unit.api.house import GOOD, SAMPLES
from tests.unit.ui.visitor import Visitor

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Her, somebody else, nobody, and no picture at all."""
    found = tmp_path_factory.mktemp("pictures")
    for path in (*GOOD[3:5], SAMPLES / "someone-else.jpg", SAMPLES / "no-face.jpg"):
        shutil.copy(path, found / path.name)
    (found / "broken.jpg").write_bytes(b"nothing")
    return found


@pytest.fixture
def visitor(visit: Visit, folder: Path) -> Visitor:
    """A page on which the folder is ranked."""
    visitor = visit(key="e" * 32)
    visitor.choose_files(*GOOD[:3], into="rank_references")
    visitor.enter(rank_folder=str(folder))
    visitor.click("rank_start")
    assert visitor.text("rank_message") == ""
    visitor.wait(lambda: "pa-gallery" in (visitor.value("rank_gallery") or ""))
    return visitor


def shown(visitor: Visitor) -> list[str]:
    return re.findall(r'<img [^>]*alt="([^"]+)"', visitor.value("rank_gallery"))


def test_what_judges_prompts_is_offered_with_a_button_where_the_ranking_lacked_it(visitor: Visitor) -> None:
    told = visitor.text("rank_progress")
    assert "that needs CLIP" in told and "doctor" not in told
    assert "rank_clip" in visitor.value("rank_progress")


def test_a_folder_is_ranked_sorted_filtered_and_taken_along(visitor: Visitor, folder: Path, tmp_path: Path) -> None:
    assert set(shown(visitor)[:2]) == {path.name for path in GOOD[3:5]}
    assert shown(visitor)[2:] == ["someone-else.jpg", "no-face.jpg"]
    assert "Overall" in visitor.prop("rank_sort", "choices")
    visitor.enter(rank_min_likeness=0.7)
    visitor.refresh()
    assert len(shown(visitor)) == 2
    visitor.enter(rank_target=str(tmp_path / "best"), rank_count=1)
    visitor.click("rank_take")
    assert "1 pictures are in" in visitor.text("rank_taken")
    assert [path.name[:4] for path in (tmp_path / "best").iterdir()] == ["001-"]
    visitor.click("rank_table")
    written = Path(visitor.value("rank_file")["name"]).read_text(encoding="utf-8-sig")
    assert [row["place"] for row in csv.DictReader(io.StringIO(written))] == ["1", "2"]
    assert len(list(folder.iterdir())) == 5


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_a_file_whose_name_is_no_text_is_ranked_and_shown_like_others(
    visit: Visit, studio: Studio, tmp_path: Path
) -> None:
    shutil.copy(GOOD[3], tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    shutil.copy(GOOD[4], tmp_path / "plain.jpg")
    visitor = visit(key="9" * 32)
    visitor.choose_files(GOOD[0], into="rank_references")
    visitor.enter(rank_folder=str(tmp_path), rank_target=str(tmp_path / "best"))
    visitor.click("rank_start")
    visitor.wait(lambda: len(shown(visitor)) == 2)
    assert set(shown(visitor)) == {"caf\ufffd.jpg", "plain.jpg"}
    for address in re.findall(r'<img src="([^"]+)"', visitor.value("rank_gallery")):
        assert visitor._client.get("/" + address).status_code == 200
    visitor.click("rank_take")
    assert len(list((tmp_path / "best").iterdir())) == 2
    visitor.click("rank_table")
    assert "caf\ufffd.jpg" in Path(visitor.value("rank_file")["name"]).read_text(encoding="utf-8-sig")
    job_id = studio.jobs.views()[0].job.id
    for path in ("jobs", f"jobs/{job_id}", f"jobs/{job_id}/ranked.csv", f"jobs/{job_id}/events"):
        answer = visitor._client.get(f"{API_PREFIX}/{path}")
        assert answer.status_code == 200 and "caf\ufffd.jpg" in answer.text, path


def test_a_page_for_others_neither_reads_nor_writes_folders(
    visitor: Visitor, studio: Studio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(studio.host.folders(), callers_name_folders=False)
    monkeypatch.setattr(studio.host, "folders", lambda: elsewhere)
    with TestClient(gr.routes.App.create_app(tab.build(studio))) as client:
        other = Visitor(client, key="e" * 32)
        other.choose_files(GOOD[0], into="rank_references")
        other.enter(rank_folder=str(folder), rank_target=str(tmp_path / "best"), rank_count=1, rank_move=True)
        other.click("rank_start")
        assert "There are no pictures to rank." in other.text("rank_message")
        other.click("rank_take")
        assert "cannot be named from elsewhere" in other.text("rank_take_message")
    assert not (tmp_path / "best").exists() and len(list(folder.iterdir())) == 5


def test_what_is_missing_is_said_in_the_language_of_the_page(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(key="f" * 32, accept="vi")
    visitor.click("rank_start")
    assert "Chưa cho biết người trong ảnh là ai." in visitor.text("rank_message")
    visitor.choose_files(GOOD[0], into="rank_references")
    visitor.click("rank_start")
    assert "Không có ảnh nào để xếp hạng." in visitor.text("rank_message")
    visitor.enter(rank_folder=str(tmp_path / "nowhere"))
    visitor.click("rank_start")
    assert "nowhere" in visitor.text("rank_message")
