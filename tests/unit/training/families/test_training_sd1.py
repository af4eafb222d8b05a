from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import NUM_HEADS, make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel

from tests.unit.training.answers import answer


@pytest.mark.slow
def test_a_wrong_tensor_is_an_error_with_a_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = make(Family.SD1, tmp_path, half=True)
    weights = load_file(base.path)
    del weights["model.diffusion_model.out.2.weight"]
    save_file(weights, base.path)
    with pytest.raises(BaseUnsupported, match="layout of Stable Diffusion 1"):
        registry.load(base, compute.choose("fp32"), 64)


@pytest.mark.slow
def test_old_text_encoder_names_are_read(tmp_path: Path, load_miniature: Callable[[], DiffusionModel]) -> None:
    from safetensors.torch import load_file, save_file

    base = make(Family.SD1, tmp_path, half=True)
    weights = {name.replace("transformer.text_model.", "transformer."): w for name, w in load_file(base.path).items()}
    weights["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, base.path)
    old, new = registry.load(base, compute.choose("fp32"), 64), load_miniature()
    assert torch.equal(old.encode_text(["a man"])["states"], new.encode_text(["a man"])["states"])


@pytest.mark.slow
def test_a_ckpt_gives_the_same_model(tmp_path: Path, load_miniature: Callable[[], DiffusionModel]) -> None:
    from safetensors.torch import load_file

    base = make(Family.SD1, tmp_path, half=True)
    torch.save({"state_dict": load_file(base.path)}, base.path.with_suffix(".ckpt"))
    model = registry.load(replace(base, path=base.path.with_suffix(".ckpt")), compute.choose("fp32"), 64)
    assert torch.equal(answer(model), answer(load_miniature()))


@pytest.mark.slow
def test_a_model_is_frozen_and_has_the_heads_of_its_yaml(load_miniature: Callable[[], DiffusionModel]) -> None:
    model = load_miniature()
    modules = [model.vae, *model.modules().values()]
    assert not any(weight.requires_grad for module in modules for weight in module.parameters())
    assert model.unet.config.attention_head_dim == NUM_HEADS


@pytest.mark.slow
def test_pictures_survive_the_vae_of_the_shipped_checkpoint(tiny: BaseModelFile) -> None:
    from personal_avatar.training.data.cache import load_image

    picture = load_image(tiny.path.parent.parent / "samples" / "01.jpg", 128)
    model = registry.load(tiny, compute.choose("fp32"), 128)
    mean, std = model.encode_images(picture[None])
    back = model.decode(mean)[0].astype(float)
    assert (mean.shape, mean.dtype, std.shape) == ((1, 4, 16, 16), torch.float32, mean.shape)
    assert np.sqrt(np.mean((back - picture) ** 2)) < 25
