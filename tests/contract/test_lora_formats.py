"""A saved LoRA means the same to others as to us: to diffusers, to the WebUI's names, to the formula of merging."""
from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.methods.lora_targets import choose_targets
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.plan import LoraPlan
from safetensors.torch import load_file, save_file

WEBUI = Path(os.environ.get("WEBUI_DIR") or Path.home() / "stable-diffusion-webui")
PLAN = LoraPlan(rank=4, alpha=2.0, conv_rank=3, text_encoder_learning_rate=1e-4)
PROMPT = "a portrait of sks man, smiling"


def load(base: BaseModelFile) -> DiffusionModel:
    torch.set_num_threads(1)
    return registry.load(base, compute.choose("fp32"), 64)


def trained(model: DiffusionModel, file: Path) -> Lora:
    """Weights as after a training, as they are in the file (half precision)."""
    lora, generator = Lora(model, PLAN), torch.Generator().manual_seed(3)
    lora.load({key: torch.randn(weight.shape, generator=generator) * 0.1 for key, weight in lora.state().items()})
    lora.save(file, {})
    lora.load(lora.read(file))
    return lora


def answer(model: DiffusionModel) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([400]), model.encode_text([PROMPT]))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModelFile:
    return make(Family.SD1, tmp_path_factory.mktemp("checkpoint"), half=True)


def test_diffusers_reads_the_file_and_answers_the_same(base: BaseModelFile, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    file, ours, theirs = tmp_path / "a.safetensors", load(base), load(base)
    bare = answer(theirs)
    trained(ours, file)
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    pipeline = StableDiffusionPipeline(
        theirs.vae, theirs.text_encoders["lora_te"], theirs.tokenizers[0], theirs.unet, scheduler, None, None,
        requires_safety_checker=False,
    )
    pipeline.load_lora_weights(str(file))
    assert torch.allclose(answer(theirs), answer(ours), atol=1e-4)
    assert not torch.allclose(answer(ours), bare, atol=1e-2)


def test_merged_under_the_webuis_names_the_checkpoint_answers_the_same(base: BaseModelFile, tmp_path: Path) -> None:
    """W + alpha / rank * up down, added to the tensor that the WebUI would choose."""
    file, ours = tmp_path / "a.safetensors", load(base)
    trained(ours, file)
    merged = make(Family.SD1, tmp_path)
    weights, lora, names = load_file(base.path), load_file(file), ours.webui_weight_names()
    weights = {name: weight.float() for name, weight in weights.items()}
    for key in (key.removesuffix(".alpha") for key in lora if key.endswith(".alpha")):
        down, up = lora[f"{key}.lora_down.weight"].float(), lora[f"{key}.lora_up.weight"].float()
        product = torch.einsum("or,r...->o...", up.flatten(1), down) * float(lora[f"{key}.alpha"]) / down.shape[0]
        weights[names[str(webui_name(key))]] += product
    save_file(weights, merged.path)
    assert torch.allclose(answer(load(replace(base, path=merged.path))), answer(ours), atol=1e-4)


def webuis_rule() -> Callable[[str, bool], str]:
    """The function of the WebUI at hand that renames keys, with the two tables that it needs."""
    tree = ast.parse((WEBUI / "extensions-builtin/Lora/networks.py").read_text(encoding="utf-8"))
    wanted = ("convert_diffusers_name_to_compvis", "suffix_conversion", "re_digits", "re_compiled")
    parts: list[ast.stmt] = []
    for node in tree.body:
        names = [node.name] if isinstance(node, ast.FunctionDef) else []
        names += [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if set(names) & set(wanted):
            parts.append(node)
    found: dict[str, object] = {"re": re}
    exec(compile(ast.Module(parts, []), "networks.py", "exec"), found)
    return found["convert_diffusers_name_to_compvis"]  # type: ignore[return-value]


@pytest.mark.skipif(not (WEBUI / "modules").is_dir(), reason=f"no WebUI at {WEBUI}; set WEBUI_DIR")
def test_our_rule_of_names_is_the_webuis(base: BaseModelFile) -> None:
    theirs = webuis_rule()
    keys = [target.key for target in choose_targets(load(base), PLAN)]
    keys += [f"lora_unet_up_blocks_{level}_upsamplers_0_conv" for level in range(3)]
    keys += [f"lora_unet_down_blocks_{level}_attentions_{n}_proj_in" for level in range(4) for n in range(2)]
    assert len(keys) > 60
    assert {key: webui_name(key) for key in keys} == {key: theirs(key, False) for key in keys}
