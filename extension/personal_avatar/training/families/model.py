"""What the loop, the samples and the scores need of a loaded checkpoint, whatever its family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.compute import Compute, release, torch_device
from personal_avatar.training.families.detect import load_pickle

if TYPE_CHECKING:
    import torch

Conditioning = dict[str, "torch.Tensor"]
DECODE_BATCH = 4
BETA_START, BETA_END, TIMESTEPS = 0.00085, 0.012, 1000


@dataclass
class DiffusionModel:
    """A frozen checkpoint in memory; families derive from this. `text_encoders`: kohya prefix (`lora_te`) -> module.

    Latents are float32 (batch, channels, height / 8, width / 8), scaled to about unit variance.
    """

    base: BaseModelFile
    compute: Compute
    unet: Any  # diffusers.UNet2DConditionModel
    vae: Any  # diffusers.AutoencoderKL
    text_encoders: dict[str, torch.nn.Module] = field(default_factory=dict)
    tokenizers: list[Any] = field(default_factory=list)

    family: Family = Family.SD1

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        """What the UNet needs of `captions`: named tensors with the batch first, one row a caption."""
        raise NotImplementedError

    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: Conditioning) -> torch.Tensor:
        """The UNet's output, float32, of the shape of `noisy`; `timesteps` int64 (batch,) in 0..999."""
        raise NotImplementedError

    def alphas_cumprod(self) -> torch.Tensor:
        """float64 (1000,): product of 1 - beta up to each timestep; beta is linear in its square root."""
        import torch

        betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
        return torch.cumprod(1.0 - betas, 0)

    def scheduler_config(self) -> dict[str, Any]:
        """Keyword arguments for a diffusers scheduler with the same noise schedule."""
        kind = "v_prediction" if self.base.prediction.startswith("v") else "epsilon"
        schedule = {"beta_start": BETA_START, "beta_end": BETA_END, "beta_schedule": "scaled_linear"}
        return {**schedule, "num_train_timesteps": TIMESTEPS, "prediction_type": kind, "steps_offset": 1}

    def encode_images(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 RGB (batch, height, width, 3) -> mean and standard deviation of scaled latents, float32, CPU."""
        import torch

        pixels = torch.from_numpy(images).to(self.compute.device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
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
        """`decode`, a few at a time."""
        return np.concatenate(
            [self.decode(latents[at : at + DECODE_BATCH]) for at in range(0, len(latents), DECODE_BATCH)]
        )

    def park(self, *, text: bool) -> None:
        """Move what training does not need (the VAE; with `text` the text encoders too) off the graphics card."""
        self._move(torch_device("cpu"), text)

    def unpark(self) -> None:
        """Everything back on the device."""
        self._move(self.compute.device, True)

    def _move(self, device: torch.device, text: bool) -> None:
        if self.compute.device.type == "cpu":
            return
        self.vae.to(device)
        for encoder in self.text_encoders.values() if text else ():
            encoder.to(device)
        release()

    def modules(self) -> dict[str, torch.nn.Module]:
        """Kohya prefix -> module, for everything that can carry a LoRA."""
        return {"lora_unet": self.unet, **self.text_encoders}

    def webui_weight_names(self) -> dict[str, str]:
        """The WebUI's name of every weight (as its LoRA code builds it) -> name of that tensor in the file."""
        raise NotImplementedError

    def file_weights(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """Tensors of the checkpoint file as they are stored there."""
        from safetensors import safe_open

        if self.base.path.suffix != ".safetensors":
            stored = load_pickle(self.base.path, "cpu")
            return {name: stored[name] for name in names}
        with safe_open(str(self.base.path), "pt") as file:
            return {name: file.get_tensor(name) for name in names}


def frozen(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """`module` on `device`, in evaluation mode, without gradients."""
    return module.to(device, dtype).requires_grad_(False).eval()
