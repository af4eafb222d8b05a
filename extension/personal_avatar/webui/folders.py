"""Where our own data lie in the WebUI."""
from __future__ import annotations

from pathlib import Path

from modules import paths, shared


def data_folder() -> Path:
    """Where avatars, jobs and the trainer's packages are."""
    chosen = getattr(shared.cmd_opts, "avatar_data_dir", None)
    return Path(chosen or Path(paths.data_path) / "personal-avatar").absolute()
