from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from identity_unets import adapter
from miniature_adapters import NAMES
from personal_avatar.domain import Family
from personal_avatar.errors import WeightsCorrupt
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.identity.projection import Projection, build

PLUS = AdapterKind.FACEID_PLUS_V2


def projection(kind: AdapterKind, family: Family = Family.SD1) -> Projection:
    return build(adapter(kind, family))


def faces(count: int = 1) -> torch.Tensor:
    return torch.randn((count, 512), generator=torch.Generator().manual_seed(count))


def states(count: int = 1) -> torch.Tensor:
    return torch.randn((count, 257, 64), generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    ("kind", "family", "count", "shape"),
    [
        (AdapterKind.INSTANTID, Family.SDXL, 1, (1, 16, 160)),
        (AdapterKind.FACEID, Family.SD1, 1, (1, 4, 32)),
        (AdapterKind.FACEID_PORTRAIT, Family.SD1, 1, (1, 16, 32)),
        (AdapterKind.FACEID_PORTRAIT, Family.SD1, 5, (1, 80, 32)),
    ],
)
def test_tokens_are_as_many_and_as_wide_as_the_recipe_says(
    kind: AdapterKind, family: Family, count: int, shape: tuple[int, ...]
) -> None:
    tokens = projection(kind, family).tokens(faces(count), None)
    assert tokens.cond.shape == tokens.uncond.shape == shape
    assert tokens.cond.dtype == torch.float32


def test_a_portrait_takes_five_photos_at_most() -> None:
    made = projection(AdapterKind.FACEID_PORTRAIT)
    assert torch.equal(made.tokens(faces(7), None).cond, made.tokens(faces(7)[:5], None).cond)


def test_nobody_is_zeros_put_through_the_projection() -> None:
    made = projection(AdapterKind.INSTANTID, Family.SDXL)
    tokens = made.tokens(faces(), None)
    assert torch.equal(tokens.uncond, made.tokens(torch.zeros(1, 512), None).cond)
    assert tokens.uncond.abs().max() > 0.1


@pytest.mark.parametrize("kind", [AdapterKind.FACEID, AdapterKind.FACEID_PORTRAIT])
def test_a_given_negative_stands_for_nobody(kind: AdapterKind) -> None:
    made, noise = projection(kind), faces() * 0.35
    with_noise, plain = made.tokens(faces(), None, negative=noise), made.tokens(faces(), None)
    assert torch.equal(with_noise.cond, plain.cond)
    assert torch.equal(with_noise.uncond, made.tokens(noise, None).cond)


def test_one_row_of_noise_serves_all_photos_of_a_portrait() -> None:
    made, noise = projection(AdapterKind.FACEID_PORTRAIT), faces()
    expected = made.tokens(noise.expand(3, -1), None).cond
    assert torch.equal(made.tokens(faces(3), None, negative=noise).uncond, expected)


def test_the_structure_weight_scales_what_clip_adds() -> None:
    made = projection(PLUS)
    none, half, full = (
        made.tokens(faces(), states(), zero_crop=states(1), structure=weight).cond for weight in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(half - none, (full - none) / 2)
    assert (full - none).abs().max() > 0.1


def test_the_first_plus_knows_no_structure_weight() -> None:
    made = projection(AdapterKind.FACEID_PLUS)
    one, other = (made.tokens(faces(), states(), zero_crop=states(), structure=weight).cond for weight in (0.0, 2.0))
    assert torch.equal(one, other)


def test_several_crops_count_alike() -> None:
    made, several = projection(PLUS), states(3)
    each = [made.tokens(faces(), crop[None], zero_crop=several[:1]).cond for crop in several]
    torch.testing.assert_close(made.tokens(faces(), several, zero_crop=several[:1]).cond, sum(each) / 3)


def test_weights_of_half_precision_compute_in_full() -> None:
    full = adapter(AdapterKind.FACEID, Family.SD1)
    half = replace(full, projection={name: weight.half() for name, weight in full.projection.items()})
    tokens = build(half).tokens(faces(), None).cond
    assert tokens.dtype == torch.float32
    torch.testing.assert_close(tokens, build(full).tokens(faces(), None).cond, atol=0.02, rtol=0.02)


def test_nothing_asks_for_gradients() -> None:
    made = projection(AdapterKind.FACEID)
    assert not any(weight.requires_grad for weight in made.parameters())
    assert not made.tokens(faces().requires_grad_(), None).cond.requires_grad


@pytest.mark.parametrize("kind", [AdapterKind.FACEID, AdapterKind.INSTANTID, PLUS])
def test_several_embeddings_are_refused_where_one_is_meant(kind: AdapterKind) -> None:
    with pytest.raises(ValueError, match="wants embeddings"):
        projection(kind, Family.SDXL).tokens(faces(2), states() if kind.needs_clip else None, zero_crop=states())


@pytest.mark.parametrize(
    ("kind", "crops", "zero"), [(PLUS, False, True), (PLUS, True, False), (AdapterKind.FACEID, True, False)]
)
def test_clip_states_are_wanted_exactly_where_they_are_known(kind: AdapterKind, crops: bool, zero: bool) -> None:
    with pytest.raises(ValueError, match="CLIP states"):
        projection(kind).tokens(faces(), states() if crops else None, zero_crop=states() if zero else None)


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (AdapterKind.INSTANTID, AdapterKind.FACEID),
        (AdapterKind.FACEID, AdapterKind.FACEID_PLUS),
        (AdapterKind.FACEID_PLUS, AdapterKind.FACEID),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(kind: AdapterKind, held: AdapterKind) -> None:
    weights = replace(adapter(held, Family.SD1), kind=kind)
    with pytest.raises(WeightsCorrupt, match=r"faceid.*\.safetensors was taken for a"):
        build(weights)


@pytest.mark.parametrize(("kind", "family"), NAMES)
def test_tokens_that_its_attentions_do_not_read_are_refused(kind: AdapterKind, family: Family) -> None:
    weights = adapter(kind, family)
    narrower = {number: (key[:, :-8], value[:, :-8]) for number, (key, value) in weights.attention.items()}
    with pytest.raises(WeightsCorrupt, match="wide"):
        build(replace(weights, attention={**weights.attention, 1: narrower[1]}))
    with pytest.raises(WeightsCorrupt, match="wide"):
        build(replace(weights, attention=narrower))


def test_layers_of_a_projection_that_do_not_fit_each_other_are_refused() -> None:
    weights = adapter(PLUS, Family.SD1)
    name = "perceiver_resampler.proj_out.weight"
    wider = {name: torch.zeros(64, weights.projection[name].shape[1])} | {
        f"perceiver_resampler.{one}": torch.zeros(64) for one in ("proj_out.bias", "norm_out.weight", "norm_out.bias")
    }
    with pytest.raises(WeightsCorrupt, match="image projection"):
        build(replace(weights, projection={**weights.projection, **wider}))


def test_a_truncated_weight_is_refused() -> None:
    weights = adapter(AdapterKind.FACEID, Family.SD1)
    broken = {**weights.projection, "proj.2.bias": weights.projection["proj.2.bias"][:-1]}
    with pytest.raises(WeightsCorrupt, match="choose another adapter"):
        build(replace(weights, projection=broken))
