"""While the host makes pictures, a training in another process stands still."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from personal_avatar import room
from personal_avatar.errors import Cancelled
from personal_avatar.host import PictureRequest
from personal_avatar.jobs.store import JobStore
from personal_avatar.room import Card
from personal_avatar.standalone.host import StandaloneHost

from tests.unit.jobs.yielding import parkings, steps, trainings, until

REQUEST = PictureRequest("a portrait", "", (7, 8), 64, 64, steps=2, guidance=4.0)


@pytest.fixture()
def start(host: StandaloneHost) -> Iterator[Callable[[str], str]]:
    with trainings(JobStore(host.folders().data / "jobs")) as begin:
        yield begin


@pytest.mark.slow
def test_a_training_stands_still_from_the_first_step_to_the_last_picture(
    host: StandaloneHost, start: Callable[[str], str]
) -> None:
    folder = JobStore(host.folders().data / "jobs").folder(start("train"))
    seen: list[int] = []
    made = list(host.generate(REQUEST, lambda step, total: seen.append(steps(folder))))
    assert len(made) == 2
    assert len(seen) >= 2 and len(set(seen)) == 1
    until(lambda: parkings(folder) == [True, False])


@pytest.mark.slow
def test_it_goes_on_when_the_pictures_are_cancelled(host: StandaloneHost, start: Callable[[str], str]) -> None:
    folder = JobStore(host.folders().data / "jobs").folder(start("train"))

    def cancel(step: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(host.generate(REQUEST, cancel))
    until(lambda: parkings(folder) == [True, False])


@pytest.mark.slow
def test_it_goes_on_when_nobody_wants_the_rest_of_the_pictures(
    host: StandaloneHost, start: Callable[[str], str]
) -> None:
    folder = JobStore(host.folders().data / "jobs").folder(start("train"))
    pictures = host.generate(REQUEST, lambda step, total: None)
    next(pictures)
    assert parkings(folder) == [True]
    pictures.close()
    until(lambda: parkings(folder) == [True, False])


@pytest.mark.slow
def test_the_checkpoint_makes_room_only_where_a_card_lacks_it(
    host: StandaloneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded() -> bool:
        return host._pipelines._applied is not None

    list(host.generate(REQUEST, lambda step, total: None))
    host.make_room(10**15, print)
    assert loaded()
    monkeypatch.setattr(room, "card", lambda device=None: Card(free=5))
    host.make_room(5, print)
    assert loaded()
    host.make_room(6, print)
    assert not loaded()
    monkeypatch.undo()
    assert len(list(host.generate(REQUEST, lambda step, total: None))) == 2
