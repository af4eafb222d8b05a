"""`python -m personal_avatar.benchmarks.foreign RESULT SCRIPT ...`: another program's script as it is, its peak
memory noted when it has ended. Runs in that program's own interpreter, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from personal_avatar.training.memory import peak_gb


def main() -> None:
    result, script = sys.argv[1:3]
    sys.argv = [script, *sys.argv[3:]]
    sys.path[0] = str(Path(script).parent)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        Path(result).write_text(json.dumps({"peak_memory_gb": peak_gb(), "torch": _torch_version()}))


def _torch_version() -> str:
    return str(getattr(sys.modules.get("torch"), "__version__", ""))


if __name__ == "__main__":
    main()
