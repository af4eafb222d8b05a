"""The command that hints tell to run is one that works where it is read, and for the data folder that is meant."""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from personal_avatar import commandline
from personal_avatar import doctor as examination
from personal_avatar.captions.taggers import refusal
from personal_avatar.commandline import HOME_VARIABLE, doctor, fetching, named_here
from personal_avatar.commands.common import exit_status
from personal_avatar.commands.jobs import job_named
from personal_avatar.environment import kohya
from personal_avatar.errors import EngineMissing, NotFound, WeightsMissing
from personal_avatar.faces import registry as faces
from personal_avatar.identity.shelf import Shelf
from personal_avatar.jobs.states import State
from personal_avatar.restoration import networks
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.studio.judges import FETCH_CLIP
from personal_avatar.terminal import Terminal
from personal_avatar.training.engines.kohya import child
from personal_avatar.weights import registry
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.nouns import Weight
from personal_avatar.wording import text
from personal_avatar.worker.cluster import ray_cluster


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.mark.usefixtures("installed")
def test_the_usual_folder_is_not_named_and_another_one_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "usual"))
    assert doctor("--fetch", "drawn") == "personal-avatar doctor --fetch drawn"
    assert doctor("--fetch", "drawn", data=tmp_path / "usual") == "personal-avatar doctor --fetch drawn"
    told = doctor("--fetch", "drawn", data=tmp_path / "my avatars")
    assert told.startswith("personal-avatar doctor --fetch drawn --data ") and "my avatars" in told
    if sys.platform != "win32":
        assert shlex.split(told)[-1] == str(tmp_path / "my avatars")


@pytest.mark.usefixtures("installed")
def test_hints_of_the_work_name_the_folder_that_is_meant(tmp_path: Path) -> None:
    lacking = child.failure(1, ["ModuleNotFoundError: No module named 'toml'"], oom_killed=False, data=tmp_path)
    assert f"personal-avatar doctor --install-kohya --data {tmp_path}`" in lacking.hint
    with pytest.raises(NotFound) as nothing:
        job_named(Studio(StandaloneHost(tmp_path), serves=False), "ffff")
    assert nothing.value.hint == f"Look at: personal-avatar jobs list --data {tmp_path}"
    assert ray_cluster._installing(str(tmp_path / "ray"), "VERSION").endswith(f"-ray VERSION --data {tmp_path}")
    assert ray_cluster._installing("") == "personal-avatar doctor --install-ray"


@pytest.mark.usefixtures("installed")
def test_commands_in_what_a_job_told_are_for_the_folder_where_they_are_read(tmp_path: Path) -> None:
    told = named_here(text("remark.no_clip", command=FETCH_CLIP), tmp_path)
    assert f"`personal-avatar doctor --fetch clip-vit-b-32 --data {tmp_path}` gets one" in told
    bare = text("remark.one_recogniser")
    assert named_here(bare, tmp_path) == bare


@pytest.mark.usefixtures("installed")
def test_a_job_that_rests_is_resumed_in_its_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studio = Studio(StandaloneHost(tmp_path), serves=False)
    job = studio.jobs.create("train", {}, title="Anna", user_id="u", avatar_id="anna")
    studio.jobs.move(job.id, State.PAUSED)
    assert exit_status(studio, studio.jobs.view(job.id), False, Terminal(as_json=False)) == 130
    assert capsys.readouterr().err.strip().endswith(f"jobs resume {job.id[:8]} --data {tmp_path}")


@pytest.mark.usefixtures("not_installed")
@pytest.mark.skipif(sys.platform == "win32", reason="it is run by a shell of POSIX")
def test_where_no_such_program_is_found_this_python_is_told_to_run_us(tmp_path: Path) -> None:
    command = doctor("--webhook-secret", data=tmp_path / "my avatars")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.check_output(["sh", "-c", command], text=True, cwd=tmp_path, env=variables)
    assert (tmp_path / "my avatars" / "webhook-secret").read_text(encoding="utf-8").strip() in said


@pytest.mark.usefixtures("not_installed")
def test_shells_of_windows_are_told_in_their_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commandline.sys, "platform", "win32")
    told = doctor("--fetch", data=tmp_path / "my avatars")
    assert told.startswith(f'set "PYTHONPATH={commandline.PACKAGES}" && ')
    assert told.endswith(f'-m personal_avatar doctor --fetch --data "{tmp_path / "my avatars"}"')


def test_folders_of_downloads_tell_the_data_folder_and_others_none(tmp_path: Path) -> None:
    for below in ("weights", "models/identity", "weights/face-restoration", "models/face-restoration"):
        assert fetching(tmp_path / below, "a", "b") == doctor("--fetch", "a", "b", data=tmp_path)
    assert fetching(tmp_path / "models" / "deep" / "down" / "there") == doctor("--fetch")


def told_by_doctor(data: Path) -> list[str]:
    findings = [*examination.face_weights(data / "weights", None), *examination.drawn_weights(data / "weights")]
    return [finding.remedy for finding in findings]


def test_whoever_says_how_to_fetch_names_the_folder_that_lacks_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(faces, "default_analyser", lambda folder: SimpleNamespace(name="usual"))
    weights, nowhere = tmp_path / "weights", Weight("hat", "hat.onnx", "0" * 64, 1, "MIT", "", "a hat", "warms")
    with pytest.raises(WeightsMissing) as unreachable:
        ensure(nowhere, weights)
    with pytest.raises(WeightsMissing) as no_characters:
        faces.analyser_named(Path(registry.find("ccip").file_name).parent.name, weights)
    with pytest.raises(EngineMissing) as no_engine:
        kohya.find(tmp_path, "", {})
    hints = [
        *told_by_doctor(tmp_path), unreachable.value.hint, no_characters.value.hint, no_engine.value.hint,
        refusal("wd14-vit", registry.SETS["wd14-vit"], weights).hint,
        Shelf([tmp_path / "models" / "identity"]).missing(registry.CLIP_H).hint,
        networks.missing("GFPGAN", weights / networks.FOLDER, ()).hint,
    ]
    assert [hint for hint in hints if f"--data {tmp_path}" not in hint] == []


def test_a_command_that_names_its_folder_already_is_left_as_it_is(installed: None, tmp_path: Path) -> None:
    named = f"Run `personal-avatar doctor --fetch blip --data '{tmp_path}/my data'`."
    assert commandline.named_here(named, tmp_path) == named
