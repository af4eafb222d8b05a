"""Is there room on the disks for all that a training writes, and may it write there? Asked before any work, the room
answered with numbers."""

from __future__ import annotations

import errno
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from personal_avatar import wording
from personal_avatar.domain import BaseModelFile, Engine
from personal_avatar.errors import DiskFull, NotWritable
from personal_avatar.jobs.kept import STATE_FOLDER
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.storage import nearest_there, try_to_write
from personal_avatar.training import storing
from personal_avatar.training.data.captions import LEADS
from personal_avatar.training.engines.kohya import copies
from personal_avatar.training.evaluation.bench import SHOWN
from personal_avatar.training.families.detect import CHANNELS, LATENT_PX
from personal_avatar.training.families.files import Shapes, read_shapes
from personal_avatar.training.families.windows import MOST_WINDOWS, TOKENS
from personal_avatar.training.planning.counts import file_bytes, text_width, trained_numbers
from personal_avatar.training.planning.plan import DreamboothPlan, TrainPlan, resolution_of
from personal_avatar.training.planning.reckoning import kept_of_each
from personal_avatar.training.planning.task import TrainTask

SPARE_BYTES = 200 * 10**6  # logs, report, and what else happens on the disk meanwhile
KEPT_HEAVY = 2  # checkpoints that stay on the disk: the best and the last
STATES = 2  # to go on from: the valid one, and the next one beside it while that is written
HANDED_OUT = 1  # more of them, where other processes begin from it
PIXEL_BYTES = 3  # of a PNG, at most
WORD_STATES = MOST_WINDOWS * TOKENS  # of a caption with all tokens that are read: its length is not known yet
UNTRAINED_GRIDS = 4  # of pictures by the untrained checkpoint (untrained.py): of the person's words and of others


@dataclass(frozen=True)
class Space:
    """Bytes at the worst moment: `saved` in the job's folder, `published`, `cached` in the avatar's, `shared` in that
    of all trainings; `each`: of one checkpoint, `files`: how many of them lie in the job's folder at once; `state`: of
    what pausing keeps, `states`: how often it lies there, which `saved` holds as well."""

    saved: int
    published: int
    cached: int
    shared: int
    each: int
    files: int
    state: int
    states: int


def refuse_full(task: TrainTask, plan: TrainPlan, folder: Path) -> None:
    """`folder`: of the job; what a training that goes on has left there already is not wanted again. Raises `DiskFull`
    when a disk has not the room, `NotWritable` where there can be no such folder, `BaseNotFound`, `BaseUnsupported`."""
    found = needs(plan, task.base, len(task.photos), task.engine)
    if (storing.facts_of(folder / STATE_FOLDER) or {}).get("weights"):  # no step is left, and none is kept again
        found = replace(found, saved=found.saved - found.states * found.state, states=0)
    wanted: dict[int, int] = defaultdict(int)
    places: dict[int, Path] = {}
    for place, size in (
        (folder, max(0, found.saved - _bytes_in(folder))), (task.publish_to, found.published),
        (task.avatar_folder, found.cached), (task.cache or folder, found.shared),
    ):
        there = _nearest(place)
        disk = os.stat(there).st_dev
        wanted[disk] += size
        places.setdefault(disk, there)
    for disk, size in wanted.items():
        _refuse(places[disk], size + SPARE_BYTES, found, plan)


def refuse_closed(folder: Path) -> None:
    """Raise `NotWritable` where no file can be made in `folder`, nor where it is not there, the folder itself."""
    there = _nearest(folder)
    try:
        try_to_write(there)
    except OSError as error:
        if isinstance(named(error), DiskFull):
            raise
        raise stated(NotWritable, "failure.closed", folder=folder, cause=error.strerror) from error


def _refuse(place: Path, wanted: int, found: Space, plan: TrainPlan) -> None:
    free = shutil.disk_usage(place).free
    if free >= wanted:
        return
    may_be_fewer = found.files > 1 and plan.save_count > 1
    raise stated(
        DiskFull, "failure.room", "remedy.free_or_fewer" if may_be_fewer else "remedy.free_and_train", place=place,
        wanted=wording.size(wanted / 1e6), free=wording.size(free / 1e6), files=found.files, name="save_count",
        each=wording.size(found.each / 1e6), states=wording.size(found.states * found.state / 1e6),
    )


def needs(plan: TrainPlan, base: BaseModelFile, photos: int, engine: Engine = Engine.DIFFUSERS) -> Space:
    """What the training of `photos` pictures writes. Raises `BaseNotFound`, `BaseUnsupported`."""
    shapes = read_shapes(base.path)
    pixels, each = resolution_of(plan, base) ** 2, file_bytes(plan, shapes, base)
    files = _files(plan, engine)
    pictures = photos * (2 if plan.flip else 1)
    latents = 2 * 4 * CHANNELS * pixels // LATENT_PX**2  # mean and spread in fp32
    texts = 2 * len(LEADS) * WORD_STATES * 4 * text_width(shapes)  # with the trigger and with the class
    samples = SHOWN * (plan.save_count + 1) * PIXEL_BYTES * pixels
    untrained = UNTRAINED_GRIDS * plan.score_pictures * PIXEL_BYTES * pixels
    of_class = plan.class_pictures if plan.wants_class_pictures else 0
    foreign = engine is Engine.KOHYA  # has pictures and copies of its own, and cannot be paused
    own = pictures * PIXEL_BYTES * pixels + copies.most_bytes(base) if foreign else 0
    state = 0 if foreign else state_bytes(plan, shapes)
    states = STATES + (HANDED_OUT if plan.gpus > 1 else 0)
    return Space(
        saved=files * each + states * state + samples + own,
        published=each,
        cached=photos * (PIXEL_BYTES * pixels + texts) + pictures * latents + untrained,
        shared=of_class * (PIXEL_BYTES * pixels + latents),
        each=each,
        files=files,
        state=state,
        states=states,
    )


def state_bytes(plan: TrainPlan, shapes: Shapes) -> int:
    """Of all that the next step depends on: trained weights, the optimiser's memory of them, their average."""
    return round(trained_numbers(plan, shapes) * kept_of_each(plan))


def _files(plan: TrainPlan, engine: Engine) -> int:
    """Checkpoints in the job's folder at once. Large ones: the best, the last and the one that is being written;
    sd-scripts removes none, and writes the last one twice."""
    if engine is Engine.KOHYA:
        return plan.save_count + 1
    return min(plan.save_count, KEPT_HEAVY + 1) if isinstance(plan, DreamboothPlan) else plan.save_count


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it. Raises `NotWritable` where something else is in its way, or nothing is
    there at all."""
    place = nearest_there(folder)
    if place is None or not place.is_dir():
        why = os.strerror(errno.ENOENT if place is None else errno.ENOTDIR)
        raise stated(NotWritable, "failure.closed", folder=folder, cause=why)
    return place
