"""What a training is judged by: the untrained checkpoint's pictures, the photos that are held out, the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from personal_avatar.domain import RESEMBLANCE, BaseModelFile, Dataset, Likeness, Sample
from personal_avatar.errors import NoFace
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.pictures import save_picture
from personal_avatar.training.data.cache import encode_all, square_images
from personal_avatar.training.evaluation.diversity import diversity
from personal_avatar.training.evaluation.following import PromptJudge
from personal_avatar.training.evaluation.grid import CHOOSING_SEED, FINAL_SEED, Grid, grid_for, style_grid_for
from personal_avatar.training.evaluation.likeness import LikenessMeter, Measured
from personal_avatar.training.evaluation.meters import Meter, meter_for
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.evaluation.selftest import BarePictures, bare_pictures
from personal_avatar.training.evaluation.untrained import UntrainedPictures
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.planning.plan import TrainPlan, resolution_of
from personal_avatar.training.planning.presets import batch_for

if TYPE_CHECKING:
    from personal_avatar.training.work import Work

SHOWN = 4
PROOF_SHOTS, PROOF_STEPS = 2, 4
CEILING_PHOTOS = 12
LESS_GUIDANCE = 0.6  # so many times the plan's
LEAST_GUIDANCE = 1.5  # by less, prompts are not followed


@dataclass(frozen=True)
class Opinion:
    """Likeness as a recogniser sees it that chose neither photos nor checkpoint."""

    recogniser: str
    measured: Likeness


@dataclass(frozen=True)
class FinalScores:
    """What is told of a finished training. `measured`: by the bench's meter; `following` 0..1; `diversity`: see there;
    `images`: what was judged."""

    measured: Likeness
    following: float
    diversity: float
    images: np.ndarray
    second: Opinion | None = None


@dataclass(frozen=True)
class Guided:
    """Mean likeness of the final grid's pictures when they are made with another guidance than the plan's."""

    guidance: float
    likeness: float


@dataclass(frozen=True)
class SecondMeter:
    """Of another recogniser than the one that chose the photos, asked only in the end."""

    recogniser: str
    meter: Meter


class Switched(Protocol):
    """What puts the person into the model's pictures, and can be switched off: a training, or an adapter for faces."""

    def strength(self, weight: float) -> AbstractContextManager[None]:
        """Within: it counts `weight` times; 0 leaves the bare checkpoint, to the last bit."""
        ...


@dataclass(frozen=True)
class Untrained:
    """The checkpoint before the training, on the choosing seeds; `images`: the first few of its pictures. `others`:
    how like the person others are, None where nothing moves them."""

    images: np.ndarray
    likeness: Measured
    following: float
    diversity: float
    others: float | None


@dataclass(frozen=True)
class Bench:
    """Built before anything is attached to `model`, so that the pictures in `bare` are the checkpoint's own. `kind`:
    what the meter measures, `LIKENESS` to a person or `RESEMBLANCE` to pictures without faces.
    `photos`: what it was made with, and behind that some that are trained on, uint8 RGB (photos, side, side, 3).

    Checkpoints are chosen on one set of seeds and the chosen one is measured on another: the best of several would
    otherwise look better than it is.
    """

    model: DiffusionModel
    kind: str
    meter: Meter
    settings: SampleSettings
    choosing: Grid
    final: Grid
    judge: PromptJudge
    photos: np.ndarray
    bare: BarePictures
    known: UntrainedPictures
    stop: Callable[[], None]
    second: SecondMeter | None = None

    @cached_property
    def ceiling(self) -> float:
        """The best possible: the photos once through the VAE."""
        return self.meter.ceiling(self._reconstructed)

    @property
    def known_ceiling(self) -> float | None:
        """None as long as it has not been measured."""
        found: float | None = vars(self).get("ceiling")
        return found

    @cached_property
    def _reconstructed(self) -> np.ndarray:
        """Made when it is first asked for, so that the training begins at once; the VAE must not be parked then."""
        import torch

        with self.model.without(text=True, unet=True):
            means = encode_all(self.model, list(self.photos)).mean
            return self.model.decode_many(torch.stack(list(means)))

    def pictures(self, shots: Sequence[Shot]) -> np.ndarray:
        self.model.unet.eval()
        return make_pictures(self.model, shots, self.settings, self.stop)

    def following(self, images: np.ndarray, method: Switched, grid: Grid) -> float:
        """How well pictures of a grid's subject follow its prompts, judged by the bare checkpoint; 0..1."""
        with method.strength(0.0):
            return self.judge.score(images, grid.asked, self.stop)

    def untrained(self, method: Switched, moves_others: bool = False) -> Untrained:
        """What the checkpoint does by itself, on the choosing seeds."""
        images = self._untrained(method, self.choosing.subject)
        following = self.following(images, method, self.choosing)
        others = self.meter.measure(self._untrained(method, self._some_others)).mean if moves_others else None
        measured, varied = self.meter.measure(images), diversity(images, self.choosing.asked)
        return Untrained(images[:SHOWN], measured, following, varied, others)

    def _untrained(self, method: Switched, shots: Sequence[Shot]) -> np.ndarray:
        """Pictures of the checkpoint by itself, uint8 RGB (shots, side, side, 3)."""

        def paint(missing: Sequence[Shot]) -> np.ndarray:
            with method.strength(0.0):
                return self.pictures(missing)

        return self.known.of(shots, self.settings, paint)

    def others(self) -> float:
        """How like the person somebody else of the class is; of a style, pictures that do not ask for it."""
        return self._measure(self._some_others).mean

    @property
    def _some_others(self) -> Sequence[Shot]:
        """On half of the choosing seeds."""
        return self.choosing.other[: (len(self.choosing.other) + 1) // 2]

    def final_scores(self, method: Switched) -> FinalScores:
        """Of the weights that are loaded now, on seeds that no choice was made by."""
        return self.judged(self.pictures(self.final.subject), method)

    def judged(self, images: np.ndarray, method: Switched) -> FinalScores:
        """`images`: those of the final grid's subject."""
        others = self.pictures(self.final.other)
        bare, bare_others = (self._untrained(method, shots) for shots in (self.final.subject, self.final.other))

        def seen_by(meter: Meter, ceiling: float) -> Likeness:
            before, after = meter.measure(bare).mean, meter.measure(images).mean
            return Likeness(before, after, ceiling, meter.measure(others).mean - meter.measure(bare_others).mean)

        measured, second = seen_by(self.meter, self.ceiling), None
        if self.second is not None:
            meter = self.second.meter
            second = Opinion(self.second.recogniser, seen_by(meter, meter.ceiling(self._reconstructed)))
        following = self.following(images, method, self.final)
        return FinalScores(measured, following, diversity(images, self.final.asked), images, second)

    def less_guided(self) -> Guided | None:
        """Of the weights that are loaded now: guidance exaggerates what tells somebody from others. None where there is
        none to lessen."""
        less = max(LEAST_GUIDANCE, round(2 * LESS_GUIDANCE * self.settings.guidance) / 2)
        if less >= self.settings.guidance:
            return None
        mild = replace(self, settings=replace(self.settings, guidance=less))
        return Guided(less, mild._measure(self.final.subject).mean)

    def _measure(self, shots: Sequence[Shot]) -> Measured:
        return self.meter.measure(self.pictures(shots))


def set_up(work: Work, model: DiffusionModel, dataset: Dataset, second: FaceAnalyser | None = None) -> Bench:
    """Where portraits are trained on, they tell the ceiling as those that are held out do. The user's wishes are heeded
    before each batch of pictures. `second`: asked in the end, too, where it finds faces in the photos. Raises `NoFace`,
    see `meter_for`."""
    plan, wanted = work.plan, work.photo_settings
    settings = sample_settings(plan, model.base)
    shown = ceiling_samples(dataset, wanted.makes_portraits or plan.is_style)
    photos = square_images(dataset, shown, settings.resolution_px)
    references = photos[: len(dataset.held_out or dataset.samples)]
    kind, meter = meter_for(references, work.analyser.upright(), plan.is_style, wanted.wants_faces)
    choosing, final = (_grid(model.base, dataset, plan, seed) for seed in (CHOOSING_SEED, FINAL_SEED))
    proof, quick = choosing.subject[:PROOF_SHOTS], replace(settings, steps=PROOF_STEPS)
    return Bench(
        model,
        kind,
        meter,
        settings,
        choosing,
        final,
        judge=PromptJudge(model, tuple(dict.fromkeys(choosing.asked)), settings.clip_skip),
        photos=photos,
        bare=bare_pictures(model, proof, quick),
        known=UntrainedPictures(work.cache / "untrained", model),
        stop=work.wishes.heed,
        second=None if second is None or kind == RESEMBLANCE else _second_meter(second, references),
    )


def _second_meter(analyser: FaceAnalyser, references: np.ndarray) -> SecondMeter | None:
    try:
        return SecondMeter(analyser.name, LikenessMeter(analyser.upright(), references))
    except NoFace:
        return None


def ceiling_samples(dataset: Dataset, trained_too: bool) -> tuple[Sample, ...]:
    """What likeness is measured against; behind it, up to `CEILING_PHOTOS` in all, pictures that are trained on."""
    references = dataset.held_out or dataset.samples
    further = dataset.samples[: max(0, CEILING_PHOTOS - len(references))]
    return references + further if trained_too and dataset.held_out else references


def _grid(base: BaseModelFile, dataset: Dataset, plan: TrainPlan, first_seed: int) -> Grid:
    if plan.is_style:
        return style_grid_for(base, dataset.trigger, plan.score_pictures, first_seed)
    return grid_for(base, dataset.trigger, dataset.class_noun, plan.score_pictures, first_seed)


def sample_settings(plan: TrainPlan, base: BaseModelFile) -> SampleSettings:
    """How pictures are made while training."""
    side_px = resolution_of(plan, base)
    return SampleSettings(side_px, plan.sample_steps, plan.guidance, batch_for(side_px), clip_skip=plan.clip_skip)


def keep_samples(images: np.ndarray, shots: Sequence[Shot], folder: Path, step: int) -> list[Path]:
    """Save the first few pictures of a grid; the same prompts and seeds for every step."""
    return [
        save_picture(image, folder / f"step-{step:06d}-{number}.png", f"{shot.prompt}\nSeed: {shot.seed}")
        for number, (image, shot) in enumerate(zip(images[:SHOWN], shots[:SHOWN], strict=True))
    ]
