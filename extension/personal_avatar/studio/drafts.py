"""What is laid out on the page before it is trained, as it lies on disk: to be found when a person is erased.

drafts/<key>/draft.json names the person; ui/desk.py writes it. A folder without it is what work left behind that ended
after its draft was erased.
"""
from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from personal_avatar.names import same_name
from personal_avatar.records import kept, reading

FILE = "draft.json"
KEY = re.compile(r"[0-9a-f]{16,64}")
_JOBS = re.compile(r'caption_jobs?"\s*:((?:[\s\[",]*\b[0-9a-f]{32}\b)*)')
_ID = re.compile(r"\b[0-9a-f]{32}\b")


def drafts_of(folder: Path, name: str) -> list[Path]:
    """Folders in which photos are laid out under this name; `folder`: where all drafts lie. Raises `NotReadable`."""
    found = (path.parent for path in folder.glob(f"*/{FILE}"))
    return [draft for draft in found if same_name(str(_stored(draft).get("name", "")), name)]


def caption_jobs(draft: Path) -> set[str]:
    """Ids of the jobs that described its photos; of a damaged draft, what its text and its copies tell of them. Raises
    `NotReadable`."""
    try:
        stored = kept(draft / FILE) or {}
    except ValueError:
        return {job_id for file in draft.glob(f"{FILE}*") for job_id in _jobs_told_in(file)}
    found = stored.get("caption_jobs")
    known = {*found} if isinstance(found, list) else set()
    return {str(job_id) for job_id in (*known, stored.get("caption_job", "")) if job_id}


def _jobs_told_in(file: Path) -> list[str]:
    with reading(file):
        text = file.read_bytes().decode(errors="replace")
    return [job_id for told in _JOBS.findall(text) for job_id in _ID.findall(told)]


def sweep(folder: Path) -> None:
    """Erase what work left behind; folders with other names are not ours, wherever the data folder may be."""
    for path in folder.glob("*"):
        if KEY.fullmatch(path.name) and path.is_dir() and not (path / FILE).is_file():
            shutil.rmtree(path, ignore_errors=True)


def _stored(draft: Path) -> dict[str, Any]:
    """Raises `NotReadable`: that it cannot be read now does not mean that it is somebody else's."""
    try:
        return kept(draft / FILE) or {}
    except ValueError:
        return {}
