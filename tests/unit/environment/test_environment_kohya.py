"""sd-scripts is found where it was said to be, refused by name where it is not, and fetched at one commit."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from personal_avatar.environment import kohya
from personal_avatar.environment.finding import State
from personal_avatar.errors import EngineMissing, InstallError, NotFitting, PipFailed, TrainerMissing

NO_VARIABLE: dict[str, str] = {}


def scripts_in(folder: Path, readme: str = "- **Version 0.10.1 (2026-02-13):**\n- **Version 0.10.0**") -> Path:
    for name in kohya.NEEDED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return folder


def git(*words: str) -> str:
    settings = ["-c", "user.name=Sam", "-c", "user.email=sam@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *settings, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, str]:
    """A repository with two commits; (address, the first one)."""
    folder = scripts_in(tmp_path / "source")
    git("init", "--quiet", str(folder))
    git("-C", str(folder), "add", ".")
    git("-C", str(folder), "commit", "--quiet", "-m", "first")
    first = git("-C", str(folder), "rev-parse", "HEAD")
    (folder / "README.md").write_text("Version 9.9.9", encoding="utf-8")
    git("-C", str(folder), "commit", "--quiet", "-am", "second")
    return folder.as_uri(), first


@pytest.fixture
def nothing_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kohya, "MODULES", {"json": "json==1"})
    monkeypatch.delenv(kohya.VARIABLE, raising=False)


def test_the_variable_goes_before_the_setting_and_the_setting_before_the_data_folder(tmp_path: Path) -> None:
    data, named, set_ = (scripts_in(tmp_path / name) for name in ("data/sd-scripts", "named", "set"))
    assert kohya.find(data.parent, environ=NO_VARIABLE).folder == data
    assert kohya.find(data.parent, str(set_), NO_VARIABLE).folder == set_
    assert kohya.find(data.parent, str(set_), {kohya.VARIABLE: str(named)}).folder == named


def test_a_job_trains_with_the_folder_that_was_named_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = scripts_in(tmp_path / "here" / "sds"), tmp_path / "job"
    elsewhere.mkdir()
    monkeypatch.setenv(kohya.VARIABLE, "sds")
    monkeypatch.chdir(tmp_path / "here")
    named = kohya.named_folder()
    monkeypatch.chdir(elsewhere)
    assert kohya.handed(tmp_path, named).folder == folder
    shutil.move(folder, tmp_path / "moved")
    monkeypatch.setenv(kohya.VARIABLE, str(tmp_path / "moved"))
    assert kohya.handed(tmp_path, named).folder == kohya.handed(tmp_path, "").folder == tmp_path / "moved"


def test_its_version_is_read(tmp_path: Path) -> None:
    assert kohya.find(tmp_path, str(scripts_in(tmp_path / "new")), NO_VARIABLE).version == "0.10.1"
    old = scripts_in(tmp_path / "old", "Latest update: 2025-03-21 (Version 0.9.1)\nstate before is Version 0.8.8")
    assert kohya.find(tmp_path, str(old), NO_VARIABLE).version == "0.9.1"


OF_0_8 = ["lr_scheduler_type", "lr_scheduler_args", "lr_scheduler_num_cycles", "lr_scheduler_power"]
OF_0_9 = [*OF_0_8, "lr_scheduler_timescale", "lr_scheduler_min_lr_ratio"]


def with_options(folder: Path, names: list[str]) -> Path:
    """Has its scripts declare these options, where releases of it do."""
    declared = "".join(f'    parser.add_argument(\n        "--{name}",\n    )\n' for name in names)
    (folder / "library" / "train_util.py").write_text(declared, encoding="utf-8")
    return folder


@pytest.mark.parametrize("readme", ["### Apr 7, 2024 / 2024-04-07: v0.8.7", "Nothing about it."])
def test_where_no_version_is_told_it_is_judged_by_what_it_can_do(tmp_path: Path, readme: str) -> None:
    folder = with_options(scripts_in(tmp_path / "untold", readme), OF_0_8)
    with pytest.raises(EngineMissing, match="untold is too old, 0.9.0 or later") as refused:
        kohya.find(tmp_path, str(folder), NO_VARIABLE)
    assert "--install-kohya" in refused.value.hint
    assert kohya.find(tmp_path, str(with_options(folder, OF_0_9)), NO_VARIABLE).version == ""


@pytest.mark.parametrize(
    ("folder", "words"),
    [("nowhere", "there is no folder"), ("wrong", "has no train_db.py"), ("old", "0.8.7, 0.9.0 or later")],
)
def test_a_wrong_folder_is_refused_by_name(tmp_path: Path, folder: str, words: str) -> None:
    (scripts_in(tmp_path / "wrong") / "train_db.py").unlink()
    scripts_in(tmp_path / "old", "Version 0.8.7")
    with pytest.raises(TrainerMissing, match=words) as refused:
        kohya.find(tmp_path, environ={kohya.VARIABLE: str(tmp_path / folder)})
    assert str(tmp_path / folder) in refused.value.message
    assert "--install-kohya" in refused.value.hint


@pytest.mark.usefixtures("nothing_lacks")
def test_it_is_fetched_at_one_commit_without_history(tmp_path: Path, source: tuple[str, str]) -> None:
    said: list[str] = []
    found = kohya.install(tmp_path / "data", said.append, *source)
    assert (found.folder, found.version) == (tmp_path / "data" / "sd-scripts", "0.10.1")
    assert git("-C", str(found.folder), "rev-list", "--count", "HEAD") == "1"
    assert len(said) == 2
    assert kohya.install(tmp_path / "data", said.append, "file:///nowhere", "0" * 40) == found
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["sd-scripts"]


@pytest.mark.usefixtures("nothing_lacks")
def test_a_failed_fetch_leaves_nothing(tmp_path: Path, source: tuple[str, str]) -> None:
    with pytest.raises(InstallError, match="could not be fetched"):
        kohya.install(tmp_path / "data", print, source[0], "0" * 40)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.usefixtures("nothing_lacks")
def test_a_folder_of_the_users_is_not_replaced(tmp_path: Path, source: tuple[str, str]) -> None:
    (tmp_path / "sd-scripts").mkdir()
    (tmp_path / "sd-scripts" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InstallError, match="is not sd-scripts"):
        kohya.install(tmp_path, print, *source)
    assert (tmp_path / "sd-scripts" / "mine.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.usefixtures("nothing_lacks")
def test_a_folder_that_the_variable_names_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kohya.VARIABLE, str(scripts_in(tmp_path / "mine")))
    assert kohya.install(tmp_path / "data", print, "file:///nowhere", "0" * 40).folder == tmp_path / "mine"


@pytest.mark.usefixtures("nothing_lacks")
def test_only_what_lacks_is_installed_into_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts_in(tmp_path / "sd-scripts")
    asked: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(kohya, "MODULES", {"json": "json==1", "surely_not_there": "surely==2"})
    monkeypatch.setattr(kohya.Interpreter, "install_into", lambda _, folder, words: asked.append((folder, words)))
    kohya.install(tmp_path, print)
    assert asked == [(tmp_path / "sd-scripts-packages", ["surely==2"])]


@pytest.mark.usefixtures("nothing_lacks")
def test_what_belongs_to_torch_is_left_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts_in(tmp_path / "sd-scripts")
    monkeypatch.setattr(kohya, "MODULES", {"surely_not_there": ""})
    with pytest.raises(NotFitting, match="torchvision"):
        kohya.install(tmp_path, print)


def test_packages_come_after_what_is_there(tmp_path: Path) -> None:
    found = kohya.with_packages({"PYTHONPATH": "/trainer", "A": "b"}, tmp_path)
    assert found == {"PYTHONPATH": f"/trainer{os.pathsep}{tmp_path}", "A": "b"}
    assert kohya.with_packages({}, tmp_path) == {"PYTHONPATH": str(tmp_path)}


@pytest.mark.usefixtures("nothing_lacks")
def test_a_package_in_its_folder_does_not_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kohya, "MODULES", {"surely_not_there": "surely==2"})
    assert kohya.lacking_modules(tmp_path) == ["surely_not_there"]
    (tmp_path / kohya.PACKAGES_NAME).mkdir()
    (tmp_path / kohya.PACKAGES_NAME / "surely_not_there.py").touch()
    assert kohya.lacking_modules(tmp_path) == []


@pytest.mark.usefixtures("nothing_lacks")
def test_it_is_ready_when_nothing_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts_in(tmp_path / "sd-scripts")
    assert kohya.ready(tmp_path) == kohya.find(tmp_path)
    monkeypatch.setattr(kohya, "MODULES", {"surely_not_there": "surely==2"})
    with pytest.raises(TrainerMissing, match="needs surely_not_there"):
        kohya.ready(tmp_path)


def test_a_python_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kohya, "_LACKING", "raise SystemExit('broken')")
    with pytest.raises(PipFailed, match="broken"):
        kohya.lacking_modules(tmp_path)


@pytest.mark.usefixtures("nothing_lacks")
def test_doctor_tells_of_it_only_when_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kohya.findings(tmp_path, environ=NO_VARIABLE) == []
    (wrong,) = kohya.findings(tmp_path, environ={kohya.VARIABLE: str(tmp_path / "nowhere")})
    assert (wrong.state, "nowhere" in wrong.found) == (State.WARNING, True)
    scripts_in(tmp_path / "sd-scripts")
    (found,) = kohya.findings(tmp_path, environ=NO_VARIABLE)
    assert (found.state, "version 0.10.1" in found.found) == (State.OK, True)
    monkeypatch.setattr(kohya, "MODULES", {"surely_not_there": "surely==2"})
    (lacking,) = kohya.findings(tmp_path, environ=NO_VARIABLE)
    assert "lacks surely_not_there" in lacking.found


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = "import personal_avatar.environment.kohya"
    package_parent = Path(kohya.__file__).parents[2]
    subprocess.run([sys.executable, "-S", "-c", program], check=True, cwd=package_parent)
    assert shutil.which("git")


def test_it_is_offered_when_its_modules_are_there_and_they_are_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(kohya.VARIABLE, raising=False)
    monkeypatch.setattr(kohya, "MODULES", {"a_module_of_its_own": ""})
    data, asked = tmp_path / "data", []
    ask = kohya.lacking_modules
    monkeypatch.setattr(kohya, "lacking_modules", lambda data: (asked.append(data), ask(data))[1])
    assert not kohya.is_ready(data) and not asked
    named = str(scripts_in(tmp_path / "named"))
    assert not any(kohya.is_ready(data, named) for _ in range(3)) and len(asked) == 1
    (data / kohya.PACKAGES_NAME).mkdir(parents=True)
    (data / kohya.PACKAGES_NAME / "a_module_of_its_own.py").touch()
    assert all(kohya.is_ready(data, named) for _ in range(3)) and len(asked) == 2
    assert not kohya.is_ready(data, str(tmp_path / "elsewhere"))
