"""An avatar that lives as long as a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from personal_avatar.jobs.states import ACTIVE
from personal_avatar.studio import Studio

END_S = 300.0


@contextmanager
def passing_name(studio: Studio) -> Iterator[str]:
    """A name that nobody has. What was made under it is erased in the end, however that comes; jobs are ended first."""
    name = f"Benchmark {uuid4().hex}"
    try:
        yield name
    finally:
        for avatar in [avatar for avatar in studio.avatars.all() if avatar.name == name]:
            for view in studio.jobs.views(states=ACTIVE):
                if view.job.avatar_id == avatar.id:
                    studio.queue.cancel(view.job.id, keep_checkpoint=False)
                    studio.queue.wait(view.job.id, END_S)
            studio.delete_avatar(avatar.id)
