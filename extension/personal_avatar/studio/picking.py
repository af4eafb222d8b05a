"""What is done with pictures that were put in order: sorted by another part, written as a table, and gone on from."""
from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.albums.cells import harmless
from personal_avatar.domain import Style, from_json
from personal_avatar.errors import InvalidSettings, NotFound, UnreadablePhoto
from personal_avatar.params import validated
from personal_avatar.pictures import infotext_of, negative_prompt_in, prompt_in, settings_in
from personal_avatar.ranking.nouns import Ranked
from personal_avatar.ranking.order import KEYS, Filter, filtered, known, sorted_by, value_of
from personal_avatar.storage import short
from personal_avatar.studio.again import worded
from personal_avatar.studio.keeping import number_of
from personal_avatar.studio.works import CREATE, RANK

if TYPE_CHECKING:
    from personal_avatar.jobs.store import JobView
    from personal_avatar.studio.studio import Studio

LONGEST_NAME, LONGEST_SUFFIX = 245, 20  # bytes; file systems hold 255
VARIATION = 0.45  # how much of a picture is painted anew when one goes on from it
_SETTINGS = {"seed": r"Seed: (\d{1,10})", "steps": r"Steps: (\d{1,4})", "guidance": r"CFG scale: (\d{1,4}(?:\.\d*)?)",
             "width_px": r"Size: (\d{1,5})x\d+", "height_px": r"Size: \d+x(\d{1,5})"}


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
        Ranked(
            Path(one["path"]), one.get("likeness"), one.get("scores", {}), one.get("faces", 0), one.get("error"),
            title=one.get("title") or "",
        )
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
        writer.writerow([place, harmless(item.name), *cells, (item.error or {}).get("code", "")])
    return out.getvalue()


def free(path: Path, beside: Sequence[str] = ()) -> Path:
    """`path`, or beside it the first name with a number that nothing has; a name that is too long is cut. `beside`:
    suffixes with which it is free, too."""
    stem, suffix, number = path.stem, path.suffix, 2
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        stem, suffix = short(stem, LONGEST_NAME - LONGEST_SUFFIX), short(suffix, LONGEST_SUFFIX)
    wanted = path.with_name(stem + suffix)
    while any(map(os.path.lexists, (wanted, *(wanted.with_suffix(one) for one in beside)))):
        wanted, number = path.with_name(f"{stem}-{number}{suffix}"), number + 1
    return wanted


def similar(studio: Studio, job_id: str, number: int, count: int) -> Similar:
    """See `Rankings.more_like`; `number`: the picture's own, which it keeps when others are deleted."""
    view = studio.jobs.view(job_id)
    images = (view.result or {}).get("images", []) if view.job.kind in (CREATE, RANK) else []
    image = next((one for place, one in enumerate(images) if number_of(one, place) == number), None)
    if image is None:
        raise NotFound(f"Job {job_id} has {len(images)} pictures; there is no number {number}.")
    path = Path(image["path"])
    request = _as_created(view, image) if view.job.kind == CREATE else _as_told(path)
    nearest = studio.rankings.nearest(job_id, number, count) if count else ()
    return Similar({**request, "image": path, "strength": VARIATION}, nearest)


def _as_created(view: JobView, image: dict[str, Any]) -> dict[str, Any]:
    """From what the job was asked for: the same person, style and settings, the picture's own seed."""
    task = view.job.payload
    style = next((one for one in task["styles"] if one["id"] == image["style"]), None)
    if style is None:
        asked = {"prompt": image["prompt"], "negative_prompt": ""}
    else:
        asked = worded(from_json(Style, style), task.get("negative_prompt", ""))
    settings = {name: value for name, value in task["settings"].items() if name not in ("count", "keep_good")}
    return {"avatar_id": task["avatar_id"], **asked, "settings": {**settings, "seed": image["seed"]}}


def _as_told(path: Path) -> dict[str, Any]:
    """From what a file says of itself, as far as it can be asked for."""
    text = _infotext(path)
    said = settings_in(text)
    found = {name: re.search(rf"(?:^|, ){pattern}(?=[,\n]|$)", said) for name, pattern in _SETTINGS.items()}
    settings = {name: float(match[1]) if name == "guidance" else int(match[1])
                for name, match in found.items() if match is not None}
    possible = {name: value for name, value in settings.items() if _can_be_asked(name, value)}
    return {"prompt": prompt_in(text), "negative_prompt": negative_prompt_in(text), "settings": possible}


def _can_be_asked(name: str, value: float) -> bool:
    from personal_avatar.studio.creating import CreateSettings

    try:
        validated(CreateSettings, {name: value})
    except InvalidSettings:
        return False
    return True


def _infotext(path: Path) -> str:
    try:
        return infotext_of(path)
    except UnreadablePhoto:
        return ""
