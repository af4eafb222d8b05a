"""Tokens of a face: ours against diffusers' image projections, which diffusers makes from the same file."""
from __future__ import annotations

import pytest
import torch
from identity_unets import adapter, diffusers_unet, state_dict
from personal_avatar.domain import Family
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.identity.projection import build
from torch import Tensor, nn

PLUS_CLIP = 64
CASES = [
    (AdapterKind.INSTANTID, Family.SDXL),
    (AdapterKind.FACEID, Family.SD1),
    (AdapterKind.FACEID, Family.SDXL),
    (AdapterKind.FACEID_PORTRAIT, Family.SD1),
    (AdapterKind.FACEID_PORTRAIT_UNNORM, Family.SDXL),
]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def theirs(kind: AdapterKind, family: Family) -> nn.Module:
    unet = diffusers_unet(family)
    return unet._convert_ip_adapter_image_proj_to_diffusers(
        state_dict(adapter(kind, family))["image_proj"], low_cpu_mem_usage=False
    )


def difference(ours: Tensor, expected: Tensor) -> float:
    """The largest one, relative to the size of what is expected."""
    assert ours.shape == expected.shape
    return float((ours - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("kind", "family"), CASES)
@torch.no_grad()
def test_tokens_are_those_of_diffusers(kind: AdapterKind, family: Family) -> None:
    face = random(1, 512) * (20.0 if not kind.normalised else 512**-0.5)
    tokens = build(adapter(kind, family)).tokens(face, None)
    reference = theirs(kind, family)
    given = [one[:, None] if kind is AdapterKind.INSTANTID else one for one in (face, torch.zeros_like(face))]
    assert difference(tokens.cond, reference(given[0])) <= 1e-5
    assert difference(tokens.uncond, reference(given[1])) <= 1e-5


@pytest.mark.parametrize("kind", [AdapterKind.FACEID_PLUS, AdapterKind.FACEID_PLUS_V2])
@pytest.mark.parametrize("structure", [1.0, 0.4])
@torch.no_grad()
def test_tokens_of_plus_are_those_of_diffusers(kind: AdapterKind, structure: float) -> None:
    face, crop, black = random(1, 512, seed=1), random(1, 257, PLUS_CLIP, seed=2), random(1, 257, PLUS_CLIP, seed=3)
    tokens = build(adapter(kind, Family.SD1)).tokens(face, crop, zero_crop=black, structure=structure)
    reference = theirs(kind, Family.SD1)
    reference.shortcut, reference.shortcut_scale = kind is AdapterKind.FACEID_PLUS_V2, structure
    reference.clip_embeds = crop[None]
    assert difference(tokens.cond, reference(face)) <= 1e-5
    reference.clip_embeds = black[None]
    assert difference(tokens.uncond, reference(torch.zeros_like(face))) <= 1e-5


@torch.no_grad()
def test_portraits_of_several_photos_follow_one_another() -> None:
    kind, faces = AdapterKind.FACEID_PORTRAIT, random(3, 512)
    tokens = build(adapter(kind, Family.SD1)).tokens(faces, None)
    assert difference(tokens.cond, theirs(kind, Family.SD1)(faces).flatten(0, 1)[None]) <= 1e-5
