"""What a training is judged by: the untrained checkpoint's pictures, the photos that are held out, the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.domain import BaseModelFile, Dataset, Likeness
from personal_avatar.pictures import save_picture
from personal_avatar.training.cache import dataset_images, encode_all
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.grid import CHOOSING_SEED, FINAL_SEED, Grid, grid_for
from personal_avatar.training.likeness import FaceReader, LikenessMeter, Measured
from personal_avatar.training.plan import TrainPlan
from personal_avatar.training.presets import TINY_UP_TO_PX
from personal_avatar.training.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.selftest import BarePictures

SHOWN = 4
PROOF_SHOTS = 2


@dataclass(frozen=True)
class Bench:
    """Built before anything is attached to `model`, so that `floor`, `final_floor` and `bare` are the checkpoint's own.

    Checkpoints are chosen on one set of seeds and the chosen one is measured on another: the best of several would
    otherwise look better than it is.
    """

    model: DiffusionModel
    meter: LikenessMeter
    settings: SampleSettings
    choosing: Grid
    final: Grid
    floor: Measured
    final_floor: Measured
    final_other: Measured
    ceiling: float
    bare: BarePictures
    stop: Callable[[], None]

    def pictures(self, shots: Sequence[Shot]) -> np.ndarray:
        self.model.unet.eval()
        return make_pictures(self.model, shots, self.settings, self.stop)

    def final_likeness(self) -> Likeness:
        """Of the weights that are loaded now, on seeds that no choice was made by."""
        after, other = (self.meter.measure(self.pictures(shots)) for shots in (self.final.subject, self.final.other))
        return Likeness(self.final_floor.mean, after.mean, self.ceiling, other.mean - self.final_other.mean)


def set_up(
    model: DiffusionModel, dataset: Dataset, plan: TrainPlan, analyser: FaceReader, stop: Callable[[], None]
) -> Bench:
    """`stop` is called before each batch of pictures and may raise. Raises `NoFace` when no photo shows a face."""
    resolution_px = resolution_of(plan, model.base)
    settings = SampleSettings(resolution_px, plan.sample_steps, plan.guidance, batch_for(resolution_px))
    references = dataset_images(dataset, dataset.held_out or dataset.samples, resolution_px)
    meter = LikenessMeter(analyser, references)
    ceiling = meter.ceiling(model.decode_many(encode_all(model, references).mean))
    who = (model.base, dataset.trigger, dataset.class_noun, plan.score_pictures)
    choosing, final = grid_for(*who, CHOOSING_SEED), grid_for(*who, FINAL_SEED)

    def measured(shots: tuple[Shot, ...]) -> Measured:
        return meter.measure(make_pictures(model, shots, settings, stop))

    proof = choosing.subject[:PROOF_SHOTS]
    return Bench(
        model,
        meter,
        settings,
        choosing,
        final,
        floor=measured(choosing.subject),
        final_floor=measured(final.subject),
        final_other=measured(final.other),
        ceiling=ceiling,
        bare=BarePictures(proof, make_pictures(model, proof, settings), settings),
        stop=stop,
    )


def resolution_of(plan: TrainPlan, base: BaseModelFile) -> int:
    """As set, else the checkpoint's own; a multiple of 64 as the UNet needs it."""
    return max(64, (plan.resolution_px or base.native_px) // 64 * 64)


def batch_for(resolution_px: int) -> int:
    """Pictures made at once; guidance doubles it."""
    return 8 if resolution_px <= TINY_UP_TO_PX else 2


def keep_samples(images: np.ndarray, shots: Sequence[Shot], folder: Path, step: int) -> list[Path]:
    """Save the first few pictures of a grid; the same prompts and seeds for every step."""
    return [
        save_picture(image, folder / f"step-{step:06d}-{number}.png", f"{shot.prompt}\nSeed: {shot.seed}")
        for number, (image, shot) in enumerate(zip(images[:SHOWN], shots[:SHOWN], strict=True))
    ]
