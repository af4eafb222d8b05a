"""The most memory that a training took: of its own process, not of that which started it, nor of those it started."""
from __future__ import annotations

import subprocess
import sys

ASKS = """
import subprocess, sys
from personal_avatar.training.memory import told
holds = "held = b'x' * 300_000_000"
subprocess.run([sys.executable, "-c", holds], check=True)
print(told()["peak_memory_gb"])
exec(holds)
print(told()["peak_memory_gb"], told()["peak_memory_of"])
"""


def test_a_process_tells_of_itself_alone() -> None:
    held = b"x" * 300_000_000
    told = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=True).stdout.split()
    assert float(told[0]) < 0.25 and 0.3 < float(told[1]) < 0.6 and told[2] == "ram"
    assert len(held) > 0
