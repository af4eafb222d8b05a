"""Our IdentityNet against diffusers' ControlNetModel with the same random weights."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from personal_avatar.identity.net import IdentityNet, load_net
from personal_avatar.identity.nouns import Tokens
from torch import Tensor

POOLED, SIZES_EACH, CONTEXT = 32, 8, 48
CASES = [(8, 8, (False, True)), (9, 13, (True, False, True)), (16, 24, (True,))]


def make_reference(folder: Path, **changed: Any) -> ControlNetModel:
    """A miniature of the SDXL ControlNet whose output layers are not zero, saved as diffusers does."""
    torch.manual_seed(0)
    shape = {
        "block_out_channels": (32, 64, 64), "attention_head_dim": (2, 4, 4), "transformer_layers_per_block": (1, 1, 2),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "layers_per_block": 2, "cross_attention_dim": CONTEXT, "use_linear_projection": True,
        "conditioning_embedding_out_channels": (4, 8, 12, 16), "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZES_EACH, "projection_class_embeddings_input_dim": POOLED + 6 * SIZES_EACH,
    }
    reference = ControlNetModel(**{**shape, **changed})
    for block in [*reference.controlnet_down_blocks, reference.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.2)
        torch.nn.init.normal_(block.bias)
    torch.nn.init.normal_(reference.controlnet_cond_embedding.conv_out.weight, std=0.5)
    reference.save_pretrained(folder)
    return reference.eval()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[ControlNetModel, IdentityNet]:
    folder = tmp_path_factory.mktemp("net")
    return make_reference(folder), load_net(folder / "diffusion_pytorch_model.safetensors", "cpu", torch.float32)


def inputs(height: int, width: int, rows: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(height * width)
    return {
        "x": torch.randn(rows, 4, height, width, generator=generator),
        "timesteps": torch.tensor([999.0, 0.0, 500.25])[:rows],
        "pooled": torch.randn(rows, POOLED, generator=generator),
        "sizes": torch.randint(0, 1024, (rows, 6), generator=generator).float(),
        "picture": torch.rand(1, 3, 8 * height, 8 * width, generator=generator),
        "cond": torch.randn(1, 16, CONTEXT, generator=generator),
        "uncond": torch.randn(1, 16, CONTEXT, generator=generator),
    }


def theirs(reference: ControlNetModel, given: dict[str, Tensor], conditional: Sequence[bool]) -> list[Tensor]:
    tokens = torch.cat([given["cond"] if mark else given["uncond"] for mark in conditional])
    with torch.no_grad():
        skips, middle = reference(
            given["x"], given["timesteps"], tokens, given["picture"].expand(len(conditional), -1, -1, -1),
            added_cond_kwargs={"text_embeds": given["pooled"], "time_ids": given["sizes"]}, return_dict=False,
        )
    return [*skips, middle]


def ours(
    net: IdentityNet, reference: ControlNetModel, given: dict[str, Tensor], conditional: Sequence[bool]
) -> list[Tensor]:
    sizes = reference.add_time_proj(given["sizes"].flatten()).reshape(len(conditional), -1)
    context = net.context([(Tokens(given["cond"], given["uncond"]), None)])
    label = torch.cat([given["pooled"], sizes], dim=1)
    skips, middle = net.residuals(
        given["x"], given["timesteps"], label, net.hint(given["picture"]), context, conditional
    )
    return [*skips, middle]


def relative(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, as a share of the largest value of its tensor."""
    assert [one.shape for one in found] == [one.shape for one in wanted]
    return float(
        torch.stack([(one - other).abs().max() / other.abs().max() for one, other in zip(found, wanted, strict=True)])
        .max()
    )


@pytest.mark.parametrize(("height", "width", "conditional"), CASES)
def test_residuals_are_those_of_diffusers(
    both: tuple[ControlNetModel, IdentityNet], height: int, width: int, conditional: tuple[bool, ...]
) -> None:
    reference, net = both
    given = inputs(height, width, len(conditional))
    found = ours(net, reference, given, conditional)
    assert len(found) == 9 + 1
    assert all(one.isfinite().all() for one in found)
    assert relative(found, theirs(reference, given, conditional)) <= 1e-4


def test_the_rows_of_the_negative_prompt_read_other_tokens(both: tuple[ControlNetModel, IdentityNet]) -> None:
    """Else the comparison above would not notice rows that were mixed up."""
    reference, net = both
    given = inputs(8, 8, 2)
    assert relative(ours(net, reference, given, (True, False)), theirs(reference, given, (False, True))) > 1e-3


@pytest.mark.parametrize(
    "changed", [{"use_linear_projection": False}, {"norm_num_groups": 16}, {"attention_head_dim": 8}],
    ids=["projections are convolutions", "fewer groups", "one number of heads for all"],
)
def test_other_networks_of_the_kind_agree_too(changed: dict[str, Any], tmp_path: Path) -> None:
    reference = make_reference(tmp_path, **changed)
    net = load_net(tmp_path / "diffusion_pytorch_model.safetensors", "cpu", torch.float32)
    given = inputs(8, 8, 2)
    assert relative(ours(net, reference, given, (True, False)), theirs(reference, given, (True, False))) <= 1e-4


def test_heads_of_64_channels_need_no_config(tmp_path: Path) -> None:
    reference = make_reference(
        tmp_path, block_out_channels=(32, 64, 128), attention_head_dim=(1, 1, 2), transformer_layers_per_block=(1, 1, 1)
    )
    (tmp_path / "config.json").unlink()
    net = load_net(tmp_path / "diffusion_pytorch_model.safetensors", "cpu", torch.float32)
    given = inputs(8, 8, 2)
    assert relative(ours(net, reference, given, (True, False)), theirs(reference, given, (True, False))) <= 1e-4


def test_a_pickle_holds_the_same_network(tmp_path: Path) -> None:
    reference = make_reference(tmp_path)
    torch.save(reference.state_dict(), tmp_path / "net.bin")
    net = load_net(tmp_path / "net.bin", "cpu", torch.float32)
    given = inputs(8, 8, 2)
    assert relative(ours(net, reference, given, (True, False)), theirs(reference, given, (True, False))) <= 1e-4
