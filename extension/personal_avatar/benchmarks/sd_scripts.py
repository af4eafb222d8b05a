"""kohya's sd-scripts on the same work: started as the engine starts it, its progress bar read with a watch in hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from personal_avatar.benchmarks.process import environment
from personal_avatar.benchmarks.work import CLASS_NOUN, SpeedWork, Timed
from personal_avatar.commandline import apart
from personal_avatar.domain import Method
from personal_avatar.environment.kohya import SdScripts, with_packages
from personal_avatar.training.engines.kohya.child import tied
from personal_avatar.training.engines.kohya.command import SCRIPTS, SDXL_SCRIPTS, Order, arguments, words
from personal_avatar.training.engines.kohya.sizes import launcher

NAME = "sd-scripts"
BAR = re.compile(rb"steps:[^\r\n]*?\| (\d+)/\d+ \[")
LONGEST_BAR = 1000
PICTURES_OF_ITS_OWN = ("sample_", "save_every_")


def measure(scripts: SdScripts, work: SpeedWork, folder: Path) -> Timed:
    """Train in `folder`; raises `AvatarError` with its last words."""
    order = _order(work, folder / NAME)
    _write_inputs(order, work)
    result = folder / f"{NAME}.json"
    seconds = _timed(_command(scripts, order, result), scripts, work)
    told = json.loads(result.read_text(encoding="utf-8"))
    return Timed(NAME, tuple(seconds[work.warmup :]), float(told["peak_memory_gb"]), torch=str(told["torch"]))


def _order(work: SpeedWork, folder: Path) -> Order:
    from personal_avatar.training import compute
    from personal_avatar.training.engines.kohya.engine import mixed_precision

    chosen = compute.choose(work.precision, work.base.native_px)
    return Order(
        base=work.base,
        method=Method.LORA,
        plan=work.plan(),
        class_noun=CLASS_NOUN,
        resolution_px=work.resolution_px,
        total_steps=work.total_steps,
        mixed_precision=mixed_precision(chosen),
        name="bench",
        folder=folder,
        fused_attention=not chosen.plain_attention(work.resolution_px),
    )


def _write_inputs(order: Order, work: SpeedWork) -> None:
    """Pictures of noise, and tokenizers."""
    from personal_avatar.training.engines.kohya.engine import write_tokenizers
    from personal_avatar.training.engines.kohya.pictures import Item, dataset_toml, write_groups

    side, noise = work.resolution_px, np.random.default_rng(work.seed)
    items = [Item(noise.integers(0, 256, (side, side, 3), dtype=np.uint8), caption) for caption in work.captions()]
    groups = write_groups(order.pictures, items, [], order.plan)
    toml = dataset_toml(groups, order.plan, order.method, side, work.batch)
    order.dataset_file.write_text(toml, encoding="utf-8")
    write_tokenizers(order)


def _command(scripts: SdScripts, order: Order, result: Path) -> list[str]:
    """Its script, run by ours that notes the memory; it paints nothing and saves once."""
    names = SDXL_SCRIPTS if order.is_sdxl else SCRIPTS
    own = {name: value for name, value in arguments(order).items() if not name.startswith(PICTURES_OF_ITS_OWN)}
    script = str(scripts.folder / names[order.method])
    return tied(result, [*launcher(order.base, order.folder), script, *words(own)])


def _timed(command: list[str], scripts: SdScripts, work: SpeedWork) -> list[float]:
    """Seconds between the first showings of each step."""
    variables = with_packages(environment(work), scripts.packages)
    child = subprocess.Popen(
        command, cwd=scripts.folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, bufsize=0, **apart(),
    )
    said = bytearray()
    try:
        times = dict(_steps(child, said))
        code = child.wait()
    finally:
        child.kill()
        child.wait()
    if code or len(times) < 2:
        raise _failure(code, said)
    return between(times)


def _failure(code: int, said: bytearray) -> Exception:
    from personal_avatar.training.engines.kohya.child import failure
    from personal_avatar.training.engines.kohya.progress import is_noise

    lines = [line.strip() for line in re.split(r"[\r\n]", said.decode("utf-8", errors="replace")) if line.strip()]
    return failure(code, [line for line in lines if not is_noise(line)][-12:], oom_killed=False)


def _steps(child: subprocess.Popen[bytes], said: bytearray) -> Iterator[tuple[int, float]]:
    """(step, time) when its bar is drawn for the first time. `said` keeps everything that was written."""
    newest = -1
    while child.stdout and (block := os.read(child.stdout.fileno(), 65536)):
        now = time.perf_counter()
        said += block
        shown = BAR.findall(bytes(said[-LONGEST_BAR:]))
        if shown and int(shown[-1]) > newest:
            newest = int(shown[-1])
            yield newest, now


def between(times: dict[int, float]) -> list[float]:
    """One number a step; steps that were drawn together share their time."""
    found: list[float] = []
    numbers = sorted(times)
    for before, after in zip(numbers, numbers[1:], strict=False):
        found += [(times[after] - times[before]) / (after - before)] * (after - before)
    return found
