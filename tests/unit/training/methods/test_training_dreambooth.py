from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported, SelfTestFailed
from personal_avatar.training import compute, losses
from personal_avatar.training.families import registry
from personal_avatar.training.families.detect import VAE
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.dreambooth import Dreambooth
from personal_avatar.training.planning.plan import DreamboothPlan
from personal_avatar.wording import text
from safetensors.torch import load_file, save_file

Load = Callable[[], DiffusionModel]
BOTH = DreamboothPlan(text_encoder_learning_rate=1e-6)
UNET_ONLY = DreamboothPlan()


def answer(model: DiffusionModel) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return predicted(model, noisy)


def predicted(model: DiffusionModel, noisy: torch.Tensor) -> torch.Tensor:
    return model.predict(noisy, torch.tensor([500]), model.encode_text(["a portrait of sks man"]))


def error(model: DiffusionModel) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    return losses.weighted_error(predicted(model, noisy), noisy, torch.ones(1))


def moved(method: Dreambooth) -> None:
    generator = torch.Generator().manual_seed(1)
    method.load({
        name: weight + 0.05 * torch.randn(weight.shape, generator=generator)
        for name, weight in method.state().items()
    })


@pytest.fixture(params=["fp32", "bf16"])
def model(request: pytest.FixtureRequest, miniature: BaseModelFile) -> Iterator[DiffusionModel]:
    torch.set_num_threads(1)
    yield registry.load(miniature, compute.choose(request.param), 64)


@pytest.mark.slow
def test_strength_is_the_bare_checkpoint_at_zero_and_the_trained_one_after_it(model: DiffusionModel) -> None:
    bare = answer(model)
    method = Dreambooth(model, BOTH)
    moved(method)
    trained = answer(model)
    with method.strength(0.0):
        assert torch.equal(answer(model), bare)
    assert torch.equal(answer(model), trained)
    assert not torch.equal(trained, bare)
    with pytest.raises(ValueError, match="stop"), method.strength(0.0):
        raise ValueError("stop")
    assert torch.equal(answer(model), trained)


@pytest.mark.slow
def test_half_the_strength_is_half_the_way(load_miniature: Load) -> None:
    model = load_miniature()
    method = Dreambooth(model, UNET_ONLY)
    before = method.state()
    moved(method)
    after = method.state()
    with method.strength(0.5):
        between = method.state()
    name = next(iter(before))
    assert torch.allclose(between[name], (before[name] + after[name]) / 2)


@pytest.mark.slow
def test_training_starts_from_the_weights_of_the_file_whatever_they_were_rounded_to(miniature: BaseModelFile) -> None:
    model = registry.load(miniature, compute.choose("bf16"), 64)
    state, stored = Dreambooth(model, BOTH).state(), read_weights(miniature.path)
    for prefix, places in model.places.items():
        for name, place in places.items():
            weight = state[f"{prefix}.{name}"]
            assert torch.equal(weight, stored[place].float().reshape(weight.shape))


@pytest.mark.slow
def test_files_in_half_precision_are_read_without_computing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor torch 2.1, which the WebUI has, cannot."""
    model = registry.load(make(Family.SD1, tmp_path, half=True), compute.choose("bf16"), 64)

    def refused(*_: object) -> str:
        raise RuntimeError("not implemented for 'Half'")

    monkeypatch.setattr(registry, "probe", refused)
    method, file = Dreambooth(model, UNET_ONLY), tmp_path / "linh.safetensors"
    method.save(file, {})
    assert method.matched(file) == len(method.state())


@pytest.mark.slow
def test_all_that_trains_is_fp32_and_gets_a_gradient(model: DiffusionModel) -> None:
    groups = Dreambooth(model, BOTH).parameter_groups()
    assert [group["lr"] for group in groups] == [BOTH.learning_rate, BOTH.text_encoder_learning_rate]
    error(model).backward()
    for group in groups:
        assert all(weight.dtype == torch.float32 and weight.grad is not None for weight in group["params"])


@pytest.mark.slow
def test_the_text_encoder_is_left_alone_without_a_learning_rate(load_miniature: Load) -> None:
    model = load_miniature()
    method = Dreambooth(model, UNET_ONLY)
    assert not method.trains_text
    assert not any(weight.requires_grad for weight in model.text_encoders["lora_te"].parameters())


@pytest.mark.slow
def test_gradients_do_not_notice_that_the_bare_weights_were_asked_between(load_miniature: Load) -> None:
    found = []
    for asked in (False, True):
        model = load_miniature()
        method = Dreambooth(model, UNET_ONLY)
        moved(method)
        loss = error(model)
        if asked:
            with torch.no_grad(), method.strength(0.0):
                answer(model)
        loss.backward()
        found.append([weight.grad for weight in method.parameter_groups()[0]["params"]])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.slow
def test_steps_lower_the_error(model: DiffusionModel) -> None:
    optimiser = torch.optim.AdamW(Dreambooth(model, BOTH).parameter_groups(), lr=1e-3)
    for group in optimiser.param_groups:
        group["lr"] = 1e-3
    before = float(error(model).detach())
    for _ in range(5):
        error(model).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert float(error(model).detach()) < 0.9 * before


@pytest.mark.slow
def test_a_saved_file_is_read_again_as_it_was_trained(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    method, file = Dreambooth(model, BOTH), tmp_path / "linh.safetensors"
    moved(method)
    method.save(file, {})
    assert method.matched(file) == len(method.state())
    read = method.read(file)
    assert all(torch.equal(read[name].float(), weight.half().float()) for name, weight in method.state().items())
    moved(method)
    with pytest.raises(SelfTestFailed, match="not what was trained"):
        method.matched(file)


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [True, False])
def test_what_was_saved_once_is_saved_again_without_the_base(tmp_path: Path, replaced: bool) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    bare = load_file(base.path)
    vae = tmp_path / "other.vae.safetensors"
    save_file({name.removeprefix(VAE): one * 2 for name, one in bare.items() if name.startswith(VAE)}, vae)
    model = registry.load(replace(base, vae=vae), compute.choose("fp32"), 64)
    method = Dreambooth(model, UNET_ONLY)
    moved(method)
    method.save(tmp_path / "first.safetensors", {})
    vae.unlink()
    if replaced:
        save_file({name: one * 3 for name, one in bare.items()}, base.path)
    else:
        base.path.rename(tmp_path / "moved.safetensors")
    method.save(tmp_path / "again.safetensors", {"told": "anew"})
    first, again = (load_file(tmp_path / f"{name}.safetensors") for name in ("first", "again"))
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
    assert (tmp_path / "again.yaml").read_bytes() == (tmp_path / "first.yaml").read_bytes()
    assert method.matched(tmp_path / "again.safetensors") == len(method.state())


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [True, False])
def test_nothing_is_saved_with_another_base_than_it_was_trained_on(tmp_path: Path, replaced: bool) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    method = Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)
    if replaced:
        save_file({name: one * 3 for name, one in load_file(base.path).items()}, base.path)
    else:
        base.path.unlink()
    with pytest.raises(BaseNotFound, match="is another file now" if replaced else "is gone") as caught:
        method.save(tmp_path / "first.safetensors", {})
    assert str(base.path) in caught.value.message and caught.value.hint == text("error.BASE_NOT_FOUND.back")


@pytest.mark.slow
def test_a_base_whose_file_only_has_another_time_is_the_same(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    method = Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)
    os.utime(base.path, (1, 1))
    method.save(tmp_path / "first.safetensors", {})
    assert load_file(tmp_path / "first.safetensors").keys() == load_file(base.path).keys()


@pytest.mark.slow
def test_averages_of_the_base_are_left_out(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    weights = load_file(base.path)
    save_file({**weights, "model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3)}, base.path)
    method = Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)
    method.save(tmp_path / "linh.safetensors", {})
    assert set(load_file(tmp_path / "linh.safetensors")) == set(weights)


@pytest.mark.slow
def test_a_vae_of_another_file_goes_into_the_checkpoint(tmp_path: Path) -> None:
    """The host may choose it by the name of the base; what was trained with it must not lose it."""
    base = make(Family.SD1, tmp_path, half=True)
    weights = load_file(base.path)
    vae = {name.removeprefix(VAE): one * 2 for name, one in weights.items() if name.startswith(VAE)}
    save_file(vae, tmp_path / "other.vae.safetensors")
    save_file({name: one for name, one in weights.items() if not name.startswith(VAE)}, base.path)
    with_vae = replace(base, vae=tmp_path / "other.vae.safetensors")
    method = Dreambooth(registry.load(with_vae, compute.choose("fp32"), 64), UNET_ONLY)
    method.save(tmp_path / "linh.safetensors", {})
    saved = load_file(tmp_path / "linh.safetensors")
    assert set(saved) == set(weights)
    assert all(torch.equal(saved[VAE + name], one) for name, one in vae.items())


def with_a_stranger(base: BaseModelFile, stored: str, size: int) -> None:
    """Puts a tensor of another number format into the file, which no network reads."""
    content = base.path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    header["stranger"] = {"dtype": stored, "shape": [2], "data_offsets": [len(data), len(data) + 2 * size]}
    told = json.dumps(header).encode()
    base.path.write_bytes(len(told).to_bytes(8, "little") + told + data + bytes(2 * size))


@pytest.mark.slow
@pytest.mark.parametrize(("stored", "size", "name"), [
    ("U16", 2, "uint16"), ("U32", 4, "uint32"), ("U64", 8, "uint64"), ("C64", 8, "complex64"),
])
def test_a_tensor_of_any_number_format_that_torch_has_is_kept(
    tmp_path: Path, stored: str, size: int, name: str
) -> None:
    if not hasattr(torch, name):
        pytest.skip("came with a later release of torch")
    base = make(Family.SD1, tmp_path, half=True)
    with_a_stranger(base, stored, size)
    method = Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)
    method.save(tmp_path / "linh.safetensors", {})
    assert load_file(tmp_path / "linh.safetensors")["stranger"].element_size() == size


@pytest.mark.slow
def test_a_number_format_that_cannot_be_written_again_is_refused_at_the_start(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    with_a_stranger(base, "F6_E2M3", 3)
    with pytest.raises(BaseUnsupported, match=r"stranger in .*F6_E2M3.*Convert"):
        Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)


@pytest.mark.slow
def test_a_checkpoint_in_eight_bits_is_refused(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    save_file({name: one.to(torch.float8_e4m3fn) for name, one in load_file(base.path).items()}, base.path)
    with pytest.raises(BaseUnsupported, match="8 bits"):
        Dreambooth(registry.load(base, compute.choose("fp32"), 64), UNET_ONLY)
