"""Pictures as latents and captions as text states, computed once and kept in the avatar's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import BaseModelFile, Dataset, Family, Sample
from personal_avatar.training.data.encoding import MEAN, STD, Coming, Encoder, groups_of
from personal_avatar.training.data.reading import TextStates, how_long, text_states
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.files import write_tensors

if TYPE_CHECKING:
    import torch

VERSION = 4


@dataclass(frozen=True)
class Latents:
    """Mean and standard deviation of every picture's latents, float32 (channels, height, width) each, CPU.

    `encoder`: makes those that are not there yet, when they are looked at; their `shapes` are known before.
    """

    mean: Sequence[torch.Tensor]
    std: Sequence[torch.Tensor]
    encoder: Encoder | None = None
    shapes: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def is_encoded(self) -> bool:
        return self.encoder is None or self.encoder.is_complete

    def sizes(self) -> list[tuple[int, ...]]:
        """Shape of each picture's latents; only those of one shape go into one batch."""
        return list(self.shapes) or [tuple(one.shape) for one in self.mean]

    def split(self, count: int) -> tuple[Latents, Latents]:
        """The first `count`, and the others."""
        first, others = (
            Latents(self.mean[rows], self.std[rows], self.encoder, self.shapes[rows])
            for rows in (slice(count), slice(count, None))
        )
        return first, others

    def draw(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(rows, channels, height, width): a random latent for each of `rows` (int64), as the VAE would draw it."""
        import torch

        mean = torch.stack([self.mean[row] for row in rows.tolist()])
        std = torch.stack([self.std[row] for row in rows.tolist()])
        return mean + std * torch.randn(mean.shape, generator=generator)


def identity(base: BaseModelFile) -> tuple[object, ...]:
    """Changes when the checkpoint, its yaml, the VAE that is used with it, or how it is read becomes another."""
    files = (base.path, base.config, base.vae)
    stats = [path.stat() for path in files if path is not None and path.is_file()]
    return (*files, *read_as(base), *((stat.st_size, stat.st_mtime_ns) for stat in stats))


def read_as(base: BaseModelFile) -> tuple[object, ...]:
    """What else than its files tells how a checkpoint answers; SDXL's once gave no words another meaning than zeros."""
    marks = ("zeros",) if base.family is Family.SDXL else ()
    return (base.prediction, base.zero_terminal_snr, *marks)


def fingerprint(*parts: object) -> str:
    """A short name for what was made of `parts`."""
    return hashlib.sha256(repr((VERSION, *parts)).encode()).hexdigest()[:16]


def load_image(path: Path, side_px: int = 0) -> np.ndarray:
    """A picture, uint8 RGB (height, width, 3); with `side_px` the largest square in its middle, of that size."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        image = opened.convert("RGB")
        if side_px and image.size != (side_px, side_px):
            image = ImageOps.fit(image, (side_px, side_px), Image.Resampling.LANCZOS)
        return np.array(image)


def dataset_images(dataset: Dataset, samples: Iterable[Sample]) -> list[np.ndarray]:
    """uint8 RGB (height, width, 3) each, as they were prepared."""
    return [load_image(dataset.folder / sample.image) for sample in samples]


def square_images(dataset: Dataset, samples: Iterable[Sample], side_px: int) -> np.ndarray:
    """uint8 RGB (samples, side, side, 3)."""
    return np.stack([load_image(dataset.folder / sample.image, side_px) for sample in samples])


def encode_all(
    model: DiffusionModel, images: Sequence[np.ndarray], on_group: Callable[[], None] = lambda: None
) -> Latents:
    """Latents of uint8 RGB pictures, a few of one size at a time; `on_group` is called before and may raise to stop."""
    found = []
    with model.without(text=True, unet=True):
        for group in groups_of(images):
            on_group()
            found.append(model.encode_images(np.stack([images[row] for row in group])))
    return Latents(tuple(one for mean, _ in found for one in mean), tuple(one for _, std in found for one in std))


def cached_latents(
    folder: Path, name: str, model: DiffusionModel, images: Sequence[np.ndarray],
    on_group: Callable[[], None] = lambda: None,
) -> Latents:
    """Latents of `images`, read from `folder` when they were written there under this name before; others go.
    `on_group`: see `encode_all`.

    On a processor, where the VAE takes seconds for a picture, they are encoded when they are first looked at, and
    written when the last one is.
    """
    path = folder / f"latents-{name}.safetensors"
    kept = _kept(path)
    if kept:
        count = len(kept) // 2
        mean, std = (tuple(kept[f"{part}.{row}"] for row in range(count)) for part in ("mean", "std"))
        return Latents(mean, std)
    _remove(folder, "latents-*")
    if images and model.compute.device.type == "cpu":
        return _coming(path, model, images)
    latents = encode_all(model, images, on_group)
    _write_latents(path, latents)
    return latents


def _coming(path: Path, model: DiffusionModel, images: Sequence[np.ndarray]) -> Latents:
    encoder = Encoder(model, list(images), lambda: _write_latents(path, latents))
    mean, std = (Coming(encoder, part, range(len(images))) for part in (MEAN, STD))
    latents = Latents(mean, std, encoder, encoder.shapes())
    return latents


def _write_latents(path: Path, latents: Latents) -> None:
    parts = {"mean": latents.mean, "std": latents.std}
    write_tensors(
        path, {f"{part}.{row}": one.contiguous() for part, rows in parts.items() for row, one in enumerate(rows)}
    )


def _kept(path: Path) -> dict[str, torch.Tensor]:
    """What lies there; nothing when there is no file, or a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return {}


def _keep_only(path: Path, pattern: str, tensors: dict[str, torch.Tensor]) -> None:
    """Write a file and remove those before it: photos that were replaced must not live on in what was made of them."""
    _remove(path.parent, pattern)
    write_tensors(path, tensors)


def _remove(folder: Path, pattern: str) -> None:
    for old in folder.glob(pattern):
        old.unlink()


def with_flipped(images: list[np.ndarray]) -> list[np.ndarray]:
    """The pictures, then all of them mirrored."""
    return [*images, *(np.ascontiguousarray(image[:, ::-1]) for image in images)]


def halved(images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The pictures at half their width and height."""
    from PIL import Image

    return [
        np.asarray(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2), Image.Resampling.LANCZOS))
        for image in images
    ]


def latent_masks(
    dataset: Dataset, samples: Sequence[Sample], latents: Latents, on_empty: Callable[[Sample], None]
) -> list[torch.Tensor]:
    """The samples' masks in 0..1 at the size of their latents (height, width); ones where a sample has none, and where
    nothing is white in it, of which `on_empty` hears."""
    import torch
    from PIL import Image

    found = []
    for sample, (_, height, width) in zip(samples, latents.sizes(), strict=False):
        if sample.mask is None:
            found.append(torch.ones(height, width))
            continue
        with Image.open(dataset.folder / sample.mask) as opened:
            grey = opened.convert("L").resize((width, height), Image.Resampling.BOX)
        mask = torch.from_numpy(np.array(grey)).float() / 255.0
        if not mask.any():
            on_empty(sample)
            mask = torch.ones(height, width)
        found.append(mask)
    return found


def cached_text_states(
    folder: Path, model: DiffusionModel, captions: Iterable[str], clip_skip: int,
    on_group: Callable[[], None] = lambda: None,
) -> TextStates:
    """`text_states`, read from `folder` when they were written there for these captions and this checkpoint before."""
    different = list(dict.fromkeys(captions))
    name = fingerprint(identity(model.base), different, clip_skip, *how_long(model, different))
    path = folder / f"text-{name}.safetensors"
    kept = _kept(path)
    if kept:
        states = {key: one.to(model.compute.device) for key, one in kept.items()}
        return TextStates.of_captions(states, different, model.windows(different))
    found = text_states(model, different, clip_skip, on_group)
    _keep_only(path, "text-*", {key: one.float().cpu().contiguous() for key, one in found.states.items()})
    return found
