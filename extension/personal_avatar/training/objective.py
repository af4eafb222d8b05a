"""What a step lessens: how far the answers are from what is wanted, on batches drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from personal_avatar.training import losses
from personal_avatar.training.data.captions import drop, exchange, shuffle_tags, vary
from personal_avatar.training.data.feed import Feed
from personal_avatar.training.data.training_set import Noised, Pictures, TrainingSet
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.planning.plan import BOTH, MIDDLE, PREDICTION, TrainPlan

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Asked:
    """A batch and its captions, which are read in `windows` at least. `places` (batch, height, width): what each place
    counts, None: all alike."""

    noised: Noised
    captions: list[str]
    places: torch.Tensor | None = None
    windows: int = 1


class Objective:
    """Of one training. All that is random in it follows from `state`."""

    generator: torch.Generator

    def __init__(self, model: DiffusionModel, method: TrainingMethod, data: TrainingSet, plan: TrainPlan) -> None:
        self.model, self.method, self.data, self.plan = model, method, data, plan
        self._only_draws = False
        self._alphas = model.alphas_cumprod().float()
        self._weights = losses.timestep_weights(self._alphas, plan, model.base.prediction)
        self.start()

    def start(self) -> None:
        """Draw as from the first step on."""
        import torch

        self.generator = torch.Generator("cpu").manual_seed(self.plan.seed)
        self.large = Feed(self.data.large, self.generator)
        self.small = Feed(self.data.small, self.generator) if self.data.small else None

    def state(self) -> dict[str, Any]:
        """What the next random numbers and batches follow from."""
        return {"generator": self.generator.get_state(), "feeds": [feed.state() for feed in self._feeds()]}

    def set_state(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        for feed, known in zip(self._feeds(), state["feeds"], strict=True):
            feed.set_state(known)

    def _feeds(self) -> list[Feed]:
        return [feed for feed in (self.large, self.small) if feed is not None]

    def pass_over(self, passed: float) -> torch.Tensor:
        """A batch that another process of the team computes: the same random numbers are drawn for it here."""
        import torch

        self._only_draws = True
        try:
            with torch.no_grad():
                return torch.zeros_like(self.loss(passed), dtype=torch.float32)
        finally:
            self._only_draws = False

    def loss(self, passed: float) -> torch.Tensor:
        """Of the next batch: the sum of `parts`."""
        import torch

        return torch.stack(list(self.parts(passed))).sum()

    def form(self, passed: float) -> tuple[bool, bool]:
        """Of the batches then: whether their pictures are of half the size, and whether what holds the class is asked
        for. The network is asked in other sizes where it changes."""
        plan = self.plan
        halved = passed < plan.low_first and self.small is not None
        return halved, plan.prior_weight > 0 and passed >= plan.prior_after

    def parts(self, passed: float) -> Iterator[torch.Tensor]:
        """Of the next batch: error on the person's pictures and, when asked for, what holds the class where it was;
        together, or where memory counts more than time one after the other, so that who goes back through each at once
        keeps what one of them needs.

        `passed`: share of the training's steps that are done; the first may be on pictures of half the size.
        """
        plan, (halved, holds) = self.plan, self.form(passed)
        feed = self.small if halved and self.small is not None else self.large
        shown, rows = feed.pictures, feed.rows.take(plan.batch_size)
        noised = self._noised(shown.latents.draw(rows, self.generator))
        captions = drop(self._captions(rows), plan.caption_dropout, self.generator)
        asked = Asked(noised, captions, self._places(shown, rows))
        if not holds:
            yield self._errors(asked)[0]
            return
        of_class = self._of_class(feed, rows, asked)
        if plan.gradient_checkpointing:
            yield self._errors(asked)[0]
            yield plan.prior_weight * self._errors(of_class)[0]
        else:
            ours, held = self._errors(asked, of_class)
            yield ours + plan.prior_weight * held

    def _errors(self, *batches: Asked) -> list[torch.Tensor]:
        """How far the answers to each batch are from what is wanted there."""
        answers = self._answers(batches)
        return [
            losses.weighted_error(answer, batch.noised.wanted, batch.noised.weights, batch.places)
            for answer, batch in zip(answers, batches, strict=True)
        ]

    def _answers(self, batches: Sequence[Asked]) -> list[torch.Tensor]:
        """In one pass where pictures are of one size and captions of as many windows, for empty windows change the
        answer: a pass has a cost of its own, however few pictures it has."""
        import torch

        windows = [max(batch.windows, self._windows(batch.captions)) for batch in batches]
        sizes = [batch.noised.noisy.shape[1:] for batch in batches]
        if len(set(zip(sizes, windows, strict=True))) > 1:
            return [self._answer(batch) for batch in batches]
        captions = [caption for batch in batches for caption in batch.captions]
        answer = self._answer(Asked(Noised.together([batch.noised for batch in batches]), captions, windows=windows[0]))
        return list(torch.split(answer, [len(batch.captions) for batch in batches]))

    def _of_class(self, feed: Feed, rows: torch.Tensor, ours: Asked) -> Asked:
        """What holds the class where it was: `plan.prior_rows` pictures. `ours`: the person's."""
        plan, shown, half = self.plan, feed.pictures, self.plan.prior_rows
        if plan.prior_from == PREDICTION or shown.others is None:
            captions = self._class_captions([self.data.class_captions[row] for row in rows[:half].tolist()])
            return self._as_untrained(Asked(ours.noised.first(half), captions), ours.captions)
        others = feed.others.take(half)
        noised = self._noised(shown.others.latents.draw(others, self.generator))
        asked = Asked(noised, self._class_captions([shown.others.captions[row] for row in others.tolist()]))
        return self._as_untrained(asked, ours.captions) if plan.prior_from == BOTH else asked

    def _as_untrained(self, asked: Asked, beside: list[str]) -> Asked:
        """The answers that are wanted are the untrained checkpoint's own, to what is read when captions that may be
        longer stand `beside` these, so that one pass is enough for both."""
        import torch

        asked = replace(asked, windows=self._windows([*asked.captions, *beside]))
        with torch.no_grad(), self.method.strength(0.0):
            return replace(asked, noised=replace(asked.noised, wanted=self._answer(asked)))

    def _noised(self, latents: torch.Tensor) -> Noised:
        """Latents with noise of random timesteps."""
        send = self.model.compute.send
        noise = losses.draw_noise(latents.shape, self.plan.noise_offset, self.generator)
        drawn = losses.middle_timesteps if self.plan.timesteps == MIDDLE else losses.spread_timesteps
        times = drawn(len(latents), len(self._alphas), self.generator)
        alpha = self._alphas[times]
        added = noise
        if self.plan.input_perturbation > 0:
            added = noise + self.plan.input_perturbation * losses.draw_noise(latents.shape, 0.0, self.generator)
        wanted = losses.target(latents, noise, alpha, self.model.base.prediction)
        tensors = (losses.add_noise(latents, added, alpha), times, wanted, self._weights[times])
        return Noised(*(send(tensor) for tensor in tensors))

    def _places(self, shown: Pictures, rows: torch.Tensor) -> torch.Tensor | None:
        import torch

        if shown.places is None:
            return None
        return self.model.compute.send(torch.stack([shown.places[row] for row in rows.tolist()]))

    def _captions(self, rows: torch.Tensor) -> list[str]:
        captions = self._varied([self.data.captions[row] for row in rows.tolist()])
        if not self.plan.shuffle_captions:
            return captions
        return [shuffle_tags(caption, self.plan.keep_tags, self.generator) for caption in captions]

    def _varied(self, captions: list[str]) -> list[str]:
        return vary(captions, self.generator) if self.plan.vary_captions else captions

    def _class_captions(self, captions: list[str]) -> list[str]:
        """Captions of the class as the prior asks by them, some of them empty.

        Guidance leads away from the answer to no words. One that has moved towards the person leads everybody away
        from the person, and the person's own pictures, too.
        """
        asked = self._varied(captions)
        if self.data.styled:
            asked = exchange(asked, self.data.styled, self.plan.prior_styles, self.generator)
        return drop(asked, self.plan.prior_dropout, self.generator)

    def _answer(self, asked: Asked) -> torch.Tensor:
        noised = asked.noised
        if self._only_draws:
            return noised.wanted
        return self.model.predict(noised.noisy, noised.times, self._text(asked.captions, asked.windows))

    def _windows(self, captions: list[str]) -> int:
        """Of the longest caption."""
        return max((self.data.text or self.model).windows(captions))

    def _text(self, captions: list[str], least: int) -> Conditioning:
        import torch

        if self.data.text is not None:
            return self.data.text.of(captions, least)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.method.trains_text):
            return self.model.encode_text(captions, self.plan.clip_skip, least)
