"""Where jobs run that have a process of their own.

Whatever the place, a child process on this machine stands for the job: it speaks in the job's events, heeds its wishes,
and is found again after a restart. On this machine it does the work itself; for another one it carries the work there.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.errors import InvalidSettings
from personal_avatar.host import RAY_PACKAGES, Rules

RAY = "ray"
_PREFIX = "PERSONAL_AVATAR_RAY_"


@dataclass(frozen=True)
class Executor:
    """`module`: what the trainer's Python runs with the job's folder as its argument; `width`: how many jobs of a kind
    run at the same time; `environment`: variables that the child gets besides."""

    name: str
    module: str
    width: int = 1
    environment: tuple[tuple[str, str], ...] = ()


LOCAL = Executor("local", "personal_avatar.worker")
CARRIER = "personal_avatar.worker.remote"  # carries a job to another machine, and is none of its work


@dataclass(frozen=True)
class RaySettings:
    """For the child that carries jobs to a Ray cluster. `address`: "ray://host:10001" for a cluster elsewhere,
    "host:6379" or "auto" for one that this machine belongs to. `packages`: where Ray itself lies, "" where Python finds
    it. `restarts`: how often a job whose machine was lost goes on elsewhere. `lease_s`: how long the job works on there
    without hearing from here. `gpus`, `cpus`: of a job; None: as many GPUs as its plan uses, if the cluster has any."""

    address: str
    packages: str = ""
    restarts: int = 2
    lease_s: float = 900.0
    gpus: float | None = None
    cpus: float = 1.0

    def variables(self) -> tuple[tuple[str, str], ...]:
        """As the child finds them in its environment; what the user has set there himself is left out."""
        told = {"ADDRESS": self.address, "PACKAGES": self.packages, "RESTARTS": str(self.restarts)}
        return tuple((_PREFIX + name, value) for name, value in told.items())

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> RaySettings:
        """Raises `InvalidSettings` for what is no number."""
        def said(name: str, otherwise: str = "") -> str:
            return environ.get(_PREFIX + name, "") or otherwise

        try:
            return cls(
                said("ADDRESS"), said("PACKAGES"), int(said("RESTARTS", "2")), float(said("LEASE_S", "900")),
                float(said("GPUS")) if said("GPUS") else None, float(said("CPUS", "1")),
            )  # fmt: skip
        except ValueError as error:
            raise InvalidSettings(f"A variable {_PREFIX}... is no number: {error}.") from None


def executor_for(rules: Rules, data: Path) -> Executor:
    """As the owner has decided; `data`: our data folder. Raises `InvalidSettings` for a name that is none."""
    if rules.executor == LOCAL.name:
        return LOCAL
    if rules.executor != RAY:
        raise InvalidSettings(f"There is no executor {rules.executor!r}.", f"There are {LOCAL.name} and {RAY}.")
    packages = data / RAY_PACKAGES
    settings = RaySettings(rules.ray_address, str(packages) if packages.is_dir() else "", rules.restarts)
    return Executor(RAY, CARRIER, max(1, rules.jobs_there), settings.variables())
