"""Pictures from checkpoints of every family, on miniatures; parity with the pipelines of diffusers."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound
from personal_avatar.host import PictureRequest
from personal_avatar.standalone.denoise import Painting, latents_of
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.samplers import SAMPLERS
from personal_avatar.training.compute import choose
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.registry import load

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
