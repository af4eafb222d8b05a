"""What libraries raise gets a name of ours: no room, nothing may be written, and everything else."""
from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Iterator

from personal_avatar.errors import (
    AvatarError,
    Crashed,
    DiskFull,
    NotWritable,
    OldDriver,
    OtherCard,
    OutOfMemory,
    OutOfVram,
)
from personal_avatar.texts import table
from personal_avatar.texts import text as sentence

# What libraries say when there is no room, some in errors of no type of their own: torch and its CUDA libraries,
# bitsandbytes; torch's allocators of main memory, NumPy, ONNX Runtime; safetensors, which is not written in Python.
SAID_OF_VRAM = (
    "CUDA out of memory", "CUDA error: out of memory", "CUDA driver error: out of memory",
    "HIP out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED", "cudaErrorMemoryAllocation",
    "MPS backend out of memory", "CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate",
)
# What cuDNN says where no room is left for it, and in the same words where an older card does not know a format of
# numbers.
SAID_OF_CUDNN = (
    "CUDNN_STATUS_NOT_SUPPORTED", "CUDNN_STATUS_NOT_INITIALIZED", "CUDNN_STATUS_INTERNAL_ERROR",
    "unable to find an engine to execute this computation", "Unable to find a valid cuDNN algorithm",
)
# What torch says in place of that where the driver does not answer how much is free.
UNTOLD_VRAM = ("NVML_SUCCESS ==", "CUDACachingAllocator")
SAID_OF_MEMORY = (
    "not enough memory", "can't allocate memory", "Cannot allocate memory", "Unable to allocate", "std::bad_alloc",
    "bad allocation", "Failed to allocate memory for requested buffer of size",
    "[WinError 1455]", "(os error 1455)",  # the paging file is too small, in the language of Windows
)
SAID_OF_DISKS = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")

# What safetensors says, which is not written in Python, where no file may be made or changed.
SAID_OF_WRITING = "Error while serializing"
REFUSED = (5, 19) if os.name == "nt" else (errno.EPERM, errno.EACCES, errno.EROFS)  # there, numbers are Windows' own
SAID_OF_REFUSALS = tuple(f"(os error {number})" for number in REFUSED)

# What torch, CUDA and ROCm say where driver, card and torch do not belong together.
SAID_OF_DRIVERS = (
    "CUDA driver version is insufficient", "NVIDIA driver on your system is too old",
    "the provided PTX was compiled with an unsupported toolchain",
    "unsupported display driver / cuda driver combination", "forward compatibility was attempted on non supported HW",
)
SAID_OF_BUILDS = (
    "no kernel image is available for execution on the device", "device kernel image is invalid",
    "invalid device function", "Torch not compiled with CUDA enabled",
)

table()  # now: later there may be neither memory nor a file handle to read it with

CHARACTERS = 300  # of what a library says, in a sentence: as long as a path may be


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error itself, then what it was raised from or beside, to the first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def let_go(error: BaseException) -> None:
    """Of everything that was under way when it was raised, such as memory that is to be given back."""
    for seen in causes(error):
        traceback.clear_frames(seen.__traceback__)


def first_line(error: BaseException, characters: int = 200) -> str:
    """Of what it says, without a full stop; the name of its type where it says nothing."""
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0][:characters].rstrip(".:")


def described(error: BaseException) -> str:
    """Its type, and the first line of what it says, of which libraries may say pages: the log has all of it."""
    kind, said = type(error).__name__, first_line(error, CHARACTERS)
    return kind if said == kind else f"{kind}: {said}"


def of_vram(text: str) -> bool:
    """Whether a library says that there is no room on the graphics card."""
    return any(said in text for said in SAID_OF_VRAM) or all(said in text for said in UNTOLD_VRAM)


def of_cudnn(text: str) -> bool:
    """Whether cuDNN says that it found no way: for want of room, or as the card does not know a format of numbers."""
    return any(said in text for said in SAID_OF_CUDNN)


def of_card(text: str) -> OldDriver | OtherCard | None:
    """What is wrong, where a library says that torch cannot use the graphics card as it is."""
    if any(said in text for said in SAID_OF_DRIVERS):
        return OldDriver(sentence("failure.old_driver"))
    return OtherCard(sentence("failure.other_card")) if any(said in text for said in SAID_OF_BUILDS) else None


def _title(kind: type[AvatarError]) -> str:
    """All that is known of what happened."""
    return f"{sentence(f'error.{kind.code}.title')}."


def named(error: BaseException) -> AvatarError:
    """Name an exception of a library: memory, disk, writing and everything else; an `AvatarError` stays what it is."""
    if isinstance(error, AvatarError):
        return error
    text = f"{type(error).__name__}: {error}".strip()
    if type(error).__name__ == "OutOfMemoryError" or of_vram(text):
        return OutOfVram(_title(OutOfVram))
    if of_cudnn(text):
        return OutOfVram(_title(OutOfVram), sentence("error.OUT_OF_VRAM.cudnn"))
    if isinstance(error, MemoryError) or _errno(error) == errno.ENOMEM or any(said in text for said in SAID_OF_MEMORY):
        return OutOfMemory(_title(OutOfMemory))
    if _errno(error) in (errno.ENOSPC, errno.EDQUOT) or any(said in text for said in SAID_OF_DISKS):
        where = getattr(error, "filename", None)
        return DiskFull(sentence("failure.disk", where=where) if where else sentence("failure.disk_writing"))
    refused = SAID_OF_WRITING in text and any(said in text for said in SAID_OF_REFUSALS)
    if refused or _errno(error) == errno.EROFS:
        return NotWritable(sentence("failure.not_written", cause=first_line(error)))
    if unusable := of_card(text):
        return unusable
    return Crashed(sentence("failure.unexpected", cause=described(error)))
