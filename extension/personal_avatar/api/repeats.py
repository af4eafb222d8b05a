"""The same request once more starts no second job: the header Idempotency-Key of the IETF's draft.

What a key was used for is a small file in our data folder; the job carries the key too, so that even a server that went
down between the two finds it again.
"""
from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response

from personal_avatar.api.answers import accepted
from personal_avatar.api.problems import KeyReused
from personal_avatar.errors import NotFound, QueueFull
from personal_avatar.jobs.asking import Asking, asked
from personal_avatar.storage import locked, write_json
from personal_avatar.studio import Studio

KEY = Header(
    None, min_length=1, max_length=255, regex=r"^[!-~]( *[!-~])*$",
    description="Of your choice, new for each job: the same request with the same key is answered with the first one's "
    "job, another request with it by 422. Remembered for three days, and not longer than the job",
)
KEPT_S = 3 * 86400.0
SWEEP_S = 3600.0
LONGEST_S = 60.0  # so long a request waits for the same one
JOB_ID_ENDING = "_job_id"


@dataclass(frozen=True)
class Ask:
    """A request that starts a job. `digest`: of its path and body."""

    key: str
    user: str
    digest: str
    callback_url: str = ""
    priority: int = 0

    @property
    def name(self) -> str:
        """Of the file, and in the job; "" without a key. Tells nothing of user and key."""
        return hashlib.sha256(f"{self.user}\n{self.key}".encode()).hexdigest() if self.key else ""


@dataclass(frozen=True)
class Known:
    """What a key was used for. `answer`: None while the first request is being worked on."""

    digest: str
    job_id: str = ""
    answer: dict[str, Any] | None = None


class Repeats:
    """Requests that start jobs, by their keys."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._folder = studio.host.folders().data / "requests"
        self._swept_at = float("-inf")

    def once(self, ask: Ask, kind: type[BaseModel], work: Callable[[], BaseModel], response: Response) -> BaseModel:
        """The answer of `work`, or, where the same was asked before, that of the first time. `kind`: of answers.

        Raises `CallbackRefused`, `KeyReused` before anything is done, and what `work` raises, which may be asked again.
        """
        if not ask.key:
            return self._first(ask, work)
        with self._alone(ask.name):
            if (known := self._known(ask)) is None:
                return self._remembered(ask, work)
            response.status_code = 202
            response.headers["Idempotency-Replayed"] = "true"
            return kind(**(known.answer or self._of_job(known.job_id, kind)))

    def _first(self, ask: Ask, work: Callable[[], BaseModel]) -> BaseModel:
        self._studio.webhooks.refuse_bad(ask.callback_url)
        with asked(Asking(ask.callback_url, ask.name, ask.priority)):
            return work()

    def _remembered(self, ask: Ask, work: Callable[[], BaseModel]) -> BaseModel:
        path = self._folder / f"{ask.name}.json"
        self._sweep()
        write_json(path, asdict(Known(ask.digest)))
        try:
            answer = self._first(ask, work)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if job_id := _job_id(answer):
            write_json(path, asdict(Known(ask.digest, job_id, json.loads(answer.json()))))
        else:
            path.unlink()  # answered without a job: asking again does no harm
        return answer

    def _known(self, ask: Ask) -> Known | None:
        """What the key was used for, None for nothing, or for a job that was erased. Raises `KeyReused`."""
        path = self._folder / f"{ask.name}.json"
        try:
            known = Known(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            known = Known(ask.digest)  # damaged
        if known.answer is None:
            known = self._found(ask, known)
        try:
            self._studio.jobs.folder(known.job_id)
        except NotFound:
            return None
        if known.digest != ask.digest:
            raise KeyReused("This Idempotency-Key was used for another request.")
        return known

    def _found(self, ask: Ask, known: Known) -> Known:
        """Of a server that went down before it answered: the job that carries the key, if it was made."""
        views = self._studio.jobs.views(request_key=ask.name, limit=1)
        return Known(known.digest, views[0].job.id) if views else known

    def _of_job(self, job_id: str, kind: type[BaseModel]) -> dict[str, Any]:
        """The answer of a request whose job is all that is known."""
        told = accepted(self._studio, self._studio.jobs.job(job_id), None)
        return told | {name: job_id for name in kind.__fields__ if name.endswith(JOB_ID_ENDING)}

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One request with the same key at a time, of all programs that share the data folder; the others wait.

        There are few locks, so that none has to be removed. Raises `QueueFull`.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self._folder / "locks" / name[:2], LONGEST_S))
            except TimeoutError:
                raise QueueFull("The same request is still being worked on.", "Try again in a few seconds.") from None
            yield

    def _sweep(self) -> None:
        """Forget what is old, now and then."""
        if time.monotonic() - self._swept_at < SWEEP_S:
            return
        self._swept_at = time.monotonic()
        for path in self._folder.glob("*.json"):
            if _age_s(path) > KEPT_S:
                path.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _job_id(answer: BaseModel) -> str:
    """The id of the job that an answer tells of; "" without one."""
    told = (value for name, value in answer if name.endswith(JOB_ID_ENDING) and value)
    return str(next(told, ""))
