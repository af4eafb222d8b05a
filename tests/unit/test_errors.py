"""Errors by name: every one says what happened and what to do, and survives the way through a file."""
from __future__ import annotations

import errno
import json
import re

import pytest
from personal_avatar import errors
from personal_avatar.errors import (
    AvatarError,
    Crashed,
    DiskFull,
    InvalidSettings,
    JobDamaged,
    NoFace,
    NotWritable,
    OldDriver,
    OtherCard,
    OutOfMemory,
    OutOfVram,
    PlanTooLarge,
    from_json,
    usual_hint,
)
from personal_avatar.naming import SAID_OF_CUDNN, first_line, named
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import stated
from personal_avatar.wording import LANGUAGES

KINDS = errors._all_errors(AvatarError)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_as_it_was_written(kind: type[AvatarError]) -> None:
    error = kind("what happened", "what to do")
    again = from_json(error.to_json())
    assert type(again) is kind
    assert again.to_json() == error.to_json()
    assert str(again) == "what happened what to do"


def test_codes_are_unique_and_drawn_in_the_tree() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    drawn = (errors.__doc__ or "").split()
    for kind in KINDS:
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in drawn
            assert 400 <= kind.http_status < 600


def test_an_unknown_code_becomes_a_plain_error() -> None:
    error = from_json({"code": "FROM_THE_FUTURE", "message": "m"})
    assert type(error) is AvatarError
    assert error.message == "m"


def test_the_hint_about_faces_names_the_width_from_which_photos_are_taken() -> None:
    width_px = str(PhotoSettings().min_face_px)
    told = [usual_hint(NoFace, language) for language in LANGUAGES]
    assert [re.findall(r"\d+", one) for one in told] == [[width_px]] * len(told)


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(("raised", "kind"), [
    (OSError(errno.ENOSPC, "No space left", "/data/x"), DiskFull),
    (OSError(errno.EDQUOT, "Quota exceeded"), DiskFull),
    (MemoryError(), OutOfMemory),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
    (OutOfMemoryError("tried to allocate 2 GiB"), OutOfVram),
    (RuntimeError("CUDA out of memory."), OutOfVram),
    (RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"), OutOfVram),
    (NoFace("no face"), NoFace),
    (ValueError("odd"), Crashed),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfVram),
    (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ..."), OutOfVram),
    (RuntimeError("GET was unable to find an engine to execute this computation"), OutOfVram),
    (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), OutOfVram),
    (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), OutOfVram),
    (RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"), OutOfVram),
    (RuntimeError("CUDA error: out of memory"), OutOfVram),
    (RuntimeError("CUDA driver error: out of memory"), OutOfVram),
    (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), OutOfVram),
    (RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "c10/cuda/CUDACachingAllocator.cpp":1131'), OutOfVram),
    (OSError("[WinError 1455] Die Auslagerungsdatei ist zu klein, um diesen Vorgang durchzuführen"), OutOfMemory),
    (OSError("Die Auslagerungsdatei ist zu klein. (os error 1455)"), OutOfMemory),
    (RuntimeError("std::bad_alloc"), OutOfMemory),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemory),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/x"), DiskFull),
    (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), DiskFull),
    *((RuntimeError(f"Error while serializing: I/O error: Refused (os error {number})"), NotWritable)
      for number in (1, 13, 30)),
    (OSError(errno.EROFS, "Read-only file system", "/data/x"), NotWritable),
    (PermissionError(errno.EACCES, "Permission denied", "/photos/me.jpg"), Crashed),  # which was to be read, maybe
])
def test_what_libraries_raise_gets_a_name(raised: BaseException, kind: type[AvatarError]) -> None:
    error = named(raised)
    assert type(error) is kind
    assert error.message
    assert error.hint


@pytest.mark.parametrize("said", SAID_OF_CUDNN)
def test_where_cudnn_found_no_way_both_ways_out_are_told(said: str) -> None:
    hint = named(RuntimeError(f"cuDNN error: {said}.")).hint
    assert OutOfVram.default_hint.rstrip(".") in hint and "precision" in hint
    assert named(RuntimeError("CUDA out of memory.")).hint == OutOfVram.default_hint


@pytest.mark.parametrize(("said", "kind", "remedy"), [
    ("CUDA driver version is insufficient for CUDA runtime version", OldDriver, "Update the driver"),
    ("The NVIDIA driver on your system is too old (found version 11040).", OldDriver, "Update the driver"),
    ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", OldDriver, "Update the driver"),
    ("CUDA error: no kernel image is available for execution on the device", OtherCard, "built for this card"),
    ("HIP error: invalid device function", OtherCard, "built for this card"),
    ("Torch not compiled with CUDA enabled", OtherCard, "built for this card"),
])
def test_a_card_that_torch_cannot_use_has_a_name_and_what_to_do(
    said: str, kind: type[AvatarError], remedy: str
) -> None:
    error = named(RuntimeError(said))
    assert type(error) is kind and remedy in error.hint


def test_what_programs_are_told_survives_the_way_through_a_file() -> None:
    error = PlanTooLarge("needs 9 GB")
    error.details = {"changes": {"batch_size": 1}}
    assert from_json(error.to_json()).details == error.details
    assert "details" not in PlanTooLarge("needs 9 GB").to_json()


def test_each_problem_and_what_to_do_about_it_survive_the_way_through_a_file() -> None:
    error = InvalidSettings("One 'a; b'; two.", "Do this. Do that.")
    error.problems, error.hints = ["One 'a; b'", "two"], ["Do this.", "Do that."]
    again = from_json(json.loads(json.dumps(error.to_json())))
    assert isinstance(again, InvalidSettings)
    assert (again.problems, again.hints, again.to_json()) == (error.problems, error.hints, error.to_json())


@pytest.mark.parametrize("kept", [{}, {"problems": None, "hints": "do"}, {"problems": 7, "hints": [7, {}]}])
def test_an_error_that_was_kept_without_its_parts_has_its_message(kept: dict[str, object]) -> None:
    again = from_json({"code": "INVALID_SETTINGS", "message": "One; two.", "hint": "Do.", **kept})
    assert isinstance(again, InvalidSettings)
    assert (again.message, again.hint, again.problems, again.hints) == ("One; two.", "Do.", [], [])


@pytest.mark.parametrize(("error", "told"), [
    (ValueError("  no such layer.\nTraceback ..."), "no such layer"), (KeyError("a"), "'a'"),
    (MemoryError(), "MemoryError"), (ValueError(" \n"), "ValueError"), (ValueError("x" * 300), "x" * 200),
])
def test_the_first_line_of_any_error_fits_into_a_sentence(error: Exception, told: str) -> None:
    assert first_line(error) == told


@pytest.mark.parametrize(("raised", "told"), [
    (ValueError("odd.\nTraceback ..."), "ValueError: odd"), (ValueError(), "ValueError"),
    (RuntimeError("x" * 9000), f"RuntimeError: {'x' * 300}"),
])
def test_an_unknown_error_is_told_in_one_line_however_much_its_library_says(raised: Exception, told: str) -> None:
    assert named(raised).message == f"An unexpected error ended the work: {told}."
    error = stated(JobDamaged, "failure.job_unreadable", job="7", cause=raised)
    assert error.message.endswith(f": {told.removeprefix(f'{type(raised).__name__}: ')}")
