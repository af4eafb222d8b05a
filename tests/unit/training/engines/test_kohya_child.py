"""A process is read while it runs, ended with everything that it started, and its end has a name."""
from __future__ import annotations

import os
import sys
import time
from pathlib import Path

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
    OutOfMemory,
    OutOfVram,
)
from personal_avatar.naming import SAID_OF_CUDNN
from personal_avatar.training.engines.kohya.child import Child, failure
from personal_avatar.ui.markup import words_of


def child(program: str, folder: Path) -> Child:
    return Child([sys.executable, "-u", "-c", program], folder, os.environ)


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


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_leaving_ends_it_and_what_it_started(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid); time.sleep(60)"
    )
    began = time.monotonic()
    with child(program, tmp_path) as running:
        grandchild = next(int(line) for line in running.lines() if line)
    assert gone(running.pid)
    deadline = time.monotonic() + 5
    while not gone(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(grandchild)
    assert time.monotonic() - began < 15


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
    assert error.hint == OutOfVram.CUDNN


CARDS = ["RuntimeError: CUDA driver version is insufficient for CUDA runtime version",
         "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device"]


@pytest.mark.parametrize(("tail", "kind", "remedy"), [
    (["RuntimeError: NaN detected in latents: /d/1.png"], NanLoss, "SD VAE"),
    (["RuntimeError: ", "  CUDA Setup failed despite GPU being available."], InvalidSettings, "optimiser to adamw"),
    (["ValueError: bf16 mixed precision requires PyTorch >= 1.10"], Crashed, "precision to fp16"),
    (["ValueError: fp16 mixed precision requires a device in ['cuda']"], Crashed, "precision to fp32"),
    ([CARDS[0]], Crashed, "Update the driver"),
    ([CARDS[1], "Compile with `TORCH_USE_CUDA_DSA`"], Crashed, "pytorch.org"),
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
