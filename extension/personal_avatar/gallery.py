"""Use cases: the pictures that were made."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import NotFound, WrongState
from personal_avatar.jobs.events import SampleMade
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView, named_in
from personal_avatar.works import CREATE

if TYPE_CHECKING:
    from personal_avatar.studio import Studio


class Gallery:
    """What the doors may ask about finished pictures."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def runs(self, avatar_id: str | None = None) -> list[JobView]:
        """Portrait jobs that left pictures, newest first: finished ones, and cancelled ones with what they had."""
        views = [view for view in self._studio.jobs.views(states=[State.SUCCEEDED, State.CANCELLED]) if view.result]
        return [view for view in views if view.job.kind == CREATE and avatar_id in (None, view.job.avatar_id)]

    def picture(self, job_id: str, number: int) -> Path:
        """Picture `number` of a job that made portraits, 0 being the likeliest; the restored one when there is one."""
        result = self._studio.jobs.view(job_id).result or {}
        images = result.get("images", [])
        if not 0 <= number < len(images):
            raise NotFound(f"Job {job_id} has {len(images)} pictures; there is no number {number}.")
        return Path(images[number]["restored"] or images[number]["path"])

    def told_by(self, view: JobView) -> Iterator[Path]:
        """Pictures that a job told about, whether it came to its end or not."""
        for record in self._studio.events(view.job.id):
            if isinstance(record.event, SampleMade):
                yield self._studio.jobs.folder(view.job.id) / record.event.path

    def erase(self, job_id: str) -> dict[str, Any]:
        """Erase a job that made portraits: its pictures, the photos that were given to it, its record.

        Pictures that the host saved into its own folders are only listed. Raises `NotFound`, `WrongState`.
        """
        studio = self._studio
        view = studio.jobs.view(job_id)
        if view.job.kind != CREATE:
            raise WrongState("A training belongs to its avatar.", "Erase the avatar.")
        pictures = named_in([view], "images") | set(self.told_by(view))
        studio.jobs.delete(job_id)
        studio.host.forget()
        for archive in (studio.host.folders().data / "cache" / "archives").glob(f"*-{job_id[:8]}.zip"):
            archive.unlink(missing_ok=True)
        left = sorted(str(path) for path in pictures if path.exists())
        return {"id": job_id, "erased": [str(path) for path in sorted(pictures) if not path.exists()], "left": left}

    def estimate(self, count: int) -> float | None:
        """Seconds that `count` portraits took of late on this machine; None while none were made."""
        results = [view.result for view in self.runs()[:5] if view.result and view.result.get("images")]
        pictures = sum(len(result["images"]) for result in results)
        return round(count * sum(result["seconds"] for result in results) / pictures, 1) if pictures else None
