"""A process is read while it runs, ended with everything that it started, and its end has a name."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import personal_avatar
import psutil
import pytest
from personal_avatar.errors import (
    AvatarError,
    Crashed,
    DiskFull,
    EngineMissing,
    InvalidSettings,
    Killed,
    NanLoss,
    OldDriver,
    OtherCard,
    OutOfMemory,
    OutOfVram,
)
from personal_avatar.naming import SAID_OF_CUDNN
from personal_avatar.training.engines.kohya.child import PATIENCE_S, Child, failure
from personal_avatar.training.memory import UNTOLD, peak_gb
from personal_avatar.ui.markup import words_of
from personal_avatar.wording import text


def child(program: str, folder: Path) -> Child:
    script = folder / "script.py"
    script.write_text(program, encoding="utf-8")
    return Child([str(script)], folder, {**os.environ, "PYTHONUNBUFFERED": "1"}, folder / "told.json")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_it_prints_arrives_line_by_line(tmp_path: Path) -> None:
    program = "import sys; print('one'); sys.stderr.write('two\\rthree\\r'); sys.stdout.write('vier ö')"
    with child(program, tmp_path) as running:
        assert [line for line in running.lines() if line] == ["one", "two", "three", "vier ö"]
        assert running.outcome() is None


@pytest.mark.slow
def test_silence_is_told_so_that_wishes_can_be_looked_for(tmp_path: Path) -> None:
    with child("import time; time.sleep(1.2)", tmp_path) as running:
        assert "" in list(running.lines())


def test_its_end_is_named_by_its_last_words(tmp_path: Path) -> None:
    with child("raise ModuleNotFoundError(\"No module named 'voluptuous'\")", tmp_path) as running:
        list(running.lines())
        error = running.outcome()
    assert isinstance(error, EngineMissing)
    assert "voluptuous" in error.message


STARTS = (
    "import os, subprocess, sys, time; asleep = [sys.executable, '-c', 'import time; time.sleep(60)'];"
    "print(os.getpid(), subprocess.Popen(asleep).pid); time.sleep(60)"
)
# Our own process, which is killed; the same as `child` above.
STARTER = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {package!r}]
from test_kohya_child import STARTS, child
running = child(STARTS, Path({folder!r}))
print(next(line for line in running.lines() if line), flush=True)
for line in running.lines():
    pass
"""


def ended(pids: list[int], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return all(map(gone, pids))


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_leaving_ends_it_and_what_it_started(tmp_path: Path) -> None:
    with child(STARTS, tmp_path) as running:
        pids = next([int(word) for word in line.split()] for line in running.lines() if line)
        began = time.monotonic()
    assert ended([running.pid, *pids], 1.0)
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_it_ends_at_once_with_a_process_of_ours_that_is_killed(tmp_path: Path) -> None:
    """Though it is silent, and notices no broken pipe."""
    package = Path(personal_avatar.__file__).parents[1]
    program = STARTER.format(tests=str(Path(__file__).parent), package=str(package), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout
        pids = [int(word) for word in ours.stdout.readline().split()]
        assert len(pids) == 2 and not any(map(gone, pids))
        ours.kill()
    assert ended(pids, 1.0)


def test_the_script_finds_its_own_folder_words_and_no_input(tmp_path: Path) -> None:
    (tmp_path / "beside.py").touch()
    program = "import beside, sys; print(sys.argv[0].endswith('script.py'), __name__, repr(sys.stdin.read()))"
    with child(program, tmp_path) as running:
        assert [line for line in running.lines() if line] == ["True __main__ ''"]
        assert running.outcome() is None


HOLDS = "held = b'x' * 300_000_000; print('holds', flush=True); "


@pytest.mark.parametrize("ends", ["", "raise SystemExit(3)", "import time; time.sleep(60)"])
def test_the_memory_is_told_that_it_took_and_not_what_we_take(ends: str, tmp_path: Path) -> None:
    """Whether it ended by itself, with an error, or was ended."""
    with child(HOLDS + ends, tmp_path) as running:
        assert running.memory == UNTOLD
        assert next(line for line in running.lines() if line) == "holds"
        if "sleep" not in ends:
            running.outcome()
    assert running.memory["peak_memory_of"] == "ram"
    assert 0.3 < running.memory["peak_memory_gb"] < 0.4 < peak_gb() + 0.2


CARD = """
import sys, types
cuda = types.SimpleNamespace(is_available=lambda: True, max_memory_reserved=lambda: 7_500_000_000)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda, __version__="2")
"""


def test_of_a_card_it_tells_what_its_own_torch_held(tmp_path: Path) -> None:
    with child(CARD, tmp_path) as running:
        list(running.lines())
    assert running.memory == {"peak_memory_gb": 7.5, "peak_memory_of": "vram"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("killed", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_what_it_took_is_not_told_where_nobody_knows_it(killed: str, tmp_path: Path) -> None:
    (tmp_path / "told.json").write_text('{"peak_memory_gb": 1.0, "peak_memory_of": "ram"}')  # of an earlier one
    with child(f"import os, signal; {killed}", tmp_path) as running:
        list(running.lines())
    assert running.memory == UNTOLD


# Of xformers, which goes on without it.
WARNING = [
    "A matching Triton is not available, some optimizations will not be enabled", "Traceback (most recent call last):",
    "    import triton  # noqa", "ModuleNotFoundError: No module named 'triton'",
]


@pytest.mark.parametrize(
    ("code", "tail", "oom_killed", "kind"),
    [
        (1, ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"], False, OutOfVram),
        (1, ["RuntimeError: CUDA error: out of memory"], False, OutOfVram),
        (1, ["torch.AcceleratorError: CUDA error: out of memory", "Compile with `USE_CUDA_DSA`"], False, OutOfVram),
        (1, ["RuntimeError: HIP out of memory. Tried to allocate 2.00 GiB"], False, OutOfVram),
        (1, ["RuntimeError: MPS backend out of memory (MPS allocated: 17 GB)"], False, OutOfVram),
        (1, ["RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED"], False, OutOfVram),
        *((1, [f"RuntimeError: {said}"], False, OutOfVram) for said in SAID_OF_CUDNN),
        (1, ["UserWarning: Plan failed, cudnn_status: CUDNN_STATUS_NOT_SUPPORTED", "ValueError: odd"], False, Crashed),
        (1, ["Error out of memory at line 380 in file /src/csrc/pythonInterface.cpp"], False, OutOfVram),
        (1, ["OSError: [Errno 28] No space left on device: 'anna-step00000100.safetensors'"], False, DiskFull),
        (
            1, [
                "safetensors_rust.SafetensorError: Error while serializing: I/O error: "
                'Os { code: 28, kind: StorageFull, message: "No space left on device" }'
            ], False, DiskFull,
        ),
        (1, ["RuntimeError: [enforce fail at inline_container.cc] std::bad_alloc"], False, OutOfMemory),
        (1, ["OSError: [Errno 12] Cannot allocate memory"], False, OutOfMemory),
        (1, ["numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.2 GiB"], False, OutOfMemory),
        (1, ["MemoryError"], False, OutOfMemory),
        (1, ["RuntimeError: [enforce fail] DefaultCPUAllocator: not enough memory"], False, OutOfMemory),
        (1, ["RuntimeError: CUDA driver error: out of memory"], False, OutOfVram),
        (1, [*WARNING, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"], False, OutOfVram),
        (-9, WARNING, True, OutOfMemory),
        (-9, WARNING, False, Killed),
        (3221225477, WARNING, False, Crashed),
        (1, [*WARNING, "ValueError: odd"], False, Crashed),
        (1, ["ModuleNotFoundError: No module named 'x'", "subprocess.CalledProcessError: y"], False, EngineMissing),
        (-9, ["loading u-net"], True, OutOfMemory),
        (-9, ["loading u-net"], False, Killed),
        (1, ["ImportError: No bitsandbytes / bitsandbytes"], False, EngineMissing),
        (1, ["AssertionError: tokenizer has same word"], False, Crashed),
        (2, [], False, Crashed),
    ],
)
def test_every_end_has_a_name(code: int, tail: list[str], oom_killed: bool, kind: type[AvatarError]) -> None:
    error = failure(code, tail, oom_killed=oom_killed)
    assert type(error) is kind
    assert error.hint is not None


def test_a_full_disk_is_not_answered_with_resume_which_its_jobs_cannot() -> None:
    error = failure(1, ["OSError: [Errno 28] No space left on device"], oom_killed=False)
    assert "space" in error.hint and "resume" not in error.hint


def test_where_cudnn_found_no_way_both_ways_out_are_told() -> None:
    error = failure(1, ["RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"], oom_killed=False)
    assert error.hint == text("error.OUT_OF_VRAM.cudnn")


CARDS = ["RuntimeError: CUDA driver version is insufficient for CUDA runtime version",
         "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device"]


@pytest.mark.parametrize(("tail", "kind", "remedy"), [
    (["RuntimeError: NaN detected in latents: /d/1.png"], NanLoss, "SD VAE"),
    (["RuntimeError: NaN detected in text encoder outputs: /d/1.png"], NanLoss, "precision to fp32"),
    (["RuntimeError: ", "  CUDA Setup failed despite GPU being available."], InvalidSettings, "optimiser to adamw"),
    (["ValueError: bf16 mixed precision requires PyTorch >= 1.10"], Crashed, "precision to fp16"),
    (["ValueError: fp16 mixed precision requires a device in ['cuda']"], Crashed, "precision to fp32"),
    ([CARDS[0]], OldDriver, "Update the driver"),
    ([CARDS[1], "Compile with `TORCH_USE_CUDA_DSA`"], OtherCard, "pytorch.org"),
    (["ModuleNotFoundError: No module named 'toml'"], EngineMissing, "--install-kohya"),
    (["ImportError: No bitsandbytes / bitsandbytes"], EngineMissing, "optimiser to adamw, or install bitsandbytes"),
    (["ImportError: No Prodigy / Prodigy"], EngineMissing, "optimiser to adamw, or install Prodigy"),
    (["ImportError: No xformers / xformers"], EngineMissing, "Install xformers into"),
    (["ModuleNotFoundError: No module named 'torchvision'"], EngineMissing, "Install torchvision into"),
])
def test_what_can_be_mended_is_told_with_its_own_remedy(tail: list[str], kind: type[AvatarError], remedy: str) -> None:
    error = failure(1, tail, oom_killed=False)
    assert type(error) is kind and remedy in error.hint
    assert ("--install-kohya" in error.hint) == (remedy == "--install-kohya")
    for language in ("vi", "zh"):
        assert not words_of(error, language)[2]


def test_a_warning_of_an_old_driver_is_no_end() -> None:
    tail = ["UserWarning: The NVIDIA driver on your system is too old", "ValueError: odd"]
    assert "exit code 1" in failure(1, tail, oom_killed=False).message


def test_an_unknown_end_quotes_its_last_words() -> None:
    assert "exit code 2. Its last words: a | b" in failure(2, ["a", "b"], oom_killed=False).message
