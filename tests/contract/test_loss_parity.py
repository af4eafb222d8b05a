"""One step of ours against the formulas of diffusers' training programs: loss and gradients.

The reference takes the same random numbers in the same order and computes everything else with diffusers' own
schedulers (`add_noise`, `get_velocity`) and `compute_snr`, as train_text_to_image_lora.py and
train_dreambooth_lora.py do. What holds the class by the checkpoint's own answers is asked of a second copy of it,
to which nothing was ever attached.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from personal_avatar.domain import Family
from personal_avatar.training import compute, losses
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.training_set import ClassSet, TrainingSet
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Trainer
from personal_avatar.training.losses import spread_timesteps
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.planning.plan import BOTH, PICTURES, PREDICTION, LoraPlan

from tests.miniatures import make

CAPTIONS = ["sks man", "sks man smiling", "sks man in a hat"]
PLAN = LoraPlan(
    rank=2, alpha=2.0, batch_size=2, caption_dropout=0.0, vary_captions=False, min_snr_gamma=0.0, prior_weight=0.0,
    prior_dropout=0.0,
)
KINDS = [
    (Family.SD1, "epsilon", False), (Family.SD2, "epsilon", False), (Family.SD2, "v_prediction", False),
    (Family.SDXL, "epsilon", False), (Family.SDXL, "v_prediction", True),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "min-snr": {"min_snr_gamma": 5.0},
    "noise offset": {"noise_offset": 0.1},
    "input perturbation": {"input_perturbation": 0.1},
    "class pictures": {"prior_weight": 0.7, "prior_from": PICTURES},
    "own answers": {"prior_weight": 0.7, "prior_from": PREDICTION},
    "own answers on class pictures": {"prior_weight": 0.7, "prior_from": BOTH},
    "scaled velocity": {"scale_v_loss": True},
    "masks": {"unmasked_weight": 0.2},
    "all": {"min_snr_gamma": 5.0, "noise_offset": 0.05, "prior_weight": 1.0, "prior_from": PICTURES},
    "all with own answers": {
        "min_snr_gamma": 5.0, "scale_v_loss": True, "unmasked_weight": 0.1, "prior_weight": 1.0, "prior_from": BOTH
    },
}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0].value}-{kind[1][:1]}{'-zero' * kind[2]}")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    torch.set_num_threads(1)
    family, prediction, zero = request.param
    folder: Path = tmp_path_factory.mktemp("base")
    base = make(family, folder, prediction=prediction, zero_terminal_snr=zero)
    loaded = registry.load(base, compute.choose("fp32"), 64)
    loaded.shared = shared(loaded)  # type: ignore[attr-defined]
    return loaded


def pictures(seed: int, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))


def masks() -> torch.Tensor:
    """1 in the head, 0 elsewhere: (pictures, height, width) of latents."""
    found = torch.zeros(len(CAPTIONS), 8, 8)
    for row in range(len(CAPTIONS)):
        found[row, 1 : 4 + row, 2:6] = 1.0
    return found


@dataclass(frozen=True)
class Shared:
    """What all tests of a checkpoint take from it: a LoRA whose weights are not at their beginning, a second copy of
    the checkpoint to which nothing was ever attached, and what both encoded."""

    untouched: DiffusionModel
    lora: Lora
    latents: cache.Latents
    others: ClassSet
    text: reading.TextStates


def shared(model: DiffusionModel) -> Shared:
    untouched, lora = registry.load(model.base, model.compute, 64), Lora(model, PLAN)
    shaken = torch.Generator().manual_seed(5)
    lora.load({key: one + 0.02 * torch.randn(one.shape, generator=shaken) for key, one in lora.state().items()})
    others = ClassSet(cache.encode_all(model, pictures(1, 2)), ["a man", "a man in a hat"])
    text = reading.text_states(model, ["", "man", *CAPTIONS, *others.captions])
    return Shared(untouched, lora, cache.encode_all(model, pictures(0, 3)), others, text)


def trainer(model: DiffusionModel, plan: LoraPlan) -> Trainer:
    own: Shared = model.shared  # type: ignore[attr-defined]
    places = tuple(losses.place_weights(mask, plan.unmasked_weight) for mask in masks())
    data = TrainingSet(
        own.latents, CAPTIONS, ["man"] * 3, own.text, places if plan.unmasked_weight < 1 else None, own.others
    )
    return Trainer(model, own.lora, data, plan, 4)


@dataclass(frozen=True)
class Batch:
    """By diffusers' means, with the trainer's own random numbers."""

    noisy: torch.Tensor
    times: torch.Tensor
    target: torch.Tensor

    def first(self, count: int) -> Batch:
        return Batch(self.noisy[:count], self.times[:count], self.target[:count])


def scheduler_of(running: Trainer) -> DDPMScheduler:
    return DDPMScheduler(**{**running.model.scheduler_config(), "timestep_spacing": "leading"})


def is_velocity(running: Trainer) -> bool:
    return bool(scheduler_of(running).config.prediction_type == "v_prediction")


def reference_batch(running: Trainer, source: ClassSet | TrainingSet, rows: torch.Tensor) -> Batch:
    plan, generator, scheduler = running.plan, running.objective.generator, scheduler_of(running)
    latents = source.latents.draw(rows, generator)
    noise = torch.randn(latents.shape, generator=generator)
    if plan.noise_offset:
        noise = noise + plan.noise_offset * torch.randn((len(rows), latents.shape[1], 1, 1), generator=generator)
    times = spread_timesteps(len(rows), 1000, generator)
    added = noise
    if plan.input_perturbation:
        added = noise + plan.input_perturbation * torch.randn(latents.shape, generator=generator)
    target = scheduler.get_velocity(latents, noise, times) if is_velocity(running) else noise
    return Batch(scheduler.add_noise(latents, added, times), times, target)


def reference_answer(running: Trainer, batch: Batch, captions: list[str], untouched: bool = False) -> torch.Tensor:
    text = running.data.text
    assert text is not None
    model = running.model.shared.untouched if untouched else running.model  # type: ignore[attr-defined]
    return model.predict(batch.noisy, batch.times, text.of(captions))


def reference_error(
    running: Trainer, batch: Batch, answer: torch.Tensor, wanted: torch.Tensor, places: torch.Tensor | None = None
) -> torch.Tensor:
    """`places`: what each place of a picture counts, before it is scaled to a mean of 1."""
    plan, velocity = running.plan, is_velocity(running)
    squares = torch.nn.functional.mse_loss(answer, wanted, reduction="none")
    if places is not None:
        squares = squares * (places / places.mean(dim=(1, 2), keepdim=True))[:, None]
    error = squares.mean(dim=(1, 2, 3))
    snr = compute_snr(scheduler_of(running), batch.times)
    if plan.min_snr_gamma:
        lowest = torch.stack([snr, plan.min_snr_gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
        error = error * lowest / (snr + 1 if velocity else snr)
    if plan.scale_v_loss and velocity:
        error = error * snr / (snr + 1)
    return error.mean()


def reference_prior(running: Trainer, shown: Batch) -> torch.Tensor:
    """Of one picture, as the batches are of two: pictures of the class, or the checkpoint's own answers."""
    others, batch, captions = running.data.others, shown.first(1), ["man"]
    if running.plan.prior_from != PREDICTION:
        assert others is not None
        rows = running.objective.large.others.take(1)
        batch = reference_batch(running, others, rows)
        captions = [others.captions[row] for row in rows.tolist()]
    wanted = batch.target
    if running.plan.prior_from != PICTURES:
        with torch.no_grad():
            wanted = reference_answer(running, batch, captions, untouched=True)
    return reference_error(running, batch, reference_answer(running, batch, captions), wanted)


def reference_loss(running: Trainer) -> torch.Tensor:
    plan, rows = running.plan, running.objective.large.rows.take(2)
    batch = reference_batch(running, running.data, rows)
    torch.rand(len(rows), generator=running.objective.generator)  # which captions are left out
    answer = reference_answer(running, batch, [CAPTIONS[row] for row in rows.tolist()])
    places = None
    if plan.unmasked_weight < 1:
        places = torch.where(masks()[rows] > 0.5, 1.0, plan.unmasked_weight)
    loss = reference_error(running, batch, answer, batch.target, places)
    return loss + plan.prior_weight * reference_prior(running, batch) if plan.prior_weight else loss


def gradients(running: Trainer, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, running._parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loss_and_gradients_are_those_of_the_reference(model: DiffusionModel, options: dict[str, Any]) -> None:
    plan = PLAN.copy(update=options)
    ours, theirs = trainer(model, plan), trainer(model, plan)
    found, wanted = ours.objective.loss(passed=0.5), reference_loss(theirs)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    for one, other in zip(gradients(ours, found), gradients(theirs, wanted), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
