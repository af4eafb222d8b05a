"""The command line as a test says it: in this process, or with what one of its own needs around it."""
from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.cli import main
from personal_avatar.standalone import host as standalone

from tests.unit.api.house import DrawingHost

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'extension'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


def in_process(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Words -> what the command line says and ends with, on this data folder."""
    def run(*words: object) -> Said:
        capsys.readouterr()
        status = main([*map(str, words), "--data", str(data)])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def on_drawings(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`in_process`, on a host that hands out drawings and trains with a script."""
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)
    return in_process(data, capsys)
