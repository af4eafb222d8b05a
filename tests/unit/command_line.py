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
