"""LoRAs go into the model by kohya's formula and come out to the last bit."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family
from personal_avatar.errors import GenerationFailed, InvalidSettings, NotFound
from personal_avatar.host import PictureRequest
from personal_avatar.prompts import NetworkTag, split_networks
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.networks import (
    AppliedNetworks,
    Network,
    find_networks,
    module_weights,
    present_networks,
)
from personal_avatar.training.compute import choose
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.registry import load
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.slow

ATTENTION = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
KERNEL = "lora_unet_mid_block_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
RANK = 4
OTHER_LAYOUTS = {
    "LoHa": f"{ATTENTION}.hada_w1_a", "half LoHa": f"{ATTENTION[:-1]}k.hada_w1_a",
    "diffusers": "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
}  # fmt: skip


def at(path: Path, weight: float, unet_weight: float | None = None, rank: int | None = None) -> Network:
    return Network(path, NetworkTag(path.stem, weight, weight if unet_weight is None else unet_weight, rank))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    base = StandaloneHost(tmp_path_factory.mktemp("home")).checkpoint()
    return load(base, choose("fp32"), 64)


@pytest.fixture
def applied(model: DiffusionModel) -> Iterator[AppliedNetworks]:
    """Checks of every test that the model is as it was, to the last bit."""
    before = {name: weight.detach().clone() for name, weight in module_weights(model).items()}
    networks = AppliedNetworks(model)
    yield networks
    networks.remove()
    for name, weight in module_weights(model).items():
        assert torch.equal(weight, before[name]), name


@dataclass(frozen=True)
class Kohya:
    """A LoRA file with random weights for `modules`."""

    modules: tuple[str, ...] = (ATTENTION, KERNEL, TEXT)
    seed: int = 0
    size: float = 0.1
    alpha: float | None = 2.0
    names: tuple[str, str] = ("lora_up", "lora_down")

    def write(self, path: Path, model: DiffusionModel) -> Path:
        generator, tensors = torch.Generator().manual_seed(self.seed), {}
        for name in self.modules:
            out, *inner = module_weights(model)[name].shape
            up = torch.randn((out, RANK, *[1] * (len(inner) - 1)), generator=generator)
            tensors[f"{name}.{self.names[0]}.weight"] = up * self.size
            tensors[f"{name}.{self.names[1]}.weight"] = torch.randn((RANK, *inner), generator=generator) * self.size
            if self.alpha is not None:
                tensors[f"{name}.alpha"] = torch.tensor(self.alpha)
        save_file(tensors, path)
        return path


@pytest.mark.slow
def test_weights_change_by_multiplier_times_alpha_over_rank(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    path = Kohya().write(tmp_path / "a.safetensors", model)
    before = {name: module_weights(model)[name].clone() for name in (ATTENTION, KERNEL, TEXT)}
    applied.use([at(path, 0.5)])
    from safetensors.torch import load_file

    tensors = load_file(path)
    for name, old in before.items():
        up, down = tensors[f"{name}.lora_up.weight"], tensors[f"{name}.lora_down.weight"]
        wanted = torch.einsum("or...,ri...->oi...", up.reshape(len(up), RANK, *[1] * (old.dim() - 2)), down)
        assert torch.allclose(module_weights(model)[name] - old, 0.5 * 2.0 / RANK * wanted, atol=1e-5), name


@pytest.mark.parametrize(("text_weight", "unet_weight"), [(0.0, 1.0), (1.0, 0.0), (0.5, -0.25)])
def test_text_encoders_and_unet_have_weights_of_their_own(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path, text_weight: float, unet_weight: float
) -> None:
    path = Kohya().write(tmp_path / "a.safetensors", model)
    before = {name: module_weights(model)[name].clone() for name in (ATTENTION, KERNEL, TEXT)}
    applied.use([at(path, 1.0)])
    full = {name: module_weights(model)[name] - old for name, old in before.items()}
    applied.use([at(path, text_weight, unet_weight)])
    for name, old in before.items():
        wanted = text_weight if name == TEXT else unet_weight
        assert torch.allclose(module_weights(model)[name] - old, wanted * full[name], atol=1e-6), name
        assert wanted or torch.equal(module_weights(model)[name], old)


def test_of_a_dynamic_rank_the_first_ranks_are_used(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    path = Kohya().write(tmp_path / "a.safetensors", model)
    before, tensors = {name: module_weights(model)[name].clone() for name in (ATTENTION, KERNEL, TEXT)}, load_file(path)
    applied.use([at(path, 1.0, rank=3)])
    for name, old in before.items():
        up, down = (tensors[f"{name}.{part}.weight"].flatten(1) for part in ("lora_up", "lora_down"))
        wanted = (up[:, :3] @ down[:3]).reshape(old.shape) * 2.0 / RANK
        assert torch.allclose(module_weights(model)[name] - old, wanted, atol=1e-5), name


def test_a_weight_that_is_no_number_is_refused_before_a_file_is_looked_for(tmp_path: Path) -> None:
    _, tags = split_networks("<lora:gone:nan>")
    with pytest.raises(InvalidSettings, match="<lora:gone:nan>"):
        find_networks(tags, tmp_path)


@pytest.mark.parametrize("weight", ["nan", "1e999", "heavy", "1:inf"])
def test_a_picture_with_such_a_weight_is_refused_before_a_step(host: StandaloneHost, weight: str) -> None:
    steps: list[int] = []
    request = PictureRequest(f"a portrait <lora:anna:{weight}>", "", (3,), 64, 64, steps=3, guidance=4.0)
    with pytest.raises(InvalidSettings):
        list(host.generate(request, lambda step, total: steps.append(step)))
    assert steps == []


@pytest.mark.slow
def test_only_modules_in_the_file_change(applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path) -> None:
    before = {name: weight.clone() for name, weight in module_weights(model).items()}
    applied.use([at(Kohya().write(tmp_path / "a.safetensors", model), 1.0)])
    changed = {name for name, weight in module_weights(model).items() if not torch.equal(weight, before[name])}
    assert changed == {ATTENTION, KERNEL, TEXT}


def test_the_other_common_spelling_and_a_missing_alpha_work(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    before = module_weights(model)[ATTENTION].clone()
    path = Kohya((ATTENTION,), names=("lora_B", "lora_A"), alpha=None).write(tmp_path / "a.safetensors", model)
    applied.use([at(path, 1.0)])
    assert not torch.equal(module_weights(model)[ATTENTION], before)


def test_two_loras_add_up_in_any_order(applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path) -> None:
    one, two = (Kohya(seed=seed).write(tmp_path / f"{seed}.safetensors", model) for seed in (1, 2))
    applied.use([at(one, 0.7), at(two, -0.3)])
    there = module_weights(model)[ATTENTION].clone()
    applied.use([at(two, -0.3), at(one, 0.7)])
    assert torch.allclose(module_weights(model)[ATTENTION], there, atol=1e-6)


def test_a_file_that_was_written_anew_is_read_anew(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    path = Kohya(seed=1).write(tmp_path / "a.safetensors", model)
    applied.use([at(path, 1.0)])
    first = module_weights(model)[ATTENTION].clone()
    Kohya(seed=2).write(path, model)
    applied.use([at(path, 1.0)])
    assert not torch.equal(module_weights(model)[ATTENTION], first)


@pytest.mark.parametrize("how", ["another size", "nothing fits", "damaged", "LoHa", "half LoHa", "diffusers"])
def test_a_file_that_does_not_fit_is_named_and_leaves_the_model_alone(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path, how: str
) -> None:
    good, bad = Kohya().write(tmp_path / "good.safetensors", model), tmp_path / "bad.safetensors"
    if how == "damaged":
        bad.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    elif how in OTHER_LAYOUTS:
        plain = load_file(good) if how == "half LoHa" else {}
        save_file({OTHER_LAYOUTS[how]: torch.ones(2, 9), **plain}, bad)
    else:
        name = ATTENTION if how == "another size" else "lora_unet_nowhere"
        save_file({f"{name}.lora_up.weight": torch.ones(9, 2), f"{name}.lora_down.weight": torch.ones(2, 9)}, bad)
    before = module_weights(model)[ATTENTION].clone()
    said = r"bad\.safetensors" + (r" is no plain LoRA: what \S+ holds" if how in OTHER_LAYOUTS else "")
    with pytest.raises(GenerationFailed, match=said):
        applied.use([at(good, 1.0), at(bad, 1.0)])
    assert torch.equal(module_weights(model)[ATTENTION], before)


def test_all_networks_and_embeddings_that_do_not_fit_are_named_at_once(
    host: StandaloneHost, lora_folder: Path
) -> None:
    for name in ("anna", "bert"):
        save_file({"lora_unet_nowhere.lora_up.weight": torch.ones(9, 2)}, lora_folder / f"{name}.safetensors")
    embeddings = host.folders().embeddings
    embeddings.mkdir(parents=True, exist_ok=True)
    for name in ("carl", "dora"):
        save_file({"emb_params": torch.ones(2, 9)}, embeddings / f"{name}.safetensors")
    prompt = "<lora:anna:1> <lora:bert:1> a portrait of carl"
    request = PictureRequest(prompt, "dora", (3,), 64, 64, steps=1, guidance=4.0)
    with pytest.raises(GenerationFailed) as refused:
        next(iter(host.generate(request, lambda step, total: None)))
    assert all(name in refused.value.message for name in ("anna", "bert", "carl", "dora"))


def test_networks_are_found_in_subfolders_and_unknown_ones_are_listed(model: DiffusionModel, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    Kohya().write(tmp_path / "people" / "anna.safetensors", model)
    assert find_networks([NetworkTag("anna", 0.5)], tmp_path)[0].path.parent.name == "people"
    with pytest.raises(NotFound) as caught:
        find_networks([NetworkTag("anna"), NetworkTag("bob"), NetworkTag("bob"), NetworkTag("eve")], tmp_path)
    assert "bob, eve" in caught.value.message and "anna" in caught.value.hint
    assert str(tmp_path) not in caught.value.hint


def test_avatars_are_not_listed_to_whoever_names_what_is_not_there(tmp_path: Path) -> None:
    for name, texts in (("film-grain", {}), ("an-nandu", {"personal_avatar.version": "0.6.0"})):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors", metadata=texts)
    with pytest.raises(NotFound) as caught:
        find_networks([NetworkTag("bob")], tmp_path)
    assert "film-grain" in caught.value.hint and "nandu" not in str(caught.value)


@pytest.mark.slow
def test_a_prompt_with_a_lora_changes_the_picture_and_without_it_the_old_one_comes_back(
    host: StandaloneHost, lora_folder: Path, model: DiffusionModel
) -> None:
    def picture(prompt: str) -> np.ndarray:
        request = PictureRequest(prompt, "", (3,), 64, 64, steps=3, guidance=4.0)
        return next(iter(host.generate(request, lambda step, total: None))).image.astype(int)

    before = picture("a portrait")
    Kohya(size=0.7).write(lora_folder / "anna.safetensors", model)
    with_anna, weaker = picture("a portrait <lora:anna:1>"), picture("a portrait <lora:anna:0.3>")
    parts = [picture(f"a portrait <lora:anna:{weights}>") for weights in ("0:1", "1:0", "te=0:unet=1")]
    assert all(np.abs(part - other).max() > 2 for part in parts for other in (before, with_anna))
    assert np.array_equal(parts[0], parts[2])
    assert np.abs(with_anna - before).max() > 10 and np.abs(with_anna - weaker).max() > 5
    assert np.array_equal(picture("a portrait"), before)
    assert np.array_equal(picture("a portrait <lora:anna:0>"), before)


def test_the_result_is_that_of_diffusers(applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path) -> None:
    """Parity with the reference implementation: the same file through `load_lora_weights`."""
    from diffusers import StableDiffusionPipeline

    path = Kohya((ATTENTION, TEXT, TEXT.replace("q_proj", "out_proj"))).write(tmp_path / "a.safetensors", model)
    noise, step = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    applied.use([at(path, 0.8)])
    with torch.no_grad():
        states = model.encode_text(["a portrait"])
        ours = model.predict(noise, step, states)
    folder = model.base.path.parent
    reference = StableDiffusionPipeline.from_single_file(
        str(model.base.path), config=str(folder / "diffusers"), local_files_only=True, safety_checker=None
    )
    reference.load_lora_weights(str(tmp_path), weight_name=path.name, adapter_name="a")
    reference.set_adapters(["a"], [0.8])
    with torch.no_grad():
        theirs_states = reference.encode_prompt("a portrait", "cpu", 1, False)[0]
        theirs = reference.unet(noise, step, theirs_states).sample
    assert torch.allclose(states["states"], theirs_states, atol=1e-4)
    assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("axis", ["columns", "rows"])
@pytest.mark.parametrize("module", [ATTENTION, KERNEL])
def test_dora_gives_the_merged_weight_the_lengths_of_the_file(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path, axis: str, module: str
) -> None:
    """Columns (one length an input) is what the WebUI reads; later tools write rows (one an output)."""
    from safetensors.torch import load_file

    path = Kohya((module,)).write(tmp_path / "a.safetensors", model)
    old, tensors = module_weights(model)[module].clone(), load_file(path)
    lengths = torch.rand((1, old.shape[1]) if axis == "columns" else (len(old), 1)) + 0.5
    lengths = lengths.reshape(*lengths.shape, *[1] * (old.dim() - 2))
    save_file({**tensors, f"{module}.dora_scale": lengths}, path)
    applied.use([at(path, 1.0)])
    merged = module_weights(model)[module]
    kept = 1 if axis == "columns" else 0
    assert torch.allclose(merged.transpose(0, kept).flatten(1).norm(dim=1), lengths.flatten(), atol=1e-4)
    up, down = tensors[f"{module}.lora_up.weight"], tensors[f"{module}.lora_down.weight"]
    plain = old + 2.0 / RANK * (up.flatten(1) @ down.flatten(1)).reshape(old.shape)
    direction = torch.nn.functional.cosine_similarity(
        merged.transpose(0, kept).flatten(1), plain.transpose(0, kept).flatten(1)
    )
    assert torch.allclose(direction, torch.ones(()), atol=1e-4)
    full = merged.clone()
    applied.use([at(path, 0.25)])
    assert torch.allclose(module_weights(model)[module] - old, 0.25 * (full - old), atol=1e-5)


def test_a_kernel_in_tucker_form_is_put_together(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    old = module_weights(model)[KERNEL].clone()
    up, mid, down = torch.randn(len(old), 3, 1, 1), torch.randn(3, 2, 3, 3), torch.randn(2, old.shape[1], 1, 1)
    names = {"lora_up": up, "lora_mid": mid, "lora_down": down}
    save_file({f"{KERNEL}.{name}.weight": tensor for name, tensor in names.items()}, tmp_path / "a.safetensors")
    applied.use([at(tmp_path / "a.safetensors", 1.0)])
    wanted = torch.zeros_like(old)
    for high, low in np.ndindex(3, 2):
        wanted += up[:, high, None] * down[low][None] * mid[high, low]
    assert torch.allclose(module_weights(model)[KERNEL] - old, wanted, atol=1e-4)


def test_a_pickle_with_nothing_but_tensors_is_read_too(
    applied: AppliedNetworks, model: DiffusionModel, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    path = Kohya().write(tmp_path / "a.safetensors", model)
    torch.save(load_file(path), tmp_path / "a.pt")
    applied.use([at(path, 1.0)])
    there = module_weights(model)[ATTENTION].clone()
    applied.use([at(tmp_path / "a.pt", 1.0)])
    assert torch.equal(module_weights(model)[ATTENTION], there)


def test_a_weight_of_zero_asks_for_nothing(model: DiffusionModel, tmp_path: Path) -> None:
    Kohya().write(tmp_path / "anna.safetensors", model)
    assert find_networks([NetworkTag("anna", 0.0, 0.0)], tmp_path) == []


def test_where_a_tag_cannot_be_read_none_of_those_that_are_here_is_taken(model: DiffusionModel, tmp_path: Path) -> None:
    """As in the WebUI; a picture that is asked for is refused instead."""
    for name in ("anna", "bob"):
        Kohya().write(tmp_path / f"{name}.safetensors", model)
    tags = split_networks("<lora:anna:heavy> <lora:anna:0.5> <lora:bob:1>")[1]
    assert present_networks(tags, tmp_path) == []
    with pytest.raises(InvalidSettings, match="in <lora:anna:heavy>"):
        find_networks(tags, tmp_path)
    assert len(present_networks(tags[1:], tmp_path)) == 2


def test_loras_in_both_spellings_of_one_module_come_out_to_the_last_bit(tmp_path: Path) -> None:
    """Of SDXL's UNet kohya's tools write the checkpoint's own names, others those of diffusers."""
    model = load(make(Family.SDXL, tmp_path, name="sdxl"), choose("fp32"), 64)
    path = next(path for path, _ in model.unet.named_modules() if path.endswith("attn1.to_q"))
    spellings = (model.lora_key("lora_unet", path), f"lora_unet_{path.replace('.', '_')}")
    assert len(set(spellings)) == 2
    files = [Kohya((name,), seed).write(tmp_path / f"{seed}.safetensors", model) for seed, name in enumerate(spellings)]
    networks, before = AppliedNetworks(model), module_weights(model)[spellings[0]].clone()
    for order in (files, files[::-1]):
        networks.use([at(file, 1.0) for file in order])
        assert not torch.equal(module_weights(model)[spellings[0]], before)
        networks.remove()
        assert torch.equal(module_weights(model)[spellings[0]], before)
