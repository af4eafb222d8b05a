"""What the places of a training picture count."""
from __future__ import annotations

from pathlib import Path

import torch
from personal_avatar.domain import Dataset, Sample
from personal_avatar.training.data.cache import Latents, latent_masks
from PIL import Image


def test_a_mask_in_which_nothing_is_white_counts_as_none_and_is_told(tmp_path: Path) -> None:
    """With everything outside switched off, its picture would teach nothing at all."""
    for name, grey in (("half", 255), ("empty", 0)):
        mask = Image.new("L", (64, 64), 0)
        mask.paste(grey, (0, 0, 64, 32))
        mask.save(tmp_path / f"{name}.png")
    samples = tuple(
        Sample(Path(f"{name}.jpg"), "a photo of sks man", name, mask=Path(f"{name}.png") if name else None)
        for name in ("half", "empty", "")
    )
    dataset = Dataset("d", tmp_path, samples, (), 64, "sks man", "man", "f")
    latents, told = [torch.zeros(4, 8, 8)] * 3, []
    half, empty, none = latent_masks(
        dataset, samples, Latents(latents, latents), lambda sample: told.append(sample.image.name)
    )
    assert half[:4].eq(1).all() and half[4:].eq(0).all()
    assert empty.eq(1).all() and none.eq(1).all()
    assert told == ["empty.jpg"]
