"""Pictures as latents and captions as text states, computed once and kept in the job's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import BaseModelFile, Dataset, Sample
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.files import write_tensors

if TYPE_CHECKING:
    import torch

ENCODE_BATCH = 4
VERSION = 1


@dataclass(frozen=True)
class Latents:
    """Mean and standard deviation of every picture's latents, float32 (pictures, channels, height, width), CPU."""

    mean: torch.Tensor
    std: torch.Tensor

    def draw(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One random latent for each of `rows` (int64), as the VAE itself would draw it."""
        import torch

        mean = self.mean[rows]
        return mean + self.std[rows] * torch.randn(mean.shape, generator=generator)


@dataclass(frozen=True)
class TextStates:
    """Conditionings by caption; `states[name][row_of[caption]]`, on the device of the model."""

    states: Conditioning
    row_of: dict[str, int]

    def of(self, captions: list[str]) -> Conditioning:
        rows = [self.row_of[caption] for caption in captions]
        return {name: tensor[rows] for name, tensor in self.states.items()}


def fingerprint(dataset: Dataset, base: BaseModelFile, resolution_px: int, flip: bool) -> str:
    """Changes when the pictures, the checkpoint or what is done to the pictures change."""
    stat = base.path.stat()
    parts = (VERSION, dataset.fingerprint, base.path, stat.st_size, stat.st_mtime_ns, resolution_px, flip)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def load_image(path: Path, resolution_px: int) -> np.ndarray:
    """A square picture, uint8 RGB (resolution, resolution, 3)."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
        if image.size != (resolution_px, resolution_px):
            image = image.resize((resolution_px, resolution_px), Image.Resampling.LANCZOS)
        return np.array(image)


def dataset_images(dataset: Dataset, samples: tuple[Sample, ...], resolution_px: int) -> np.ndarray:
    """uint8 RGB (samples, resolution, resolution, 3)."""
    return np.stack([load_image(dataset.folder / sample.image, resolution_px) for sample in samples])


def encode_all(model: DiffusionModel, images: np.ndarray) -> Latents:
    """Latents of uint8 RGB pictures, a few at a time."""
    import torch

    parts = [model.encode_images(images[at : at + ENCODE_BATCH]) for at in range(0, len(images), ENCODE_BATCH)]
    return Latents(torch.cat([mean for mean, _ in parts]), torch.cat([std for _, std in parts]))


def cached_latents(folder: Path, name: str, model: DiffusionModel, images: np.ndarray) -> Latents:
    """Latents of `images`, read from `folder` when they were written there under this fingerprint before."""
    from safetensors.torch import load_file

    path = folder / f"latents-{name}.safetensors"
    if path.is_file():
        kept = load_file(path)
        return Latents(kept["mean"], kept["std"])
    latents = encode_all(model, images)
    write_tensors(path, {"mean": latents.mean.contiguous(), "std": latents.std.contiguous()})
    return latents


def with_flipped(images: np.ndarray) -> np.ndarray:
    """The pictures, then all of them mirrored."""
    return np.concatenate([images, images[:, :, ::-1]])


def text_states(model: DiffusionModel, captions: list[str]) -> TextStates:
    """Every different caption encoded once, without gradients."""
    import torch

    different = list(dict.fromkeys(captions))
    with torch.no_grad():
        return TextStates(model.encode_text(different), {caption: row for row, caption in enumerate(different)})
