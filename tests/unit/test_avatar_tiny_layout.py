"""The checkpoint's key names: what we write is what diffusers reads as Stable Diffusion 1."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.avatar_tiny.layout import unet_key, vae_key

MIDDLE_ONLY = (False, True, False)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("conv_in.weight", "input_blocks.0.0.weight"),
        ("down_blocks.0.resnets.1.conv1.bias", "input_blocks.2.0.in_layers.2.bias"),
        ("down_blocks.0.downsamplers.0.conv.weight", "input_blocks.3.0.op.weight"),
        ("down_blocks.1.attentions.0.proj_in.weight", "input_blocks.4.1.proj_in.weight"),
        ("mid_block.resnets.1.time_emb_proj.weight", "middle_block.2.emb_layers.1.weight"),
        ("up_blocks.0.upsamplers.0.conv.weight", "output_blocks.2.1.conv.weight"),
        ("up_blocks.1.upsamplers.0.conv.weight", "output_blocks.5.2.conv.weight"),
        ("up_blocks.2.resnets.2.conv_shortcut.bias", "output_blocks.8.0.skip_connection.bias"),
    ],
)
def test_unet_names_follow_the_ldm_numbering(ours: str, theirs: str) -> None:
    assert unet_key(ours, MIDDLE_ONLY) == theirs


def test_an_unknown_unet_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        unet_key("class_embedding.weight", MIDDLE_ONLY)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder.down_blocks.1.downsamplers.0.conv.weight", "encoder.down.1.downsample.conv.weight"),
        ("decoder.up_blocks.0.resnets.1.norm1.bias", "decoder.up.3.block.1.norm1.bias"),
        ("decoder.up_blocks.2.upsamplers.0.conv.weight", "decoder.up.1.upsample.conv.weight"),
        ("encoder.mid_block.attentions.0.to_out.0.weight", "encoder.mid.attn_1.proj_out.weight"),
        ("decoder.mid_block.resnets.0.conv2.weight", "decoder.mid.block_1.conv2.weight"),
    ],
)
def test_vae_names_count_the_decoder_from_the_other_end(ours: str, theirs: str) -> None:
    assert vae_key(ours, levels=4) == theirs


@pytest.mark.slow
def test_an_exported_checkpoint_comes_back_unchanged(tmp_path: Path) -> None:
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    from tools.avatar_tiny import models
    from tools.avatar_tiny.export import Networks, export, load_checkpoint

    torch.manual_seed(0)
    networks = Networks(models.build_vae(), models.build_unet(), models.build_text_encoder())
    path = export(networks, tmp_path / "tiny.safetensors")
    pipeline = diffusers.StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(models.CONFIG),
        local_files_only=True,
        safety_checker=None,
        requires_safety_checker=False,
    )
    pairs = ((networks.vae, pipeline.vae), (networks.unet, pipeline.unet), (networks.text, pipeline.text_encoder))
    for ours, theirs in pairs:
        mine, back = ours.state_dict(), theirs.state_dict()
        names = {name for name in mine if not re.search("position_ids", name)}
        assert names <= set(back)
        assert all(torch.equal(mine[name].half(), back[name].half().view_as(mine[name])) for name in names)
    again = load_checkpoint(path)
    for part in ("vae", "unet", "text"):
        mine, back = getattr(networks, part).state_dict(), getattr(again, part).state_dict()
        assert mine.keys() == back.keys()
        assert all(torch.equal(mine[name].half().float(), back[name]) for name in mine)
