"""Imports of a training: nothing is searched for garbage meanwhile, and nothing that goes wrong is hidden for long."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from threading import Thread

import psutil
import pytest
from personal_avatar.errors import TrainerMissing
from personal_avatar.training import libraries

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A module of that name and text can be imported; what was frozen becomes garbage again in the end."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def written(name: str, text: str) -> None:
        names.append(name)
        (tmp_path / f"{name}.py").write_text(text)

    yield written
    gc.unfreeze()
    for name in names:
        sys.modules.pop(name, None)


STUMBLES = """
def stumbles():
    try:
        raise ValueError
    except ValueError as error:
        kept = error
stumbles()
"""


class Checkpoint:
    """Comes where libraries were imported for it."""


def test_nothing_of_what_needed_them_is_kept_by_errors_on_the_way(write: Write) -> None:
    """Such an error is garbage that knows who called, and would have been frozen with it."""
    write("stumbles_in_a_test", STUMBLES)

    def loaded() -> weakref.ref[Checkpoint]:
        libraries.load("stumbles_in_a_test")
        model = Checkpoint()
        return weakref.ref(model)

    found = loaded()
    gc.collect()
    assert found() is None


def test_a_module_is_imported_uncollected_and_its_objects_are_never_looked_at_again(write: Write) -> None:
    write("imported_by_a_test", "import gc\ncollected = gc.isenabled()\nkept = [[] for _ in range(1000)]\n")
    before = gc.get_freeze_count()
    libraries.load("imported_by_a_test")
    assert sys.modules["imported_by_a_test"].collected is False and gc.isenabled()
    assert gc.get_freeze_count() >= before + 1000


def test_what_is_there_already_costs_nothing() -> None:
    before = gc.get_freeze_count()
    libraries.load("gc", "sys")
    assert gc.get_freeze_count() == before


def test_a_module_that_fails_is_told_and_garbage_is_collected_again(write: Write) -> None:
    write("fails_in_a_test", "raise RuntimeError('too old')\n")
    with pytest.raises(RuntimeError, match="too old"):
        libraries.load("fails_in_a_test")
    assert gc.isenabled()


def test_a_library_that_cannot_be_imported_is_named_with_what_it_stumbled_over(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("stumbles_in_a_test", "raise RuntimeError('operator torchvision::nms does not exist.')\n")
    write("tells_in_a_test", "try:\n    import stumbles_in_a_test\nexcept Exception as error:\n"
          "    raise RuntimeError('Failed to import stumbles_in_a_test, look up') from error\n")
    monkeypatch.setattr(libraries, "LIBRARIES", ("tells_in_a_test",))
    with pytest.raises(TrainerMissing) as caught:
        libraries.needed()
    said = "The training's libraries cannot be imported: operator torchvision::nms does not exist (RuntimeError)."
    assert caught.value.message == said


def test_memory_that_is_full_is_no_missing_library(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("is_full_in_a_test", "raise MemoryError\n")
    monkeypatch.setattr(libraries, "LIBRARIES", ("is_full_in_a_test",))
    with pytest.raises(MemoryError):
        libraries.needed()


def test_libraries_come_meanwhile_and_are_there_at_the_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("comes_in_a_test", "import threading\nby = threading.current_thread().name\n")
    monkeypatch.setattr(libraries, "LIBRARIES", ("comes_in_a_test",))
    with libraries.meanwhile():
        pass
    assert sys.modules["comes_in_a_test"].by == "libraries"


def test_a_library_that_fails_does_not_end_what_is_done_meanwhile(
    write: Write, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write("breaks_in_a_test", "raise ImportError('not installed')\n")
    monkeypatch.setattr(libraries, "LIBRARIES", ("breaks_in_a_test",))
    with libraries.meanwhile():
        done = True
    assert done and capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc keeps what it had once")
def test_memory_that_threads_have_freed_meanwhile_is_there_for_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "LIBRARIES", ())
    left: list[bytes] = []

    def work() -> None:
        blocks = [bytes(8_000) for _ in range(10_000)]
        left.append(blocks[-1])  # as long as this is there, nothing below it goes by itself

    process = psutil.Process()
    before = process.memory_info().rss
    with libraries.meanwhile():
        thread = Thread(target=work)
        thread.start()
        thread.join()
        kept = process.memory_info().rss - before
    if kept < 40e6:
        pytest.skip("this C library keeps nothing")
    assert process.memory_info().rss - before < 0.3 * kept


def test_the_libraries_are_all_there() -> None:
    for name in libraries.LIBRARIES:
        import_module(name)
