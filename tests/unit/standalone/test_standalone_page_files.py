"""Where the page's style and scripts come from: the repository, or what a wheel has installed."""
from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.standalone import app

ROOT = Path(__file__).resolve().parents[3]


def served() -> dict[str, bytes]:
    """What a browser gets, by name."""
    house = FastAPI()
    app._mount_files(house)
    client = TestClient(house)
    names = ["style.css", *app._scripts()]
    return {name: client.get(f"/personal-avatar/page/{name}").content for name in names}


def test_an_installed_app_serves_what_the_repository_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = served()
    assert list(before)[:2] == ["style.css", "personal_avatar.js"] and "personal_avatar_results.js" in before
    monkeypatch.setattr(app, "REPOSITORY", tmp_path)
    monkeypatch.setattr(app, "INSTALLED", ROOT)
    assert served() == before and all(before.values())


@pytest.mark.slow
def test_a_wheel_takes_style_and_scripts_along() -> None:
    project = configparser.ConfigParser(delimiters="=", comment_prefixes="#", strict=False, allow_no_value=True)
    project.read_string((ROOT / "pyproject.toml").read_text(encoding="utf-8").replace("\n    ", " "))
    files = dict(project["tool.setuptools.data-files"])
    assert files == {
        '"share/personal-avatar"': '["style.css"]', '"share/personal-avatar/javascript"': '["javascript/*.js"]',
    }
