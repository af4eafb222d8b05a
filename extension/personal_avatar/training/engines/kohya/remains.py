"""What a training by sd-scripts leaves in its job's folder when our own process is killed and clears up nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.training.engines.kohya.copies import FOLDER_NAME as COPIES
from personal_avatar.training.engines.kohya.outputs import (
    FOLDER_NAME,
    OUTPUT_NAME,
    PICTURES_NAME,
    Saved,
    keep,
    kept_files,
)


def clear(folder: Path, name: str, total: int) -> Saved | None:
    """Move complete files to the artifacts, remove the person's photos and copies of checkpoints; the last file that is
    kept. `folder`: of the job, in which nothing works any more; `name`, `total`: see `keep`."""
    own, artifacts = folder / FOLDER_NAME, folder / ARTIFACTS_FOLDER
    for place in (PICTURES_NAME, COPIES):
        shutil.rmtree(own / place, ignore_errors=True)
    keep(own / OUTPUT_NAME, artifacts, name, total)
    return max(kept_files(artifacts, name), key=lambda saved: saved.step, default=None)
