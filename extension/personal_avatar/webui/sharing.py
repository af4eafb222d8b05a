"""The graphics card is shared with trainings, which have processes of their own.

They park while the WebUI works: asked when a picture begins (the hook of our script, our own pictures) or other work
that no hook tells of, released when the WebUI's queue has been free for a moment. In the other direction, the WebUI's
checkpoint and our own networks go to main memory before a training that would find no room; the checkpoint is back
when a picture begins, the networks when they are used.
"""
from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from modules import devices, sd_models, shared
from modules.call_queue import queue_lock

from personal_avatar import room, sessions
from personal_avatar.environment.free import VISIBLE
from personal_avatar.jobs.neighbours import Neighbourhood
from personal_avatar.jobs.sharing import LOOK_S, ON_PROCESSOR_S, TIMEOUT_S, Guest
from personal_avatar.jobs.store import JobStore
from personal_avatar.room import Peaks, Size
from personal_avatar.webui.folders import data_folder
from personal_avatar.wording import text

WORK = Size("", 0)  # a restorer, an upscaler, an interrogator: reckoned, never measured
WITHOUT_QUEUE = "interrogate"  # the button in img2img does not wait for its turn
ATTRIBUTE = "personal_avatar_measured"
log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def neighbourhood() -> Neighbourhood:
    """Of our own folder of jobs; what is known of their work comes when it is first asked for."""
    from personal_avatar.studio.works import neighbourhood_of

    return neighbourhood_of(JobStore(data_folder() / "jobs"))


@lru_cache(maxsize=1)
def guest() -> Guest:
    """The WebUI as a guest on the card, one for the process."""
    return Guest(
        neighbourhood, busy, before_leaving=lambda: checkpoint().leave_again(),
        has_to_leave=lambda: checkpoint().makes_room,
    )


@lru_cache(maxsize=1)
def peaks() -> Peaks:
    return Peaks()


@lru_cache(maxsize=1)
def checkpoint() -> Checkpoint:
    return Checkpoint()


def card_index() -> int:
    """Of the card that the WebUI was told to take (--device-id), among those that torch sees: trainings take it, too.
    Of other makers' cards, which go by other variables, they take the first."""
    import torch

    chosen = torch.device(str(devices.device))
    return chosen.index or 0 if chosen.type == "cuda" and torch.version.hip is None else 0


def visible_cards() -> tuple[tuple[str, str], ...]:
    """The environment in which a process of ours takes that card first; nothing where it does so anyway."""
    import torch

    index = card_index()
    if index == 0:
        return ()
    known = (os.environ.get(VISIBLE) or ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    return ((VISIBLE, ",".join([known[index], *known[:index], *known[index + 1 :]])),)


def busy() -> bool:
    """Whether somebody has the WebUI's queue. After errors and interrupts nobody has."""
    if shared.state.job == WITHOUT_QUEUE:
        return True
    free = queue_lock.acquire(blocking=False)
    if free:
        queue_lock.release()
    return not free


def before_picture(p: Any) -> None:
    """A `process_images` begins: nothing is on the card yet for it. Never raises."""
    try:
        size = size_of(p)
        come(size)
        found = room.card(devices.device)
        if found is not None:
            setattr(p, ATTRIBUTE, peaks().begin(size, found.peak))
            room.count_anew(devices.device)
    except Exception:  # a picture is worth more than a card that is shared
        log.exception("The trainings could not be asked for the graphics card")


def after_picture(p: Any) -> None:
    """It is there: remember what it took."""
    measured, found = getattr(p, ATTRIBUTE, None), room.card(devices.device)
    if measured is not None and found is not None:
        peaks().end(measured, found.peak)


def before_work() -> None:
    """Something else that uses the card begins. Never raises."""
    try:
        come(WORK)
    except Exception:  # as above
        log.exception("The trainings could not be asked for the graphics card")


def come(size: Size) -> None:
    """Have trainings park if there is no room beside them; then the WebUI's checkpoint is where it belongs."""
    found = room.card(devices.device)
    timeout_s = ON_PROCESSOR_S if found is None else TIMEOUT_S
    guest().come(lambda: crowded(size, found), timeout_s, lambda: bool(shared.state.interrupted))
    checkpoint().come_back()


def crowded(size: Size, found: room.Card | None) -> bool:
    """Whether trainings have to park. What one needs that has yet to come to the card counts as taken."""
    if found is not None and neighbourhood().expects():
        found = replace(found, free=found.free - checkpoint().wanted)
    return peaks().crowded(size, found)


def size_of(p: Any) -> Size:
    """Of the largest picture that a generation makes."""
    width, height = int(p.width), int(p.height)
    pixels = width * height
    if getattr(p, "enable_hr", False):
        wide, high = int(p.hr_resize_x or 0), int(p.hr_resize_y or 0)
        scaled = round(pixels * float(p.hr_scale or 1) ** 2)
        if wide or high:
            scaled = (wide or high * width // height) * (high or wide * height // width)
        pixels = max(pixels, scaled)
    wanted = getattr(p, "override_settings", {}).get("sd_model_checkpoint") or shared.opts.sd_model_checkpoint
    return Size(f"{wanted} {getattr(p, 'refiner_checkpoint', '') or ''}", pixels, int(p.batch_size))


class Checkpoint:
    """The WebUI's checkpoint, which makes room for a training. It goes in the WebUI's queue, and not while it is kept.
    `wanted`: bytes of the card that the training takes which was started last; `makes_room`: whether they are there
    only while it is away."""

    def __init__(self) -> None:
        self.wanted = 0
        self.makes_room = False
        self._away = False
        self._kept = 0
        self._moving = threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """For work in or outside of the WebUI's queue, within which it stays where it is once it is back."""
        with self._moving:
            self._kept += 1
        try:
            yield
        finally:
            with self._moving:
                self._kept -= 1

    def make_room(self, wanted: int, waiting: Callable[[str], None]) -> bool:
        """Before a training that needs so many bytes of the card: to main memory, if it would find too little; where it
        is kept it is waited for.

        Returns whether it went. It stays where it is without CUDA, and with --medvram it is there already.
        """
        if room.card(devices.device) is None:
            return False
        while (went := self._gone(wanted)) is None:
            waiting(text("log.webui_trains"))
            time.sleep(LOOK_S)
        return went

    def _gone(self, wanted: int) -> bool | None:
        """None: it cannot go now. It goes in the WebUI's queue alone; work that keeps it may have that until its end,
        and whoever finds room beside such work does not wait for it."""
        has_turn = queue_lock.acquire(blocking=not self._kept)
        try:
            with self._moving:
                found = room.card(devices.device)
                lacks = found is not None and found.free < wanted
                if (lacks and self._kept) or not (has_turn or self._kept):
                    return None
                self.wanted, self.makes_room = wanted, lacks
                if lacks:
                    self._leave()
                return lacks
        finally:
            if has_turn:
                queue_lock.release()

    def leave_again(self) -> bool:
        """After a picture, while a training runs for which it made room, whether or not that can be asked to park;
        False: not now, ask again."""
        if not self.makes_room or self._away or not neighbourhood().users():
            return True
        if not queue_lock.acquire(blocking=False):
            return False
        try:
            with self._moving:
                if not self._kept:
                    self._leave()
                return self._away
        finally:
            queue_lock.release()

    def come_back(self) -> None:
        """Before it is used."""
        with self._moving:
            model = sd_models.model_data.sd_model
            if self._away and model is not None:
                sd_models.send_model_to_device(model)
            self._away = False

    def _leave(self) -> None:
        """The one in use and those that the WebUI keeps beside it, which it fetches itself; our own networks first: the
        WebUI then gives back what torch keeps of the card."""
        from personal_avatar.webui.identity import networks

        networks.park()
        sessions.clear_card()
        loaded = sd_models.model_data
        for model in [loaded.sd_model, *(one for one in loaded.loaded_sd_models if one is not loaded.sd_model)]:
            sd_models.send_model_to_cpu(model)
        self._away = True
