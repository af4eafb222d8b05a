"""Weights by https, resumed where an earlier attempt stopped."""
from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from personal_avatar.weights.files import CHUNK_BYTES, store
from personal_avatar.weights.registry import Weight

TIMEOUT_S = 60.0
OnProgress = Callable[[int, int], None]


def take_from_url(weight: Weight, target: Path, on_progress: OnProgress) -> Path:
    """Download to `<target>.part`, verify, move. Raises `WeightsMissing` (the part stays), `WeightsCorrupt`."""
    if weight.url is None:
        raise WeightsMissing(f"There is no address to download {weight.file_name} from.")
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _append(weight, part, on_progress)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise WeightsMissing(f"{weight.url} could not be downloaded: {error}.") from error
    return _verified(weight, part, target)


def _append(weight: Weight, part: Path, on_progress: OnProgress) -> None:
    """Fetch what is missing of `part`; a server that ignores the range makes it start again."""
    have = part.stat().st_size if part.exists() else 0
    if have >= weight.size_bytes:
        return
    request = urllib.request.Request(str(weight.url), headers={"User-Agent": "personal-avatar"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == 206
        done = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in iter(lambda: answer.read(CHUNK_BYTES), b""):
                file.write(chunk)
                done += len(chunk)
                on_progress(done, weight.size_bytes)
                if done > weight.size_bytes:
                    return
    if done < weight.size_bytes:
        raise ConnectionError(f"the connection ended after {done} of {weight.size_bytes} bytes")


def _verified(weight: Weight, part: Path, target: Path) -> Path:
    """Move a whole part to its place; one with wrong bytes is removed, so that the next try starts from nothing."""
    try:
        with part.open("rb") as source:
            store(source, weight, target)
    except WeightsCorrupt:
        part.unlink(missing_ok=True)
        raise
    part.unlink(missing_ok=True)
    return target
