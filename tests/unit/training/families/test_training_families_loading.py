"""What a loaded checkpoint of any family is, which files are read as one, and which are refused by name."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from miniatures import make, write_weights
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported
from personal_avatar.training import compute
from personal_avatar.training.families import contents, registry, sd1
from personal_avatar.training.families.files import OneByOne, read_weights
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.probe import probe
from personal_avatar.training.families.sd1 import Sd1Model
from personal_avatar.training.methods.dreambooth import Dreambooth
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.planning.plan import DreamboothPlan, LoraPlan
from safetensors.torch import load_file

from tests.unit.training.answers import answer

pytestmark = pytest.mark.slow

Weights = dict[str, Any]
Load = Callable[[BaseModelFile], DiffusionModel]


@pytest.fixture
def load() -> Load:
    torch.set_num_threads(1)
    return lambda base: registry.load(base, compute.choose("fp32"), 64)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, DiffusionModel]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("families")
    made = {family: make(family, folder, name=family.value) for family in Family}
    return {family: registry.load(base, compute.choose("fp32"), 64) for family, base in made.items()}


def rewritten(base: BaseModelFile, change: Callable[[Weights], Weights], name: str = "changed.safetensors") -> Path:
    path = base.path.with_name(name)
    write_weights(path, change(read_weights(base.path)))
    return path


def with_change(base: BaseModelFile, change: Callable[[Weights], Weights]) -> BaseModelFile:
    return replace(base, path=rewritten(base, change))


@pytest.mark.parametrize("family", list(Family))
def test_a_model_is_frozen_and_of_the_family_that_its_file_shows(
    family: Family, models: dict[Family, DiffusionModel]
) -> None:
    model = models[family]
    modules = [model.vae, *model.modules().values()]
    assert not any(weight.requires_grad or module.training for module in modules for weight in module.parameters())
    assert (model.family, model.base.family) == (family, family)
    assert list(model.modules())[1:] == (["lora_te1", "lora_te2"] if family is Family.SDXL else ["lora_te"])
    assert len(model.tokenizers) == len(model.text_encoders)


def test_the_file_decides_about_the_family_whatever_was_believed(tmp_path: Path, load: Load) -> None:
    assert load(replace(make(Family.SD2, tmp_path), family=Family.SD1)).family is Family.SD2


@pytest.mark.parametrize("family", list(Family))
def test_what_else_a_file_holds_changes_nothing(
    family: Family, tmp_path: Path, load: Load, models: dict[Family, DiffusionModel]
) -> None:
    """Averaged weights, training state, positions: full checkpoints have them, pruned ones have not."""
    def more(weights: Weights) -> Weights:
        unet = "model.diffusion_model."
        averaged = {name.replace(".", ""): tensor * 2 for name, tensor in weights.items() if name.startswith(unet)}
        return {**weights, **{f"model_ema.{name}": tensor for name, tensor in averaged.items()},
                "model_ema.decay": torch.tensor(0.5), "alphas_cumprod": torch.ones(1000)}

    assert torch.equal(answer(load(with_change(make(family, tmp_path), more))), answer(models[family]))


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read(
    family: Family, dtype: torch.dtype, tmp_path: Path, load: Load, models: dict[Family, DiffusionModel]
) -> None:
    base = with_change(make(family, tmp_path), lambda weights: {name: w.to(dtype) for name, w in weights.items()})
    assert float((answer(load(base)) - answer(models[family])).abs().max()) < 0.1
    assert load(base).native_dtype is dtype


@pytest.mark.parametrize("family", list(Family))
def test_products_in_bf16_are_near_those_in_fp32(
    family: Family, tmp_path: Path, models: dict[Family, DiffusionModel]
) -> None:
    model = registry.load(make(family, tmp_path), compute.choose("bf16"), 64)
    assert {weight.dtype for weight in model.unet.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in model.vae.parameters()} == {torch.float32}
    found = answer(model)
    assert found.dtype is torch.float32
    assert float((found - answer(models[family])).abs().max()) < 0.15


def test_making_a_model_leaves_the_usual_number_format_alone(tmp_path: Path) -> None:
    registry.load(make(Family.SDXL, tmp_path), compute.choose("bf16"), 64)
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.parametrize("family", list(Family))
def test_what_is_parked_leaves_memory_and_comes_back_to_the_last_bit(
    family: Family, tmp_path: Path, load: Load, models: dict[Family, DiffusionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "WORTH_DROPPING_BYTES", 0)
    model = load(make(family, tmp_path, name=family.value))
    parked = [model.vae, *model.text_encoders.values()]
    model.park(text=True)
    assert {weight.device.type for module in parked for weight in module.parameters()} == {"meta"}
    assert {weight.device.type for weight in model.unet.parameters()} == {"cpu"}
    model.unpark()
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    assert torch.equal(answer(model), answer(models[family]))
    assert (model.decode(latents) == models[family].decode(latents)).all()
    assert not any(weight.requires_grad or module.training for module in parked for weight in module.parameters())


def test_what_is_trained_small_or_pickled_stays(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def places(model: DiffusionModel, *, text: bool = True) -> tuple[str, ...]:
        model.park(text=text)
        modules = (model.vae, *model.text_encoders.values())
        return tuple(next(iter(module.parameters())).device.type for module in modules)

    base = make(Family.SD1, tmp_path)
    assert places(load(base)) == ("cpu", "cpu")
    monkeypatch.setattr(contents, "WORTH_DROPPING_BYTES", 0)
    trained, renamed = load(base), load(base)
    trained.text_encoders["lora_te"].requires_grad_(True)
    Lora(renamed, LoraPlan(text_encoder_learning_rate=1e-4))
    assert places(trained) == places(renamed) == places(load(base), text=False) == ("meta", "cpu")
    assert places(load(make(Family.SD1, tmp_path, suffix=".ckpt", name="pickled"))) == ("cpu", "cpu")
    assert places(load(make(Family.SD1, tmp_path, inpainting=True, name="inpainting"))) == ("cpu", "meta")


@pytest.mark.parametrize("trained", ["nothing", "a LoRA", "a DoRA", "everything"])
def test_what_is_emptied_takes_no_memory_and_is_the_checkpoints_own_again(
    trained: str, tmp_path: Path, load: Load, models: dict[Family, DiffusionModel]
) -> None:
    model = load(make(Family.SD1, tmp_path, name="sd1"))
    if "LoRA" in trained or "DoRA" in trained:
        Lora(model, LoraPlan(dora="DoRA" in trained))
    elif trained == "everything":
        Dreambooth(model, DreamboothPlan())
    bare = dict(model.unet.named_parameters())
    if trained == "everything":
        next(iter(bare.values())).data += 1.0
    sizes = {name: weight.nbytes for name, weight in bare.items() if "lora_" not in name}
    with pytest.raises(ZeroDivisionError), model.contents["lora_unet"].emptied():
        assert all(bare[name].nbytes == 0 for name in sizes) and sum(sizes.values()) > 10**5
        raise ZeroDivisionError
    assert {name: bare[name].nbytes for name in sizes} == sizes
    assert all(weight is bare[name] for name, weight in model.unet.named_parameters())
    assert torch.equal(answer(model), answer(models[Family.SD1]))  # a new LoRA adds nothing yet


def test_a_file_that_changed_or_went_while_it_was_in_use_is_named(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    opened = OneByOne(base.path)
    name = next(iter(opened))
    base.path.write_bytes(base.path.read_bytes() + b"x")
    with pytest.raises(BaseUnsupported, match=r"miniature\.safetensors was changed while it was in use"):
        opened[name]
    base.path.unlink()
    with pytest.raises(BaseNotFound, match=r"miniature\.safetensors"):
        opened[name]


def test_tensors_are_read_one_by_one_as_the_whole_file_is(tmp_path: Path) -> None:
    base = make(Family.SDXL, tmp_path, half=True)
    single, whole = OneByOne(base.path), load_file(base.path)
    assert single.keys() == whole.keys()
    assert all(torch.equal(single[name], tensor) for name, tensor in whole.items())
    assert {name: single[name].dtype for name in whole} == {name: tensor.dtype for name, tensor in whole.items()}
    assert single.shapes == {name: tuple(tensor.shape) for name, tensor in whole.items()}


@pytest.mark.parametrize("layout", ["in a checkpoint", "alone", "alone, pickled"])
def test_another_vae_wins(layout: str, tmp_path: Path, load: Load, models: dict[Family, DiffusionModel]) -> None:
    prefix = "first_stage_model."

    def vae_of(weights: Weights) -> Weights:
        found = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        if layout != "in a checkpoint":
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        return {**found, "loss.logvar": torch.tensor(0.0)}

    base, other = make(Family.SD1, tmp_path), make(Family.SD1, tmp_path, name="other", seed=5)
    path = rewritten(other, vae_of, "vae.pt" if "pickled" in layout else "vae.safetensors")
    ours, wanted, plain = load(replace(base, vae=path)), load(other), models[Family.SD1]
    states = [model.vae.state_dict()["decoder.conv_in.weight"] for model in (ours, wanted, plain)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert torch.equal(answer(ours), answer(plain))


def without_vae(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith("first_stage_model.")}


@pytest.mark.parametrize("family", list(Family))
def test_a_checkpoint_without_vae_needs_one_beside_it(family: Family, tmp_path: Path, load: Load) -> None:
    complete = make(family, tmp_path)
    base = with_change(complete, without_vae)
    with pytest.raises(BaseUnsupported, match=r"changed\.safetensors has no VAE"):
        load(base)
    assert torch.equal(answer(load(replace(base, vae=complete.path))), answer(load(complete)))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("part", ["encoder.conv_in.weight", "decoder.conv_out.bias"])
def test_a_vae_of_values_that_are_no_numbers_is_refused_by_its_name(
    part: str, value: float, tmp_path: Path, load: Load
) -> None:
    def damaged(weights: Weights) -> Weights:
        weights[f"first_stage_model.{part}"].view(-1)[0] = value
        return weights

    base = make(Family.SD1, tmp_path)
    with pytest.raises(BaseUnsupported, match=r"The VAE in changed\.safetensors holds NaN or infinite values"):
        load(with_change(base, damaged))
    beside = rewritten(base, damaged, "beside.safetensors")
    with pytest.raises(BaseUnsupported, match=r"The VAE in beside\.safetensors .* NaN or infinite"):
        load(replace(base, vae=beside))


def test_what_is_no_vae_is_refused_by_its_name(tmp_path: Path, load: Load) -> None:
    base = make(Family.SD1, tmp_path)
    of_diffusers = ("encoder.conv_in", "encoder.down_blocks.0.resnets.0.conv1", "post_quant_conv")
    for name, found in (
        ("lora", {"lora_unet_x.lora_up.weight": torch.ones(1, 1)}),
        ("diffusers", {f"{layer}.weight": torch.ones(1, 1) for layer in of_diffusers}),
    ):
        write_weights(tmp_path / f"{name}.safetensors", found)
        with pytest.raises(BaseUnsupported, match=rf"{name}\.safetensors is not a VAE"):
            load(replace(base, vae=tmp_path / f"{name}.safetensors"))
    with pytest.raises(BaseNotFound):
        load(replace(base, vae=tmp_path / "gone.safetensors"))


@pytest.mark.parametrize(("family", "lost", "named"), [
    (Family.SD1, "model.diffusion_model.out.2.weight", "model.diffusion_model.out.2.weight"),
    (Family.SD2, "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight", "attn.in_proj_weight"),
    (Family.SD2, "first_stage_model.decoder.conv_out.bias", "conv_out.bias"),
    (Family.SDXL, "conditioner.embedders.1.model.ln_final.bias", "ln_final.bias"),
    (Family.SDXL, "model.diffusion_model.label_emb.0.2.weight", "label_emb.0.2.weight"),
])
def test_a_missing_tensor_is_an_error_with_names(
    family: Family, lost: str, named: str, tmp_path: Path, load: Load
) -> None:
    base = with_change(make(family, tmp_path), lambda weights: {n: w for n, w in weights.items() if n != lost})
    with pytest.raises(BaseUnsupported, match=r"changed\.safetensors does not have the layout of") as refused:
        load(base)
    assert named in refused.value.message


@pytest.mark.parametrize("part", ["model.diffusion_model.", "first_stage_model.", "cond_stage_model."])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_weights_of_whole_numbers_are_not_loaded(part: str, suffix: str, tmp_path: Path, load: Load) -> None:
    def rounded(weights: Weights) -> Weights:
        chosen = {name for name, weight in weights.items() if name.startswith(part) and weight.ndim > 1}
        return {name: (w * 10).to(torch.int8) if name in chosen else w for name, w in weights.items()}

    base = make(Family.SD1, tmp_path, suffix=suffix)
    with pytest.raises(BaseUnsupported, match=r"is quantised: \S+weight is of torch\.int8.*\(fp16\)"):
        load(replace(base, path=rewritten(base, rounded, f"changed{suffix}")))


def test_a_tensor_of_another_shape_is_an_error_with_names(tmp_path: Path, load: Load) -> None:
    name = "model.diffusion_model.out.2.bias"
    base = with_change(make(Family.SDXL, tmp_path), lambda weights: {**weights, name: torch.ones(5)})
    with pytest.raises(BaseUnsupported, match="Stable Diffusion XL"):
        load(base)


def test_an_inpainting_network_answers_for_noise_of_four_channels(tmp_path: Path, load: Load) -> None:
    """What it sees besides is in the contract tests; here: the same at every call, and for every size."""
    model = load(make(Family.SD1, tmp_path, inpainting=True))
    assert torch.equal(answer(model), answer(model))
    with torch.no_grad():
        wide = model.predict(torch.zeros(3, 4, 8, 16), torch.tensor([1, 2, 3]), model.encode_text(["a man"] * 3))
    assert wide.shape == (3, 4, 8, 16)


class AnsweringVelocity(Sd1Model):
    """The same network, its answer said as velocity: v = (noise - sqrt(1 - a) noisy) / sqrt(a)."""

    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: Conditioning) -> torch.Tensor:
        alphas = self.alphas_cumprod().float()[timesteps].reshape(-1, 1, 1, 1)
        return (super().predict(noisy, timesteps, text) - (1 - alphas).sqrt() * noisy) / alphas.sqrt()


def test_a_probe_tells_noise_from_velocity(tiny: BaseModelFile, load: Load) -> None:
    model = load(replace(tiny, prediction=""))
    assert model.base.prediction == "epsilon"
    parts = (model.base, model.compute, model.unet, model.vae, model.text_encoders)
    assert [probe(AnsweringVelocity(*parts, tokenizers=model.tokenizers)) for _ in range(2)] == ["v_prediction"] * 2


def test_velocity_that_nothing_tells_of_is_found_and_one_that_learned_nothing_keeps_its_familys_kind(
    tiny: BaseModelFile, models: dict[Family, DiffusionModel], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(tiny).base.prediction == tiny.prediction == "epsilon"
    assert [probe(model, "epsilon") for model in models.values()] == ["epsilon"] * len(models)
    monkeypatch.setattr(sd1, "Sd1Model", AnsweringVelocity)
    assert load(tiny).base.prediction == "v_prediction"


def test_a_damaged_network_is_no_crash_of_the_probe(tiny: BaseModelFile, load: Load) -> None:
    model = load(tiny)
    with torch.no_grad():
        model.unet.conv_out.bias.fill_(float("nan"))
    assert [probe(model), probe(model, "epsilon")] == ["v_prediction", "epsilon"]


def test_a_known_answer_is_not_probed(tmp_path: Path, load: Load) -> None:
    base = make(Family.SD2, tmp_path, prediction="v_prediction")
    assert load(base).base == base
    assert load(replace(base, prediction="")).base.prediction in ("epsilon", "v_prediction")


@pytest.mark.parametrize("family", list(Family))
def test_every_product_has_a_key_that_leads_the_webui_to_its_very_weight(
    family: Family, models: dict[Family, DiffusionModel]
) -> None:
    model = models[family]
    known, found = model.webui_weight_names(), {}
    for prefix, path, weight in products(model):
        found[known[str(webui_name(model.lora_key(prefix, path), family))]] = weight
    stored = model.file_weights(list(found))
    assert len(found) == len(products(model))
    assert all(torch.equal(stored[place].reshape(weight.shape), weight) for place, weight in found.items())


def products(model: DiffusionModel) -> list[tuple[str, str, torch.Tensor]]:
    """(kohya prefix, path, weight) of what gets a LoRA: inside attention, residual blocks and the text's layers."""
    wanted = (".attentions.", ".resnets.", ".encoder.layers.", "samplers.")
    return [
        (prefix, path, module.weight)
        for prefix, root in model.modules().items()
        for path, module in root.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and any(part in f".{path}" for part in wanted)
    ]


def test_keys_are_written_as_everybody_writes_them(models: dict[Family, DiffusionModel]) -> None:
    path, layer = "down_blocks.1.attentions.0.proj_in", "text_model.encoder.layers.0.self_attn.q_proj"
    assert models[Family.SD1].lora_key("lora_te", layer) == f"lora_te_{layer.replace('.', '_')}"
    assert models[Family.SD2].lora_key("lora_unet", path) == "lora_unet_down_blocks_1_attentions_0_proj_in"
    assert models[Family.SDXL].lora_key("lora_unet", path) == "lora_unet_input_blocks_4_1_proj_in"
    assert models[Family.SDXL].lora_key("lora_te2", layer) == f"lora_te2_{layer.replace('.', '_')}"
