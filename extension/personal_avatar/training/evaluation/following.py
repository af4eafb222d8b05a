"""Do pictures still show what their prompts ask for? The untrained checkpoint itself answers, without another model.

A diffusion model is a classifier (Li et al. 2023, arXiv 2303.16203): the caption under which it denoises a picture best
is the one that describes it. Each picture is noised alike for all captions; its score is the share of the other
captions that describe it worse than its own does: 1 for one that follows its prompt, 0.5 for one that shows anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.training import losses
from personal_avatar.training.data.cache import encode_all
from personal_avatar.training.data.reading import read
from personal_avatar.training.evaluation.batches import in_batches
from personal_avatar.training.families.model import Conditioning, DiffusionModel

if TYPE_CHECKING:
    import torch

TIMESTEPS = (250, 450, 650, 850)
SEED = 77


@dataclass(frozen=True)
class PromptJudge:
    """`model`: the checkpoint, with nothing attached or at strength 0 while it judges. `captions`: all that are told
    apart, in the words of the class ("a man" in place of the person). `clip_skip`: as the pictures were made with."""

    model: DiffusionModel
    captions: tuple[str, ...]
    clip_skip: int = 1

    def score(
        self, images: np.ndarray, asked: Sequence[str], on_picture: Callable[[], None] = lambda: None
    ) -> float:
        """Mean over `images`, uint8 RGB (pictures, height, width, 3), each made for its caption in `asked`; 0..1.
        `on_picture` is called before each and may raise to stop."""
        import torch

        if len(self.captions) < 2:
            return 1.0
        with torch.no_grad():
            latents = encode_all(self.model, list(images), on_picture).mean
            text = read(self.model, self.captions, self.clip_skip).of(self.captions)
            with self.model.without(text=True):
                errors = torch.stack([self._errors(latent, text, on_picture) for latent in latents])
        own = [self.captions.index(caption) for caption in asked]
        return float(np.mean([_rank(row, place) for row, place in zip(errors.numpy(), own, strict=True)]))

    def _errors(self, latent: torch.Tensor, text: Conditioning, on_picture: Callable[[], None]) -> torch.Tensor:
        """float32 (captions,): squared error of the answers to each caption, over the same noise and timesteps. `text`:
        of all captions."""
        import torch

        on_picture()
        count = len(self.captions)
        alphas = self.model.alphas_cumprod().float()
        generator = torch.Generator("cpu").manual_seed(SEED)
        total = torch.zeros(count)
        for timestep in TIMESTEPS:
            noise = torch.randn(latent.shape, generator=generator)
            alpha = alphas[timestep : timestep + 1]
            noisy = losses.add_noise(latent[None], noise[None], alpha)
            wanted = losses.target(latent[None], noise[None], alpha, self.model.base.prediction)
            answers = in_batches(range(count), count, partial(self._answers, noisy, timestep, text))
            total += (torch.cat(answers) - wanted).pow(2).mean(dim=(1, 2, 3))
        return total

    def _answers(self, noisy: torch.Tensor, timestep: int, text: Conditioning, rows: range) -> torch.Tensor:
        """To some of the captions, in main memory."""
        import torch

        device, asked = self.model.compute.device, {name: one[rows.start : rows.stop] for name, one in text.items()}
        times = torch.full((len(rows),), timestep, device=device)
        return self.model.predict(noisy.expand(len(rows), -1, -1, -1).to(device), times, asked).cpu()


def _rank(errors: np.ndarray, own: int) -> float:
    """Share of the other captions with a larger error than `own`."""
    others = np.delete(errors, own)
    return float(np.mean(others > errors[own]))
