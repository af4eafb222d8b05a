"""One training loop for all methods and all model families."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import NanLoss
from personal_avatar.problems import stated
from personal_avatar.training import compiling, optimisers
from personal_avatar.training.averaging import Averaged
from personal_avatar.training.compiling import Regions
from personal_avatar.training.compute import scaler_for
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import State, TrainingMethod
from personal_avatar.training.objective import Objective
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.planning.rates import has_own_schedule
from personal_avatar.training.planning.schedule import ahead, rate_factor, save_steps
from personal_avatar.training.storing import copied
from personal_avatar.training.team import ALONE, Team
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

MAX_GRADIENT_NORM = 1.0
EXPLODED_LOSS = 50.0  # squared error; answers and targets have about unit variance
HALVINGS = 2
SNAPSHOTS = 20
LOOK_EVERY = 10  # steps between two looks at the loss where looking means waiting for the device
COUNTS = ("done", "rate", "halvings", "saved", "enough")
PARTS = ("losses", "weights", "optimiser", "scaler", "averaged", "drawn")


@dataclass(frozen=True)
class Hooks:
    """`step(done, total, loss, seconds_per_step)` may raise to stop; the loss is None before any was looked at.
    `save(step)` answers whether that is enough; `note(sentence)`; `recover()` puts back the last saved weights and
    answers their step. `stops()`: whether `step` will want the state as it is, whose losses are then looked at before;
    `keep()` is called before and after `save`, when the training can be put away; `compiling()`: around a step in
    which blocks are compiled, with all losses before it looked at."""

    step: Callable[[int, int, float | None, float], None]
    save: Callable[[int], bool | None]
    note: Callable[[str], None]
    recover: Callable[[], int] = lambda: 0
    stops: Callable[[], bool] = lambda: False
    keep: Callable[[], None] = lambda: None
    compiling: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass
class Trainer:
    """A training in progress. `state`, `snapshot` and `restore` carry everything that the next step depends on.

    `saved`: the step of the last checkpoint that was saved and judged; `enough`: that was good enough to end with.
    """

    model: DiffusionModel
    method: TrainingMethod
    data: TrainingSet
    plan: TrainPlan
    total: int
    done: int = 0
    rate: float = 1.0
    halvings: int = 0
    saved: int = 0
    enough: bool = False
    losses: list[float] = field(default_factory=list)
    note: Callable[[str], None] = lambda sentence: None
    team: Team = ALONE

    def __post_init__(self) -> None:
        self.objective = Objective(self.model, self.method, self.data, self.plan)
        alone_on_card = self.model.compute.device.type == "cuda" and self.plan.gpus == 1
        self._look_every = LOOK_EVERY if alone_on_card else 1
        self._unseen: list[torch.Tensor] = []
        self._saves = save_steps(self.total, self.plan.save_count)
        self._start_optimiser()
        self.regions = Regions(self.model.unet, self.note)
        if compiling.wanted(self.plan, self.model.compute, self.total):
            self.regions.start()
        if self.plan.gradient_checkpointing:
            self.model.unet.enable_gradient_checkpointing()

    def _start_optimiser(self) -> None:
        groups = self.method.parameter_groups()
        self._optimiser = optimisers.make(groups, self.plan)
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self._averaged = Averaged(self._parameters(), self.plan.ema_decay, self._optimiser)
        self._scaler = scaler_for(self.model.compute)

    def run(self, hooks: Hooks) -> None:
        """All steps that are left. Raises `NanLoss` when halving the learning rate did not help."""
        every = max(10, self.total // SNAPSHOTS)
        self._checkpoint(hooks)  # one that was due when the training was put away
        good, good_at, spent_s, first = self._good(), self.done, 0.0, self.done
        compiled: set[object] = set()
        while not self.is_over:
            form = self.objective.form(self._passed)
            compiles = self.regions.on and form not in compiled
            began, before = time.monotonic(), self.done
            fine = not compiles or self._look()  # so that it can be put away before
            if fine:
                with hooks.compiling() if compiles else nullcontext():
                    fine = self.step()
                compiled.add(form)
            if compiles:  # which says nothing about the steps to come
                first += self.done - before
            else:
                spent_s += time.monotonic() - began
            if not fine or (hooks.stops() and not self._look()):
                self._halve(good, hooks)
                good_at = self.done
                continue
            hooks.step(self.done, self.total, self.last_loss, spent_s / max(1, self.done - first))
            if self.done - good_at >= every and not self._unseen:
                good, good_at = self._good(), self.done
            self._checkpoint(hooks)
        self.regions.stop()

    def _checkpoint(self, hooks: Hooks) -> None:
        """Save and judge the weights of this step, when that is due and has not been done."""
        if self.done not in self._saves or self.saved == self.done:
            return
        hooks.keep()
        with self.as_saved():
            self.enough = bool(hooks.save(self.done))
        self.saved = self.done
        hooks.keep()

    @contextmanager
    def as_saved(self) -> Iterator[None]:
        """Within, the weights are those that a checkpoint holds: averaged ones, where the plan averages."""
        with self._averaged.in_place(), self.regions.paused():
            yield

    def step(self) -> bool:
        """One optimiser step; False when the numbers blew up: the weights are then not to be used.

        On a graphics card the losses of several steps are looked at together, so that nothing waits for it.
        """
        import torch

        self._set_rates()
        if not self.model.unet.training:
            self.model.unet.train()
        loss = self._backward()
        self._scaler.unscale_(self._optimiser)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters(), MAX_GRADIENT_NORM)
        norm = torch.zeros_like(norm) if self._scaler.is_enabled() else norm  # the scaler skips infinite ones itself
        self._unseen.append(torch.stack([loss, norm.detach().to(loss.device)]))
        due = len(self._unseen) >= self._look_every or self.done + 1 in self._saves
        if due and not self._look():
            return False
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self._averaged.update()
        self.done += 1
        return True

    @property
    def is_over(self) -> bool:
        """Whether no step is left to be made."""
        return self.done >= self.total or self.enough

    @property
    def is_settled(self) -> bool:
        """Whether all losses have been looked at, so that the weights are known to be numbers."""
        return not self._unseen

    @property
    def has_learned(self) -> bool:
        """Whether the weights have moved; in half precision first steps are left out until a scale is found."""
        return optimisers.has_moved(self._optimiser)

    @property
    def last_loss(self) -> float | None:
        """The newest that was looked at; None before any was."""
        return self.losses[-1] if self.losses else None

    def _set_rates(self) -> None:
        own = has_own_schedule(self.plan)
        factor = self.rate * (1.0 if own else rate_factor(self.done, self.total, self.plan))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor * ahead(self._passed, group.get("ahead", 1.0))

    @property
    def _passed(self) -> float:
        """Share of the steps that are done."""
        return self.done / self.total

    def _backward(self) -> torch.Tensor:
        """Gradients of `accumulate` batches; their mean loss, detached, float32 on the device."""
        import torch

        parts = [
            self.regions.call(self._part) if self.team.does(number) else self.objective.pass_over(self._passed)
            for number in range(self.plan.accumulate)
        ]
        return self.team.together(torch.stack(parts).sum(), self._parameters())

    def _part(self) -> torch.Tensor:
        """One batch; when it fails, as compiling may at the first step, nothing is drawn, and gradients are dropped."""
        import torch

        before = self.objective.state()
        try:
            loss = torch.zeros((), device=self.model.compute.device)
            for part in self.objective.parts(self._passed):
                share = part / self.plan.accumulate
                self._scaler.scale(share).backward()
                loss += share.detach().float()
        except Exception:
            self.objective.set_state(before)
            self._optimiser.zero_grad(set_to_none=True)
            raise
        return loss

    def _look(self) -> bool:
        """Take the losses that have not been looked at yet; False when one of them, or a gradient, is no number."""
        import torch

        if not self._unseen:
            return True
        pairs = torch.stack(self._unseen).tolist()
        self._unseen = []
        self.losses += [loss for loss, _ in pairs]
        return all(loss < EXPLODED_LOSS and norm < float("inf") for loss, norm in pairs)  # false for NaN, too

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [weight for group in self._optimiser.param_groups for weight in group["params"]]

    def _good(self) -> dict[str, Any]:
        """What to go back to. Weights that are too many to be copied now and then are read from the last saved file."""
        return {} if self.method.heavy else self.snapshot()

    def _halve(self, good: dict[str, Any], hooks: Hooks) -> None:
        """Back to the last good state at half the learning rate; the random numbers go on, so that they differ."""
        at, halvings = self.done, self.halvings + 1
        if halvings > HALVINGS:
            raise stated(NanLoss, "ending.nan", step=at, rate=f"{self.rate:g}")
        self._unseen = []
        self._optimiser.zero_grad(set_to_none=True)  # no number, perhaps
        if good:
            numbers = self.objective.generator.get_state()
            self.restore(copied(good))
            self.objective.generator.set_state(numbers)
        else:
            self.done = hooks.recover()
            del self.losses[self.done :]
            self._start_optimiser()
        self._scaler = scaler_for(self.model.compute)  # the old one waits for a step that will not be made
        self.halvings, self.rate = halvings, 0.5**halvings
        hooks.note(text("log.blew_up", at=at, step=self.done))

    def snapshot(self) -> dict[str, Any]:
        """`state`, copied to main memory."""
        found: dict[str, Any] = copied(self.state())
        return found

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on: numbers, and the tensors themselves, which the next step changes.

        Between two steps, when all losses have been looked at.
        """
        return {
            **self.tally(),
            "weights": [weight.detach() for weight in self._parameters()],
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "averaged": self._averaged.state(),
            "drawn": self.objective.state(),
        }

    def tally(self) -> dict[str, Any]:
        """The numbers of `state` without its tensors: enough after the last step, when a file holds the weights."""
        return {**{name: getattr(self, name) for name in COUNTS}, "losses": list(self.losses)}

    def restore_tally(self, tally: dict[str, Any], weights: State) -> None:
        """Take up what needs no step any more; `weights`: as a checkpoint holds them, from its file. Raises
        `KeyError`; then nothing has changed."""
        counts, losses = {name: tally[name] for name in COUNTS}, tally["losses"]
        self.method.load(weights)
        self._start_optimiser()  # averages are those weights now
        self._take(counts, losses)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there; its tensors become ours. Raises `ValueError` when it belongs to other parameters; then
        nothing has changed."""
        self._refuse_other(state)
        scaler = scaler_for(self.model.compute)
        self._optimiser.load_state_dict(optimisers.taken_over(state["optimiser"], self._optimiser))
        if state["scaler"] and scaler.is_enabled():
            scaler.load_state_dict(state["scaler"])
        self._scaler = scaler
        self._averaged.set_state(state["averaged"])
        self.objective.set_state(state["drawn"])
        for weight, known in zip(self._parameters(), state["weights"], strict=True):
            weight.data.copy_(known)
        self._take(state, state["losses"])

    def _take(self, counts: dict[str, Any], losses: list[float]) -> None:
        for name in COUNTS:
            setattr(self, name, counts[name])
        self.losses[:] = losses
        self._unseen = []

    def start_again(self) -> None:
        """As if nothing had been restored; for a state that could not be."""
        self.objective.start()
        self._start_optimiser()

    def _refuse_other(self, state: dict[str, Any]) -> None:
        missing = sorted({*COUNTS, *PARTS} - state.keys())
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        if [weight.shape for weight in self._parameters()] != [weight.shape for weight in state["weights"]]:
            raise ValueError("it holds other weights")

    def tensors(self) -> Iterator[torch.Tensor]:
        """What the training itself keeps on the device between two steps, besides the model."""
        import torch

        yield from self._parameters()
        for kept in self._optimiser.state.values():
            yield from (value for value in kept.values() if isinstance(value, torch.Tensor))
        yield from self._averaged.tensors()
        yield from self.method.aside()
        yield from self._unseen
        yield from (value for value in vars(self._scaler).values() if isinstance(value, torch.Tensor))
        if self.data.text is not None:
            yield from self.data.text.states.values()
