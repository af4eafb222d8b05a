"""Latents that come when they are looked at: the same numbers, and the VAE goes with the last of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from personal_avatar.domain import BaseModelFile
from personal_avatar.training import compute
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.encoding import LARGE_PX, Encoder, groups_of
from personal_avatar.training.data.training_set import ClassSet, Pictures, TrainingSet
from personal_avatar.training.engines.own import Room
from personal_avatar.training.families import contents, registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import VAE_MODULE
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.planning.plan import BOTH, LoraPlan
from personal_avatar.training.work import Training

Load = Callable[[], DiffusionModel]
Encode = Callable[[DiffusionModel, list[np.ndarray], str], cache.Latents]
PHOTOS, STEPS = 5, 6
PLAN = LoraPlan(
    rank=2, batch_size=2, learning_rate=1e-3, low_first=0.4, prior_weight=0.5, prior_from=BOTH, noise_offset=0.05,
    vary_captions=False,
)


def pictures(count: int, seed: int = 0, side_px: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, side_px, 64, 3), dtype=np.uint8))


def training_set(model: DiffusionModel, encode: Encode) -> TrainingSet:
    """Mirrored pictures, the same at half the size, pictures of the class."""
    images = cache.with_flipped(pictures(PHOTOS))
    captions = ["a portrait of sks man"] * len(images)
    large, small = encode(model, [*images, *cache.halved(images)], "own").split(len(images))
    class_images = pictures(3, seed=1)
    others, fewer = encode(model, [*class_images, *cache.halved(class_images)], "class").split(3)
    text = reading.text_states(model, ["", "a man", captions[0]])
    return TrainingSet(
        large, captions, ["a man"] * len(images), text, others=ClassSet(others, ["a man"] * 3),
        small=Pictures(small, others=ClassSet(fewer, ["a man"] * 3)),
    )


@pytest.fixture
def coming(tmp_path: Path) -> Encode:
    return lambda model, images, name: cache.cached_latents(tmp_path / name, name, model, images)


@pytest.fixture
def load_tiny(tiny: BaseModelFile) -> Load:
    torch.set_num_threads(1)
    return lambda: registry.load(tiny, compute.choose("fp32"), 64)


def curve(model: DiffusionModel, data: TrainingSet) -> tuple[list[float], dict[str, torch.Tensor]]:
    running = Trainer(model, Lora(model, PLAN), data, PLAN, STEPS)
    running.run(Hooks(lambda *_: None, lambda step: None, lambda sentence: None))
    return running.losses, running.method.state()


@pytest.mark.slow
def test_a_training_on_latents_that_come_later_is_the_same_to_the_last_bit(load_tiny: Load, coming: Encode) -> None:
    before, after = load_tiny(), load_tiny()
    losses, weights = curve(before, training_set(before, lambda model, images, _: cache.encode_all(model, images)))
    data = training_set(after, coming)
    assert not data.is_encoded
    later_losses, later_weights = curve(after, data)
    assert len(losses) == STEPS and later_losses == losses
    assert all(torch.equal(later_weights[key], one) for key, one in weights.items())


@pytest.mark.slow
def test_only_what_is_looked_at_is_encoded_with_its_group(load_miniature: Load, tmp_path: Path) -> None:
    model, images = load_miniature(), [*pictures(6), *pictures(3, side_px=128)]
    whole = cache.encode_all(model, images)
    latents = cache.cached_latents(tmp_path, "a", model, images)
    assert latents.sizes() == whole.sizes() and len(latents) == 9
    for row in (7, 1, 5, 0):
        assert torch.equal(latents.mean[row], whole.mean[row]) and torch.equal(latents.std[row], whole.std[row])
        assert latents.is_encoded == (row == 5 or row == 0)
    assert all(map(torch.equal, [*latents.mean, *latents.std], [*whole.mean, *whole.std]))


@pytest.mark.slow
def test_they_are_written_with_the_last_one_and_those_of_other_photos_go_at_once(
    load_miniature: Load, tmp_path: Path
) -> None:
    model, images = load_miniature(), pictures(5)
    list(cache.cached_latents(tmp_path, "others", model, pictures(1)).mean)
    assert [path.name for path in tmp_path.iterdir()] == ["latents-others.safetensors"]
    first = cache.cached_latents(tmp_path, "own", model, images)
    assert list(tmp_path.iterdir()) == []
    assert first.mean[4] is not None and list(tmp_path.iterdir()) == []
    assert first.mean[0] is not None and first.is_encoded
    again = cache.cached_latents(tmp_path, "own", model, images)
    assert again.encoder is None and all(map(torch.equal, again.mean, first.mean))


@pytest.mark.slow
def test_the_vae_leaves_memory_when_the_last_picture_is_encoded(
    load_miniature: Load, coming: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "WORTH_DROPPING_BYTES", 0)
    model = load_miniature()
    latents, captions = coming(model, pictures(6), "own"), ["a man"] * 6
    data = TrainingSet(latents, captions, captions, reading.text_states(model, ["a man"]))
    room = Room(cast(Training, SimpleNamespace(data=data, bench=SimpleNamespace(model=model))))
    room.clear()
    dropped = []
    for rows in (range(4), range(4, 6), range(6)):
        data.latents.draw(torch.tensor(list(rows)), torch.Generator())
        room.after_step()
        dropped.append(vae_is_gone(model))
    assert dropped == [False, True, True]
    model.unpark()
    assert not vae_is_gone(model) and model.encode_images(np.stack(pictures(1)))


def vae_is_gone(model: Any) -> bool:
    return bool(model.contents[VAE_MODULE].dropped)


def test_large_pictures_are_encoded_alone_and_small_ones_with_their_neighbours() -> None:
    small, large = pictures(5), [np.zeros((256, 256, 3), np.uint8)] * 3
    assert list(groups_of([*small, *large], LARGE_PX)) == [
        range(4), range(4, 5), range(5, 6), range(6, 7), range(7, 8)
    ]
    assert list(groups_of([*small, *large])) == [range(4), range(4, 5), range(5, 8)]


@pytest.mark.slow
def test_a_large_picture_has_alone_the_latents_that_it_has_among_others(load_miniature: Load) -> None:
    model = load_miniature()
    images = list(np.random.default_rng(3).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8))
    encoder, whole = Encoder(model, list(images), lambda: None), cache.encode_all(model, images)
    mean, std = encoder.row(1)
    assert not encoder.is_complete
    torch.testing.assert_close(mean, whole.mean[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(std, whole.std[1], rtol=1e-4, atol=1e-4)
