"""Our miniature checkpoints in the hands of diffusers, and rules of the WebUI at hand, read from its sources."""
from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel

WEBUI = Path(os.environ.get("WEBUI_DIR") or Path.home() / "stable-diffusion-webui")
with_webui = pytest.mark.skipif(not (WEBUI / "modules").is_dir(), reason=f"no WebUI at {WEBUI}; set WEBUI_DIR")
PROMPT = "a portrait of sks man, smiling"


def load(base: BaseModelFile) -> DiffusionModel:
    torch.set_num_threads(1)
    return registry.load(base, compute.choose("fp32"), 64)


def answer(model: DiffusionModel, prompt: str = PROMPT) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([400]), model.encode_text([prompt]))


def pipeline(model: DiffusionModel) -> Any:
    """A pipeline of diffusers with the modules of `model`."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    texts, tokenizers = list(model.text_encoders.values()), model.tokenizers
    if model.family is Family.SDXL:
        return StableDiffusionXLPipeline(model.vae, *texts, *tokenizers, model.unet, scheduler)
    return StableDiffusionPipeline(
        model.vae, texts[0], tokenizers[0], model.unet, scheduler, None, None, requires_safety_checker=False
    )


def defined_in(source: str, *names: str) -> dict[str, Any]:
    """Functions (also of classes) and tables of one file of the WebUI, without what else is in it."""
    tree = ast.parse((WEBUI / source).read_text(encoding="utf-8"))
    parts: list[ast.stmt] = []
    for node in ast.walk(tree):
        own = [node.name] if isinstance(node, ast.FunctionDef) else []
        own += [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if set(own) & set(names):
            assert isinstance(node, ast.stmt)
            parts.append(node)
    found: dict[str, Any] = {"re": re, "torch": torch}
    exec(compile(ast.Module([_future(), *parts], []), source, "exec"), found)
    return found


def _future() -> ast.stmt:
    """Annotations of types that are not here are not looked at."""
    return ast.parse("from __future__ import annotations").body[0]


def webuis_names() -> Callable[[str, bool], str]:
    wanted = ("convert_diffusers_name_to_compvis", "suffix_conversion", "re_digits", "re_compiled")
    return defined_in("extensions-builtin/Lora/networks.py", *wanted)["convert_diffusers_name_to_compvis"]


def webuis_decomposition() -> Callable[..., torch.Tensor]:
    """The WebUI's method that applies `dora_scale`: (module, scaled product, weight) -> what is added to the weight."""
    return defined_in("extensions-builtin/Lora/network.py", "apply_weight_decompose")["apply_weight_decompose"]
