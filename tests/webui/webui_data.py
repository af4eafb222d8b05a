"""What the tests put into a WebUI: a data folder, the shipped checkpoint, the shipped drawings."""
from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from tests.webui.webui_server import REPOSITORY

ASSETS = REPOSITORY / "extension" / "personal_avatar" / "assets"
TINY = ASSETS / "avatar-tiny"
DRAWINGS = sorted((ASSETS / "samples").glob("[0-9]*"))
CONSENT = "These are drawings of nobody."
FEW_STEPS = {"steps": 60, "rank": 16, "learning_rate": 1e-3, "save_count": 1, "schedule": "constant"}


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


def training(name: str, **changes: Any) -> dict[str, Any]:
    """The body of POST /models/train for the shipped drawings; short unless `changes` of the plan say otherwise."""
    images = [base64.b64encode(photo.read_bytes()).decode() for photo in DRAWINGS]
    return {
        "user_id": "tests", "instance_name": name, "images": images, "class_type": "woman", "consent": CONSENT,
        "plan": {**FEW_STEPS, **changes},
    }
