"""`python -m personal_avatar.benchmarks.child ENGINE WORK.json RESULT.json`: one engine alone in its process.

Alone, because the peak memory of a process never falls again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.benchmarks.engines import ENGINES, Step
from personal_avatar.benchmarks.work import SpeedWork, Timed
from personal_avatar.domain import from_json, to_json
from personal_avatar.storage import write_json
from personal_avatar.training.memory import peak_gb

if TYPE_CHECKING:
    import torch

PARTS = 5  # on a graphics card, which runs ahead: it is waited for this often


def main(arguments: Sequence[str]) -> int:
    engine, work_file, result = arguments
    work = from_json(SpeedWork, json.loads(Path(work_file).read_text(encoding="utf-8")))
    write_json(Path(result), to_json(measure(engine, work)))
    return 0


def measure(engine: str, work: SpeedWork) -> Timed:
    """Load the checkpoint, do the steps, say what they cost."""
    import torch

    from personal_avatar.training import compute
    from personal_avatar.training.families import registry

    began = time.perf_counter()
    model = registry.load(work.base, compute.choose(work.precision, work.base.native_px), work.resolution_px)
    load_s = time.perf_counter() - began
    step = ENGINES[engine](work, model)
    losses = [step() for _ in range(work.warmup)]
    cpu_began = time.process_time()
    seconds = timed(step, work.steps, model.compute.device, losses)
    on_cpu = model.compute.device.type == "cpu"
    cpu_s = (time.process_time() - cpu_began) / len(seconds) if on_cpu else 0.0
    return Timed(
        engine,
        tuple(seconds),
        peak_gb(),
        cpu_s,
        load_s,
        tuple(float(loss) for loss in losses),
        device_name(model.compute.device),
        torch.get_num_threads(),
        torch.__version__,
    )


def timed(step: Step, steps: int, device: torch.device, losses: list[object]) -> list[float]:
    """Seconds of each step; on a graphics card means over a fifth of the steps, waited for at the end of each fifth."""
    import torch

    together = 1 if device.type == "cpu" else max(1, steps // PARTS)
    seconds = []
    for done in range(0, steps, together):
        count = min(together, steps - done)
        _wait(torch, device)
        began = time.perf_counter()
        losses += [step() for _ in range(count)]
        _wait(torch, device)
        seconds.append((time.perf_counter() - began) / count)
    return seconds


def _wait(torch: object, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()  # type: ignore[attr-defined]


def device_name(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
