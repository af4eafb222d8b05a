"""A picture painted anew in part: its size, its share, batches, and parity with the pipelines of diffusers."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.pictures import load_picture
from personal_avatar.standalone.denoise import Painting, latents_of
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.training.compute import choose
from personal_avatar.training.families.registry import load

pytestmark = pytest.mark.slow

REQUEST = PictureRequest("a shaded portrait of a woman, blue shirt", "", (7,), 64, 64, steps=10, guidance=4.0)
GREY_LEVELS = 3


@pytest.fixture(scope="module")
def photo(samples: Path) -> np.ndarray:
    return load_picture(samples / "01.jpg")


def pictures(host: StandaloneHost, request: PictureRequest) -> list[Picture]:
    return list(host.generate(request, lambda step, total: None))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_a_photo_of_any_shape_is_painted_at_the_size_asked_for(host: StandaloneHost, photo: np.ndarray) -> None:
    (made,) = pictures(host, replace(REQUEST, image=photo[:300, :120], strength=0.5, width_px=72, steps=3))
    assert made.image.shape == (64, 72, 3) and made.image.dtype == np.uint8
    assert "Size: 72x64" in made.infotext and "Denoising strength: 0.5" in made.infotext


def test_the_more_is_painted_anew_the_less_it_is_the_photo(host: StandaloneHost, photo: np.ndarray) -> None:
    request = replace(REQUEST, image=photo)
    kept, little, much = (pictures(host, replace(request, strength=share))[0].image for share in (0.0, 0.3, 0.9))
    original = pictures(host, replace(request, strength=0.0, seeds=(8,)))[0].image
    assert np.array_equal(kept, original)
    assert 1 < distance(kept, little) < distance(kept, much)


def test_a_photo_painted_for_several_seeds_is_the_same_as_alone(host: StandaloneHost, photo: np.ndarray) -> None:
    for sampler in ("DPM++ 2M", "Euler a"):
        request = replace(REQUEST, image=photo, strength=0.8, sampler=sampler)
        first, second, third = (one.image for one in pictures(host, replace(request, seeds=(6, 7, 8))))
        (alone,) = pictures(host, request)
        assert np.abs(alone.image.astype(int) - second).max() <= GREY_LEVELS
        assert distance(first, second) > 3 < distance(second, third)


def test_pictures_after_the_first_batch_begin_with_the_photo_too(host: StandaloneHost, photo: np.ndarray) -> None:
    request = replace(REQUEST, image=photo, strength=0.5, steps=2)
    many = pictures(host, replace(request, seeds=tuple(range(9))))
    (alone,) = pictures(host, replace(request, seeds=(8,)))
    assert np.abs(many[8].image.astype(int) - alone.image).max() <= GREY_LEVELS


def test_without_a_photo_the_strength_says_nothing(host: StandaloneHost) -> None:
    plain, same = pictures(host, replace(REQUEST, steps=3)), pictures(host, replace(REQUEST, steps=3, strength=0.1))
    assert np.array_equal(plain[0].image, same[0].image) and "Denoising" not in same[0].infotext


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "DPM++ 2M"])
@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL])
def test_the_same_noise_on_the_same_photo_becomes_the_same_as_in_diffusers(
    tmp_path: Path, photo: np.ndarray, family: Family, sampler: str
) -> None:
    import diffusers
    from test_standalone_families import pipeline_of

    model = load(make(family, tmp_path), choose("fp32"), 64)
    kind = {Family.SD1: "StableDiffusionImg2ImgPipeline", Family.SDXL: "StableDiffusionXLImg2ImgPipeline"}[family]
    pipeline = getattr(diffusers, kind).from_pipe(pipeline_of(model, sampler))
    pipeline.set_progress_bar_config(disable=True)
    image = photo[:64, :96].copy()
    size = {"original_size": (64, 96), "target_size": (64, 96)} if family is Family.SDXL else {}
    theirs = pipeline(
        "a portrait of a woman", negative_prompt="ugly", image=model.encode_images(image[None])[0], strength=0.6,
        num_inference_steps=5, guidance_scale=4.0, output_type="latent", generator=torch.Generator().manual_seed(7),
        **size,
    ).images
    painting = Painting("a portrait of a woman", "ugly", (7,), 96, 64, 5, 4.0, sampler, image=image, strength=0.6)
    ours = latents_of(model, painting, lambda step, total: None)
    assert torch.allclose(ours, theirs, atol=1e-4), float((ours - theirs).abs().max())
