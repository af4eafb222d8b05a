"""What is done with pictures that were put in order: sorted by another part, taken along, written as a table, and gone
on from."""
from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.errors import AvatarError, BadInput, NotFound, UnreadablePhoto
from personal_avatar.pictures import infotext_of, load_picture, prompt_of
from personal_avatar.ranking.looks import alike, look
from personal_avatar.ranking.nouns import Ranked
from personal_avatar.ranking.order import KEYS, Filter, filtered, known, sorted_by, value_of
from personal_avatar.sortings import looks_in
from personal_avatar.storage import sha256_of
from personal_avatar.works import CREATE, RANK

if TYPE_CHECKING:
    from personal_avatar.jobs.store import JobView
    from personal_avatar.studio import Studio

SAME_PROMPT = 0.1  # what the words of the prompt add to how alike two pictures are
VARIATION = 0.45  # how much of a picture is painted anew when one goes on from it
_SETTINGS = {"seed": r"Seed: (\d+)", "steps": r"Steps: (\d+)", "guidance": r"CFG scale: ([\d.]+)",
             "width_px": r"Size: (\d+)x\d+", "height_px": r"Size: \d+x(\d+)"}


@dataclass(frozen=True)
class Similar:
    """How to make more of the kind of a picture. `request`: fields of `CreateRequest`, `image` being the picture itself
    of which `strength` is painted anew; `nearest`: (number, how alike 0..1), most alike first."""

    request: dict[str, Any] = field(default_factory=dict)
    nearest: tuple[tuple[int, float], ...] = ()


def sorted_rows(studio: Studio, job_id: str, sort: str = "overall", filters: Sequence[str] = ()) -> list[Ranked]:
    """The pictures of a ranking that pass the filters, best first. Raises `NotFound`, `InvalidSettings`."""
    wanted = [Filter.parse(text) for text in filters]
    return filtered(sorted_by(rows_of(_ranking(studio, job_id)), known(sort)), wanted)


def rows_of(view: JobView) -> list[Ranked]:
    """The pictures of a job in the order of its result."""
    found = view.result or {}
    images = [*found.get("images", []), *found.get("unreadable", [])]
    return [
        Ranked(Path(one["path"]), one.get("likeness"), one.get("scores", {}), one.get("faces", 0), one.get("error"))
        for one in images
    ]


def _ranking(studio: Studio, job_id: str) -> JobView:
    view = studio.jobs.view(job_id)
    if view.job.kind != RANK:
        raise NotFound(f"Job {job_id} ranks no pictures.", "Look at the list of jobs.")
    return view


def table(rows: Sequence[Ranked]) -> str:
    """CSV: place, file, every score; an empty cell for what is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["place", "file", *KEYS, "error"])
    for place, item in enumerate(rows, start=1):
        values = [value_of(item, key) for key in KEYS]
        cells = ["" if value is None else f"{value:g}" for value in values]
        writer.writerow([place, _harmless(item.path.name), *cells, (item.error or {}).get("code", "")])
    return out.getvalue()


def _harmless(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name


def take(files: Sequence[Path], target: Path, move: bool = False) -> list[Path]:
    """Copy or move files into `target` (made when missing) as 001-name.png, ...; nothing there is overwritten.

    Raises `BadInput` when the folder cannot be written to or a file is gone.
    """
    done: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for place, path in enumerate(files, start=1):
            wanted = _free(target / f"{place:03d}-{path.name}")
            done.append(Path(shutil.move(path, wanted) if move else shutil.copy2(path, wanted)))
    except OSError as error:
        raise BadInput(f"{len(done)} of {len(files)} pictures were taken: {error}.", "Choose another folder.") from None
    return done


def _free(path: Path) -> Path:
    number = 2
    wanted = path
    while wanted.exists():
        wanted, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return wanted


def similar(studio: Studio, job_id: str, number: int, count: int) -> Similar:
    """See `Rankings.more_like`; `number`: the place in the job's result, 0 the best."""
    view = studio.jobs.view(job_id)
    rows = rows_of(view) if view.job.kind in (CREATE, RANK) else []
    if not 0 <= number < len(rows):
        raise NotFound(f"Job {job_id} has {len(rows)} pictures; there is no number {number}.")
    image = (view.result or {})["images"][number]
    request = _as_created(view, image) if view.job.kind == CREATE else _as_told(rows[number].path)
    request |= {"image": rows[number].path, "strength": VARIATION}
    return Similar(request, _nearest(studio, view, rows, number, count))


def _as_created(view: JobView, image: dict[str, Any]) -> dict[str, Any]:
    """From what the job was asked for: the same person, style and settings, the picture's own seed."""
    task = view.job.payload
    style = next((one for one in task["styles"] if one["id"] == image["style"]), None) or {}
    own = style.get("origin") == "own" and style.get("id") == "prompt"
    told = {"prompt": style.get("prompt", image["prompt"]), "negative_prompt": style.get("negative_prompt", "")}
    settings = {name: value for name, value in task["settings"].items() if name not in ("count", "keep_good")}
    asked = told if own or not style else {"styles": (style["id"],)}
    return {"avatar_id": task["avatar_id"], **asked, "settings": {**settings, "seed": image["seed"]}}


def _as_told(path: Path) -> dict[str, Any]:
    """From what a file says of itself."""
    text = _infotext(path)
    settings = {name: float(match[1]) if name == "guidance" else int(match[1])
                for name, pattern in _SETTINGS.items() if (match := re.search(pattern, text))}
    return {"prompt": _prompt(path), "settings": settings}


def _infotext(path: Path) -> str:
    try:
        return infotext_of(path)
    except (OSError, ValueError, SyntaxError):
        return ""


def _prompt(path: Path) -> str:
    return prompt_of(path) if _infotext(path) else ""


def _nearest(
    studio: Studio, view: JobView, rows: Sequence[Ranked], number: int, count: int
) -> tuple[tuple[int, float], ...]:
    """By what pictures look like, and by the words that they have in common."""
    seen, words = _looks(studio, view, rows), [_words(row.path) for row in rows]
    here = seen[number]
    if here is None:
        return ()
    comparable = {place: one for place, one in enumerate(seen) if one is not None and len(one) == len(here)}
    others = [place for place in comparable if place != number]
    if not others:
        return ()
    close = alike(np.stack([comparable[place] for place in others]), here)
    shared = np.array([len(words[number] & words[place]) / max(len(words[number] | words[place]), 1)
                       for place in others])
    scores = (close + SAME_PROMPT * shared) / (1 + SAME_PROMPT)
    return tuple((others[at], round(float(scores[at]), 4)) for at in np.argsort(-scores, kind="stable")[:count])


def _words(path: Path) -> set[str]:
    return set(re.findall(r"\w+", _prompt(path).lower()))


def _looks(studio: Studio, view: JobView, rows: Sequence[Ranked]) -> list[np.ndarray | None]:
    """As they were seen when they were scored; else as the picture alone tells."""
    kept = looks_in(studio.jobs.folder(view.job.id))
    return [_look(row, kept) for row in rows]


def _look(row: Ranked, kept: dict[str, np.ndarray]) -> np.ndarray | None:
    try:
        found = kept.get(sha256_of(row.path)) if kept else None
        return look(load_picture(row.path), None) if found is None else found
    except (OSError, AvatarError, UnreadablePhoto):
        return None
