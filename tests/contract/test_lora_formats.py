"""A saved LoRA means the same to others as to us: to diffusers, to the WebUI's names, to the formulas of merging."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from diffusers.loaders import lora_pipeline
from foreign import answer, load, pipeline, webuis_decomposition, webuis_names, with_webui
from ldm_layout import STANDARD, STANDARD_SD2, STANDARD_SDXL, Size, shapes_of
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.stored import unet_places
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.methods.lora_targets import (
    ATTENTION_PARENTS,
    RESIDUAL_PARENTS,
    choose_targets,
    products_within,
)
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.planning.plan import LoraPlan
from safetensors.torch import load_file, save_file

PLAN = LoraPlan(rank=4, alpha=2.0, conv_rank=3, text_encoder_learning_rate=1e-4)
FAMILIES = tuple(Family)
STANDARDS = {Family.SD1: STANDARD, Family.SD2: STANDARD_SD2, Family.SDXL: STANDARD_SDXL}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in FAMILIES}


class Trained(NamedTuple):
    """One for all tests: they look at it and leave it as it is."""

    model: DiffusionModel
    lora: Lora
    file: Path
    answer: torch.Tensor


@pytest.fixture(scope="module")
def trained(
    bases: dict[Family, BaseModelFile], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Family, bool], Trained]:
    @cache
    def trained(family: Family, dora: bool) -> Trained:
        model, file = load(bases[family]), tmp_path_factory.mktemp("lora") / "a.safetensors"
        lora = train(model, file, LoraPlan(**{**PLAN.dict(), "dora": dora}))
        return Trained(model, lora, file, answer(model))

    return trained


@pytest.fixture(scope="module")
def untrained(bases: dict[Family, BaseModelFile]) -> Callable[[Family], DiffusionModel]:
    """One of each family, that no test changes."""
    return cache(lambda family: load(bases[family]))


@pytest.fixture(scope="module")
def bare(untrained: Callable[[Family], DiffusionModel]) -> Callable[[Family], torch.Tensor]:
    return cache(lambda family: answer(untrained(family)))


def train(model: DiffusionModel, file: Path, plan: LoraPlan) -> Lora:
    """Weights as after a training, as they are in the file (half precision)."""
    lora, generator = Lora(model, plan), torch.Generator().manual_seed(3)

    def moved(key: str, weight: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(weight.shape, generator=generator) * 0.1
        return weight * (1 + noise) if key.endswith(".dora_scale") else noise

    lora.load({key: moved(key, weight) for key, weight in lora.state().items()})
    lora.save(file, {})
    lora.load(lora.read(file))
    return lora


def products(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Path -> what a LoRA layer adds to its weight; whatever the adapter is called."""
    found = {}
    for path, layer in module.named_modules():
        if hasattr(layer, "get_delta_weight"):
            found[path] = layer.get_delta_weight(next(iter(layer.lora_A)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_adds_the_same_to_the_same_modules(
    bases: dict[Family, BaseModelFile], trained: Callable[[Family, bool], Trained],
    bare: Callable[[Family], torch.Tensor], family: Family,
) -> None:
    ours, theirs = trained(family, False), load(bases[family])
    pipeline(theirs).load_lora_weights(str(ours.file))
    for prefix, module in ours.model.modules().items():
        mine, others = products(module), products(theirs.modules()[prefix])
        assert set(mine) == set(others)
        assert all(torch.allclose(mine[path], others[path], atol=1e-5) for path in mine)
    assert len(ours.lora.places()) == sum(len(products(module)) for module in theirs.modules().values())
    assert torch.allclose(answer(theirs), ours.answer, atol=1e-5)
    assert not torch.allclose(ours.answer, bare(family), atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_of_a_dora_diffusers_takes_the_low_rank_part_alone_and_warns(
    bases: dict[Family, BaseModelFile], trained: Callable[[Family, bool], Trained], family: Family, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the setting and the README say; diffusers that read magnitudes would fail this, and make them untrue."""
    ours, theirs, warned = trained(family, True), load(bases[family]), []
    monkeypatch.setattr(lora_pipeline.logger, "warning", warned.append)
    pipeline(theirs).load_lora_weights(str(ours.file))
    assert any("dora_scale" in said for said in warned)
    low_rank, plain = tmp_path / "plain.safetensors", load(bases[family])
    save_file({key: value for key, value in load_file(ours.file).items() if "dora_scale" not in key}, low_rank)
    pipeline(plain).load_lora_weights(str(low_rank))
    found = answer(theirs)
    assert torch.equal(found, answer(plain))
    assert not torch.allclose(found, ours.answer, atol=1e-2)


@pytest.mark.slow
@with_webui
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_as_the_webui_does_it_the_checkpoint_answers_the_same(
    bases: dict[Family, BaseModelFile], trained: Callable[[Family, bool], Trained],
    bare: Callable[[Family], torch.Tensor], family: Family, dora: bool, tmp_path: Path,
) -> None:
    """The product that the file means, through the WebUI's own decomposition, added where its names lead to."""
    ours = trained(family, dora)
    weights = {name: weight.float() for name, weight in read_weights(bases[family].path).items()}
    lora, names, decompose = load_file(ours.file), ours.model.webui_weight_names(), webuis_decomposition()
    for key in (key.removesuffix(".alpha") for key in lora if key.endswith(".alpha")):
        down, up = lora[f"{key}.lora_down.weight"].float(), lora[f"{key}.lora_up.weight"].float()
        product = torch.einsum("or,r...->o...", up.flatten(1), down) * float(lora[f"{key}.alpha"]) / down.shape[0]
        place = part_of(weights, names[str(webui_name(key, family))])
        if dora:
            module = SimpleNamespace(dora_scale=lora[f"{key}.dora_scale"], dora_norm_dims=product.dim() - 1)
            product = decompose(module, product, place)
        place += product
    merged = replace(bases[family], path=tmp_path / "merged.safetensors")
    save_file(weights, merged.path)
    assert torch.allclose(answer(load(merged)), ours.answer, atol=1e-4)
    assert not torch.allclose(ours.answer, bare(family), atol=1e-2)


def part_of(weights: dict[str, torch.Tensor], place: str) -> torch.Tensor:
    """The tensor at a place, in the memory of the whole."""
    name, _, part = place.partition(":")
    return weights[name].chunk(3)["qkv".index(part)] if part else weights[name]


@pytest.mark.slow
def test_magnitudes_have_the_shape_that_the_webui_divides_by_its_norms(
    trained: Callable[[Family, bool], Trained]
) -> None:
    tensors = load_file(trained(Family.SD1, True).file)
    block = "lora_unet_down_blocks_0"
    assert tensors[f"{block}_resnets_0_conv1.dora_scale"].shape == (1, 32, 1, 1)
    assert tensors[f"{block}_attentions_0_transformer_blocks_0_attn1_to_q.dora_scale"].shape == (1, 32)
    assert tensors[f"{block}_resnets_0_conv1.dora_scale"].dtype == torch.float32


@pytest.mark.slow
@with_webui
def test_our_rule_of_names_is_the_webuis(untrained: Callable[[Family], DiffusionModel]) -> None:
    """Of SDXL's UNet the WebUI takes the names as they are, after its rule found none; see `load_network`."""
    theirs = webuis_names()
    for family in (Family.SD1, Family.SD2):
        keys = [target.key for target in choose_targets(untrained(family), PLAN)]
        keys += [f"lora_unet_up_blocks_{level}_upsamplers_0_conv" for level in range(3)]
        keys += [f"lora_unet_down_blocks_{level}_attentions_{n}_proj_in" for level in range(4) for n in range(2)]
        assert len(keys) > 60
        second = family is Family.SD2
        assert {key: webui_name(key, family) for key in keys} == {key: theirs(key, second) for key in keys}
    keys = [target.key for target in choose_targets(untrained(Family.SDXL), PLAN)]
    te2 = [key for key in keys if key.startswith("lora_te2")]
    assert {key: webui_name(key, Family.SDXL) for key in te2} == {key: theirs(key, False) for key in te2}
    for key in set(keys) - set(te2):
        renamed = key.replace("lora_unet", "diffusion_model").replace("lora_te1_text_model", "0_transformer_text_model")
        assert theirs(key, False) == key
        assert webui_name(key, Family.SDXL) == renamed


def standard_keys(family: Family, parents: tuple[str, ...]) -> list[str]:
    """Names for a UNet of the standard size of its family, without its weights."""
    from diffusers import UNet2DConditionModel
    from personal_avatar.training.families.sd1 import Sd1Model
    from personal_avatar.training.families.sdxl import SdxlModel

    size: Size = STANDARDS[family]
    config = unet_config(shapes_of(size), {}, BaseModelFile(Path("x.safetensors"), "x", family))
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    kind = SdxlModel if family is Family.SDXL else Sd1Model
    places = {"lora_unet": unet_places(shapes_of(size), unet.config)}
    model = kind(BaseModelFile(Path("x"), "x", family), None, unet, None, places=places)  # type: ignore[arg-type]
    return [model.lora_key("lora_unet", path) for path in products_within(unet, parents)]


@pytest.mark.parametrize(("family", "attention", "residual", "some"), [
    (Family.SD1, 192, 86, (
        "lora_unet_down_blocks_0_attentions_0_proj_in",
        "lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_attn2_to_out_0",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj",
        "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_2",
        "lora_unet_up_blocks_1_resnets_0_conv_shortcut",
        "lora_unet_down_blocks_0_downsamplers_0_conv",
    )),
    (Family.SD2, 192, 86, ("lora_unet_up_blocks_1_attentions_0_proj_out",)),
    (Family.SDXL, 722, 66, (
        "lora_unet_input_blocks_4_1_proj_in",
        "lora_unet_input_blocks_8_1_transformer_blocks_9_attn1_to_q",
        "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_out_0",
        "lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_0_proj",
        "lora_unet_output_blocks_8_0_skip_connection",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_middle_block_2_emb_layers_1",
    )),
])
def test_a_network_of_the_standard_size_has_the_modules_that_kohya_names(
    family: Family, attention: int, residual: int, some: tuple[str, ...]
) -> None:
    """Numbers as kohya's trainer reports them ("create LoRA for U-Net: 192 modules", 722 for SDXL)."""
    first, second = standard_keys(family, ATTENTION_PARENTS), standard_keys(family, RESIDUAL_PARENTS)
    assert (len(first), len(second)) == (attention, residual)
    assert len(set(first + second)) == attention + residual
    assert set(some) <= set(first + second)


@pytest.mark.slow
def test_every_text_encoder_has_all_four_projections(untrained: Callable[[Family], DiffusionModel]) -> None:
    """The WebUI applies a LoRA to OpenCLIP's joined projections only when it has all of them."""
    keys = {target.key for target in choose_targets(untrained(Family.SDXL), PLAN)}
    parts = [*(f"self_attn_{letter}_proj" for letter in ("q", "k", "v", "out")), "mlp_fc1", "mlp_fc2"]
    for prefix in ("lora_te1", "lora_te2"):
        own = {key for key in keys if key.startswith(prefix)}
        assert own == {f"{prefix}_text_model_encoder_layers_{layer}_{part}" for layer in range(2) for part in parts}


@pytest.mark.slow
def test_late_blocks_leave_the_first_half_alone(untrained: Callable[[Family], DiffusionModel]) -> None:
    plan = LoraPlan(blocks="late", conv_rank=2)
    for family, early in ((Family.SD1, "down_blocks"), (Family.SDXL, "input_blocks")):
        keys = [target.key for target in choose_targets(untrained(family), plan)]
        assert keys
        assert not any(early in key for key in keys)
