"""The JSON documents that command line and HTTP API give out, built from the nouns.

What goes out holds no embedding; `public` also takes the folders of this machine away.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from personal_avatar.avatars import subject_prompt
from personal_avatar.domain import MEASURED, Avatar, Checkpoint, to_json
from personal_avatar.domain.merit import best_first
from personal_avatar.jobs.store import JobView
from personal_avatar.storage import legible

API_PREFIX = "/personal-avatar/v1"  # of the addresses of our HTTP API
LIKENESS_KEYS = ("floor", "after", "ceiling", "recovered")
PRIVATE_KEYS = frozenset({"reference", "embedding"})
FREE_TEXT_KEYS = frozenset(
    {"prompt", "negative_prompt", "message", "hint", "title", "name", "caption", "choice", "advice", "log", "user_id"}
)
MANNERS = ("leakage", "prompt_following_before", "prompt_following", "diversity")
CODES = ("choice_codes", "advice_codes")  # the same as codes with values
COSTS = ("peak_memory_gb", "file_mb", "seconds")


def training(view: JobView) -> dict[str, Any]:
    """The document of `train` and `demo`. A cancelled training that kept something has files too."""
    result = view.result or {}
    measured = {kind: result.get(kind) or {} for kind in MEASURED}
    return {
        "job": view.job.id, "model_id": view.job.avatar_id, "state": view.status.state.value,
        "files": [str(path) for path in result.get("files", [])],
        **{kind: {key: found.get(key) for key in LIKENESS_KEYS} for kind, found in measured.items()},
        **{name: result.get(name) for name in (*MANNERS, *COSTS)},
        "prompt": result.get("prompt"), "choice": result.get("choice"), "advice": list(result.get("advice") or ()),
        **{name: list(result.get(name) or ()) for name in CODES},
        "report": result.get("report"), "error": plain_error(view),
    }


def plain_error(view: JobView) -> dict[str, str] | None:
    """code, message and hint of a job that failed."""
    error = view.status.error
    return {key: legible(str(error.get(key, ""))) for key in ("code", "message", "hint")} if error else None


def avatar(avatar: Avatar, photos: int, state: str, found: Sequence[Checkpoint] = ()) -> dict[str, Any]:
    """What is told of an avatar: no embedding, no path. `state`: training, ready, untrained or
    lost, see `ModelDocument`; `found`: those of its files that are there, of which the best is used."""
    there = replace(avatar, checkpoints=tuple(found) or avatar.checkpoints)
    best = there.best
    return {
        "id": avatar.id, "name": avatar.name, "user_id": avatar.user_id, "class_type": avatar.class_noun,
        "state": state, "trigger": best.trigger if best else avatar.trigger,
        "prompt": subject_prompt(best, 1.0) if best else "",
        "base": avatar.base_title, "photos": photos, "created_at": avatar.created_at, "job_id": avatar.job_id or None,
        "likeness": _likeness(best),
        "checkpoints": [_checkpoint(point, there) for point in best_first(avatar.checkpoints)],
        "consent": to_json(avatar.consent) if avatar.consent else None,
        "consents": [to_json(consent) for consent in avatar.consents],
    }


def _checkpoint(point: Checkpoint, there: Avatar) -> dict[str, Any]:
    return {
        "file": point.path.name, "sha256": point.sha256, "step": point.step, "method": point.method.value,
        "family": point.family.value, "engine": point.engine.value, "likeness": _likeness(point),
        "used": point == there.best_for(point.family),
    }


def _likeness(point: Checkpoint | None) -> dict[str, float | None] | None:
    if point is None or point.likeness is None:
        return None
    return {**to_json(point.likeness), "recovered": point.likeness.recovered}


def job(view: JobView) -> dict[str, Any]:
    """A job with all its paths, for whoever sits at this machine."""
    return dict(plain(view.to_json()))


def plain(value: Any) -> Any:
    """The same data without embeddings, and with null for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if name not in PRIVATE_KEYS}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def public(value: Any) -> Any:
    """`plain`, with file names in place of paths, all of it text, for the network."""
    return _without_folders(plain(value), "")


def _without_folders(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {legible(name): _without_folders(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part, key) for part in value]
    if not isinstance(value, str):
        return value
    is_path = key not in FREE_TEXT_KEYS and _is_path(value)
    return legible(PurePath(value).name if is_path else value)


def _is_path(text: str) -> bool:
    """A rooted path of this machine (POSIX or Windows), as the job's results hold them."""
    return text.startswith("/") or text[1:3] in (":\\", ":/")
