"""The text that the WebUI writes into a picture, so that "PNG Info" reads ours as it reads its own."""
from __future__ import annotations

import json

from personal_avatar import __version__
from personal_avatar.domain import BaseModelFile
from personal_avatar.host import PictureRequest


def infotext(request: PictureRequest, base: BaseModelFile, seed: int) -> str:
    """Prompt, negative prompt and one line of settings."""
    settings = {
        "Steps": str(request.steps),
        "Sampler": request.sampler,
        "CFG scale": f"{request.guidance:g}",
        "Seed": str(seed),
        "Size": f"{request.width_px}x{request.height_px}",
        "Model hash": base.sha256[:10],
        "Model": base.title,
        "Clip skip": str(request.clip_skip) if request.clip_skip > 1 else "",
        "Denoising strength": "" if request.image is None else f"{request.strength:g}",
        **dict(request.infotext),
        "Version": f"personal-avatar {__version__}",
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {quoted(value)}" for name, value in settings.items() if value))
    return "\n".join(lines)


def quoted(value: str) -> str:
    """As the WebUI does it: a JSON string when a comma, colon or line break is in it."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value
