"""Train UNet and text encoder together on the drawings' latents."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import codec, models, noise, portfolio, words
from .captions import training_caption
from .runs import Average, Clock, Workers, device, save_state
from .train_vae import loss_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnetPlan:
    drawings: Path
    state: Path
    minutes: float
    peak_rate: float = 1e-3
    batch: int = 12
    offset: float = 0.12
    face_gain: float = 4.0
    mouth_gain: float = 2.5
    level_weight: float = 6.0
    strange_share: float = 0.12
    held_out: int = 96
    seed: int = 2
    save_every_s: float = 150
    meet_every: int = 8
    average_every: int = 8


def picture_batches(folder: Path, count: int, batch: int = 8) -> Iterator[torch.Tensor]:
    """The first drawings, [n, 3, h, w] in -1..1."""
    pictures = portfolio.read_shards(folder)[0].pictures[:count]
    for start in range(0, len(pictures), batch):
        yield torch.from_numpy(np.array(pictures[start : start + batch])).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode_shards(vae: Any, folder: Path, batch: int = 8) -> None:
    """Latents of unit scale beside each shard: `NAME.latents.npy`, float16 [n, 4, h/8, w/8]. Finished shards are
    skipped.
    """
    vae.eval().to(device())
    for path in sorted(folder.glob("*.landmarks.npy")):
        target = path.with_name(path.name.replace(".landmarks.", ".latents."))
        if target.exists():
            continue
        pictures = np.load(path.with_name(path.name.replace(".landmarks", "")), mmap_mode="r")
        parts = [_encode(vae, pictures[start : start + batch]) for start in range(0, len(pictures), batch)]
        temporary = target.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, np.concatenate(parts))
        temporary.replace(target)
        log.info("%s", target.name)


def _encode(vae: Any, pictures: np.ndarray) -> np.ndarray:
    tensor = torch.from_numpy(np.array(pictures)).to(device()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.autocast(device().type, torch.bfloat16):
        return codec.encode(vae, tensor).half().cpu().numpy()


class UnetTraining:
    """One run; `train` returns when its minutes are over, with averaged weights saved beside the raw ones."""

    def __init__(self, plan: UnetPlan) -> None:
        self.plan, self.workers, self.steps, self.samples = plan, Workers(), 0, 0
        torch.manual_seed(plan.seed)
        self.tokenizer = models.load_tokenizer()
        self.unet, self.text = models.build_unet(), models.build_text_encoder()
        saved = torch.load(plan.state, map_location="cpu", weights_only=True) if plan.state.exists() else {}
        if saved:
            self.unet.load_state_dict(saved["unet"])
            self.text.load_state_dict(saved["text"])
            self.steps, self.samples = int(saved["steps"]), int(saved["samples"])
        self.table = self.text.get_input_embeddings()
        self.offsets = words.WordOffsets(self.table, words.caption_tokens(self.tokenizer))
        self.strange = words.strange_words(self.tokenizer)
        self.parts = torch.nn.ModuleDict({"unet": self.unet, "text": self.text, "words": self.offsets}).to(device())
        self.parts.train()
        self.weights = [weight for weight in self.parts.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=plan.peak_rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )
        self.average = Average(self.weights, 0.998**plan.average_every)
        self._resume(saved)
        self.latents, self.attributes, self.weights_of = self._load_latents()
        self.shares, self.level_weights = (
            noise.signal_shares().to(device()),
            noise.level_weights(self.plan.level_weight).to(device()),
        )
        self.random = np.random.default_rng([plan.seed, self.steps, self.workers.rank])
        torch.manual_seed(int(self.random.integers(2**31)))
        warmup_steps = 10 if "optimizer" in saved else 100
        self.clock, self.first_step = Clock(plan.minutes, plan.peak_rate, warmup_steps), self.steps

    def _resume(self, saved: dict[str, Any]) -> None:
        if "optimizer" in saved:
            self.optimizer.load_state_dict(saved["optimizer"])
            self.offsets.load_state_dict(saved["words"])
            self.average.values = [value.to(device()) for value in saved["average"]]
            self.average.steps = self.steps // self.plan.average_every

    def _load_latents(self) -> tuple[np.ndarray, list[dict[str, Any]], torch.Tensor]:
        """Latents, attributes and loss weights of all drawings encoded so far, without those that are held out.

        Eyes, nose and mouth weigh more: an expression is a few cells of the latent, which the rest would outvote.
        """
        latents, attributes, landmarks = [], [], []
        for path in sorted(self.plan.drawings.glob("*.latents.npy")):
            latents.append(np.load(path))
            attributes += portfolio.read_attributes(path.with_name(path.name.replace(".latents.npy", ".jsonl")))
            landmarks.append(np.load(path.with_name(path.name.replace(".latents.", ".landmarks."))))
        if not latents:
            message = f"no latents in {self.plan.drawings}: run `python -m tools.avatar_tiny encode` first"
            raise FileNotFoundError(message)
        first, everything = self.plan.held_out, np.concatenate(latents)
        points, gains = np.concatenate(landmarks) / 8, (self.plan.face_gain, 0.0, self.plan.mouth_gain)
        weights = loss_weights(points, everything.shape[-1], *gains)
        weights = weights / weights.mean((1, 2, 3), keepdim=True)
        return everything[first:], attributes[first:], weights[first:]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents [n, 4, h, w], token ids [n, 77], loss weights [n, 1, h, w]."""
        chosen = self.random.integers(0, len(self.latents), self.plan.batch)
        texts = [training_caption(self.attributes[index], self.random) for index in chosen]
        for place, text in enumerate(texts):
            if self.random.random() < self.plan.strange_share:
                texts[place] = words.add_strange_words(text, self.strange, self.random)
        latents = torch.from_numpy(self.latents[chosen]).float()
        tokens = models.tokenize(self.tokenizer, texts)
        return latents.to(device()), tokens.to(device()), self.weights_of[torch.from_numpy(chosen)].to(device())

    def loss(self) -> torch.Tensor:
        latents, tokens, places = self.batch()
        levels = noise.spread_levels(len(latents)).to(latents.device)
        target = noise.offset_noise(latents.shape, self.plan.offset).to(latents.device)
        noisy = noise.add_noise(latents, target, levels, self.shares)
        with torch.autocast(device().type, torch.bfloat16):
            predicted = self.unet(noisy, levels, self.text(tokens)[0]).sample
        errors = (places * (predicted.float() - target) ** 2).mean((1, 2, 3))
        return (errors * self.level_weights[levels]).mean()

    def step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.clock.rate(self.steps - self.first_step)
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.steps += 1
        if self.steps % self.plan.meet_every == 0:
            self.workers.average([weight.data for weight in self.weights])
        self.samples += self.plan.batch * self.workers.count
        if self.steps % self.plan.average_every == 0:
            self.average.update()
        return loss.item()

    def train(self) -> None:
        saved = started = time.monotonic()
        running, first_samples = 0.0, self.samples
        while not self._over():
            loss = self.step()
            running = loss if self.steps == self.first_step + 1 else 0.98 * running + 0.02 * loss
            if self.workers.first and self.steps % 50 == 0:
                speed = (self.samples - first_samples) / (time.monotonic() - started)
                line = "step %d, %.0f %%, %d samples, %.1f/s, loss %.4f"
                log.info(line, self.steps, 100 * self.clock.progress(), self.samples, speed, running)
            if time.monotonic() - saved > self.plan.save_every_s:
                saved = time.monotonic()
                self.latents, self.attributes, self.weights_of = self._load_latents()
                if self.workers.first:
                    self.save()
        if self.workers.first:
            self.save()

    def _over(self) -> bool:
        """The processes end together, after a meeting."""
        return self.steps % self.plan.meet_every == 0 and self.workers.agree(self.clock.progress() >= 1)

    def save(self) -> None:
        """`STATE` to resume from, and `STATE.average` with the averaged weights to sample from and to export."""
        counts = {"steps": self.steps, "samples": self.samples}
        resume = {
            "words": self.offsets.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values,
        }
        save_state(
            {"unet": self.unet.state_dict(), "text": self.text.state_dict(), **resume, **counts}, self.plan.state
        )
        self.average.swap()
        text = self.text.state_dict()
        table = next(name for name in text if name.endswith("token_embedding.weight"))
        text[table] = self.offsets.folded(text[table])
        save_state({"unet": self.unet.state_dict(), "text": text, **counts}, self.plan.state.with_suffix(".average"))
        self.average.swap()
