"""What a job has told until now, folded from its events; goes on from where it was read last."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from personal_avatar.jobs.events import (
    Done,
    Event,
    Failed,
    Log,
    Parked,
    Paused,
    Progress,
    Score,
    Stage,
    Started,
    homed,
    parse,
)
from personal_avatar.jobs.kept import EVENTS_FILE

BEFORE = ""  # the time between the start of the process and its first stage
_PLAIN: dict[str, Any] = {"parked": False, "within": ""}
_NO_PACE: dict[str, Any] = {**_PLAIN, "seconds_per_step": None}
_RESTS: dict[str, Any] = {**_PLAIN, "lap_at": None}
_NO_LOOP: dict[str, Any] = {**_NO_PACE, "step": 0, "total_steps": 0, "loop_stage": "", "besides_s": None}


@dataclass(frozen=True)
class Account:
    """`offset`: bytes of the event file that are in it. `word_at`: where in the file the line of the last `Done` or
    `Failed` begins, -1 without one; `starts`: how often a process began. `laps`: seconds spent in each stage, in the
    order in which they first came, pauses left out; `loops`: steps in all of the stages that have such, of which
    `loop_stage` is the last that `step` and `total_steps` are of; `lap_at`: since
    when the present one goes on. `within`: what is done in it while its loop rests; `besides_s`: what the work still
    took besides its steps at `besides_at`, by its own reckoning. `done`: the last word is that the work is done;
    `heard_at`: when the work was last heard of."""

    offset: int = 0
    stage: str = ""
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    seconds_per_step: float | None = None
    likeness: float | None = None
    word_at: int = -1
    starts: int = 0
    lap_at: float | None = None
    laps: dict[str, float] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    parked: bool = False
    done: bool = False
    heard_at: float | None = None
    loop_stage: str = ""
    within: str = ""
    besides_s: float | None = None
    besides_at: float = 0.0

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Account:
        """Raises `ValueError` or `TypeError` for what is no account."""
        return cls(**json.loads(text))

    @property
    def loop_left_s(self) -> float | None:
        """Seconds until the present loop ends, at the speed that was measured in it."""
        if not self.seconds_per_step:
            return None
        return max(0.0, (self.total_steps - self.step) * self.seconds_per_step)

    def told_left_s(self, now: float) -> float | None:
        """Seconds until the work is done, by its own reckoning; None where it told none, or no pace of its steps."""
        loop_s = self.loop_left_s if self.step < self.total_steps else 0.0
        if self.besides_s is None or loop_s is None:
            return None
        works = self.lap_at is not None and not self.parked
        return loop_s + max(0.0, self.besides_s - (max(0.0, now - self.besides_at) if works else 0.0))

    def spent_s(self, stage: str, now: float) -> float:
        """Seconds in a stage until now."""
        going = max(0.0, now - self.lap_at) if self.lap_at and stage == self.stage else 0.0
        return self.laps.get(stage, 0.0) + going


def read_on(folder: Path, account: Account) -> Account:
    """The account with the events that are complete and not in it yet; from the beginning when the file was cut."""
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            if not _ends_line(file, account.offset):
                account = Account()
            file.seek(account.offset)
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return Account()
    for line in lines:
        parsed = parse(line.decode("utf-8", errors="replace"))
        changes = {**_heard(*parsed), **_changes(account, *parsed)} if parsed else {}
        account = replace(account, **changes, offset=account.offset + len(line) + 1)
    return account


def _ends_line(file: BinaryIO, offset: int) -> bool:
    """Whether a line ends right before a place in the file."""
    if offset == 0:
        return True
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _heard(at: float, event: Event) -> dict[str, Any]:
    return {} if isinstance(event, Log) and event.aside else {"heard_at": at}


def _changes(account: Account, at: float, event: Event) -> dict[str, Any]:
    """What an event changes in the account; `account.offset` is where its line begins."""
    if isinstance(event, Started):
        prepared = {} if account.starts else _lap(account, at)  # what was open in a process that died is left out
        begun = {"starts": account.starts + 1, "lap_at": at, "stage": BEFORE, "word_at": -1, "done": False}
        return {**prepared, **begun, **_NO_LOOP}
    if isinstance(event, Stage) and event.within:
        return {"within": event.name}
    if isinstance(event, Stage):
        return {**_lap(account, at), "stage": event.name, "lap_at": at, **_NO_PACE}
    if isinstance(event, Progress):
        loops = {**account.loops, account.stage: event.total}
        return {"step": event.step, "total_steps": event.total, "loss": event.loss, "loops": loops,
                "seconds_per_step": event.seconds_per_step, "loop_stage": account.stage, "within": "",
                "besides_s": event.besides_s, "besides_at": at}
    if isinstance(event, Score):
        return {"likeness": event.likeness}
    if isinstance(event, Parked):
        return {"parked": event.parked}
    if isinstance(event, Paused):
        told_last = account.step <= event.step <= account.total_steps  # not each step is told
        step = event.step if told_last else account.step
        return {**_lap(account, at), **_RESTS, "step": step}
    if isinstance(event, Done | Failed):
        done = isinstance(event, Done)
        return {**_lap(account, at), "word_at": account.offset, "done": done, **_RESTS}
    return {}


def _lap(account: Account, at: float) -> dict[str, Any]:
    """The present lap brought to its end; a clock that was put back counts nothing."""
    if account.lap_at is None:
        return {}
    return {"laps": {**account.laps, account.stage: account.spent_s(account.stage, at)}}


def last_result(folder: Path, account: Account) -> dict[str, Any] | None:
    """The result that the last word of a job holds, see `homed`; None without one."""
    if account.word_at < 0:
        return None
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            file.seek(account.word_at)
            parsed = parse(file.readline().decode("utf-8", errors="replace"))
    except OSError:
        return None
    event = homed(parsed[1], folder) if parsed else None
    if isinstance(event, Done):
        return event.result
    return event.error.get("result") if isinstance(event, Failed) else None
