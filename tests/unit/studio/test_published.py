"""What the host has to say of a finished training is kept with its result; what can be mended there is tried again."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar import caveats
from personal_avatar.domain import Advice, Method
from personal_avatar.errors import NotTaken, SelfTestFailed, WrongState
from personal_avatar.jobs.job import JobView
from personal_avatar.jobs.states import State
from personal_avatar.studio import Studio, TrainRequest

from tests.unit.api.house import GOOD, build_studio

pytestmark = pytest.mark.slow


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


def trained(studio: Studio, method: Method = Method.LORA) -> JobView:
    request = TrainRequest("Anna", (GOOD[0],), "woman", consent="she agreed", method=method)
    return studio.queue.wait(studio.trainings.start(request).id, 30)


@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH])
def test_a_file_that_could_not_be_tried_is_ready_and_its_result_says_so(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    asked = []

    def published(file: Path, method: Method) -> tuple[Advice, ...]:
        asked.append((file.name, method))
        return (caveats.said("NOT_TRIED_MEMORY", file=file.name),)

    monkeypatch.setattr(studio.host, "published", published)
    view = trained(studio, method)
    assert (view.status.state, view.status.error) == (State.SUCCEEDED, None)
    assert asked == [("anna.safetensors", method)]
    assert "could not be tried" in (view.result or {})["advice"][0] and len((view.result or {})["advice"]) == 2
    assert studio.avatars.load("anna").best is not None


def test_where_the_host_takes_another_file_the_job_goes_on_when_that_is_mended(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [NotTaken("The WebUI takes another file."), SelfTestFailed("It changes nothing.")]

    def published(file: Path, method: Method) -> tuple[Advice, ...]:
        if errors:
            raise errors.pop(0)
        return ()

    monkeypatch.setattr(studio.host, "published", published)
    view = trained(studio)
    assert (view.status.error or {})["code"] == "NOT_TAKEN" and studio.queue.can_go_on(view)
    studio.queue.resume(view.job.id)
    view = studio.queue.wait(view.job.id, 30)
    assert (view.status.error or {})["code"] == "SELFTEST" and not studio.queue.can_go_on(view)
    with pytest.raises(WrongState):
        studio.queue.resume(view.job.id)


def test_names_that_are_taken_elsewhere_in_the_host_are_handed_to_the_training(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loras, checkpoints = (tmp_path / "LyCORIS",), (tmp_path / "more",)
    folders = replace(studio.host.folders(), more_loras=loras, more_checkpoints=checkpoints)
    monkeypatch.setattr(studio.host, "_folders", folders)
    assert trained(studio).job.payload["beside"] == [str(tmp_path / "LyCORIS")]
    assert trained(studio, Method.DREAMBOOTH).job.payload["beside"] == [str(tmp_path / "more")]
    assert trained(studio, Method.TEXTUAL_INVERSION).job.payload["beside"] == []


def test_what_is_said_twice_is_told_once_and_codes_stay_with_their_sentences() -> None:
    one, other = caveats.said("NOT_TRIED_OFF", file="a"), caveats.said("NOT_TRIED_MEMORY", file="a")
    told = caveats.told_in(caveats.told_in({}, [one]), [one, other])
    assert told["advice"] == [other.text, one.text]
    assert [found["code"] for found in told["advice_codes"]] == [other.code, one.code]
    assert "advice_codes" not in caveats.told_in({"advice": ["As it was written once."]}, [one])
