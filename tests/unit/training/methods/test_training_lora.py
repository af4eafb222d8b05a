from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ldm_layout import STANDARD, Size, shapes_of
from miniatures import MINIATURE, make
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.errors import SelfTestFailed
from personal_avatar.training import compute
from personal_avatar.training.families import registry as registry_of_families
from personal_avatar.training.families.detect import UNET
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.methods import registry
from personal_avatar.training.methods.dora import Magnitude
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.methods.lora_targets import (
    ATTENTION_PARENTS,
    RESIDUAL_PARENTS,
    choose_targets,
    products_within,
)
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.planning.counts import file_bytes, trained_numbers
from personal_avatar.training.planning.plan import LoraPlan
from safetensors.torch import load_file, save_file

from tests.unit.training.answers import answer

pytestmark = pytest.mark.slow

PLAN = LoraPlan(rank=4, alpha=2.0, conv_rank=2, text_encoder_learning_rate=1e-4)
DORA = LoraPlan(rank=4, alpha=2.0, conv_rank=2, text_encoder_learning_rate=1e-4, dora=True)
BOTH = pytest.mark.parametrize("plan", [PLAN, DORA], ids=["lora", "dora"])
Load = Callable[[], DiffusionModel]


def trained(model: DiffusionModel, plan: LoraPlan = PLAN) -> Lora:
    """A LoRA whose weights are as if it had been trained: nothing is zero."""
    lora = Lora(model, plan)
    generator = torch.Generator().manual_seed(3)
    lora.load({key: moved(key, weight, generator) for key, weight in lora.state().items()})
    return lora


def moved(key: str, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(weight.shape, generator=generator) * 0.05
    return weight * (1 + noise) if key.endswith(".dora_scale") else noise


LATE = LoraPlan(rank=4, conv_rank=2, dora=True, blocks="late")


@pytest.mark.parametrize(("family", "plan"), [
    (Family.SD1, PLAN), (Family.SD1, DORA), *((family, LATE) for family in Family),
])
def test_the_size_of_the_file_is_reckoned_to_the_byte_but_for_its_header(
    family: Family, plan: LoraPlan, tmp_path: Path
) -> None:
    base = make(family, tmp_path, half=True)
    lora = Lora(registry_of_families.load(base, compute.choose("fp32"), 64), plan)
    shapes = read_shapes(base.path)
    assert trained_numbers(plan, shapes) == sum(weight.numel() for weight in lora.state().values())
    lora.save(tmp_path / "a.safetensors", {})
    kept = load_file(tmp_path / "a.safetensors")
    weights = sum(kept[key].nbytes for key in kept if not key.endswith(".alpha"))
    assert file_bytes(plan, shapes, base) == weights


@BOTH
@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH_LORA])
def test_a_new_lora_changes_nothing(load_miniature: Load, method: Method, plan: LoraPlan) -> None:
    bare = answer(load_miniature())
    model = load_miniature()
    registry.attach(method, model, plan, trigger="sks man", class_noun="man")
    assert torch.equal(answer(model), bare)


@BOTH
def test_weight_zero_is_the_checkpoint_to_the_last_bit(load_miniature: Load, plan: LoraPlan) -> None:
    bare, model = answer(load_miniature()), load_miniature()
    lora = trained(model, plan)
    with lora.strength(0.0):
        assert torch.equal(answer(model), bare)
    assert not torch.equal(answer(model), bare)


@BOTH
def test_strength_comes_back_when_something_is_raised_inside(load_miniature: Load, plan: LoraPlan) -> None:
    model = load_miniature()
    lora = trained(model, plan)
    before = answer(model)
    with pytest.raises(ValueError, match="stop"), lora.strength(0.3):
        raise ValueError("stop")
    assert torch.equal(answer(model), before)


@pytest.mark.parametrize(("plan", "residual", "text"), [
    (LoraPlan(), False, False),
    (LoraPlan(conv_rank=4), True, False),
    (LoraPlan(text_encoder_learning_rate=1e-4), False, True),
])
def test_the_plan_decides_what_is_trained(load_miniature: Load, plan: LoraPlan, residual: bool, text: bool) -> None:
    targets = choose_targets(load_miniature(), plan)
    assert any("resnets" in target.path for target in targets) == residual
    assert any(target.prefix == "lora_te" for target in targets) == text


def test_text_encoder_and_unet_have_their_own_learning_rates(load_miniature: Load) -> None:
    groups = Lora(load_miniature(), PLAN).parameter_groups()
    assert [group["lr"] for group in groups] == [PLAN.learning_rate, PLAN.text_encoder_learning_rate]
    assert all(weight.requires_grad and weight.dtype == torch.float32 for group in groups for weight in group["params"])


@BOTH
def test_what_reads_words_begins_at_a_rate_of_its_own(load_miniature: Load, plan: LoraPlan) -> None:
    lora = Lora(load_miniature(), plan.copy(update={"words_factor": 4.0}))
    groups = {id(weight): group for group in lora.parameter_groups() for weight in group["params"]}
    found = {key: groups[id(weight)] for key, weight in lora._weights() if key.startswith("lora_unet")}
    quicker = {key for key, group in found.items() if group["ahead"] == 4.0}
    assert quicker == {key for key in found if "_attn2_to_k." in key or "_attn2_to_v." in key} != set()
    assert {found[key]["ahead"] for key in found.keys() - quicker} == {1.0}
    assert {group["lr"] for group in found.values()} == {plan.learning_rate}


@BOTH
def test_strength_mixes_the_weights_as_the_webui_does(load_miniature: Load, plan: LoraPlan) -> None:
    """W + strength (W' - W), on one layer whose answers are linear in its weight."""
    lora = trained(load_miniature(), plan)
    layer = lora._layers["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"]
    seen = torch.randn((3, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        full = layer(seen)
        with lora.strength(0.0):
            bare = layer(seen)
        with lora.strength(0.3):
            assert torch.allclose(layer(seen), bare + 0.3 * (full - bare), atol=1e-5)


def test_magnitudes_train_apart_and_do_not_decay(load_miniature: Load) -> None:
    model = load_miniature()
    lora = trained(model, DORA)
    groups = lora.parameter_groups()
    rates = [DORA.learning_rate, DORA.text_encoder_learning_rate]
    assert [group["lr"] for group in groups] == [*rates, *rates]
    assert [group.get("weight_decay") for group in groups] == [None, None, 0.0, 0.0]
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    model.predict(noisy, torch.tensor([500]), model.encode_text(["a man"])).square().mean().backward()
    for group in groups:
        assert all(weight.grad is not None and bool(weight.grad.any()) for weight in group["params"])


@BOTH
def test_a_saved_file_gives_the_same_weights_back(load_miniature: Load, plan: LoraPlan, tmp_path: Path) -> None:
    lora = trained(load_miniature(), plan)
    lora.save(tmp_path / "a.safetensors", {"ss_output_name": "a"})
    read = lora.read(tmp_path / "a.safetensors")
    for key, weight in lora.state().items():
        assert torch.equal(read[key], weight if key.endswith(".dora_scale") else weight.half().float())
    assert not list(tmp_path.glob(".*"))


def test_the_file_is_in_the_format_of_kohya(load_miniature: Load, tmp_path: Path) -> None:
    trained(load_miniature()).save(tmp_path / "a.safetensors", {})
    tensors = load_file(tmp_path / "a.safetensors")
    conv = "lora_unet_down_blocks_0_resnets_0_conv1"
    query = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    assert {tensor.dtype for name, tensor in tensors.items() if not name.endswith(".alpha")} == {torch.float16}
    assert tensors[f"{conv}.alpha"].dtype == torch.float32  # a rank's share may be larger than half precision goes
    assert tensors[f"{conv}.lora_down.weight"].shape == (2, 32, 3, 3)
    assert tensors[f"{conv}.lora_up.weight"].shape == (32, 2, 1, 1)
    assert float(tensors[f"{conv}.alpha"]) == 1.0
    assert tensors[f"{query}.lora_down.weight"].shape == (4, 64)
    assert float(tensors[f"{query}.alpha"]) == 2.0
    assert "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight" in tensors


def test_the_webui_finds_every_module_where_it_was_trained(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    lora = trained(model)
    lora.save(tmp_path / "a.safetensors", {})
    assert lora.matched(tmp_path / "a.safetensors") == len(lora.places())


def test_linear_layers_written_as_convolutions_of_one_pixel_are_read_and_written_as_linear_ones(
    load_miniature: Load, tmp_path: Path
) -> None:
    lora, ours, foreign = trained(load_miniature()), tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    lora.save(ours, {})
    tensors = load_file(ours)
    wide = {key: tensor[..., None, None] if tensor.dim() == 2 else tensor for key, tensor in tensors.items()}
    save_file(wide, foreign)
    assert lora.matched(foreign) == lora.matched(ours)
    lora.load(lora.read(foreign))
    lora.save(tmp_path / "c.safetensors", {})
    again = load_file(tmp_path / "c.safetensors")
    assert again.keys() == tensors.keys() and all(torch.equal(again[key], tensors[key]) for key in tensors)
    key = next(key for key, tensor in tensors.items() if tensor.dim() == 2)
    save_file({**tensors, key: tensors[key].repeat(1, 2)}, foreign)
    with pytest.raises(SelfTestFailed, match="does not hold"):
        lora.read(foreign)


def test_a_file_for_another_checkpoint_fails_the_self_test(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    lora = trained(model)
    lora.save(tmp_path / "a.safetensors", {})
    tensors = load_file(tmp_path / "a.safetensors")
    renamed = {key.replace("mid_block_att", "mid_block_x_att"): tensor for key, tensor in tensors.items()}
    save_file(renamed, tmp_path / "b.safetensors")
    with pytest.raises(SelfTestFailed):
        lora.matched(tmp_path / "b.safetensors")


def test_swapped_modules_of_one_shape_fail_the_self_test(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    lora = trained(model)
    lora.save(tmp_path / "a.safetensors", {})
    places = lora.places()
    keys = [key for key in places if key.endswith(("0_attn1_to_q", "0_attn1_to_k"))][:2]
    swapped = {**places, keys[0]: places[keys[1]], keys[1]: places[keys[0]]}
    lora.places = lambda: swapped  # type: ignore[method-assign]
    with pytest.raises(SelfTestFailed, match="another module"):
        lora.matched(tmp_path / "a.safetensors")


@pytest.mark.parametrize("replaced", [True, False])
def test_a_lora_is_good_for_the_checkpoint_that_it_was_trained_on_whatever_became_of_its_file(
    tmp_path: Path, replaced: bool
) -> None:
    base = make(Family.SD1, tmp_path)
    model = registry_of_families.load(base, compute.choose("fp32"), 64)
    lora = trained(model)
    lora.save(tmp_path / "a.safetensors", {})
    matched = lora.matched(tmp_path / "a.safetensors")
    assert model.file_is_as_read
    if replaced:
        save_file({name: one * 1.25 for name, one in load_file(base.path).items()}, base.path)
    else:
        base.path.unlink()
    assert lora.matched(tmp_path / "a.safetensors") == matched
    assert (model.file_is_as_read, model.file_is_gone) == (False, not replaced)


@pytest.mark.parametrize(("size", "lost"), [
    (STANDARD, 0),
    (replace(STANDARD, linear_projection=True), 0),
    (MINIATURE, 0),
    (Size(unet=(64, 128, 192), depth=(0, 1, 0)), 0),
    (Size(unet=(64, 128), depth=(1, 1)), 1),  # the first upsampler: no attention is expected before it
])
def test_names_lead_to_modules_of_the_same_shape_one_to_one(size: Size, lost: int) -> None:
    from diffusers import UNet2DConditionModel

    shapes, base = shapes_of(size), BaseModelFile(Path("x.safetensors"), "x", Family.SD1)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(shapes, {"unet_config": {"params": {"num_heads": 2}}}, base))
    known = {
        "diffusion_model_" + key[len(UNET) : -len(".weight")].replace(".", "_"): shape
        for key, shape in shapes.items()
        if key.startswith(UNET) and key.endswith(".weight")
    }
    paths = products_within(unet, ATTENTION_PARENTS + RESIDUAL_PARENTS)
    names = {path: webui_name("lora_unet_" + path.replace(".", "_")) for path in paths}
    found = {path: name for path, name in names.items() if name in known}
    assert len(names) - len(found) == lost
    assert len(set(found.values())) == len(found)
    assert all(known[str(name)] == tuple(unet.get_submodule(path).weight.shape) for path, name in found.items())


def test_lengths_of_dora_are_reckoned_once_for_the_same_weights(
    load_miniature: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckoned: list[Magnitude] = []
    norm = Magnitude._norm
    model = load_miniature()
    lora = Lora(model, LoraPlan(rank=2, dora=True))
    monkeypatch.setattr(Magnitude, "_norm", lambda self: (reckoned.append(self), norm(self))[1])

    first = answer(model)
    layers = len(reckoned)
    assert layers == len(set(map(id, reckoned))) > 10
    assert torch.equal(answer(model), first) and len(reckoned) == layers
    changed = {key: weight + 0.1 for key, weight in lora.state().items()}
    lora.load(changed)  # as some optimisers do, past the counters of versions
    second = answer(model)
    assert len(reckoned) == 2 * layers and not torch.equal(first, second)
    fresh = load_miniature()
    Lora(fresh, LoraPlan(rank=2, dora=True)).load(changed)
    assert torch.equal(answer(fresh), second)
