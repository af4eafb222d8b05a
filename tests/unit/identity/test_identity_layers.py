from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_unets import LdmUNet, adapter, diffusers_unet
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.identity.layers import DOWN, MIDDLE, UP, attentions, cross_attentions, numbered
from personal_avatar.identity.nouns import AdapterKind
from torch import nn

FAMILIES = [Family.SD1, Family.SDXL]
UNET = diffusers_unet(Family.SD1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_is_that_of_diffusers(family: Family) -> None:
    unet = diffusers_unet(family)
    assert [f"{one.name}.processor" for one in attentions(unet)] == list(unet.attn_processors)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_layouts_have_the_same_modules_in_the_same_order(family: Family) -> None:
    unet = diffusers_unet(family)
    theirs, ldms = attentions(unet), attentions(LdmUNet(unet))
    assert [one.module for one in theirs] == [one.module for one in ldms]
    assert [one.part for one in theirs] == [one.part for one in ldms]


def test_down_comes_first_and_the_middle_last() -> None:
    parts = [one.part for one in attentions(LdmUNet(diffusers_unet(Family.SDXL)))]
    assert parts == sorted(parts, key=[DOWN, UP, MIDDLE].index)
    assert set(parts) == {DOWN, UP, MIDDLE}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_second_one_looks_at_the_prompt(family: Family) -> None:
    unet = diffusers_unet(family)
    assert [one.name for one in cross_attentions(unet)] == [one.name for one in attentions(unet)[1::2]]
    assert all(one.name.endswith("attn2") for one in cross_attentions(unet))


def test_projections_have_the_names_of_the_files() -> None:
    layer = attentions(diffusers_unet(Family.SD1))[0]
    assert layer.projection("to_q") is layer.module.to_q
    assert layer.projection("to_out") is layer.module.to_out[0]


@given(start=st.integers(0, 5), step=st.integers(1, 3), shuffled=st.randoms(use_true_random=False))
def test_files_may_count_as_they_like(start: int, step: int, shuffled: Random) -> None:
    layers = cross_attentions(UNET)
    numbers = [start + step * place for place in range(len(layers))]
    mixed = shuffled.sample(numbers, len(numbers))
    found = list(numbered({number: f"number {number}" for number in mixed}, layers, "file"))
    assert [value for _, value in found] == [f"number {number}" for number in numbers]
    assert [layer for layer, _ in found] == list(layers)


def test_an_adapter_of_another_family_is_refused() -> None:
    weights = adapter(AdapterKind.FACEID, Family.SD1)
    layers = cross_attentions(diffusers_unet(Family.SDXL))
    with pytest.raises(BaseUnsupported, match=r"faceid\.safetensors is made for a model with 6 .* has 17") as raised:
        numbered(weights.attention, layers, weights.path.name)
    assert "SDXL" in raised.value.hint


def test_a_network_that_is_no_such_unet_is_refused() -> None:
    with pytest.raises(BaseUnsupported, match="Linear"):
        attentions(nn.Linear(1, 1))
