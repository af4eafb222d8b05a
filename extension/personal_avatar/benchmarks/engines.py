"""Who does the steps, each in a process of its own: our loop, the plain loop, and the least that a step must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from personal_avatar.benchmarks.plain import PlainLoop, Settings
from personal_avatar.benchmarks.work import CLASS_NOUN, LEARNING_RATE, PICTURES, SpeedWork
from personal_avatar.domain import Method
from personal_avatar.training.compute import version

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.data.cache import Latents
    from personal_avatar.training.families.model import DiffusionModel

Step = Callable[[], Any]
OURS, PLAIN, BOUND, BOUND_FUSED = "ours", "minimal", "bound", "bound-fused"


@dataclass(frozen=True)
class Later:
    """A loss that may not have been looked at yet: on a graphics card our loop looks at those of several steps at once,
    the last of them after its last step. `float()` of it then."""

    losses: list[float]
    number: int

    def __float__(self) -> float:
        return self.losses[self.number]


def latents_of(work: SpeedWork) -> Latents:
    """Random ones of the right size: what they show does not matter."""
    import torch

    from personal_avatar.training.data.cache import Latents

    generator = torch.Generator().manual_seed(work.seed)
    side = work.resolution_px // 8
    means = tuple(torch.randn(4, side, side, generator=generator) for _ in range(PICTURES))
    return Latents(means, tuple(torch.full_like(mean, 0.1) for mean in means))


def ours(work: SpeedWork, model: DiffusionModel) -> Step:
    """The training loop that users get."""
    from personal_avatar.training.data.reading import text_states
    from personal_avatar.training.data.training_set import TrainingSet
    from personal_avatar.training.loop import Trainer
    from personal_avatar.training.methods.registry import attach

    plan = work.plan()
    captions = work.captions()
    data = TrainingSet(latents_of(work), captions, captions, text_states(model, ["", *captions]))
    method = attach(Method.LORA, model, plan, trigger=f"sks {CLASS_NOUN}", class_noun=CLASS_NOUN)
    trainer = Trainer(model, method, data, plan, work.total_steps)
    model.park(text=True)

    def step() -> Later:
        trainer.step()
        return Later(trainer.losses, trainer.done - 1)

    return step


def plain(work: SpeedWork, model: DiffusionModel) -> Step:
    """diffusers and peft, and nothing else."""
    use_fused_attention(model)
    latents = latents_of(work)
    settings = Settings(work.rank, float(work.rank), LEARNING_RATE, work.batch, seed=work.seed)
    loop = PlainLoop(model, latents.mean, latents.std, work.captions(), settings)
    model.park(text=True)
    return loop.step


def bound(work: SpeedWork, model: DiffusionModel) -> Step:
    """Forward and back to the input through the bare UNet, in the number format of the work and nothing around it."""
    import torch

    bare = replace(model, compute=replace(model.compute, autocast=None))
    with torch.no_grad():
        text = bare.encode_text(work.captions()[:1] * work.batch)
    latents = torch.stack([latents_of(work).mean[0]] * work.batch).to(model.compute.device)
    times = torch.full((work.batch,), 500, device=latents.device)
    bare.unet.train()

    def step() -> torch.Tensor:
        noisy = latents.clone().requires_grad_()
        found = bare.predict(noisy, times, text)
        return torch.autograd.grad(found, noisy, torch.ones_like(found))[0].detach().mean()

    return step


def bound_fused(work: SpeedWork, model: DiffusionModel) -> Step:
    """The same with torch's own attention kernel; the faster one of the two is the bound."""
    use_fused_attention(model)
    return bound(work, model)


def use_fused_attention(model: DiffusionModel) -> None:
    """torch's kernel, as diffusers takes it by itself. Not where torch 2.1 ends the process with it."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    if not (version() < (2, 2) and model.compute.device.type == "cpu" and model.compute.autocast is not None):
        model.unet.set_attn_processor(AttnProcessor2_0())


ENGINES: dict[str, Callable[[SpeedWork, Any], Step]] = {
    OURS: ours,
    PLAIN: plain,
    BOUND: bound,
    BOUND_FUSED: bound_fused,
}
