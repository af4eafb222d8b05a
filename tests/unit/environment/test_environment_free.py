"""How much memory is free: of a card as nvidia-smi tells it, of the machine as the system and the container tell it."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from personal_avatar.environment import free
from personal_avatar.environment.free import CARD, GB, MACHINE, MIB, Free, card, machine, measured

# What the program answers to the two questions; it notes which card it was asked about.
PROGRAM = """#!{python}
import sys
from pathlib import Path
Path(__file__).with_name("asked").write_text(" ".join(sys.argv[1:]))
sys.stdout.write({apps!r} if "compute-apps" in sys.argv[1] else {cards!r})
sys.exit({status})
"""


def put(folder: Path, monkeypatch: pytest.MonkeyPatch, cards: str, apps: str = "", status: int = 0) -> None:
    """A program of that name, first on the path."""
    program = folder / "nvidia-smi"
    program.write_text(PROGRAM.format(python=sys.executable, cards=cards, apps=apps, status=status))
    program.chmod(0o755)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("personal_avatar.environment.cards._address", lambda *_: "")


needs_script = pytest.mark.skipif(sys.platform == "win32", reason="a script stands for the program")


@needs_script
def test_what_our_processes_hold_of_the_card_counts_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = f"{os.getpid()}, 3000\n777, 500\n888, [N/A]\n999, 4000\n"
    put(tmp_path, monkeypatch, "Some Card, with a comma, 12288, 1024\n", apps)
    found = card({777, 888})
    assert found is not None
    assert (found.kind, found.name) == (CARD, "Some Card, with a comma")
    assert found.free_gb == pytest.approx((1024 + 3000 + 500) * MIB / GB)
    assert found.total_gb == pytest.approx(12288 * MIB / GB)
    assert found.untold == (888,)
    assert measured({777, 888}) == found


@needs_script
@pytest.mark.parametrize(("visible", "which"), [("", None), ("-1", None), ("2,0", "--id=2"), ("GPU-ab", "--id=GPU-ab")])
def test_the_card_that_torch_may_see_is_asked(
    visible: str, which: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, "Card, 1000, 500\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert (card() is None) == (which is None)
    asked = tmp_path / "asked"
    assert (asked.read_text().split()[-1] if asked.exists() else None) == which


@needs_script
@pytest.mark.parametrize(("visible", "which"), [(None, "--id=1"), ("2,0", "--id=0"), ("2", "--id=1")])
def test_a_card_is_asked_by_its_number_among_those_that_torch_may_see(
    visible: str | None, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, "Card, 1000, 500\n")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert card(index=1) is not None
    assert (tmp_path / "asked").read_text().split()[-1] == which


@needs_script
@pytest.mark.parametrize(("answer", "status"), [("", 0), ("Card, [N/A], [N/A]\n", 0), ("Card, 1000, 500\n", 9)])
def test_a_card_that_tells_nothing_leaves_the_machine(
    answer: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, answer, status=status)
    assert card() is None
    assert measured().kind == MACHINE


class Cards:
    """What torch says of cards, in the place of torch; one that is not in use would be from being asked on."""

    def __init__(self, available: bool = True, in_use: bool = True) -> None:
        self.is_available = lambda: available
        self.is_initialized = lambda: in_use

    def mem_get_info(self, index: int) -> tuple[int, int]:
        return 3 * 10**9, 16 * 10**9

    def memory_reserved(self, index: int) -> int:
        return 2 * 10**9 if self.is_initialized() else 0

    def get_device_name(self, index: int) -> str:
        return "Another Maker's Card"


@pytest.mark.parametrize(("cards", "expected"), [
    (Cards(), Free(CARD, 5.0, 16.0, "Another Maker's Card")),
    (Cards(in_use=False), Free(CARD, 3.0, 16.0, "Another Maker's Card")),
    (Cards(available=False), None),
])
def test_a_torch_that_is_loaded_knows_best(
    cards: Cards, expected: Free | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free, "_asked", lambda query, index: [])
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cards))
    assert card() == expected


@needs_script
@pytest.mark.parametrize(("apps", "free_gb", "untold"), [
    ("ME, 9000\n777, 1000\n", 5 + 1000 * MIB / GB, ()),
    ("ME, 9000\n4711, 2384\n", 5.0, ()),  # a training that does not use the card yet holds nothing of it
    ("ME, [N/A]\n777, [N/A]\n", 5.0, (777,)),  # Windows
    ("4711, 2384\nNone else\n", 5.0, (777,)),  # a container with ids of its own
])
def test_what_torch_keeps_of_the_card_counts_as_free_whether_the_driver_tells_of_processes_or_not(
    apps: str, free_gb: float, untold: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, "Of another order, 1000, 500\n", apps.replace("ME", str(os.getpid())))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cards()))
    found = card((777, os.getpid()))
    assert found is not None
    assert (found.name, found.total_gb, found.untold) == ("Another Maker's Card", 16.0, untold)
    assert found.free_gb == pytest.approx(free_gb)


@needs_script
def test_a_card_that_torch_does_not_use_yet_is_asked_through_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, "Card, 1000, 500\n")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cards(in_use=False)))
    found = card()
    assert found is not None and found.name == "Card"


@needs_script
@pytest.mark.parametrize(("torch", "driver", "expected"), [
    (Cards(), False, True),  # of another maker
    (Cards(available=False), True, False),  # built for processors alone
    (None, True, True), (None, False, False),
])
def test_whether_there_is_a_card_is_told_by_a_torch_that_is_loaded_else_by_a_driver(
    torch: Cards | None, driver: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if driver:
        put(tmp_path, monkeypatch, "Card, 1000, 500\n")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=torch) if torch else None)
    assert free.has_card() is expected


@pytest.mark.parametrize(("torch", "expected"), [(Cards(), False), (Cards(available=False), True)])
def test_a_torch_that_is_loaded_says_for_certain_whether_there_is_no_card(
    torch: Cards, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=torch))
    assert free.surely_cardless(tmp_path) is expected


@pytest.mark.parametrize(("system", "device", "visible", "expected"), [
    ("linux", None, None, True), ("linux", "nvme0", None, True), ("darwin", None, None, True),
    ("linux", "nvidia0", None, False),  # a container without the driver's programs
    ("linux", "nvhost-gpu", None, False), ("linux", "kfd", None, False), ("linux", "dxg", None, False),
    ("win32", None, None, False), ("linux", "nvidia0", "-1", True), ("linux", "nvidia0", "", True),
])
def test_without_the_drivers_program_a_card_is_missing_for_certain_only_where_no_device_is_one(
    system: str, device: str | None, visible: str | None, expected: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv(free.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(free.VISIBLE, visible)
    if device:
        (tmp_path / device).touch()
    assert free.surely_cardless(tmp_path) is expected


@needs_script
def test_where_the_drivers_program_is_there_no_card_is_missing_for_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, "Card, 1000, 500\n")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv(free.VISIBLE, raising=False)
    assert not free.surely_cardless(tmp_path / "nothing")


def test_torch_is_asked_about_the_card_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards()
    monkeypatch.setattr(cards, "mem_get_info", lambda index: ((1 + index) * 10**9, 16 * 10**9), raising=False)
    monkeypatch.setattr(cards, "memory_reserved", lambda index: index * 10**9, raising=False)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cards))
    assert [measured(index=index).free_gb for index in (0, 1)] == [1.0, 3.0]


def test_no_more_is_free_than_there_is() -> None:
    assert Free(CARD, 5.0, 12.0).with_more(4.0).free_gb == 9.0
    assert Free(CARD, 5.0, 12.0).with_more(8.0).free_gb == 12.0


def test_main_memory_is_what_the_system_says() -> None:
    found, seen = machine(limits=Path("/nowhere")), psutil.virtual_memory()
    assert found.total_gb == pytest.approx(seen.total / GB)
    assert found.free_gb == pytest.approx(seen.available / GB, rel=0.2)


def test_memory_of_trainings_before_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "_resident", {4711: 2 * 10**9}.get)
    plain = machine(limits=Path("/nowhere"))
    assert machine({4711}, Path("/nowhere")).free_gb == pytest.approx(min(plain.total_gb, plain.free_gb + 2), abs=0.3)


def test_a_container_has_no_more_than_its_limit(tmp_path: Path) -> None:
    for name, text in (("memory.max", "2000000000\n"), ("memory.current", "1500000000\n"),
                       ("memory.stat", "anon 1\ninactive_file 600000000\n")):
        (tmp_path / name).write_text(text)
    found = machine(limits=tmp_path)
    assert (found.free_gb, found.total_gb) == (pytest.approx(1.1), pytest.approx(2.0))
    (tmp_path / "memory.max").write_text("max\n")
    assert machine(limits=tmp_path).total_gb == pytest.approx(psutil.virtual_memory().total / GB)
