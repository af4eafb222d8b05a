"""An existing Ray cluster: reached, asked for a place, and asked for a job that is there already.

Everything that Ray can answer becomes either a value, a named error, or `NodeLost`.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar import commandline
from personal_avatar.errors import ClusterMismatch, ClusterUnreachable, TrainerMissing
from personal_avatar.jobs.executors import RaySettings
from personal_avatar.naming import first_line, named
from personal_avatar.problems import stated
from personal_avatar.worker.cluster.node import NodeJob
from personal_avatar.worker.cluster.parcels import Piece

NAMESPACE = "personal-avatar"
KNOCK_S = 5.0
NAME_S = 180.0
ANSWER_S = 180.0  # Ray notices a lost machine within a minute
PORT = 10001
NOT_SENT = ["*.safetensors", "__pycache__", "*.pyc"]
Look = Callable[[], None]


class NodeLost(Exception):
    """The machine, or the job's keeper on it, is gone."""


@dataclass
class Place:
    """A keeper of one job on a machine of the cluster, `answered` when it has ever been heard of."""

    ray: Any
    actor: Any
    answered: bool = False

    def ask(self, method: str, *arguments: Any, look: Look | None = None) -> Any:
        """What the keeper's `method` answers; `look` is called now and then meanwhile and may raise.

        Raises `NodeLost`, `ClusterUnreachable`, and what the keeper raises, by its name.
        """
        try:
            answer = getattr(self.actor, method).remote(*arguments)
            end = time.monotonic() + ANSWER_S
            while not self.ray.wait([answer], timeout=0.5 if look else ANSWER_S)[0]:
                if look is not None:
                    look()
                elif time.monotonic() >= end:
                    raise NodeLost("it does not answer")
            found = self.ray.get(answer)
        except Exception as error:
            raise self._told(error) from error
        self.answered = True
        return found

    def _told(self, error: Exception) -> Exception:
        lost, failed = self.ray.exceptions.RayActorError, self.ray.exceptions.RayTaskError
        if isinstance(error, lost | self.ray.exceptions.ObjectLostError):
            return NodeLost(first_line(error).split(":")[0])
        if isinstance(error, failed):
            cause = error.cause
            return cause if isinstance(cause, FileNotFoundError) else named(cause)
        if isinstance(error, ConnectionError):
            return stated(ClusterUnreachable, "failure.cluster_broke", cause=error)
        return error

    def hand(self, pieces: list[Piece]) -> None:
        """Give pieces of files to the keeper, by way of the cluster's store for large objects."""
        self.ask("put", self.ray.put(pieces))

    def end(self) -> None:
        """Nothing of the job stays there; harmless when the machine is gone, or was never given."""
        try:
            if self.answered:
                self.ask("close")
        except (NodeLost, ClusterUnreachable):
            return
        finally:
            self.drop()

    def drop(self) -> None:
        """Give the place back, whatever became of it."""
        with suppress(Exception):
            self.ray.kill(self.actor)


class Cluster:
    """`settings`: which one, and what a job needs of it."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._ray = connected(settings)

    def find(self, job_id: str) -> Place | None:
        """The keeper of that job, when an earlier process of ours has sent it already."""
        try:
            return Place(self._ray, self._ray.get_actor(_name(job_id), namespace=NAMESPACE))
        except ValueError:
            return None

    def place(self, job_id: str, cards: int = 1) -> Place:
        """A keeper for a job that can use so many graphics cards; where and when it begins is the cluster's to decide.
        """
        wanted = self._settings
        made = self._ray.remote(NodeJob).options(
            name=_name(job_id), namespace=NAMESPACE, lifetime="detached", max_restarts=0, num_cpus=wanted.cpus,
            num_gpus=self.gpus(cards), max_concurrency=1,
        )  # fmt: skip
        end = time.monotonic() + NAME_S
        while True:
            try:
                return Place(self._ray, made.remote(job_id, wanted.lease_s))
            except ValueError:  # a keeper that was ended just now still has the name
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def gpus(self, cards: int) -> float:
        """As set, else `cards` where the cluster has any."""
        if self._settings.gpus is not None:
            return self._settings.gpus
        return float(cards) if self._ray.cluster_resources().get("GPU", 0) >= 1 else 0.0

    def leave(self) -> None:
        self._ray.shutdown()


def _name(job_id: str) -> str:
    return f"personal-avatar-{job_id}"


def connected(settings: RaySettings) -> Any:
    """The module `ray`, connected. Raises `ClusterUnreachable`, `ClusterMismatch`, `TrainerMissing`."""
    knock(settings.address)
    ray = _imported(settings.packages)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    package = str(Path(__file__).resolve().parents[2])
    try:
        ray.init(
            address=settings.address, namespace=NAMESPACE, log_to_driver=False, ignore_reinit_error=True,
            runtime_env={"py_modules": [package], "excludes": NOT_SENT},
        )
    except Exception as error:
        said = " ".join(str(error).split())[:400].rstrip(".")
        if "ersion" in said:
            here = f"Ray {ray.__version__} on Python {sys.version.split()[0]}"
            command = _installing(settings.packages, "VERSION")
            raise stated(
                ClusterMismatch, "failure.cluster_version", "remedy.cluster_version", here=here, cause=said,
                command=command,
            ) from error
        raise stated(ClusterUnreachable, "failure.cluster", address=settings.address, cause=said) from error
    return ray


def knock(address: str) -> None:
    """Whether anybody listens there at all: Ray itself waits for minutes. Raises `ClusterUnreachable`."""
    if not address:
        raise stated(ClusterUnreachable, "failure.no_cluster")
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").partition(":")
    try:
        socket.create_connection((host, int(port or PORT)), KNOCK_S).close()
    except (OSError, ValueError) as error:
        raise stated(ClusterUnreachable, "failure.cluster_silent", address=address, cause=error) from None


def _imported(packages: str) -> Any:
    if packages and packages not in sys.path:
        sys.path.insert(0, packages)
    with _without("pydantic"), suppress(ImportError):
        importlib.import_module("ray._common.pydantic_compat")
    try:
        import ray
    except ImportError as error:
        raise stated(
            TrainerMissing, "failure.no_ray", "remedy.run", cause=error, command=_installing(packages),
        ) from None
    return ray


def _installing(packages: str, *version: str) -> str:
    """The command that installs Ray where `packages` are; "": nobody knows where."""
    return commandline.doctor("--install-ray", *version, data=Path(packages).parent if packages else None)


@contextmanager
def _without(name: str) -> Iterator[None]:
    """As if that package was not installed: Ray can do without pydantic, and refuses the version that we have."""
    known = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known
