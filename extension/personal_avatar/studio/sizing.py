"""Use cases: does a training find room here, which one like it would, and what did those before it really take?"""
from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile, Engine, Method, from_json
from personal_avatar.environment import free
from personal_avatar.environment.free import CARD, Free
from personal_avatar.environment.libraries import EIGHT_BIT, has_package
from personal_avatar.errors import AvatarError, OutOfMemory, OutOfVram
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import Job
from personal_avatar.studio.plans import shared_out
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.planning import fitting, learned
from personal_avatar.training.planning.estimate import together
from personal_avatar.training.planning.fitting import Offer
from personal_avatar.training.planning.learned import case_of
from personal_avatar.training.planning.reckoning import RUNTIME_GB
from personal_avatar.training.planning.shortage import with_offer
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.planning.ways import RAM, VRAM, Wish

if TYPE_CHECKING:
    from personal_avatar.studio.requests import TrainRequest
    from personal_avatar.studio.studio import Studio

HERE = "local"
log = logging.getLogger(__name__)


class Sizing:
    """What the doors may ask about the memory of trainings."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def free(self) -> Free:
        """Memory that a training could have now: what is free, what our earlier trainings will give back, and on a
        card what the host's own model takes, which can be parked."""
        views = self._studio.jobs.views(states=ACTIVE)
        ours = {view.status.pid: view.job for view in views if view.job.kind == TRAIN and view.status.pid}
        found = free.measured(ours, self._studio.host.card_index())
        return found.with_more(sum(_reckoned_gb(ours[pid]) for pid in found.untold))

    def refuse_too_large(self, request: TrainRequest, base: BaseModelFile) -> None:
        """Raises `PlanTooLarge`, which names the plan that would fit. Asks nothing where others do the work: another
        engine, another machine; nor of who wants to start it anyway."""
        if not request.even_if_too_large and self._needs_room_here(request.engine):
            room = self.free()
            self._refuse(self._wish(base, request.method, request.plan, room), room)

    def of_comparison(
        self, photos: int, plan: Mapping[str, Any], engine: Engine = Engine.DIFFUSERS
    ) -> dict[str, Any]:
        """`seconds` and `file_mb` that all methods that find room will take together, one after the other, and
        `memory_gb` of the largest; each with what it takes of the plan; `left_out`: the methods that find none. The
        photos alone, which train nothing, are not in it. Raises what `Studio.estimate` does, and `PlanTooLarge` where
        no method finds room."""
        shares = shared_out(plan, [method.value for method in Method], self._studio.host.checkpoint())
        plans = {Method(way): share.plan for way, share in shares.items()}
        left_out = self._without_room(plans) if self._needs_room_here(engine) else []
        each = [self._studio.estimate(photos, method, own) for method, own in plans.items() if method not in left_out]
        return {**together(each), "left_out": left_out}

    def _without_room(self, plans: Mapping[Method, Mapping[str, Any]]) -> list[Method]:
        """Methods that need more than is free with the loaded checkpoint. Raises `PlanTooLarge` where all do."""
        base, room, known = self._studio.host.checkpoint(), self.free(), self._known
        wishes = {method: self._wish(base, method, plan, room) for method, plan in plans.items()}
        found = [method for method, wish in wishes.items() if fitting.needed_gb(wish, known) > room.free_gb]
        if len(found) == len(wishes):
            self._refuse(wishes[found[0]], room)
        return found

    def _needs_room_here(self, engine: Engine) -> bool:
        return engine is Engine.DIFFUSERS and self._studio.host.rules().executor == HERE

    def _refuse(self, wish: Wish, room: Free) -> None:
        fitting.refuse_too_large(wish, room.free_gb, room.total_gb, self._known, room.name or "main memory")

    def offer(self, method: Method, plan: Mapping[str, Any]) -> Offer | None:
        """The plan that would fit now with the loaded checkpoint, nearest to this one; None when none would."""
        room = self.free()
        wish = self._wish(self._studio.host.checkpoint(), method, plan, room)
        return fitting.nearest_fitting(wish, room.free_gb, self._known)

    def needed_gb(self, task: TrainTask) -> float:
        """GB that a training is expected to need where trainings run now."""
        wish = self._wish(task.base, task.method, task.plan, self.free())
        return fitting.needed_gb(wish, self._known)

    def advised(self, job: Job, error: AvatarError) -> AvatarError:
        """A failure for want of memory, also one that only the system told of, with a smaller plan; others as they
        are."""
        is_short = job.kind == TRAIN and isinstance(error, OutOfMemory | OutOfVram) and not error.details
        return with_offer(error, from_json(TrainTask, job.payload)) if is_short else error

    def learn(self, job: Job, result: Mapping[str, Any]) -> None:
        """Remember what a training that came to its end took. Never raises."""
        try:
            self._learn(from_json(TrainTask, job.payload), result)
        except (AvatarError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The memory of job %s was not noted: %s", job.id, error)

    def _learn(self, task: TrainTask, result: Mapping[str, Any]) -> None:
        memory, peak_gb = result.get("peak_memory_of"), result.get("peak_memory_gb")
        if task.engine is not Engine.DIFFUSERS or memory not in (VRAM, RAM) or not peak_gb:
            return
        on_card = memory == VRAM
        wish = Wish(task.base, task.method, task.plan, str(memory))
        taken_gb = float(peak_gb) + (RUNTIME_GB[True] if on_card else 0.0)  # torch does not count the card's context
        ratio = taken_gb / fitting.predicted_gb(wish)
        case = case_of(wish.plan, task.base, task.method, wish.memory)
        learned.save(self._data, self._known.with_ratio(case, ratio))

    @property
    def _data(self) -> Path:
        return self._studio.host.folders().data

    @property
    def _known(self) -> learned.Learned:
        return learned.load(self._data)

    def _wish(self, base: BaseModelFile, method: Method, plan: Mapping[str, Any], room: Free) -> Wish:
        on_card = room.kind == CARD
        return Wish(base, method, plan, room.kind, on_card and has_package(self._studio.host.trainer(), EIGHT_BIT))


def _reckoned_gb(job: Job) -> float:
    """What a training under way is thought to hold of a card that does not tell."""
    task = from_json(TrainTask, job.payload)
    try:
        return fitting.predicted_gb(Wish(task.base, task.method, task.plan, VRAM))
    except AvatarError:  # the checkpoint was taken away meanwhile
        return 0.0
