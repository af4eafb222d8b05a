"""One step of ours against the formulas of diffusers' training programs: loss and gradients.

The reference takes the same random numbers in the same order and computes everything else with diffusers' own
schedulers (`add_noise`, `get_velocity`) and `compute_snr`, as train_text_to_image_lora.py and
train_dreambooth_lora.py do.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from personal_avatar.domain import Family
from personal_avatar.training import cache, compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Trainer
from personal_avatar.training.losses import spread_timesteps
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.plan import PICTURES, LoraPlan
from personal_avatar.training.training_set import ClassSet, TrainingSet

from tests.miniatures import make

CAPTIONS = ["sks man", "sks man smiling", "sks man in a hat"]
PLAN = LoraPlan(
    rank=2, alpha=2.0, batch_size=2, caption_dropout=0.0, vary_captions=False, min_snr_gamma=0.0, prior_weight=0.0
)
KINDS = [
    (Family.SD1, "epsilon", False), (Family.SD2, "v_prediction", False), (Family.SDXL, "epsilon", False),
    (Family.SDXL, "v_prediction", True),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "min-snr": {"min_snr_gamma": 5.0},
    "noise offset": {"noise_offset": 0.1},
    "input perturbation": {"input_perturbation": 0.1},
    "class pictures": {"prior_weight": 0.7, "prior_from": PICTURES},
    "all": {"min_snr_gamma": 5.0, "noise_offset": 0.05, "prior_weight": 1.0, "prior_from": PICTURES},
}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0].value}-{kind[1][:1]}{'-zero' * kind[2]}")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    torch.set_num_threads(1)
    family, prediction, zero = request.param
    folder: Path = tmp_path_factory.mktemp("base")
    base = make(family, folder, prediction=prediction, zero_terminal_snr=zero)
    return registry.load(base, compute.choose("fp32"), 64)


def pictures(seed: int, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))


def trainer(model: DiffusionModel, plan: LoraPlan) -> Trainer:
    """With one LoRA on the model, however many tests share it, and with weights that are not at their beginning."""
    if not hasattr(model, "tested_lora"):
        model.tested_lora = Lora(model, PLAN)  # type: ignore[attr-defined]
        shaken = torch.Generator().manual_seed(5)
        state = model.tested_lora.state()  # type: ignore[attr-defined]
        model.tested_lora.load(  # type: ignore[attr-defined]
            {key: one + 0.02 * torch.randn(one.shape, generator=shaken) for key, one in state.items()}
        )
    others = ClassSet(cache.encode_all(model, pictures(1, 2)), ["a man", "a man in a hat"])
    text = cache.text_states(model, ["", *CAPTIONS, *others.captions])
    data = TrainingSet(cache.encode_all(model, pictures(0, 3)), CAPTIONS, ["man"] * 3, text, others=others)
    return Trainer(model, model.tested_lora, data, plan, 4)  # type: ignore[attr-defined]


def reference_term(running: Trainer, rows: torch.Tensor, of_class: bool) -> torch.Tensor:
    """The loss of one batch by diffusers' means, with the trainer's own random numbers."""
    model, plan, generator = running.model, running.plan, running.objective.generator
    source = running.data.others if of_class else running.data
    assert source is not None
    scheduler = DDPMScheduler(**{**model.scheduler_config(), "timestep_spacing": "leading"})
    latents = source.latents.draw(rows, generator)
    noise = torch.randn(latents.shape, generator=generator)
    if plan.noise_offset:
        noise = noise + plan.noise_offset * torch.randn((len(rows), latents.shape[1], 1, 1), generator=generator)
    times = spread_timesteps(len(rows), 1000, generator)
    added = noise
    if plan.input_perturbation:
        added = noise + plan.input_perturbation * torch.randn(latents.shape, generator=generator)
    if not of_class:
        torch.rand(len(rows), generator=generator)  # which captions are left out
    noisy = scheduler.add_noise(latents, added, times)
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, times) if velocity else noise
    answer = model.predict(noisy, times, running.data.text.of([source.captions[row] for row in rows.tolist()]))
    error = torch.nn.functional.mse_loss(answer, target, reduction="none").mean(dim=(1, 2, 3))
    if plan.min_snr_gamma:
        snr = compute_snr(scheduler, times)
        lowest = torch.stack([snr, plan.min_snr_gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
        error = error * lowest / (snr + 1 if velocity else snr)
    return error.mean()


def reference_loss(running: Trainer) -> torch.Tensor:
    drawn = running.objective.large
    loss = reference_term(running, drawn.rows.take(2), of_class=False)
    if running.plan.prior_weight:
        loss = loss + running.plan.prior_weight * reference_term(running, drawn.others.take(1), of_class=True)
    return loss


def gradients(running: Trainer, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, running._parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loss_and_gradients_are_those_of_the_reference(model: DiffusionModel, options: dict[str, Any]) -> None:
    plan = PLAN.copy(update=options)
    ours, theirs = trainer(model, plan), trainer(model, plan)
    found, wanted = ours.objective.loss(early=False), reference_loss(theirs)
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    for one, other in zip(gradients(ours, found), gradients(theirs, wanted), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
