"""What another engine does otherwise is said before a training starts."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ldm_layout import STANDARD, header_only, shapes_of
from personal_avatar.domain import Engine, Method
from personal_avatar.environment import kohya
from personal_avatar.errors import EngineMissing, InvalidSettings
from personal_avatar.studio import Studio, TrainRequest
from safetensors.torch import save_file

from tests.unit.api.house import GOOD, LEARN, build_studio

HELD_BY_PICTURES = {"prior_weight": 0.5}


@pytest.fixture
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.delenv(kohya.VARIABLE, raising=False)
    return build_studio(tmp_path / "data", face_weights, LEARN)


@pytest.fixture
def sd_scripts(studio: Studio) -> Path:
    """A folder that looks like it."""
    folder = studio.host.folders().data / kohya.FOLDER_NAME
    for name in kohya.NEEDED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "README.md").write_text("Version 0.10.1", encoding="utf-8")
    return folder


def test_our_own_engine_does_what_the_plan_says(studio: Studio) -> None:
    assert studio.trainings.differences(Engine.DIFFUSERS, Method.LORA, HELD_BY_PICTURES) == []


def test_an_engine_that_is_not_there_is_named(studio: Studio) -> None:
    with pytest.raises(EngineMissing, match="sd-scripts"):
        studio.trainings.differences(Engine.KOHYA, Method.LORA, {})


@pytest.mark.usefixtures("sd_scripts")
def test_what_sd_scripts_does_otherwise_is_told(studio: Studio) -> None:
    told = studio.trainings.differences(Engine.KOHYA, Method.LORA, HELD_BY_PICTURES)
    assert any("prior_dropout" in sentence for sentence in told)


@pytest.mark.usefixtures("sd_scripts")
def test_what_the_user_asks_for_and_it_cannot_do_is_refused(studio: Studio) -> None:
    with pytest.raises(InvalidSettings, match="dora"):
        studio.trainings.differences(Engine.KOHYA, Method.LORA, {"dora": True})


def test_a_job_is_told_the_whole_folder_of_sd_scripts(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(kohya.VARIABLE, "sds")
    job = studio.trainings.start(TrainRequest("Anna", (GOOD[0],), "woman", consent="she agreed"))
    assert job.payload["sd_scripts"] == str(tmp_path / "sds")
    studio.queue.wait(job.id, 30)


DIES = """
import os, shutil, signal
from personal_avatar.training.engines.kohya.outputs import FOLDER_NAME, OUTPUT_NAME, PICTURES_NAME
own = folder / FOLDER_NAME
for place in (OUTPUT_NAME, PICTURES_NAME + "/person-1", "copies/checkpoint"):
    (own / place).mkdir(parents=True)
(own / PICTURES_NAME / "person-1" / "0.png").touch()
(own / "copies" / "checkpoint" / "t.safetensors").touch()
emit(Progress(7, 10, loss=0.5))
shutil.copyfile("WHOLE", own / OUTPUT_NAME / "anna-step00000005.safetensors")
(own / OUTPUT_NAME / "anna.safetensors").write_bytes(b"half")
(folder / "control").mkdir(exist_ok=True)
for wish in WISHES:
    (folder / "control" / wish).touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wishes", [(), ("cancel", "discard")])
def test_of_a_training_by_sd_scripts_that_was_killed_the_last_file_stays_and_is_named_and_no_photo(
    tmp_path: Path, sd_scripts: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch, wishes: tuple[str, ...]
) -> None:
    monkeypatch.setattr(kohya, "ready", kohya.find)
    monkeypatch.setenv(kohya.VARIABLE, str(sd_scripts))
    whole = tmp_path / "whole.safetensors"
    save_file({"x": torch.zeros(1)}, whole)
    dies = DIES.replace("WISHES", repr(wishes)).replace("WHOLE", whole.as_posix())
    studio = build_studio(tmp_path / "own", face_weights, dies)
    request = TrainRequest("Anna", (GOOD[0],), "woman", engine=Engine.KOHYA, consent="she agreed")
    job = studio.trainings.start(request)
    studio.queue.wait(job.id, 30)
    error, folder = studio.jobs.status(job.id).error or {}, studio.jobs.folder(job.id)
    left, last = list(folder.glob("kohya/*/*")), folder / "artifacts" / "anna-000005.safetensors"
    assert left == [] and last.is_file() == (not wishes)
    assert error["code"] == ("CANCELLED" if wishes else "KILLED")
    assert (f"the last file, of step 5, is {last}." in error["message"]) == (not wishes)


@pytest.mark.usefixtures("sd_scripts")
def test_what_is_told_of_a_training_is_of_the_checkpoint_that_it_uses(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kohya, "ready", kohya.find)  # which asks for no modules
    large, plan = header_only(tmp_path / "large.safetensors", shapes_of(STANDARD)), {"rank": 8}
    request = TrainRequest(
        "Anna", (GOOD[0],), "woman", engine=Engine.KOHYA, plan=plan, checkpoint=str(large), consent="she agreed"
    )
    of_loaded = studio.trainings.differences(Engine.KOHYA, Method.LORA, plan)
    job = studio.trainings.start(request)
    told = job.payload["otherwise"]
    assert any("conv_rank" in sentence for sentence in of_loaded)  # the small checkpoint's preset has one
    assert told and not any("conv_rank" in sentence for sentence in told)
    studio.queue.wait(job.id, 30)
