"""What running a job takes: the work of each kind, and what is done before, after and in between."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.errors import AvatarError
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.jobs.executors import Executor
from personal_avatar.jobs.store import Job, JobView

InlineWork = Callable[[Job, Path, EventWriter, Control], dict]
Before = Callable[[Job, Path, EventWriter, Control], None]
Waiting = Callable[[str], None]  # called again and again with what is waited for; raises `Cancelled`
BeforeEach = Callable[[Job, Waiting], None]
Listener = Callable[[JobView], None]
Advise = Callable[[Job, AvatarError], AvatarError]


@dataclass(frozen=True)
class Means:
    """What running a job takes; see `JobQueue`."""

    inline: Mapping[str, InlineWork]
    trainer: Callable[[], TrainerPython]
    on_end: Callable[[Job, dict], None]
    before: Before | None
    before_each: BeforeEach | None
    rules: Callable[[], Rules]
    pausable: Callable[[Job], bool]
    executor: Callable[[], Executor]
    poll_s: Callable[[], float]
    advise: Advise
