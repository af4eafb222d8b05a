"""The trainer's folder of packages: built by real pip from tiny wheels, tried with the real torch and diffusers."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from personal_avatar.environment import record, trainer
from personal_avatar.environment.interpreter import Interpreter
from personal_avatar.errors import PipFailed, TrainerMissing
from tiny_wheels import Place, write_wheel


@pytest.fixture()
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def lock_of(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "lock.txt"
    file.write_text("# what a test needs\n" + "\n".join(lines) + "\n")
    return file


@pytest.mark.slow
def test_packages_come_first_and_bring_what_they_lack(tmp_path: Path, wheels: Path) -> None:
    write_wheel(wheels, "iniconfig", "99.0", requires=("hair>=2", "torch>=1000", "numpy; extra == 'never'"))
    write_wheel(wheels, "hair", "2.5")
    lock, data = lock_of(tmp_path, "iniconfig==99.0"), tmp_path / "data"
    half_done = trainer.packages_folder(data, lock) / "left_by_an_interrupted_start.py"
    half_done.parent.mkdir(parents=True)
    half_done.touch()
    assert not trainer.is_built(data, lock)
    built = trainer.build(data, Interpreter(Path(sys.executable)), lambda message: None, lock)
    assert built["versions"] == {"iniconfig": "99.0"} and built["torch"]
    assert not half_done.exists() and trainer.is_built(data, lock)

    found = trainer.find(data, lock)
    ask = "import iniconfig, hair, torch; print(iniconfig.VERSION, hair.VERSION, torch.__file__)"
    environment = {**os.environ, **dict(found.environment)}
    answer = subprocess.check_output([str(found.executable), "-c", ask], env=environment, text=True).split()
    assert answer[:2] == ["99.0", "2.5"]
    assert not answer[2].startswith(str(data))


@pytest.mark.slow
def test_packages_that_do_not_work_here_are_named_to_the_host(place: Place, tmp_path: Path) -> None:
    write_wheel(place.wheels, "hair", "2.5")
    lock = lock_of(tmp_path, "hair==2.5")
    done = place.start(lock=lock)
    assert done.returncode == 0
    assert "do not work with this WebUI: torch: ModuleNotFoundError" in done.stdout
    assert "installing" not in place.start(lock=lock).stdout  # nothing has changed, so it is not tried in vain again
    with pytest.raises(TrainerMissing, match="torch: ModuleNotFoundError") as caught:
        trainer.find(place.data, lock)
    assert "Update the WebUI" in caught.value.hint


@pytest.mark.slow
def test_a_requirement_that_cannot_be_had_is_named(tmp_path: Path, wheels: Path) -> None:
    write_wheel(wheels, "iniconfig", "99.0", requires=("hair>=2",))
    lock, data = lock_of(tmp_path, "iniconfig==99.0"), tmp_path / "data"
    with pytest.raises(PipFailed, match="could not be reached, or has nothing for this Python"):
        trainer.build(data, Interpreter(Path(sys.executable)), lambda message: None, lock)
    assert not trainer.is_built(data, lock)


def test_nothing_built_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainerMissing, match="not installed") as caught:
        trainer.find(tmp_path, lock_of(tmp_path, "hair==2.5"))
    assert "install.py" in caught.value.hint


def test_another_list_of_packages_makes_the_built_ones_outdated(tmp_path: Path) -> None:
    old = lock_of(tmp_path, "hair==2.5")
    trainer.packages_folder(tmp_path, old).mkdir(parents=True)
    (tmp_path / "trainer" / "trainer.json").write_text(json.dumps({"key": trainer.key(old), "python": "3.10.1"}))
    assert trainer.is_built(tmp_path, old)
    new = lock_of(tmp_path, "hair==2.6")
    with pytest.raises(TrainerMissing, match="built by another version"):
        trainer.find(tmp_path, new)


def test_packages_in_the_default_place_serve_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "EXTENSION", tmp_path / "webui" / "extensions" / "personal-avatar")
    lock, default = lock_of(tmp_path, "hair==2.5"), tmp_path / "webui" / "personal-avatar"
    trainer.packages_folder(default, lock).mkdir(parents=True)
    (default / "trainer" / "trainer.json").write_text(json.dumps({"key": trainer.key(lock)}))
    found = trainer.find(tmp_path / "elsewhere", lock)
    assert dict(found.environment)["PYTHONPATH"] == str(trainer.packages_folder(default, lock))


def test_the_shipped_list_names_exact_versions() -> None:
    lines = [line for line in trainer.LOCK.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    assert {"diffusers", "transformers", "peft"} <= set(trainer.locked_names(trainer.LOCK))
    assert not {"torch", "numpy", "pillow"} & set(trainer.locked_names(trainer.LOCK))


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / record.FILE_NAME).write_text("{not json")
    assert record.read(tmp_path).problems == {}
