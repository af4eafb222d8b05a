"""Where jobs run that have a process of their own.

Whatever the place, a child process on this machine stands for the job: it speaks in the job's events, heeds its wishes,
and is found again after a restart. On this machine it does the work itself; for another one it carries the work there.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Executor:
    """`module`: what the trainer's Python runs with the job's folder as its argument; `width`: how many jobs of a kind
    run at the same time; `environment`: variables that the child gets besides."""

    name: str
    module: str
    width: int = 1
    environment: tuple[tuple[str, str], ...] = ()


LOCAL = Executor("local", "personal_avatar.worker")
