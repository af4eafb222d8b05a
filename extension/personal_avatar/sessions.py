"""onnxruntime sessions: one per file and process, shared by threads."""
from __future__ import annotations

import logging
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from personal_avatar.problems import stated

_log = logging.getLogger(__name__)
_LOADING = threading.Lock()
_QUIET = 3  # errors only
_FATAL = 4
_CPU = "CPUExecutionProvider"
_CARD = "CUDAExecutionProvider"
# Full float32, and no more of the card's memory than is needed: a UNet lies there, too.
_CARD_OPTIONS = {
    "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested",
}


def session(path: Path, patch: tuple[tuple[bytes, bytes], ...] = (), card: bool = False) -> Any:
    """An `onnxruntime.InferenceSession`; `run` may be called from several threads.

    `patch`: pairs of byte strings of equal length, replaced in the model before it is loaded. `card`: on the graphics
    card, where this onnxruntime can use one; on the processor otherwise. Raises `WeightsMissing` (no file, no
    onnxruntime) and `WeightsCorrupt` (a file that onnxruntime does not load).
    """
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise stated(WeightsMissing, "failure.not_there", place=path) from error
    with _LOADING:
        kept = _card_session if card and has_card() else _session
        return kept(path, modified_ns, patch)


def has_card() -> bool:
    """Whether this onnxruntime can use a graphics card. Raises `WeightsMissing` without onnxruntime."""
    return _CARD in _runtime().get_available_providers()


def clear_card() -> None:
    """Let go of what lies on the graphics card; the next call loads it again."""
    _card_session.cache_clear()


@lru_cache(maxsize=16)
def _session(path: Path, _modified_ns: int, patch: tuple[tuple[bytes, bytes], ...]) -> Any:
    return _loaded(path, patch, card=False)


@lru_cache(maxsize=4)
def _card_session(path: Path, _modified_ns: int, patch: tuple[tuple[bytes, bytes], ...]) -> Any:
    return _loaded(path, patch, card=True)


def _loaded(path: Path, patch: tuple[tuple[bytes, bytes], ...], card: bool) -> Any:
    runtime = _runtime()
    model = path.read_bytes() if patch else b""
    for old, new in patch:
        model = model.replace(old, new)
    source = model if patch else str(path)
    for providers in _on_card(runtime) if card else ():
        try:
            return runtime.InferenceSession(source, _options(runtime, _FATAL), providers=providers)
        except Exception as error:  # noqa: BLE001  an old driver, no library, no memory: the processor can do it, too
            _log.debug("%s does not run on the graphics card: %s", path.name, error)
    try:
        return runtime.InferenceSession(source, _options(runtime, _QUIET), providers=[_CPU])
    except Exception as error:
        raise stated(
            WeightsCorrupt, "failure.not_loaded", version=runtime.__version__, file=path.name, cause=error,
        ) from error


def _on_card(runtime: Any) -> tuple[list[Any], ...]:
    """What to try; older versions do not know all options."""
    if not has_card():
        return ()
    return ([(_CARD, _CARD_OPTIONS), _CPU], [_CARD, _CPU])


def _options(runtime: Any, log_severity: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = log_severity
    return options


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise stated(WeightsMissing, "failure.onnxruntime", "remedy.onnxruntime", cause=error) from error
    return onnxruntime


def threads() -> int:
    """Threads per session: OMP_NUM_THREADS when it is set, else half of the cores, at most 4."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else max(1, min(4, (os.cpu_count() or 2) // 2))
