"""The most memory that a training took, in its own process or in that of another engine."""
from __future__ import annotations

import subprocess
import sys

import pytest

ASKS = """
import subprocess, sys
from personal_avatar.training.memory import peak_gb
before = peak_gb()
subprocess.run([sys.executable, "-c", f"held = b'x' * {int(1e9 * before) + 200_000_000}"], check=True)
print(before, peak_gb())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells of one process only")
def test_another_engines_process_counts_when_it_has_ended() -> None:
    told = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=True).stdout
    before, after = map(float, told.split())
    assert before + 0.2 < after < before + 0.3
