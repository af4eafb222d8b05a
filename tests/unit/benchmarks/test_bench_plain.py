"""Our loop, with all that it does besides, takes the very steps of the plain one."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.benchmarks.child import timed
from personal_avatar.benchmarks.engines import ours
from personal_avatar.benchmarks.plain import PlainLoop, Settings
from personal_avatar.benchmarks.work import SpeedWork
from personal_avatar.domain import Family, Method
from personal_avatar.training import compute
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Trainer
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.planning.plan import LoraPlan

CAPTIONS = ["a portrait of sks man", "sks man smiling", "sks man in a garden"]
STEPS = 12


@dataclass(frozen=True)
class Case:
    family: Family = Family.SD1
    prediction: str = "epsilon"
    batch: int = 1
    dropout: float = 0.0
    noise_offset: float = 0.0
    precision: str = "fp32"


CASES = [
    Case(),
    Case(batch=2, dropout=0.4, noise_offset=0.05),
    Case(precision="bf16"),
    Case(Family.SD2, "v_prediction", batch=2),
    Case(Family.SDXL, noise_offset=0.05),
]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], DiffusionModel]:
    torch.set_num_threads(1)

    def load(case: Case) -> DiffusionModel:
        base = make(case.family, tmp_path_factory.mktemp("checkpoint"), prediction=case.prediction)
        return registry.load(base, compute.choose(case.precision), 64)

    return load


def latents() -> cache.Latents:
    generator = torch.Generator().manual_seed(5)
    means = tuple(torch.randn(4, 8, 8, generator=generator) for _ in CAPTIONS)
    return cache.Latents(means, tuple(torch.full_like(mean, 0.2) for mean in means))


def our_losses(model: DiffusionModel, case: Case) -> list[float]:
    plan = LoraPlan(
        rank=4, alpha=4.0, learning_rate=3e-3, batch_size=case.batch, caption_dropout=case.dropout, schedule="constant",
        noise_offset=case.noise_offset, min_snr_gamma=0.0, vary_captions=False, save_count=1,
    )
    text = reading.text_states(model, ["", *CAPTIONS])
    method = attach(Method.LORA, model, plan, trigger="sks man", class_noun="man")
    trainer = Trainer(model, method, TrainingSet(latents(), CAPTIONS, CAPTIONS, text), plan, STEPS)
    while trainer.done < STEPS:
        trainer.step()
    return trainer.losses


def plain_losses(model: DiffusionModel, case: Case) -> list[float]:
    settings = Settings(4, 4.0, 3e-3, case.batch, case.dropout, case.noise_offset)
    loop = PlainLoop(model, latents().mean, latents().std, CAPTIONS, settings)
    return [float(loop.step()) for _ in range(STEPS)]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family.value}-{case.prediction}-{case.precision}")
def test_our_loss_curve_equals_the_plain_loops(load: Callable[[Case], DiffusionModel], case: Case) -> None:
    ours, plain = our_losses(load(case), case), plain_losses(load(case), case)
    assert len(ours) == STEPS
    assert ours[-1] != ours[0]
    assert ours == pytest.approx(plain, rel=2e-4 if case.precision == "fp32" else 2e-2)


@pytest.mark.slow
def test_other_noise_gives_another_curve(load: Callable[[Case], DiffusionModel]) -> None:
    """So that equal curves are no matter of course."""
    case = Case()
    other = plain_losses(load(case), Case(noise_offset=0.05))
    assert our_losses(load(case), case)[1] != pytest.approx(other[1], rel=2e-2)


@pytest.mark.slow
def test_only_the_additions_of_the_plain_loop_learn(load: Callable[[Case], DiffusionModel], tmp_path: Path) -> None:
    model = load(Case())
    before = {name: weight.clone() for name, weight in model.unet.state_dict().items()}
    plain_losses(model, Case())
    after = model.unet.state_dict()
    kept = {name.replace(".base_layer", ""): weight for name, weight in after.items() if ".lora_" not in name}
    assert all(torch.equal(kept[name], weight) for name, weight in before.items())
    assert any(float(weight.abs().max()) > 0 for name, weight in after.items() if "lora_B" in name)


@pytest.mark.slow
def test_the_plain_loop_needs_nothing_that_torch_2_1_does_not_have(
    load: Callable[[Case], DiffusionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_losses(load(Case()), Case())  # whatever else is imported for it has been
    model = load(Case())
    monkeypatch.delattr(torch.amp, "GradScaler", raising=False)
    assert len(plain_losses(model, Case())) == STEPS


@pytest.mark.slow
def test_losses_that_are_looked_at_together_are_all_told(
    load: Callable[[Case], DiffusionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a graphics card."""
    model = load(Case())
    work = SpeedWork(model.base, 64, steps=11, warmup=2, rank=2)
    monkeypatch.setattr(Trainer, "__post_init__", in_tens(Trainer.__post_init__))
    step, told = ours(work, model), []
    for _ in range(work.warmup):
        told.append(step())
    assert len(timed(step, work.steps, torch.device("cpu"), told)) == work.steps
    losses = [float(loss) for loss in told]
    assert len(set(losses)) == work.total_steps
    assert all(0 < loss < 50 for loss in losses)


def in_tens(begin: Callable[[Trainer], None]) -> Callable[[Trainer], None]:
    def begun(trainer: Trainer) -> None:
        begin(trainer)
        trainer._look_every = 10

    return begun
