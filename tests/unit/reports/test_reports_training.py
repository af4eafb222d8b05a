"""The page of a training: everything that its `report.json` holds, in the language that its address ends with."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.caveats import codes
from personal_avatar.pictures import save_picture
from personal_avatar.reports import parts
from personal_avatar.reports.training_page import MEANINGS, page
from personal_avatar.wording import DEFAULT, LANGUAGES, table, told

from tests.unit.reports.pages import Tags, in_language

NUMBERS = {"likeness": 0.41, "following": 0.9, "leakage": 0.01, "merit": 0.5, "faces_found": 1.0}


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    picture = str(save_picture(np.full((64, 64, 3), 90, np.uint8), tmp_path / "a.png"))
    shown = {"file": picture, "prompt": "a portrait of sks man", "seed": 7}
    pictures = [{**shown, "likeness": value} for value in (0.4, None)]
    why = told("choice", "LIKENESS", step=40, count=2, likeness=0.41, following=0.9)
    better = told("train_advice", "ONE_CHECKPOINT", count=4)
    return {
        "name": "Anna <3", "method": "dreambooth-lora", "engine": "diffusers", "base": "avatar-tiny",
        "likeness": {"floor": 0.2, "after": 0.4, "ceiling": 0.6}, "leakage": 0.01, "diversity": 0.9, "seconds": 600,
        "measured_on": {"photos": 3, "held_out": True}, "photos": 12, "peak_memory_gb": 2.5, "file_mb": 0.01,
        "second_opinion": {"recogniser": "w600k", "after": 0.5, "floor": 0.2, "ceiling": 0.7, "recovered": 0.6},
        "choice": why.text, "choice_codes": codes([why]), "advice": [better.text], "advice_codes": codes([better]),
        "scores": [{**NUMBERS, "step": step, "pictures": pictures} for step in (20, 40)], "losses": [0.4, 0.3, 0.2],
        "untrained": {"likeness": 0.2, "pictures": pictures}, "checkpoint": {"step": 40}, "ceiling": 0.6,
        "prompt": "<lora:anna:1> sks man", "files": ["/d/anna.safetensors"], "plan": {"steps": 40, "flip": True},
    }


@pytest.mark.parametrize(("language", "wanted"), [
    ("en", ("In short", "Dreambooth-LoRA on avatar-tiny", "3 photos that were not trained on", "50% of the way",
            "10 min", "w600k, which chose nothing", "Step 40", "no face", "was chosen of 2", "Only one checkpoint")),
    ("vi", ("Tóm tắt", "3 ảnh không dùng để học", "Đã đi được 50%", "10 phút", "Bước 40", "không có mặt",
            "Đã chọn điểm lưu ở bước 40 trong 2 điểm", "Chỉ có một điểm lưu", "ảnh thật 0.60")),
    ("zh", ("概要", "3 张未用于训练的照片", "已达成 50%", "10 分钟", "第 40 步", "无人脸",
            "在 2 个存档中选择了第 40 步", "只保存了一个存档", "真实照片 0.60")),
])
def test_the_page_is_read_in_the_language_that_its_address_ends_with(
    facts: dict[str, Any], language: str, wanted: tuple[str, ...]
) -> None:
    said = in_language(page(facts), language)
    assert [part for part in wanted if part not in said] == []
    if language != DEFAULT:
        english = r"\b(?:the|of|photos?|pictures?|before|checkpoint|was|trained|settings|yes)\b"
        assert not re.search(english, said.replace("a portrait of sks man", ""), re.IGNORECASE)


def test_a_page_in_three_languages_is_whole_and_holds_each_picture_once(facts: dict[str, Any]) -> None:
    tags = Tags(page(facts))
    assert not re.search("step|likeness", " ".join(value for _, name, value in tags.attributes if name == "alt"))
    assert tags.open == [] and len([value for _, name, value in tags.attributes if name == "src"]) == 8
    assert {value for _, name, value in tags.attributes if name == "href"} == {f"#{one}" for one in LANGUAGES}
    assert not any(tag == "script" for tag, _, _ in tags.attributes) and "Anna &lt;3" in page(facts)


def test_checkpoints_stand_in_the_order_of_their_steps(facts: dict[str, Any]) -> None:
    assert len(facts["scores"]) > 1 and page({**facts, "scores": facts["scores"][::-1]}) == page(facts)


def test_sentences_of_a_version_without_codes_are_shown_as_they_were_written(facts: dict[str, Any]) -> None:
    uncoded = dict.fromkeys(("choice_codes", "advice_codes"))
    old = {**facts, **uncoded, "advice": ["Take <more> photos."], "choice": "The best one."}
    for language in LANGUAGES:
        said = in_language(page(old), language)
        assert "Take <more> photos." in said and "The best one." in said


def test_no_text_of_reports_is_left_over() -> None:
    rooms = Path(parts.__file__).parent.glob("*.py")
    sources = "".join(source.read_text(encoding="utf-8") for source in rooms)
    keys = {key.removeprefix("report.") for key in table() if key.startswith("report.")}
    assert {key for key in keys if not re.search(rf"""["'](?:report\.)?{re.escape(key)}["']""", sources)} <= {
        *(f"{one}.means" for one in MEANINGS), *(key for key in keys if key.startswith("row.")),
    }
