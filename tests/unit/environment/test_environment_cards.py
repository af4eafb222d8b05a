"""Which card nvidia-smi is asked about: the one that torch has under a number, in whatever order each counts."""
from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.environment import cards
from personal_avatar.environment.free import MIB, card

# By PCI bus, as nvidia-smi counts: a slow card, a fast one, and one more slow one. MiB free.
FREE = {"00000000:01:00.0": 1000, "00000000:41:00.0": 9000, "00000000:81:00.0": 3000}
PLACES = list(FREE)
FASTEST_FIRST, BY_BUS = [1, 0, 2], [0, 1, 2]
UUIDS = ["GPU-aaaa1111", "GPU-bbbb2222", "GPU-cccc3333"]
# What the real program takes: a number in its own order, a whole UUID, or a PCI address.
PROGRAM = """#!{python}
import sys
free, uuids = {free!r}, {uuids!r}
places = list(free)
which = sys.argv[-1].removeprefix("--id=")
if which.isdigit() and int(which) < len(places):
    which = places[int(which)]
elif which in uuids:
    which = places[uuids.index(which)]
else:
    which = "0000" + which if "0000" + which in free else which
if which not in free:
    sys.exit("No devices were found")
if "compute-apps" not in sys.argv[1]:
    print(f"Card, 24000, {{free[which]}}")
"""


class Cuda:
    """The driver: it heeds what is visible, and in which order."""

    def __init__(self, fails: int = 0, maps: Sequence[int] = (1, 1, 1)) -> None:
        self.fails, self.maps = fails, maps

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.fails

    def cuDeviceGet(self, found: Any, index: int) -> int:  # noqa: N802
        seen = self.seen()
        if index >= len(seen):
            return 101
        found._obj.value = seen[index]
        return 0

    def cuDeviceGetCount(self, found: Any) -> int:  # noqa: N802
        found._obj.value = len(self.seen())
        return self.fails

    def cuDeviceGetAttribute(self, found: Any, attribute: int, asked: ctypes.c_int) -> int:  # noqa: N802
        assert attribute == 102
        found._obj.value = self.maps[asked.value]
        return self.fails

    def cuDeviceGetPCIBusId(self, address: Any, length: int, found: ctypes.c_int) -> int:  # noqa: N802
        address.value = PLACES[found.value][4:].encode()
        return 0

    def seen(self) -> list[int]:
        order = BY_BUS if os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" else FASTEST_FIRST
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            return order
        if not visible:
            return []
        return [self.meant(entry.strip(), order) for entry in visible.split(",")]

    def meant(self, entry: str, order: list[int]) -> int:
        if entry.isdigit():
            return order[int(entry)]
        return next(number for number, uuid in enumerate(UUIDS) if uuid.startswith(entry))


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if sys.platform == "win32":
        pytest.skip("a script stands for the program")
    script = tmp_path / "nvidia-smi"
    script.write_text(PROGRAM.format(python=sys.executable, free=FREE, uuids=UUIDS))
    script.chmod(0o755)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in (cards.VISIBLE, cards.ORDER):
        monkeypatch.delenv(name, raising=False)
    cards._address.cache_clear()
    yield
    cards._address.cache_clear()


def free_mib(index: int = 0) -> float | None:
    found = card(index=index)
    return None if found is None else round(found.free_gb * 1e9 / MIB)


@pytest.mark.parametrize(("visible", "order", "index", "free"), [
    (None, None, 0, 9000), (None, None, 1, 1000), (None, None, 2, 3000),
    (None, "PCI_BUS_ID", 0, 1000), (None, "PCI_BUS_ID", 1, 9000),
    ("1", None, 0, 1000), ("0", None, 0, 9000), ("2,0", None, 1, 9000), ("1", "PCI_BUS_ID", 0, 9000),
    ("GPU-cccc3333", None, 0, 3000), ("GPU-cc,GPU-bb", None, 1, 9000), ("GPU-aaaa1111, 0", "FASTEST_FIRST", 1, 9000),
])
def test_the_card_that_torch_has_under_a_number_is_asked(
    visible: str | None, order: str | None, index: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ((cards.VISIBLE, visible), (cards.ORDER, order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(cards, "_library", Cuda)
    assert free_mib(index) == free


def no_library() -> None:
    raise OSError("libcuda.so.1: cannot open shared object file")


@pytest.mark.parametrize(("visible", "index", "free"), [
    ("GPU-cccc3333", 0, 3000), (None, 1, 9000), ("2,0", 0, 3000),
])
@pytest.mark.parametrize("library", [no_library, lambda: Cuda(fails=100), object])
def test_without_an_answer_of_the_driver_it_is_what_is_said_of_visible_cards(
    visible: str | None, index: int, free: int, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv(cards.VISIBLE, visible)
    monkeypatch.setattr(cards, "_library", library)
    assert free_mib(index) == free


def test_a_slice_of_a_card_is_not_taken_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cards.VISIBLE, "MIG-bbbb2222")
    monkeypatch.setattr(cards, "_library", Cuda)
    assert free_mib() is None


@pytest.mark.parametrize(("maps", "visible", "can"), [
    ((1, 1, 1), None, True), ((1, 0, 1), None, False), ((0, 0, 0), None, False),
    ((1, 0, 1), "1,2", True), ((1, 0, 1), "0", False), ((1, 1, 1), "", False),
])
def test_memory_is_mapped_only_where_every_visible_card_says_that_it_can(
    maps: Sequence[int], visible: str | None, can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv(cards.VISIBLE, visible)
    monkeypatch.setattr(cards, "_library", lambda: Cuda(maps=maps))
    assert cards.map_memory() is can


@pytest.mark.parametrize("library", [no_library, lambda: Cuda(fails=100), object])
def test_a_driver_that_does_not_answer_maps_no_memory(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_library", library)
    assert not cards.map_memory()
