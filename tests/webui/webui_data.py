"""What the tests put into a WebUI: a data folder, the shipped checkpoint, the shipped drawings."""
from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import psutil

from tests.webui.webui_server import REPOSITORY

ASSETS = REPOSITORY / "extension" / "personal_avatar" / "assets"
TINY = ASSETS / "avatar-tiny"
DRAWINGS = sorted((ASSETS / "samples").glob("[0-9]*"))
SUBJECT = "a portrait of {subject}, blue background, smiling"
CONSENT = "These are drawings of nobody."
QUICK = {"save_count": 1, "score_pictures": 2, "sample_steps": 8}


def make_data_folder(folder: Path, *, extension: Path | None) -> Path:
    """A WebUI data folder with avatar-tiny as its only checkpoint and, if given, the extension."""
    models = folder / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    shutil.copyfile(TINY / "avatar-tiny.safetensors", models / "base.safetensors")
    config = (TINY / "avatar-tiny.yaml").read_text(encoding="utf-8")
    encoder = (TINY / "diffusers" / "tokenizer").as_posix()
    (models / "base.yaml").write_text(config.replace("@TEXT_ENCODER@", encoder), encoding="utf-8")
    (folder / "extensions").mkdir()
    if extension is not None:
        (folder / "extensions" / "personal-avatar").symlink_to(extension)
    return folder


def linked_data(data: Path, name: str) -> Path:
    """Another data folder beside one where a WebUI has installed what training needs: same models, no jobs."""
    made = data.parent / name
    (made / "extensions").mkdir(parents=True)
    (made / "models").symlink_to(data / "models")
    for extension in (data / "extensions").iterdir():
        (made / "extensions" / extension.name).symlink_to(extension.resolve())
    (made / "personal-avatar").mkdir()
    for part in ("trainer", "weights"):
        if (data / "personal-avatar" / part).exists():
            (made / "personal-avatar" / part).symlink_to(data / "personal-avatar" / part)
    return made


def training(name: str, **changes: Any) -> dict[str, Any]:
    """The body of POST /models/train for the shipped drawings; `changes` are settings of the plan."""
    images = [base64.b64encode(photo.read_bytes()).decode() for photo in DRAWINGS]
    return {
        "user_id": "tests", "instance_name": name, "images": images, "class_type": "woman", "consent": CONSENT,
        "plan": {**QUICK, **changes},
    }


def worker(data: Path, job_id: str) -> psutil.Process | None:
    """The process that runs a training, None when it has ended."""
    status = json.loads((data / "personal-avatar" / "jobs" / job_id / "status.json").read_text(encoding="utf-8"))
    try:
        process = psutil.Process(status["pid"])
        return process if "personal_avatar.worker" in process.cmdline() else None
    except (psutil.Error, TypeError, ValueError):
        return None


def end_workers(data: Path) -> None:
    """End the trainings of a data folder that still run."""
    for status in (data / "personal-avatar" / "jobs").glob("*/status.json"):
        process = worker(data, status.parent.name)
        if process is not None:
            process.kill()
