"""While the host makes pictures, a training in another process stands still."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pretended_card
import pytest
from personal_avatar import room
from personal_avatar.environment import free
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


TOTAL = 100 * 2**20


@pytest.fixture()
def card(host: StandaloneHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[pretended_card.Card]:
    """A card of `TOTAL` bytes, of which torch keeps what is held."""
    host.unload()
    with pretended_card.Card().plugged_in() as found:
        def seen(device: object = None) -> Card:
            return Card(TOTAL - found.held, found.held, found.held, found.held)

        monkeypatch.setattr(room, "card", seen)
        monkeypatch.setattr(room, "count_anew", lambda device=None: None)
        monkeypatch.setattr(free, "card", lambda ours=(), index=0: free.Free("vram", TOTAL / free.GB, TOTAL / free.GB))
        yield found
    host.unload()


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "loaded_before"), [("train", True), ("train", False), ("prepare", True)])
def test_after_a_picture_beside_a_training_the_card_is_the_trainings_again(
    stage: str, loaded_before: bool, host: StandaloneHost, start: Callable[[str], str], card: pretended_card.Card
) -> None:
    """Also where nothing was loaded when it began, and where it is not on the card yet."""
    if loaded_before:
        list(host.generate(REQUEST, lambda step, total: None))
        assert card.held > 2**20
    host.make_room(TOTAL - 2**20, print)
    assert card.held == 0
    start(stage)
    seen: list[int] = []
    assert len(list(host.generate(REQUEST, lambda step, total: seen.append(card.held)))) == 2
    assert seen[-1] > 2**20 and card.held == 0


@pytest.mark.slow
def test_after_a_picture_that_failed_it_is_so_too(
    host: StandaloneHost, start: Callable[[str], str], card: pretended_card.Card
) -> None:
    def fails(step: int, total: int) -> None:
        raise Cancelled("enough")

    host.make_room(TOTAL, print)
    start("train")
    with pytest.raises(Cancelled):
        list(host.generate(REQUEST, fails))
    assert card.held == 0


@pytest.mark.slow
@pytest.mark.parametrize("trains", [True, False])
def test_the_checkpoint_stays_where_a_training_leaves_it_room_or_has_ended(
    trains: bool, host: StandaloneHost, start: Callable[[str], str], card: pretended_card.Card
) -> None:
    host.make_room(TOTAL // 4 if trains else TOTAL, print)
    if trains:
        start("train")
    list(host.generate(REQUEST, lambda step, total: None))
    assert 2**20 < card.held < TOTAL // 2


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
