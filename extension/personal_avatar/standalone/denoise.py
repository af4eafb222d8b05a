"""From noise, or from a picture with some noise on it, to a picture."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.errors import GenerationFailed
from personal_avatar.problems import stated
from personal_avatar.standalone.samplers import scheduler
from personal_avatar.standalone.texts import encode_pair

if TYPE_CHECKING:
    import torch

    from personal_avatar.identity.nouns import Rows, RowsOf
    from personal_avatar.training.families.model import Conditioning, DiffusionModel

OnStep = Callable[[int, int], None]
# Entered for the time of the denoising: what is put beside the UNet; it is told how to ask for the rows of a call.
Beside = Callable[["RowsOf"], AbstractContextManager[None]]


def nothing_beside(rows_of: RowsOf) -> AbstractContextManager[None]:
    """The UNet alone."""
    return nullcontext()


@dataclass(frozen=True)
class Painting:
    """What to paint. `prompt` without network tags; one picture a seed; sizes are multiples of 8.

    `embeddings`: the folder in which words of the prompts are looked up; None: all words are ordinary ones.
    `image`: uint8 RGB of that size, of which the last `strength` (0..1) of the steps is painted anew; None: from noise.
    `clip_skip` as the WebUI means it: 1 is the text encoder's last layer.
    """

    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    width_px: int
    height_px: int
    steps: int
    guidance: float
    sampler: str
    embeddings: Path | None = None
    image: np.ndarray | None = None
    strength: float = 1.0
    clip_skip: int = 1

    @property
    def first_step(self) -> int:
        """The number of the step that is painted first; `steps` when nothing of the image is painted anew."""
        share = 1.0 if self.image is None else min(max(self.strength, 0.0), 1.0)
        return self.steps - round(self.steps * share)


def paint(
    model: DiffusionModel, painting: Painting, on_step: OnStep, beside: Beside = nothing_beside
) -> np.ndarray:
    """uint8 RGB (seeds, height, width, 3). A picture depends on its seed only, not on its neighbours in the batch.

    `on_step(step, total)` is called before each step and may raise. Raises `GenerationFailed`, `InvalidSettings`.
    """
    if painting.image is not None and painting.first_step >= painting.steps:
        return np.repeat(painting.image[None], len(painting.seeds), axis=0)
    return _decoded(model, latents_of(model, painting, on_step, beside))


def latents_of(
    model: DiffusionModel, painting: Painting, on_step: OnStep, beside: Beside = nothing_beside
) -> torch.Tensor:
    """What is decoded into the pictures: float32 (seeds, 4, height / 8, width / 8)."""
    import torch

    with torch.no_grad():
        steps, latents = _begun(model, painting)
        with beside(steps.told.rows_of):
            return _denoised(model, latents, steps, on_step)


def _begun(model: DiffusionModel, painting: Painting) -> tuple[_Steps, torch.Tensor]:
    """The steps to do and the noisy latents to begin with."""
    steps = _prepared(model, painting).from_step(painting.first_step if painting.image is not None else 0)
    noise = _noise(painting, steps.generators).to(model.compute.device)
    if painting.image is None:
        return steps, noise * steps.scheduler.init_noise_sigma
    mean, _ = model.encode_images(painting.image[None].copy())
    begin = steps.timesteps[:1].expand(len(noise))
    return steps, steps.scheduler.add_noise(mean.to(noise).expand_as(noise), noise, begin)


@dataclass(eq=False)
class _Told:
    """What is known of the UNet call that comes: the words of its rows, and the share of the steps that are done."""

    rows: Rows | None = None

    def rows_of(self, count: int) -> Rows | None:
        return self.rows


@dataclass(frozen=True)
class _Text:
    """What the model is called with: a row for each picture, and which rows are of the prompt."""

    conditioning: Conditioning
    conditional: tuple[bool, ...]


@dataclass(frozen=True)
class _Steps:
    """A scheduler that stands at the first of `timesteps`, and what every step needs.

    `texts`: what the model is called with in turn, a row for each picture, first for the negative prompt (unless the
    guidance is 1), then for the prompt; in one call where both are equally long.
    """

    scheduler: Any
    timesteps: torch.Tensor
    generators: list[torch.Generator]
    texts: list[_Text]
    guidance: float
    told: _Told = field(default_factory=_Told)

    def from_step(self, start: int) -> _Steps:
        """It must be told, for several steps may have one timestep where hardly anything but noise is left."""
        if hasattr(self.scheduler, "set_begin_index"):  # DDIM knows each step by its timestep
            self.scheduler.set_begin_index(start)
        return replace(self, timesteps=self.timesteps[start:])


def _prepared(model: DiffusionModel, painting: Painting) -> _Steps:
    import torch

    steps = scheduler(painting.sampler, model.scheduler_config())
    steps.set_timesteps(painting.steps, device=model.compute.device)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in painting.seeds]
    with_prompt, without = encode_pair(
        model, painting.prompt, painting.negative_prompt, painting.embeddings, painting.clip_skip
    )
    texts = [(with_prompt, True)] if painting.guidance == 1.0 else [(without, False), (with_prompt, True)]
    return _Steps(steps, steps.timesteps, generators, _calls(texts, len(painting.seeds)), painting.guidance)


def _calls(texts: Sequence[tuple[Conditioning, bool]], pictures: int) -> list[_Text]:
    """Each text for all pictures, texts of one length joined into one call."""
    import torch

    rows = [
        _Text({name: tensor.expand(pictures, *tensor.shape[1:]) for name, tensor in text.items()}, (mark,) * pictures)
        for text, mark in texts
    ]
    if len({text.conditioning["states"].shape for text in rows}) > 1:
        return rows
    joined = {name: torch.cat([text.conditioning[name] for text in rows]) for name in rows[0].conditioning}
    return [_Text(joined, tuple(mark for text in rows for mark in text.conditional))]


def _noise(painting: Painting, generators: list[torch.Generator]) -> torch.Tensor:
    """float32 (seeds, 4, height / 8, width / 8), made on the CPU so that every device paints the same."""
    import torch

    shape = (4, painting.height_px // 8, painting.width_px // 8)
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def _denoised(model: DiffusionModel, latents: torch.Tensor, steps: _Steps, on_step: OnStep) -> torch.Tensor:
    for number, timestep in enumerate(steps.timesteps):
        on_step(number, len(steps.timesteps))
        seen = steps.scheduler.scale_model_input(latents, timestep)
        answer = _guided(model, seen, timestep, steps, number / len(steps.timesteps))
        latents = steps.scheduler.step(answer, timestep, latents, generator=steps.generators).prev_sample
    on_step(len(steps.timesteps), len(steps.timesteps))
    return latents


def _guided(
    model: DiffusionModel, latents: torch.Tensor, timestep: torch.Tensor, steps: _Steps, share: float
) -> torch.Tensor:
    """The UNet's answer, moved away from the one for the negative prompt. `share`: of the steps that are done."""
    import torch

    from personal_avatar.identity.nouns import Rows

    def answer(text: _Text) -> torch.Tensor:
        count = len(text.conditional)
        steps.told.rows = Rows(text.conditional, share)
        repeated = latents.repeat(count // len(latents), 1, 1, 1)
        return model.predict(repeated, timestep.expand(count), text.conditioning)

    answers = torch.cat([answer(text) for text in steps.texts])
    if steps.guidance == 1.0:
        return answers
    without, with_prompt = answers.chunk(2)
    return without + steps.guidance * (with_prompt - without)


def _decoded(model: DiffusionModel, latents: torch.Tensor) -> np.ndarray:
    import torch

    if not bool(torch.isfinite(latents).all()):
        raise stated(GenerationFailed, "failure.painted_nothing", "remedy.weaker")
    return model.decode(latents)
