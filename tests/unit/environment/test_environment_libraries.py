"""Libraries that trainings can do without: where they are looked for, and the command that brings them there."""
from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from personal_avatar.environment import libraries
from personal_avatar.environment.libraries import has_package, installing
from personal_avatar.host import TrainerPython


def test_packages_are_found_where_trainings_run(tmp_path: Path) -> None:
    trainer = TrainerPython(Path(sys.executable), (("PYTHONPATH", str(tmp_path)),))
    assert not has_package(trainer, "a_package_of_nobody")
    (tmp_path / "a_package_of_nobody").mkdir()
    assert has_package(trainer, "a_package_of_nobody")


def test_what_another_extension_has_put_in_a_packages_place_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = ModuleType("a_package_of_nobody")
    stub.__spec__ = None
    monkeypatch.setitem(sys.modules, "a_package_of_nobody", stub)
    assert has_package(TrainerPython(Path(sys.executable)), "a_package_of_nobody")


def test_what_is_missing_goes_into_the_trainers_own_folder_and_brings_nothing_along() -> None:
    """Else another torch would come with it, or a package of the WebUI be moved."""
    folder = Path("/data of mine/trainer/packages-1")
    words = shlex.split(installing(TrainerPython(Path("/venv/bin/python"), (), folder), "lion-pytorch"))
    assert words[:-1] == ["/venv/bin/python", "-m", "pip", "install", "--no-deps", "--target", str(folder)]
    assert words[-1].startswith("lion-pytorch=="), "the version that is known to work"


def test_without_such_a_folder_it_goes_to_the_interpreter() -> None:
    assert "--target" not in installing(TrainerPython(Path(sys.executable)), "prodigyopt")


@pytest.mark.parametrize(("torch", "wanted"), [
    ("2.1.2+cu121", "bitsandbytes==0.45.5"), ("2.13.0", "bitsandbytes"), ("", "bitsandbytes"),
])
def test_the_version_of_bitsandbytes_is_one_that_this_torch_can_load(
    torch: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "_version_of_torch", lambda: torch)
    assert installing(TrainerPython(Path(sys.executable)), "bitsandbytes").endswith(f" install {wanted}")
