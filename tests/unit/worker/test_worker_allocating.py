"""How a job's process takes memory of a card: in pieces that grow, where that can be, and unless the user says how."""
from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from personal_avatar.environment import cards
from personal_avatar.worker import allocating

NAME, GROWING = "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"
PACKAGE_PARENT = Path(allocating.__file__).parents[2]


GROWS_HERE = allocating._can_grow()


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch loaded, as a job's process begins."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "release", lambda: "6.8.0-generic")
    monkeypatch.setattr(metadata, "version", lambda name: "2.1.2+cu121")
    monkeypatch.setattr(cards, "map_memory", lambda: True)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize("version", ["2.1.2+cu121", "2.10.0a0+git1", "2.13.0", "3.0"])
def test_it_grows_with_every_torch_that_can(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert allocating.settings({}) == {NAME: GROWING}


@pytest.mark.parametrize("name", [NAME, "PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"])
@pytest.mark.parametrize("value", ["max_split_size_mb:512", ""])
def test_what_the_user_set_stays(name: str, value: str) -> None:
    assert allocating.settings({name: value}) == {}


def test_older_torch_other_systems_and_processes_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    changes = [
        (metadata, "version", lambda name: "2.0.1+cu118"), (metadata, "version", missing), (sys, "platform", "win32"),
        (sys, "platform", "darwin"), (platform, "release", lambda: "5.15.90.1-microsoft-standard-WSL2"),
        (platform, "release", lambda: "5.15.148-tegra"),
        (cards, "map_memory", lambda: False),
    ]
    for place, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            assert allocating.settings({}) == {}
    monkeypatch.setitem(sys.modules, "torch", object())
    assert allocating.settings({}) == {}


TELLS = """
import os, sys
from pathlib import Path
from personal_avatar.worker import main
main.work = lambda *_: print(os.environ.get({name!r}), "torch" in sys.modules, flush=True)
main.main(sys.argv[1:])
"""


@pytest.mark.parametrize("own", [None, "backend:native"])
def test_a_jobs_process_has_it_in_its_environment(own: str | None, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), NAME: own or ""}
    if own is None:
        del environment[NAME]
    command = [sys.executable, "-c", TELLS.format(name=NAME), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(own or (GROWING if GROWS_HERE else None)), "False"]
