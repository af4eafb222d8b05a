"""onnxruntime sessions: one per file and process, shared by threads."""
from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar.errors import WeightsCorrupt, WeightsMissing

_LOADING = threading.Lock()
_QUIET = 3  # errors only


def session(path: Path, patch: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU; `run` may be called from several threads.

    `patch`: pairs of byte strings of equal length, replaced in the model before it is loaded. Raises `WeightsMissing`
    (no file, no onnxruntime) and `WeightsCorrupt` (a file that onnxruntime does not load).
    """
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise WeightsMissing(f"{path} is not there.") from error
    with _LOADING:
        return _session(path, modified_ns, patch)


@lru_cache(maxsize=16)
def _session(path: Path, _modified_ns: int, patch: tuple[tuple[bytes, bytes], ...]) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    model = path.read_bytes() if patch else b""
    for old, new in patch:
        model = model.replace(old, new)
    try:
        return runtime.InferenceSession(model if patch else str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsCorrupt(f"onnxruntime {runtime.__version__} cannot load {path.name}: {error}") from error


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsMissing(
            f"Faces cannot be found: onnxruntime cannot be imported ({error}).",
            "Run `python install.py` in the extension's folder, or `pip install onnxruntime`.",
        ) from error
    return onnxruntime


def threads() -> int:
    """Threads per session: OMP_NUM_THREADS when it is set, else half of the cores, at most 4."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else max(1, min(4, (os.cpu_count() or 2) // 2))
