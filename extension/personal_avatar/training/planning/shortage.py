"""When the memory ran out after all: the failure names the nearest plan that needs less; and when main memory may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from personal_avatar.environment import free
from personal_avatar.errors import AvatarError, OutOfMemory, OutOfVram
from personal_avatar.naming import named
from personal_avatar.training.planning import fitting, learned
from personal_avatar.training.planning.fitting import Offer
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.planning.reckoning import main_memory_of
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.planning.ways import RAM, VRAM, Wish
from personal_avatar.wording import text


@contextmanager
def advised(task: TrainTask) -> Iterator[None]:
    """Whatever says inside that memory ran out comes out as `OutOfVram` or `OutOfMemory`, whose hint and `details` name
    a smaller plan; everything else as it was."""
    try:
        yield
    except (MemoryError, RuntimeError, OutOfVram, OutOfMemory) as error:
        found = named(error)
        if not isinstance(found, OutOfVram | OutOfMemory):
            raise
        raise with_offer(found, task) from error


def with_offer(error: AvatarError, task: TrainTask) -> AvatarError:
    """The same error; its hint is the usual one where nothing smaller can be found."""
    try:
        offer = smaller(task, VRAM if isinstance(error, OutOfVram) else RAM)
    except AvatarError:  # the checkpoint cannot be read any more
        return error
    if offer is not None:
        error.hint = text("ending.hint.smaller", changes=fitting.in_words(offer.changes), usual=error.hint)
        error.details = {
            "changes": offer.changes, "method": offer.method.value, "plan": offer.plan,
            "predicted_gb": offer.predicted_gb,
        }
    return error


def of_main_memory(task: TrainTask, plan: TrainPlan) -> str:
    """What is to be told where main memory may not suffice beside a card, whose room was looked at before the start;
    else "". By now it may hold the WebUI's checkpoint, which made room on the card. What is needed of it is not known
    well enough to refuse a training. Raises `BaseNotFound`, `BaseUnsupported`."""
    if not free.has_card():
        return ""
    needed_gb, left_gb = main_memory_of(plan, task.base), free.machine().free_gb
    if needed_gb <= left_gb:
        return ""
    return text("log.little_memory", needed=f"{needed_gb:.1f}", free=f"{left_gb:.1f}")


def smaller(task: TrainTask, memory: str) -> Offer | None:
    """What needs at least a tenth less than this training; None when nothing does."""
    wish = Wish(task.base, task.method, task.plan, memory)
    return fitting.smaller(wish, learned.load(task.weights_folder.parent))
