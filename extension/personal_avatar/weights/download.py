"""Weights by https, resumed where an earlier attempt stopped."""
from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from personal_avatar.errors import DiskFull, WeightsMissing
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.weights.files import CHUNK_BYTES, adopt
from personal_avatar.weights.nouns import Weight

TIMEOUT_S = 60.0
SPARE_BYTES = 64 * 2**20
OnProgress = Callable[[int, int], None]


def take_from_url(weight: Weight, target: Path, on_progress: OnProgress) -> Path:
    """Download to `<target>.part`, verify, move.

    Raises `WeightsMissing` (the part stays), `WeightsCorrupt`, `DiskFull` before anything is downloaded.
    """
    if weight.url is None:
        raise stated(WeightsMissing, "failure.no_address", file=weight.file_name)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    _must_have_room(weight, part)
    try:
        _append(weight, part, on_progress)
    except (OSError, http.client.HTTPException) as error:  # with URLError, TimeoutError and what TLS says
        if isinstance(named(error), DiskFull):
            raise
        raise stated(WeightsMissing, "failure.download", address=weight.url, cause=error) from error
    return adopt(part, weight, target)


def _must_have_room(weight: Weight, part: Path) -> None:
    unpacked = sum(member.size_bytes for member in weight.members)
    wanted = weight.size_bytes + unpacked - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < wanted + SPARE_BYTES:
        raise stated(
            DiskFull, "failure.room_for", "remedy.free", file=weight.file_name, needed=f"{wanted / 1e9:.1f}",
            place=part.parent, free=f"{free / 1e9:.1f}",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(weight: Weight, part: Path, on_progress: OnProgress) -> None:
    """Fetch what is missing of `part`; a server that ignores the range makes it start again."""
    have = _size(part)
    if weight.exact_size and have >= weight.size_bytes:
        return
    request = urllib.request.Request(str(weight.url), headers={"User-Agent": "personal-avatar"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            _write(answer, have if answer.status == 206 else 0, weight, part, on_progress)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the range begins behind the end: the part is whole
            raise


def _write(
    answer: http.client.HTTPResponse, done: int, weight: Weight, part: Path, on_progress: OnProgress
) -> None:
    """Append the answer's body behind the first `done` bytes of `part`; not more than the file may have."""
    announced = answer.headers.get("Content-Length", "")
    total = done + int(announced) if announced.isdigit() and not weight.exact_size else weight.size_bytes
    if announced.isdigit() and done + int(announced) < total:  # a page of a proxy, say; what was fetched before stays
        raise ConnectionError(f"the server offers {done + int(announced)} of {total} bytes")
    with part.open("ab" if done else "wb") as file:
        for chunk in iter(lambda: answer.read(CHUNK_BYTES), b""):
            file.write(chunk)
            done += len(chunk)
            on_progress(min(done, total), total)
            if done > total:
                return
    if done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")
