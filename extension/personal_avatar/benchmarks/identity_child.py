"""`python -m personal_avatar.benchmarks.identity_child ENGINES WORK.json NET.safetensors RESULT.json`: some engines in
one process, which take turns; with no engine (""), it writes the IdentityNet's file.

In turns, because the machine is shared and what counts are differences of times; alone, for the memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.benchmarks.child import device_name
from personal_avatar.benchmarks.identity_engines import Engine, Stage, denoised, stage, write_net
from personal_avatar.benchmarks.identity_work import IdentityTimed, IdentityWork, Turn
from personal_avatar.domain import from_json, to_json
from personal_avatar.storage import write_json
from personal_avatar.training.memory import peak_gb

if TYPE_CHECKING:
    import torch


def main(arguments: Sequence[str]) -> int:
    names, work_file, net_file, result = arguments
    work = from_json(IdentityWork, json.loads(Path(work_file).read_text(encoding="utf-8")))
    if not names:
        write_net(work, Path(net_file))
        return 0
    measured = measure(tuple(names.split(",")), work, Path(net_file), Path(result))
    write_json(Path(result), [to_json(one) for one in measured])
    return 0


def measure(names: tuple[str, ...], work: IdentityWork, net_file: Path, result: Path) -> list[IdentityTimed]:
    """All turns of all engines, after one to warm up; forwards and backwards, so that none is always the first."""
    import torch

    with torch.no_grad():
        shared = stage(work, net_file)
        engines = shared.engines(names)
        turns: dict[str, list[Turn]] = {name: [] for name in names}
        latents: dict[str, torch.Tensor] = {}
        for number in range(work.turns + 1):
            for name in names if number % 2 else reversed(names):
                done, latents[name] = turn(engines[name], shared)
                turns[name].append(done)
    return [_timed(name, turns[name][1:] or turns[name], latents[name], shared, result) for name in names]


def _timed(name: str, turns: list[Turn], latents: torch.Tensor, shared: Stage, result: Path) -> IdentityTimed:
    import torch

    file = result.with_name(f"{result.stem}-{name}.npy")
    np.save(file, latents.float().cpu().numpy())
    precision = str(shared.unet.dtype).removeprefix("torch.")
    return IdentityTimed(
        name, tuple(turns), peak_gb(), str(file), precision, device_name(shared.device), torch.get_num_threads(),
        torch.__version__,
    )


def turn(engine: Engine, shared: Stage) -> tuple[Turn, torch.Tensor]:
    """Enter, do the steps, leave: the times, and the latents in the end."""
    work, before = shared.work, _now(shared)
    with engine.entered():
        times, steps = [_now(shared)], []
        for latents in denoised(engine, shared.scene, work.steps, work.guidance):
            times.append(_now(shared))
            steps.append(latents)
    pairs = list(zip(times, times[1:], strict=False))
    clock, cpu = (tuple(after[kind] - one[kind] for one, after in pairs) for kind in (0, 1))
    return Turn(times[0][0] - before[0], clock, cpu), steps[-1]


def _now(shared: Stage) -> tuple[float, float]:
    """Of the clock, and of the processors; when everything asked for is done."""
    import torch

    if shared.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
