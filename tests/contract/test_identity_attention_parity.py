"""Faces in a UNet: ours against diffusers' IP-Adapter, from the embedding to the UNet's output."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from identity_unets import LdmUNet, adapter, always, call, diffusers_unet, ldm_call, state_dict
from miniature_adapters import make_identitynet
from personal_avatar.domain import Family
from personal_avatar.identity.injection import Control, Injection, Person, injected
from personal_avatar.identity.layers import attentions
from personal_avatar.identity.net import load_net
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights
from personal_avatar.identity.projection import build
from torch import Tensor

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
CASES = [
    (AdapterKind.INSTANTID, Family.SDXL),
    (AdapterKind.FACEID, Family.SD1),
    (AdapterKind.FACEID, Family.SDXL),
    (AdapterKind.FACEID_PORTRAIT, Family.SD1),
]
ORDERS = [(True, False), (False, True), (True, True, False, False), (True,), (False,)]


def face(seed: int = 0) -> Tensor:
    return torch.randn((1, 512), generator=torch.Generator().manual_seed(seed))


def with_diffusers(weights: AdapterWeights, weight: float) -> UNet2DConditionModel:
    """A UNet that diffusers itself made an IP-Adapter of, its LoRA included."""
    unet, file = diffusers_unet(weights.family), state_dict(weights)
    unet._load_ip_adapter_weights([file], low_cpu_mem_usage=False)
    for found in unet._load_ip_adapter_loras([file]).values():
        StableDiffusionLoraLoaderMixin.load_lora_into_unet(found, None, unet)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [weight]
    return unet


def expected(weights: AdapterWeights, weight: float, given: dict[str, Any], rows: tuple[bool, ...]) -> Tensor:
    faces = torch.cat([face() if conditional else torch.zeros_like(face()) for conditional in rows])
    if weights.kind is AdapterKind.INSTANTID:
        faces = faces[:, None]  # a sequence of one
    added = {**given.get("added_cond_kwargs", {}), "image_embeds": [faces[:, None]]}
    return with_diffusers(weights, weight)(**{**given, "added_cond_kwargs": added}).sample


def injection(weights: AdapterWeights, weight: float) -> Injection:
    return Injection(weights, [Person(build(weights).tokens(face(), None))], weight)


def difference(ours: Tensor, reference: Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize(
    ("kind", "family", "rows"),
    [(*case, (False, True, True)) for case in CASES] + [(*case, rows) for case in CASES[:2] for rows in ORDERS],
)
@torch.no_grad()
def test_the_output_is_that_of_diffusers(kind: AdapterKind, family: Family, rows: tuple[bool, ...]) -> None:
    weights, given = adapter(kind, family), call(family, len(rows))
    unet = diffusers_unet(family)
    with injected(unet, injection(weights, 0.7), always(*rows)):
        ours = unet(**given).sample
    reference = expected(weights, 0.7, given, rows)
    assert difference(ours, reference) <= TOLERANCE
    assert difference(unet(**given).sample, reference) > 0.05, "the adapter does something"


@pytest.mark.parametrize(("kind", "family"), CASES)
@torch.no_grad()
def test_the_layout_of_the_webui_gives_the_same(kind: AdapterKind, family: Family) -> None:
    weights, rows = adapter(kind, family), (True, True, False)
    given, unet = call(family, len(rows)), diffusers_unet(family)
    ldm = LdmUNet(unet)
    with injected(ldm, injection(weights, 0.7), always(*rows)):
        ours = ldm(**ldm_call(unet, given))
    assert difference(ours, expected(weights, 0.7, given, rows)) <= TOLERANCE


@pytest.mark.parametrize(("kind", "family"), CASES[:2])
@torch.no_grad()
def test_a_call_in_pieces_gives_the_same(kind: AdapterKind, family: Family) -> None:
    weights, rows = adapter(kind, family), (True, True, False, False)
    given, unet = call(family, len(rows)), diffusers_unet(family)
    pieces = []
    coming = iter(rows)
    with injected(unet, injection(weights, 0.7), lambda n: always(*(next(coming) for _ in range(n)))(n)):
        for piece in (slice(0, 1), slice(1, 3), slice(3, 4)):
            pieces.append(unet(**sliced(given, piece)).sample)
    assert difference(torch.cat(pieces), expected(weights, 0.7, given, rows)) <= TOLERANCE


def sliced(given: dict[str, Any], piece: slice) -> dict[str, Any]:
    return {
        name: sliced(value, piece) if isinstance(value, dict) else value[piece] if value.ndim else value
        for name, value in given.items()
    }


@pytest.mark.parametrize(("kind", "family"), CASES[:2])
@torch.no_grad()
def test_every_layer_hears_what_diffusers_says(kind: AdapterKind, family: Family) -> None:
    """What reaches the projections behind all attentions, one by one."""
    weights, rows = adapter(kind, family), (True, False)
    given, unet = call(family, len(rows)), diffusers_unet(family)
    with injected(unet, injection(weights, 0.7), always(*rows)), heard(unet) as ours:
        unet(**given)
    theirs = with_diffusers(weights, 0.7)
    faces = torch.cat((face(), torch.zeros_like(face())))
    embeds = faces[:, None, None] if kind is AdapterKind.INSTANTID else faces[:, None]
    with heard(theirs) as reference:
        theirs(**{**given, "added_cond_kwargs": {**given.get("added_cond_kwargs", {}), "image_embeds": [embeds]}})
    assert ours.keys() == reference.keys()
    assert max(difference(ours[name], reference[name]) for name in ours) <= TOLERANCE


@pytest.mark.parametrize("rows", [(True, False), (False, True, True)])
@torch.no_grad()
def test_adapter_and_identity_net_are_those_of_diffusers(rows: tuple[bool, ...], tmp_path: Path) -> None:
    """The whole of InstantID, in both layouts."""
    path, hint, weights = make_identitynet(tmp_path), torch.rand(1, 3, 64, 64), adapter(*CASES[0])
    wanted = injection(weights, 0.7)
    wanted = replace(wanted, control=Control(load_net(path, torch.device("cpu"), torch.float32), hint, 0.6))
    given, unet = call(Family.SDXL, len(rows)), diffusers_unet(Family.SDXL)
    ldm = LdmUNet(unet)
    with injected(unet, wanted, always(*rows)):
        ours = unet(**given).sample
    with injected(ldm, wanted, always(*rows)):
        ldms = ldm(**ldm_call(unet, given))
    tokens = wanted.people[0].tokens
    skips, middle = ControlNetModel.from_pretrained(tmp_path)(
        given["sample"], given["timestep"], torch.cat([tokens.cond if one else tokens.uncond for one in rows]),
        hint.expand(len(rows), -1, -1, -1), 0.6, added_cond_kwargs=given["added_cond_kwargs"], return_dict=False,
    )
    controlled = {**given, "down_block_additional_residuals": skips, "mid_block_additional_residual": middle}
    reference = expected(weights, 0.7, controlled, rows)
    assert difference(ours, reference) <= TOLERANCE
    assert difference(ldms, reference) <= TOLERANCE
    assert difference(expected(weights, 0.7, given, rows), reference) > 0.05, "the IdentityNet does something"


@contextmanager
def heard(unet: UNet2DConditionModel) -> Iterator[dict[str, Tensor]]:
    """{name of an attention: input of the projection behind it}, after the hooks that are there already."""
    found: dict[str, Tensor] = {}
    handles = [
        one.to_out.register_forward_pre_hook(lambda _, args, name=one.name: found.__setitem__(name, args[0]))
        for one in attentions(unet)
    ]
    yield found
    for handle in handles:
        handle.remove()
