"""Pictures from checkpoints of every family, on miniatures; parity with the pipelines of diffusers."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, GenerationFailed
from personal_avatar.host import PictureRequest
from personal_avatar.standalone.denoise import Painting, latents_of, paint
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.networks import module_weights
from personal_avatar.standalone.samplers import SAMPLERS
from personal_avatar.standalone.texts import encode_pair
from personal_avatar.training.compute import choose
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.families.detect import VAE
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.registry import load
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.slow

KINDS: dict[str, tuple[Family, dict[str, Any]]] = {
    "sd1": (Family.SD1, {}),
    "sd2": (Family.SD2, {}),
    "sd2-v": (Family.SD2, {"prediction": "v_prediction"}),
    "sdxl": (Family.SDXL, {}),
    "sdxl-v": (Family.SDXL, {"prediction": "v_prediction"}),
    "sdxl-ztsnr": (Family.SDXL, {"prediction": "v_prediction", "zero_terminal_snr": True}),
}
OTHERS: dict[str, tuple[Family, dict[str, Any]]] = {
    "sd1-inpainting": (Family.SD1, {"inpainting": True}),
    "sdxl-inpainting": (Family.SDXL, {"inpainting": True}),
    "sd2-half-ckpt": (Family.SD2, {"half": True, "suffix": ".ckpt"}),
}
REQUEST = PictureRequest("a portrait, (blue:1.2) shirt", "ugly", (3,), 64, 64, steps=3, guidance=4.0)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModelFile]:
    folder = tmp_path_factory.mktemp("miniatures")
    return {name: make(family, folder, name=name, **how) for name, (family, how) in {**KINDS, **OTHERS}.items()}


@pytest.fixture(scope="module")
def models(bases: dict[str, BaseModelFile]) -> Callable[[str], DiffusionModel]:
    """Kind -> that miniature in memory, loaded once."""
    return lru_cache(lambda kind: load(bases[kind], choose("fp32"), 64))


def picture(host: StandaloneHost, request: PictureRequest) -> np.ndarray:
    (made,) = host.generate(request, lambda step, total: None)
    return made.image.astype(int)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("steps", [16, 30])
def test_a_training_judges_such_pictures_as_are_painted_later(
    models: Callable[[str], DiffusionModel], kind: str, steps: int
) -> None:
    """Also in so many steps that the first ones of a schedule with zero terminal SNR have one timestep."""
    settings = SampleSettings(64, steps, guidance=5.0)
    judged = make_pictures(models(kind), [Shot("a man in a garden", 1)], settings)
    later = Painting("a man in a garden", "", (1,), 64, 64, steps, settings.guidance, "DPM++ 2M Karras")
    painted = paint(models(kind), later, lambda step, total: None)
    assert np.abs(judged.astype(int) - painted.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_every_kind_of_checkpoint_paints_when_it_is_asked_for(
    host: StandaloneHost, bases: dict[str, BaseModelFile], kind: str
) -> None:
    (made,) = host.generate(replace(REQUEST, checkpoint=bases[kind].path), lambda step, total: None)
    assert made.image.shape == (64, 64, 3) and made.image.std() > 5
    assert f"Model: {kind}," in made.infotext


def test_a_checkpoint_for_one_request_is_gone_with_the_next(
    host: StandaloneHost, bases: dict[str, BaseModelFile]
) -> None:
    before = picture(host, REQUEST)
    assert np.abs(picture(host, replace(REQUEST, checkpoint=bases["sd1"].path)) - before).max() > 20
    assert np.array_equal(picture(host, REQUEST), before) and host.checkpoint().title == "avatar-tiny"
    with pytest.raises(BaseNotFound, match="gone"):
        picture(host, replace(REQUEST, checkpoint=bases["sd1"].path.with_name("gone.safetensors")))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", ["sd2-v", "sdxl-ztsnr"])
def test_every_sampler_keeps_its_head_at_zero_signal(
    models: Callable[[str], DiffusionModel], kind: str, sampler: str
) -> None:
    painting = Painting("a portrait", "", (1,), 64, 64, 6, 4.0, sampler)
    found = latents_of(models(kind), painting, lambda step, total: None)
    assert found.isfinite().all() and 0.05 < float(found.std()) < 20


# -- parity with diffusers


def pipeline_of(model: DiffusionModel, sampler: str, **schedule: Any) -> Any:
    """The reference pipeline around the same modules, with a scheduler of its own."""
    import diffusers

    kind, options = SAMPLERS[sampler]
    scheduler = getattr(diffusers, kind)(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        prediction_type=model.base.prediction, **options, **schedule,
    )
    first, *more = model.text_encoders.values()
    parts = {"vae": model.vae, "unet": model.unet, "scheduler": scheduler}
    if more:
        return diffusers.StableDiffusionXLPipeline(
            **parts, text_encoder=first, text_encoder_2=more[0], tokenizer=model.tokenizers[0],
            tokenizer_2=model.tokenizers[1], add_watermarker=False,
        )
    return diffusers.StableDiffusionPipeline(
        **parts, text_encoder=first, tokenizer=model.tokenizers[0], safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )


def terminal_betas() -> np.ndarray:
    """diffusers' own rescaling, with the WebUI's last signal instead of none at all."""
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = rescale_zero_terminal_snr(torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2)
    betas[-1] = 1 - 4.8973451890853435e-08 / torch.cumprod(1 - betas, 0)[-2]
    return betas.numpy()


@pytest.mark.parametrize(("kind", "sampler", "negative"), [
    *((kind, "DPM++ 2M", negative) for kind in KINDS for negative in ("", "ugly")),
    *((kind, sampler, "ugly") for kind in ("sd2-v", "sdxl-ztsnr") for sampler in ("DPM++ 2M Karras", "Euler", "DDIM")),
])
def test_the_same_noise_becomes_the_same_latents_as_in_diffusers(
    models: Callable[[str], DiffusionModel], kind: str, sampler: str, negative: str
) -> None:
    model = models(kind)
    terminal = {"trained_betas": terminal_betas(), "timestep_spacing": "trailing"} if kind == "sdxl-ztsnr" else {}
    pipeline = pipeline_of(model, sampler, **terminal)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a portrait of a woman", negative_prompt=negative or None, height=64, width=96, num_inference_steps=5,
        guidance_scale=4.0, output_type="latent",
        latents=torch.randn((1, 4, 8, 12), generator=torch.Generator().manual_seed(7)),
    ).images
    painting = Painting("a portrait of a woman", negative, (7,), 96, 64, 5, 4.0, sampler)
    ours = latents_of(model, painting, lambda step, total: None)
    assert torch.allclose(ours, theirs, atol=1e-4), float((ours - theirs).abs().max())


# -- words and networks


def test_emphasis_keeps_the_mean_of_each_encoder_and_counts_for_its_words(
    models: Callable[[str], DiffusionModel]
) -> None:
    model = models("sdxl")
    plain, raised = (encode_pair(model, text, "x")[0] for text in ("red hair", "(red:1.5) hair"))
    widths = [encoder.get_input_embeddings().weight.shape[1] for encoder in model.text_encoders.values()]
    for before, after in zip(plain["states"].split(widths, 2), raised["states"].split(widths, 2), strict=True):
        assert torch.allclose(before.mean(), after.mean(), atol=1e-5)
        ratio = (after / before).median(2).values[0]
        assert torch.allclose(ratio[1] / ratio[2], torch.tensor(1.5), atol=1e-3)
    assert torch.equal(plain["pooled"], raised["pooled"])


def test_a_long_prompt_is_pooled_from_its_first_window(models: Callable[[str], DiffusionModel]) -> None:
    model, start = models("sdxl"), "blue shirt " * 40
    first, second = (encode_pair(model, start + end, "")[0] for end in ("red hair, smiling", "a hat"))
    assert first["states"].shape[1] == 154 and torch.equal(first["pooled"], second["pooled"])
    assert not torch.equal(first["states"][:, 77:], second["states"][:, 77:])


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_prompts_of_different_lengths_are_read_apart_and_pictures_stay_on_their_own(
    models: Callable[[str], DiffusionModel], kind: str
) -> None:
    model, long = models(kind), "a red hat, " * 30
    texts = encode_pair(model, long, "ugly")
    assert [text["states"].shape[1] for text in texts] == [2 * 77, 77]
    painting = Painting(long, "ugly", (3, 4), 64, 64, 2, 4.0, "Euler")
    both = latents_of(model, painting, lambda step, total: None)
    alone = latents_of(model, replace(painting, seeds=(4,)), lambda step, total: None)
    assert torch.allclose(both[1:], alone, atol=2e-3)
    half = [latents_of(model, replace(painting, prompt=prompt, guidance=1.0, steps=1), lambda step, total: None)
            for prompt in ("ugly", long)]
    first = latents_of(model, replace(painting, steps=1), lambda step, total: None)
    assert torch.allclose(first, half[0] + 4.0 * (half[1] - half[0]), atol=2e-3)


def test_an_empty_negative_prompt_is_nothing_in_sdxl_and_a_text_elsewhere(
    models: Callable[[str], DiffusionModel]
) -> None:
    for kind in ("sd1", "sd2", "sdxl"):
        without = encode_pair(models(kind), "a cat", "")[1]
        assert all(bool((tensor == 0).all()) == (kind == "sdxl") for tensor in without.values())
        assert all(bool((tensor != 0).any()) for tensor in encode_pair(models(kind), "a cat", " ugly")[1].values())


def test_an_embedding_of_sdxl_stands_in_both_encoders(models: Callable[[str], DiffusionModel], tmp_path: Path) -> None:
    model = models("sdxl")
    word = model.tokenizers[0]("shirt", add_special_tokens=False).input_ids
    tables = [encoder.get_input_embeddings().weight[word].clone() for encoder in model.text_encoders.values()]
    save_file(dict(zip(("clip_l", "clip_g"), tables, strict=True)), tmp_path / "pa-anna.safetensors")
    ours, plain = (encode_pair(model, f"a blue {name}", "", tmp_path)[0] for name in ("pa-anna", "shirt"))
    assert all(torch.equal(ours[name], plain[name]) for name in ("states", "pooled"))


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_loras_of_the_family_apply_under_every_name_and_weight_zero_is_none(
    host: StandaloneHost, lora_folder: Path, bases: dict[str, BaseModelFile], models: Callable[[str], DiffusionModel],
    kind: str,
) -> None:
    path = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    model, diffusers_name = models(kind), f"lora_unet_{path.replace('.', '_')}"
    names = {"kohya": model.lora_key("lora_unet", path), "plain": diffusers_name}
    assert ("lora_unet_middle_block_1" in names["kohya"]) == (kind == "sdxl")
    out, inner = module_weights(model)[diffusers_name].shape
    generator = torch.Generator().manual_seed(0)
    up, down = torch.randn((out, 4), generator=generator), torch.randn((4, inner), generator=generator)
    for name, module in names.items():
        tensors = {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
        save_file(tensors, lora_folder / f"{name}.safetensors")
    request = replace(REQUEST, checkpoint=bases[kind].path)
    bare, kohya, plain, off = (
        picture(host, replace(request, prompt=request.prompt + tag))
        for tag in ("", "<lora:kohya:1>", "<lora:plain:1>", "<lora:kohya:0>")
    )
    assert np.abs(kohya - bare).max() > 5 and np.array_equal(kohya, plain) and np.array_equal(off, bare)


def test_a_lora_of_another_family_is_refused_by_name(
    host: StandaloneHost, lora_folder: Path, bases: dict[str, BaseModelFile]
) -> None:
    name = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    save_file({f"{name}.lora_up.weight": torch.ones(128, 2), f"{name}.lora_down.weight": torch.ones(2, 128)},
              lora_folder / "foreign.safetensors")
    with pytest.raises(GenerationFailed, match=r"foreign\.safetensors was made for Stable Diffusion XL"):
        picture(host, replace(REQUEST, prompt="x <lora:foreign:1>", checkpoint=bases["sd1"].path))
    assert picture(host, replace(REQUEST, prompt="x <lora:foreign:1>", checkpoint=bases["sdxl"].path)).std() > 5


def test_the_vae_beside_a_checkpoint_paints(host: StandaloneHost, bases: dict[str, BaseModelFile]) -> None:
    path, vae = bases["sd1"].path, bases["sd1"].path.with_name("sd1.vae.safetensors")
    request = replace(REQUEST, checkpoint=path)
    own = picture(host, request)
    weights = {name.removeprefix(VAE): tensor for name, tensor in load_file(path).items() if name.startswith(VAE)}
    save_file(weights, vae)
    try:
        assert np.array_equal(picture(host, request), own)
        save_file({**weights, "decoder.conv_out.bias": weights["decoder.conv_out.bias"] + 0.3}, vae)
        assert picture(host, request).mean() > own.mean() + 10
    finally:
        vae.unlink()
    assert np.array_equal(picture(host, request), own)
