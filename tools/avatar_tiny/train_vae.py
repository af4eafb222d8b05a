"""Train the VAE: first encoder and decoder together, then, with the latents fixed, the decoder alone.

The loss has five parts: colour (L1 and L2), edges (gradients), low frequencies, and what a face recogniser sees
(features and embedding of the aligned crop). Eyes, nose and mouth weigh more than the rest of the picture, because
they are the identity.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from . import codec, models, portfolio
from .identity import IdentityNet, crop_faces
from .runs import Average, Clock, Workers, device, save_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VaePlan:
    drawings: Path
    state: Path
    minutes: float
    identity_model: Path | None = None
    decoder_only: bool = False
    peak_rate: float = 4e-4
    batch: int = 2
    latent_noise: float = 0.08
    held_out: int = 96
    seed: int = 1
    save_every_s: float = 120


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def loss_weights(
    landmarks_px: np.ndarray, size_px: int, face_gain: float = 4.0, corner_gain: float = 100.0, mouth_gain: float = 1.0
) -> torch.Tensor:
    """Weights [n, 1, size, size]: 1, plus a hill at each landmark, plus hills in the picture's corners.

    mouth_gain: how much higher the hills at the corners of the mouth are than those at the eyes and the nose.

    The corners count more because the decoder's reference frame (`linear_start`) shines through there for a long time.
    """
    points = torch.from_numpy(np.asarray(landmarks_px, np.float32))
    spread = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None, None, None] * 0.33
    axis = torch.arange(size_px) + 0.5
    dx = axis[None, None, None, :] - points[:, :, 0, None, None]
    dy = axis[None, None, :, None] - points[:, :, 1, None, None]
    heights = torch.tensor([1, 1, 1, mouth_gain, mouth_gain])[:, None, None]
    faces = (heights * torch.exp(-(dx**2 + dy**2) / (2 * spread**2))).amax(1, keepdim=True)
    edge = torch.exp(-(torch.minimum(axis, size_px - axis) ** 2) / (2 * (size_px / 20) ** 2))
    return 1 + face_gain * faces + corner_gain * edge[:, None] * edge[None, :]


def picture_loss(made: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Both pictures [n, 3, h, w] in -1..1."""
    error = made - wanted
    colour = (weights * error.abs()).mean() + 2 * (weights * error**2).mean()
    (made_x, made_y), (wanted_x, wanted_y) = edges(made), edges(wanted)
    edge = (weights[..., 1:] * (made_x - wanted_x).abs()).mean() + (
        weights[..., 1:, :] * (made_y - wanted_y).abs()
    ).mean()
    return colour + edge + functional.avg_pool2d(error, 8).abs().mean()


def identity_loss(net: IdentityNet, made: torch.Tensor, wanted: torch.Tensor, landmarks_px: np.ndarray) -> torch.Tensor:
    """One minus the cosine of the embeddings, plus the relative distance of three feature maps."""
    embedding, features = net(crop_faces(made, landmarks_px))
    with torch.no_grad():
        target, target_features = net(crop_faces(wanted, landmarks_px))
    distances = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(features, target_features, strict=True)]
    return 0.5 * (1 - (embedding * target).sum(1)).mean() + 0.1 * torch.stack(distances).sum()


def latent_loss(latents: torch.Tensor) -> torch.Tensor:
    """Keeps scaled latents near unit power and zero mean without forcing a distribution on them."""
    return 0.02 * ((latents**2).mean() - 1).clamp(min=0) + 0.002 * latents.mean((0, 2, 3)).pow(2).sum()


class VaeTraining:
    """One run; `train` returns when its minutes are over, with averaged weights saved."""

    def __init__(self, plan: VaePlan) -> None:
        self.plan, self.workers = plan, Workers()
        torch.manual_seed(plan.seed)
        self.vae = models.build_vae()
        self.steps = codec.load_or_start(self.vae, plan.state)
        self.vae.encoder.requires_grad_(not plan.decoder_only)
        self.vae.quant_conv.requires_grad_(not plan.decoder_only)
        self.vae.to(device()).train()
        self.weights = [weight for weight in self.vae.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=plan.peak_rate, betas=(0.9, 0.99), weight_decay=1e-4)
        self.average = Average(self.weights, 0.995)
        self.identity = IdentityNet(plan.identity_model) if plan.identity_model else None
        self.shards = portfolio.read_shards(plan.drawings)
        self.random = np.random.default_rng([plan.seed, self.steps, self.workers.rank])
        torch.manual_seed(int(self.random.integers(2**31)))
        self.clock, self.first_step = Clock(plan.minutes, plan.peak_rate), self.steps

    def batch(self) -> tuple[torch.Tensor, np.ndarray]:
        """Pictures [n, 3, h, w] in -1..1, half of them mirrored, and their landmarks in pixels."""
        pictures, landmarks = [], []
        for _ in range(self.plan.batch):
            shard = self.shards[self.random.integers(len(self.shards))]
            index = self.random.integers(self.plan.held_out if shard is self.shards[0] else 0, len(shard.pictures))
            picture, points = np.array(shard.pictures[index]), shard.landmarks_px[index]
            if self.random.random() < 0.5:
                picture, points = mirror(picture, points)
            pictures.append(picture)
            landmarks.append(points)
        tensor = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        return tensor.to(device()), np.stack(landmarks)

    def reconstruct(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy round trip in bfloat16. Returns (pictures float32, latents of unit scale)."""
        with torch.autocast(device().type, torch.bfloat16):
            latents = codec.encode(self.vae, pictures)
            noisy = latents + self.plan.latent_noise * torch.randn_like(latents)
            made = codec.decode(self.vae, noisy)
        return made.float(), latents.float()

    def step(self) -> dict[str, float]:
        pictures, landmarks = self.batch()
        made, latents = self.reconstruct(pictures)
        plain = picture_loss(made, pictures, loss_weights(landmarks, pictures.shape[-1]).to(pictures.device))
        identity = identity_loss(self.identity, made, pictures, landmarks) if self.identity else torch.zeros(())
        loss = plain + identity + (0 if self.plan.decoder_only else latent_loss(latents))
        for group in self.optimizer.param_groups:
            group["lr"] = self.clock.rate(self.steps - self.first_step)
        self.optimizer.zero_grad()
        loss.backward()
        self.workers.average([weight.grad for weight in self.weights if weight.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.weights, 0.5)
        self.optimizer.step()
        self.average.update()
        self.steps += 1
        mse = ((made.detach().clamp(-1, 1) - pictures) ** 2).mean().item() / 4
        return {
            "loss": loss.item(),
            "identity": identity.item(),
            "psnr_db": -10 * math.log10(mse),
            "power": (latents**2).mean().item(),
        }

    def train(self) -> None:
        saved = time.monotonic()
        running: dict[str, float] = {}
        while not self.workers.agree(self.clock.progress() >= 1):
            values = self.step()
            running = {key: 0.97 * running.get(key, value) + 0.03 * value for key, value in values.items()}
            if self.workers.first and self.steps % 50 == 0:
                shown = " ".join(f"{key} {value:.4f}" for key, value in running.items())
                log.info("step %d, %.0f %%, %s", self.steps, 100 * self.clock.progress(), shown)
            if self.workers.first and time.monotonic() - saved > self.plan.save_every_s:
                self.save()
                saved = time.monotonic()
        if self.workers.first:
            self.save()

    def save(self) -> None:
        self.average.swap()
        save_state(
            {"vae": {key: value.clone() for key, value in self.vae.state_dict().items()}, "steps": self.steps},
            self.plan.state,
        )
        self.average.swap()


def mirror(picture: np.ndarray, landmarks_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left-right flipped picture; the left eye's and mouth corner's places are exchanged with the right one's."""
    flipped = landmarks_px[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = picture.shape[1] - flipped[:, 0]
    return picture[:, ::-1], flipped
