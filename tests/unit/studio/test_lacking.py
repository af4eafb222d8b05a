"""What a plan needs and this machine has not is told before there is a job, with what brings it."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Engine, Method
from personal_avatar.environment import free, libraries
from personal_avatar.errors import InvalidSettings
from personal_avatar.host import Rules
from personal_avatar.studio import Studio
from personal_avatar.studio.lacking import refuse_lacking
from personal_avatar.studio.requests import TrainRequest
from personal_avatar.training.planning.needs import OF_OPTIMISERS
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import LoraPlan

from tests.unit.api.house import GOOD, build_studio


@pytest.fixture
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


def without_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "surely_cardless", lambda: True)


def without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "surely_cardless", lambda: False)
    monkeypatch.setattr(libraries, "find_spec", lambda module: None)


def test_an_optimiser_for_cards_is_refused_without_one_and_leaves_no_avatar(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_card(monkeypatch)
    plan = {"optimiser": "adamw8bit"}
    with pytest.raises(InvalidSettings, match="adamw8bit needs an NVIDIA graphics card") as refused:
        studio.trainings.start(TrainRequest("Anna", (GOOD[0],), "woman", plan=plan, consent="she agreed"))
    assert refused.value.hint == "Set optimiser to adamw."
    assert studio.jobs.ids() == [] and list(studio.avatars.all()) == []
    with pytest.raises(InvalidSettings, match="adamw8bit"):
        studio.trainings.differences(Engine.DIFFUSERS, Method.LORA, plan)


@pytest.mark.parametrize("optimiser", list(OF_OPTIMISERS))
def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    without_libraries(monkeypatch)
    package = OF_OPTIMISERS[optimiser].package
    with pytest.raises(InvalidSettings, match=f"{optimiser} needs the package {package}") as refused:
        refuse_lacking(studio.host, LoraPlan(optimiser=optimiser))
    assert " -m pip install " in refused.value.hint and package in refused.value.hint


def test_what_comes_with_torch_and_transformers_needs_nothing(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    without_libraries(monkeypatch)
    for optimiser in set(OPTIMISERS) - set(OF_OPTIMISERS):
        refuse_lacking(studio.host, LoraPlan(optimiser=optimiser))


def test_another_machine_may_have_what_this_one_lacks(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    without_card(monkeypatch)
    monkeypatch.setattr(studio.host, "rules", lambda: replace(Rules(), executor="ray"))
    refuse_lacking(studio.host, LoraPlan(optimiser="adamw8bit"))
