"""A job that scores existing pictures and puts them in order.

What was scored is kept in the job's folder, by content: it is erased with the job or the person, and a second job about
the same person goes on where the first one ended.
"""
from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, Stage
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.ranking.folder import best_first, row, scored_files
from personal_avatar.ranking.nouns import Ranked
from personal_avatar.storage import sha256_of, write_json
from personal_avatar.studio.works import RANK

if TYPE_CHECKING:
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.studio.rankings import RankTask
    from personal_avatar.studio.studio import Studio

LEDGER, JUDGES = "scored.jsonl", "judges.txt"
TOLD = 500  # how often progress is told at most
FEW = 200  # places that are exact when a job was cancelled


def sort_pictures(
    studio: Studio, task: RankTask, folder: Path, emit: EventWriter, control: Control
) -> dict[str, Any]:
    """The result document: `images` best first, `unreadable` apart, each with its `place` in what was given. A
    cancelled job keeps what was scored until then."""
    started = time.monotonic()
    emit(Stage("rank"))
    scorer, names = _scorer(studio, task, folder), _pictures(task, folder)
    for sentence in scorer.opinions.remarks:
        emit(Log(sentence))
    found: list[Ranked] = []
    every = max(1, len(names) // TOLD)
    emit(Progress(0, len(names)))
    try:
        for item in _scored(studio, scorer, list(names), folder):
            found.append(item)
            if len(found) % every == 0 or len(found) == len(names):
                seconds = (time.monotonic() - started) / len(found)
                emit(Progress(len(found), len(names), seconds_per_step=seconds))
            control.check()
        return _document(best_first(found, scorer, control.check), scorer, names, folder, started)
    except Cancelled as error:
        if not found:
            raise
        kept = best_first(found, scorer, exact=FEW)
        raise Cancelled(error.message, error.hint, _document(kept, scorer, names, folder, started)) from None


def _scorer(studio: Studio, task: RankTask, folder: Path) -> Scorer:
    if task.avatar_id:
        return studio.rankings.scorer(studio.avatars.load(task.avatar_id))
    return studio.rankings.scorer_of([folder / "photos" / name for name in task.references])


def _pictures(task: RankTask, folder: Path) -> dict[Path, str]:
    """Files, and what they are called."""
    from personal_avatar.studio.studio import pictures_in

    if task.folder:
        return {path: path.name for path in pictures_in([Path(task.folder)])}
    return {folder / "photos" / name: called for name, called in zip(task.images, task.called, strict=True)}


def _document(
    ranked: Sequence[Ranked], scorer: Scorer, names: dict[Path, str], folder: Path, started: float
) -> dict[str, Any]:
    seconds = time.monotonic() - started
    places = {path: number for number, path in enumerate(names)}
    rows = [{**row(item), "title": names[item.path], "place": places[item.path], "restored": None} for item in ranked]
    result = {
        "images": [one for one in rows if "error" not in one], "unreadable": [one for one in rows if "error" in one],
        "scored": len(ranked), "of": len(names), "remarks": list(scorer.opinions.remarks),
        "good_from": round(scorer.good_from, 4), "seconds": round(seconds, 2),
    }
    write_json(folder / ARTIFACTS_FOLDER / "ranked.json", result)
    return result


def _scored(studio: Studio, scorer: Scorer, paths: Sequence[Path], folder: Path) -> Iterator[Ranked]:
    """Every file once, in order; what an earlier job about the same person has scored is not scored again."""
    known = _known(studio, scorer.fingerprint)
    (folder / ARTIFACTS_FOLDER).mkdir(exist_ok=True)
    (folder / ARTIFACTS_FOLDER / JUDGES).write_text(scorer.fingerprint, encoding="utf-8")
    keys = {path: _key(path) for path in paths} if known else {}
    before = {path: known[key] for path, key in keys.items() if key in known}
    fresh = scored_files([path for path in paths if path not in before], scorer)
    with (folder / ARTIFACTS_FOLDER / LEDGER).open("a", encoding="utf-8") as ledger:
        for path in paths:
            item = replace(before[path], path=path) if path in before else next(fresh)
            if item.error is None:
                ledger.write(json.dumps(_entry(item, keys.get(path) or _key(path))) + "\n")
                ledger.flush()
            yield item


def _key(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _known(studio: Studio, fingerprint: str) -> dict[str, Ranked]:
    """What earlier jobs with the same judges have scored, by content."""
    found: dict[str, Ranked] = {}
    for view in studio.jobs.views(kind=RANK):
        artifacts = studio.jobs.folder(view.job.id) / ARTIFACTS_FOLDER
        if _text(artifacts / JUDGES) == fingerprint:
            found |= dict(_entries(_text(artifacts / LEDGER)))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _entry(item: Ranked, key: str) -> dict[str, Any]:
    look = b"" if item.look is None else item.look.astype(np.float16).tobytes()
    return {"key": key, "path": str(item.path), "likeness": item.likeness, "scores": item.scores,
            "faces": item.faces, "prompt": item.prompt, "look": base64.b64encode(look).decode("ascii")}


def _entries(text: str) -> Iterator[tuple[str, Ranked]]:
    """Of a ledger; a torn last line is left out."""
    for line in text.splitlines():
        try:
            data = json.loads(line)
            look = np.frombuffer(base64.b64decode(data["look"]), np.float16).astype(np.float32)
            yield data["key"], Ranked(
                Path(data["path"]), data["likeness"], data["scores"], data["faces"],
                look=look if len(look) else None, prompt=data["prompt"],
            )
        except (ValueError, KeyError, TypeError):
            continue


def scored_in(folder: Path) -> dict[str, Ranked]:
    """What a ranking has written down about its pictures, by their paths; nothing for other jobs."""
    return {str(item.path): item for _, item in _entries(_text(folder / ARTIFACTS_FOLDER / LEDGER))}
