"""What the loop, the samples and the scores need of a loaded checkpoint, whatever its family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from personal_avatar.domain import Family
from personal_avatar.training.evaluation.batches import in_batches
from personal_avatar.training.families.detect import CHANNELS, EPSILON, FIRST_LAYER, LATENT_PX, VELOCITY
from personal_avatar.training.families.files import Weights, read_some
from personal_avatar.training.families.marks import Mark, stamp_of
from personal_avatar.training.families.parts import UNET_PREFIX, Parts
from personal_avatar.training.families.stored import Places, join, name_of, take, webui_weight_name
from personal_avatar.training.families.windows import cut, row, side_by_side
from personal_avatar.training.losses import is_velocity

if TYPE_CHECKING:
    import torch

Conditioning = dict[str, "torch.Tensor"]
CODED_AT_ONCE = 512 * 512  # pixels; the VAE takes some kilobytes for each
BETA_START, BETA_END, TIMESTEPS = 0.00085, 0.012, 1000
LAST_ALPHA = 4.8973451890853435e-08  # in the place of zero, as in the WebUI: a step from it must be possible


@dataclass
class DiffusionModel(Parts):
    """A frozen checkpoint in memory; families derive from this.

    Latents are float32 (batch, channels, height / 8, width / 8), scaled to about unit variance. `places`: kohya prefix
    -> tensor of that module -> where it is in the file (see `stored`). `texts`: what text encoders that are not trained
    said of (caption, clip skip), in main memory, and of no caption: what stands behind shorter ones; see reading.py.
    `zero_without_words`: whether guidance leads away from the answer to zeros where nothing is said, instead of to what
    the text encoders say of nothing. `mark`: of the file when it was read.
    """

    tokenizers: list[Any] = field(default_factory=list)
    places: dict[str, Places] = field(default_factory=dict)

    family: ClassVar[Family] = Family.SD1
    zero_without_words: ClassVar[bool] = False
    texts: dict[tuple[str | None, int], Conditioning] = field(default_factory=dict, init=False, repr=False)
    mark: Mark | None = field(default=None, init=False)
    _grey: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def encode_text(self, captions: Sequence[str], clip_skip: int = 1, least: int = 1) -> Conditioning:
        """What the UNet needs of `captions`: named tensors with the batch first, one row a caption; "states" (captions,
        77 * windows, width) are as long as the longest of them needs, of at least so many windows, with empty ones
        behind shorter captions, as in the WebUI.

        `clip_skip` as the WebUI means it: 1 is the last layer; only Stable Diffusion 1 heeds it.
        """
        return side_by_side(self.encode_tokens(self.tokenise(captions, least), clip_skip), len(captions))

    def encode_empty(self, clip_skip: int = 1) -> torch.Tensor:
        """States (77, width) of a window without words, as it stands behind shorter captions."""
        return self.encode_tokens(self.tokenise([""]), clip_skip)["states"][0]

    def encode_tokens(self, tokens: Sequence[torch.Tensor], clip_skip: int = 1) -> Conditioning:
        """What each window says by itself, of what `tokenise` gives: "states" (windows, 77, width), in some families
        more."""
        raise NotImplementedError

    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: Conditioning) -> torch.Tensor:
        """The UNet's output, float32, of the shape of `noisy`; `timesteps` int64 (batch,) in 0..999."""
        dtype = self.compute.weights
        seen, added = self._inputs(noisy).to(dtype), self._added(noisy, text)
        with self.compute.products():
            return self.unet(seen, timesteps, text["states"].to(dtype), added_cond_kwargs=added).sample.float()

    def _added(self, noisy: torch.Tensor, text: Conditioning) -> dict[str, torch.Tensor] | None:
        """What the UNet is told besides the text's states."""
        return None

    def _inputs(self, noisy: torch.Tensor) -> torch.Tensor:
        """`noisy`, for an inpainting UNet with what txt2img in the WebUI appends: a mask of ones, a grey picture."""
        import torch

        if not self.needs_vae:
            return noisy
        size = (noisy.shape[2], noisy.shape[3])
        if size not in self._grey:
            self._grey[size] = self._encoded_grey(*size)
        mask = torch.ones_like(noisy[:, :1])
        return torch.cat([noisy, mask, self._grey[size].expand(len(noisy), -1, -1, -1)], 1)

    @property
    def needs_vae(self) -> bool:
        """At every step, where the UNet takes an encoded picture beside the noise."""
        return bool(self.unet.config.in_channels != CHANNELS)

    def _encoded_grey(self, height: int, width: int) -> torch.Tensor:
        """Latents of a middle grey picture, float32 (1, 4, height, width), on the device; works while the VAE is
        parked, too."""
        import torch

        grey = torch.zeros(1, 3, height * LATENT_PX, width * LATENT_PX, device=self.vae.device, dtype=self.vae.dtype)
        with torch.no_grad():
            found = self.vae.encode(grey).latent_dist.mean.float() * self.vae.config.scaling_factor
        return self.compute.send(found)

    def tokenise(self, captions: Sequence[str], least: int = 1) -> list[torch.Tensor]:
        """int64 (captions * windows of the longest, 77) on the device, for each tokenizer; a caption's one after the
        other, then empty ones, of at least so many together."""
        import torch

        most, found = max(least, *self.windows(captions)), []
        for tokenizer in self.tokenizers:
            own = [cut(tokenizer, caption).windows for caption in captions]
            filled = [(*windows, *[()] * (most - len(windows))) for windows in own]
            rows = [row(window, tokenizer) for windows in filled for window in windows]
            found.append(self.compute.send(torch.tensor(rows)))
        return found

    def windows(self, captions: Sequence[str]) -> list[int]:
        """In how many windows each caption is read, by the tokenizer that needs the most."""
        return [max(len(cut(tokenizer, caption).windows) for tokenizer in self.tokenizers) for caption in captions]

    def lengths(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, also those that are too many to be read."""
        return [cut(self.tokenizers[0], caption).length for caption in captions]

    def alphas_cumprod(self) -> torch.Tensor:
        """float64 (1000,): product of 1 - beta up to each timestep; beta is linear in its square root.

        With `base.zero_terminal_snr` nothing but noise is left at the last one (Lin and others: Common diffusion noise
        schedules and sample steps are flawed, 2023).
        """
        import torch

        betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
        found = torch.cumprod(1.0 - betas, 0)
        if not self.base.zero_terminal_snr:
            return found
        root = found.sqrt()
        rescaled = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        rescaled[-1] = LAST_ALPHA
        return rescaled

    def scheduler_config(self) -> dict[str, Any]:
        """Keyword arguments for a diffusers scheduler with the same noise schedule."""
        kind = VELOCITY if is_velocity(self.base.prediction) else EPSILON
        common = {"num_train_timesteps": TIMESTEPS, "prediction_type": kind, "steps_offset": 1}
        if not self.base.zero_terminal_snr:
            return {"beta_start": BETA_START, "beta_end": BETA_END, "beta_schedule": "scaled_linear", **common}
        alphas = self.alphas_cumprod().numpy()
        betas = 1.0 - alphas / np.concatenate([[1.0], alphas[:-1]])
        return {"trained_betas": betas, "timestep_spacing": "trailing", **common}

    def encode_images(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 RGB (batch, height, width, 3) -> mean and standard deviation of scaled latents, float32, CPU.

        Made or read, in whatever order its numbers lie in memory, a picture has the same latents to the last bit. On a
        graphics card as many are encoded at a time as their size allows.
        """
        import torch

        together = _at_once(images.shape[1] * images.shape[2]) if self.on_card else len(images)
        mean, std = (torch.cat(part) for part in zip(*in_batches(images, together, self._encoded), strict=True))
        return mean, std

    def _encoded(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Of pictures that are encoded together."""
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(images)).to(self.compute.device)
        pixels = rows.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.no_grad():
            found = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist
        factor = self.vae.config.scaling_factor
        return (found.mean.float() * factor).cpu(), (found.std.float() * factor).cpu()

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Scaled latents -> uint8 RGB (batch, height, width, 3)."""
        import torch

        with torch.no_grad():
            scaled = latents.to(self.compute.device, self.vae.dtype) / self.vae.config.scaling_factor
            pixels = self.vae.decode(scaled).sample.float()
        pixels = ((pixels + 1.0) * 127.5).round().clamp(0, 255)
        return pixels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()

    def decode_many(self, latents: torch.Tensor) -> np.ndarray:
        """`decode`, as many at a time as their size allows."""
        together = _at_once(LATENT_PX**2 * latents.shape[-1] * latents.shape[-2])
        return np.concatenate(in_batches(latents, together, self.decode))

    def tensors(self) -> Iterator[torch.Tensor]:
        yield from super().tensors()
        yield from self._grey.values()

    def modules(self) -> dict[str, torch.nn.Module]:
        """Kohya prefix -> module, for everything that can carry a LoRA."""
        return {UNET_PREFIX: self.unet, **self.text_encoders}

    def lora_key(self, prefix: str, path: str) -> str:
        """The name in a LoRA file of the module at the dotted `path` of the module under kohya's `prefix`."""
        return f"{prefix}_{path.replace('.', '_')}"

    def webui_weight_names(self) -> dict[str, str]:
        """The WebUI's name of every module with a weight (as its LoRA code builds it) -> place of that weight in the
        file, for `file_weights`."""
        return {
            webui_weight_name(place): place
            for places in self.places.values()
            for name, place in places.items()
            if name.endswith(".weight")
        }

    def file_weights(self, places: Sequence[str]) -> Weights:
        """Tensors of the checkpoint file as they are stored there, or parts of them (see `stored`)."""
        stored = read_some(self.base.path, sorted({name_of(place) for place in places}))
        return {place: take(stored, place) for place in places}

    @property
    def file_is_as_read(self) -> bool:
        """Whether the checkpoint's file is the one that was read, as far as its `Mark` tells."""
        return self.mark is not None and self.mark.is_on(self.base.path)

    @property
    def file_is_gone(self) -> bool:
        """Whether none has its name any more."""
        return stamp_of(self.base.path) is None

    def file_tensors(self, *, text: bool, like: Path | None = None) -> Weights:
        """The loaded UNet's weights, with `text` also the text encoders', under the names and in the shapes and number
        formats of the checkpoint file, on the CPU; what the file has besides them is not among them. `like`: a file
        that was made of it, in its place.
        """
        modules = self.modules() if text else {UNET_PREFIX: self.unet}
        stored = read_some(like or self.base.path, sorted({name_of(place) for place in self._places_of(modules)}))
        found = {
            place: module.get_parameter(name).detach().to("cpu", stored[name_of(place)].dtype)
            for prefix, module in modules.items()
            for name, place in self.places[prefix].items()
        }
        return {name: tensor.reshape(stored[name].shape) for name, tensor in join(found).items()}

    def _places_of(self, modules: Iterable[str]) -> list[str]:
        return [place for prefix in modules for place in self.places[prefix].values()]

    @cached_property
    def native_dtype(self) -> torch.dtype:
        """The number format in which the file keeps the UNet."""
        return read_some(self.base.path, [FIRST_LAYER])[FIRST_LAYER].dtype


def _at_once(pixels: int) -> int:
    """How many pictures of so many pixels the VAE takes together."""
    return max(1, CODED_AT_ONCE // pixels)
