"""What the network is told of a result: names of files, no folders, and what somebody wrote as it was written."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar import documents
from personal_avatar.documents import public
from personal_avatar.domain import Avatar, Checkpoint, Family, Method


@pytest.mark.parametrize("path", ["/home/anna/avatars/report.html", "/report.html"])
def test_paths_lose_their_folders(path: str) -> None:
    assert public({"report": path, "files": [path]}) == {"report": "report.html", "files": ["report.html"]}


@pytest.mark.parametrize("key", ["user_id", "prompt", "name"])
def test_what_somebody_wrote_is_no_path(key: str) -> None:
    assert public({key: "/tenants/7/users/42"}) == {key: "/tenants/7/users/42"}


def test_numbers_that_are_none_are_null() -> None:
    assert public({"likeness": [float("nan"), 0.5]}) == {"likeness": [None, 0.5]}


def test_names_that_are_no_text_are_told_as_far_as_they_are() -> None:
    told = public({"captions": {"caf\udce9.jpg": "hat"}, "files": ["/home/anna/caf\udce9.jpg"]})
    assert told == {"captions": {"caf\ufffd.jpg": "hat"}, "files": ["caf\ufffd.jpg"]}


def test_the_trigger_is_that_of_the_file_to_use_or_of_the_captions_before_there_is_one() -> None:
    anna = Avatar("anna", "Anna", "u", "woman", "sks woman", "2026-01-01T00:00:00Z")
    lora = Checkpoint(Path("anna.safetensors"), "", 4, Method.LORA, Family.SD1, "zwx woman", None)
    found = [documents.avatar(one, 3, "ready")["trigger"] for one in (anna, replace(anna, checkpoints=(lora,)))]
    assert found == ["sks woman", "zwx woman"]
