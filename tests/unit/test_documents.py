"""What the network is told of a result: names of files, no folders, and what somebody wrote as it was written."""
from __future__ import annotations

import pytest
from personal_avatar.documents import public


@pytest.mark.parametrize("path", ["/home/anna/avatars/report.html", "/report.html"])
def test_paths_lose_their_folders(path: str) -> None:
    assert public({"report": path, "files": [path]}) == {"report": "report.html", "files": ["report.html"]}


@pytest.mark.parametrize("key", ["user_id", "prompt", "name"])
def test_what_somebody_wrote_is_no_path(key: str) -> None:
    assert public({key: "/tenants/7/users/42"}) == {key: "/tenants/7/users/42"}


def test_numbers_that_are_none_are_null() -> None:
    assert public({"likeness": [float("nan"), 0.5]}) == {"likeness": [None, 0.5]}
