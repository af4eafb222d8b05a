"""When the WebUI's checkpoint makes room for a training, decided from numbers; nothing here has a graphics card."""
from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from personal_avatar import room, sessions
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.sharing import GRACE_S
from personal_avatar.jobs.store import JobStore
from personal_avatar.room import Card
from personal_avatar.studio.works import neighbourhood_of

from tests.unit.jobs.yielding import trainings, until

CHOSEN = "chosen.safetensors"
NETWORKS = "personal_avatar.webui.identity.networks"


@dataclass
class Webui:
    """What of a WebUI decides and is moved: `places` of its models, in the order in which they were moved; what was
    `parked` of our own networks, and before how many moves."""

    places: list[str] = field(default_factory=list)
    free: int = 100
    parked: list[str] = field(default_factory=list)
    state: Any = field(default_factory=SimpleNamespace)

    def __post_init__(self) -> None:
        self.state.job, self.state.begin = "", self.begin

    def modules(self) -> dict[str, ModuleType]:
        model = SimpleNamespace(name="loaded")
        made = {
            "devices": {"device": "cuda"},
            "sd_models": {
                "model_data": SimpleNamespace(sd_model=model, loaded_sd_models=[model]),
                "send_model_to_cpu": lambda model: self.places.append("memory"),
                "send_model_to_device": lambda model: self.places.append("card"),
            },
            "shared": {
                "state": self.state, "opts": SimpleNamespace(sd_model_checkpoint=CHOSEN),
            },
            "call_queue": {"queue_lock": threading.Lock()}, "extensions": {}, "paths": {},
        }
        found = {f"modules.{name}": ModuleType(f"modules.{name}") for name in made}
        for name, values in made.items():
            vars(found[f"modules.{name}"]).update(values)
        parent = ModuleType("modules")
        vars(parent).update({name: found[f"modules.{name}"] for name in made})
        return {"modules": parent, **found}

    def begin(self, job: str = "") -> None:
        self.state.job = job
        self.places.append(f"begins {job}")


@pytest.fixture()
def webui(monkeypatch: pytest.MonkeyPatch) -> Webui:
    made = Webui()
    for name, module in made.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    networks = ModuleType(NETWORKS)
    vars(networks)["park"] = lambda: made.parked.append(f"identity before {len(made.places)}")
    monkeypatch.setitem(sys.modules, NETWORKS, networks)
    monkeypatch.setattr(sessions, "clear_card", lambda: made.parked.append("faces"))
    for name in ("folders", "sharing", "untold"):
        monkeypatch.delitem(sys.modules, f"personal_avatar.webui.{name}", raising=False)
    monkeypatch.setattr(room, "card", lambda device=None: Card(made.free))
    return made


@pytest.fixture()
def sharing(webui: Webui, tmp_path: Path) -> Iterator[Any]:
    module = importlib.import_module("personal_avatar.webui.sharing")
    store = JobStore(tmp_path / "jobs")
    module.neighbourhood = lambda: neighbourhood_of(store)
    yield module
    for name in ("folders", "sharing", "untold"):
        sys.modules.pop(f"personal_avatar.webui.{name}", None)


def no_wait(why: str) -> None:
    raise AssertionError(why)


@pytest.mark.parametrize(("wanted", "places"), [(99, []), (100, []), (101, ["memory"])])
def test_it_goes_only_where_the_training_lacks_room(
    sharing: Any, webui: Webui, wanted: int, places: list[str]
) -> None:
    assert sharing.Checkpoint().make_room(wanted, no_wait) is bool(places)
    assert webui.places == places


def test_our_own_networks_go_before_it_as_the_memory_of_both_is_given_back_together(
    sharing: Any, webui: Webui
) -> None:
    checkpoint = sharing.Checkpoint()
    checkpoint.make_room(50, no_wait)
    assert not webui.parked
    checkpoint.make_room(101, no_wait)
    assert webui.parked == ["identity before 0", "faces"] and webui.places == ["memory"]


def test_it_is_back_before_a_picture_and_once(sharing: Any, webui: Webui) -> None:
    checkpoint = sharing.Checkpoint()
    checkpoint.make_room(101, no_wait)
    checkpoint.come_back()
    checkpoint.come_back()
    assert webui.places == ["memory", "card"]


def test_after_the_picture_it_goes_again_while_the_training_lives(sharing: Any, webui: Webui) -> None:
    checkpoint = sharing.Checkpoint()
    checkpoint.make_room(101, no_wait)
    with trainings(sharing.neighbourhood().store) as start:
        start("train")
        checkpoint.come_back()
        with sharing.queue_lock:
            assert not checkpoint.leave_again()
        assert checkpoint.leave_again() and checkpoint.leave_again()
        assert webui.places == ["memory", "card", "memory"]
        checkpoint.come_back()
    assert checkpoint.leave_again()
    assert webui.places == ["memory", "card", "memory", "card"]


@pytest.mark.parametrize(("engine", "stage", "asked"), [("kohya", "train", False), ("diffusers", "prepare", True)])
def test_after_the_picture_it_goes_again_also_for_a_training_that_cannot_be_asked_or_is_not_on_the_card_yet(
    sharing: Any, webui: Webui, monkeypatch: pytest.MonkeyPatch, engine: str, stage: str, asked: bool
) -> None:
    """By sd-scripts, which knows of no wishes; while photos are checked, the card looks free and is not for long."""
    monkeypatch.setattr(room, "count_anew", lambda device=None: None)
    picture = SimpleNamespace(width=64, height=64, batch_size=1)
    with trainings(sharing.neighbourhood().store) as start:
        webui.free = 5 * room.GIB
        sharing.checkpoint().make_room(10 * room.GIB, no_wait)
        control = Control(sharing.neighbourhood().store.folder(start(stage, engine=engine)))
        webui.free = 12 * room.GIB
        sharing.before_picture(picture)
        assert webui.places == ["memory", "card"]
        assert control.asked(YIELD) is asked
        until(lambda: webui.places == ["memory", "card", "memory"])
        until(lambda: not control.asked(YIELD))


def test_what_a_training_needs_that_is_not_on_the_card_yet_counts_as_taken(sharing: Any, webui: Webui) -> None:
    small = room.Size("", 0)
    with trainings(sharing.neighbourhood().store) as start:
        start("prepare")
        for free_gib, is_crowded in ((12, True), (14, False)):
            webui.free = free_gib * room.GIB
            assert not sharing.checkpoint().make_room(10 * room.GIB, no_wait)
            assert sharing.crowded(small, room.card()) is is_crowded
    with trainings(sharing.neighbourhood().store) as start:
        start("train")
        webui.free = 4 * room.GIB  # what is taken is seen
        assert not sharing.crowded(small, room.card())


def test_it_stays_for_a_training_that_found_room(sharing: Any, webui: Webui) -> None:
    checkpoint = sharing.Checkpoint()
    checkpoint.make_room(50, no_wait)
    assert checkpoint.leave_again()
    assert webui.places == []


@pytest.mark.parametrize(("told", "pixels"), [
    ({}, 512 * 768),
    ({"enable_hr": True, "hr_scale": 2.0, "hr_resize_x": 0, "hr_resize_y": 0}, 4 * 512 * 768),
    ({"enable_hr": True, "hr_scale": 2.0, "hr_resize_x": 1024, "hr_resize_y": 0}, 1024 * 1536),
    ({"enable_hr": True, "hr_scale": 2.0, "hr_resize_x": 600, "hr_resize_y": 800}, 600 * 800),
])
def test_what_a_picture_takes_follows_from_its_largest_size(sharing: Any, told: dict[str, Any], pixels: int) -> None:
    p = SimpleNamespace(width=512, height=768, batch_size=3, override_settings={}, **told)
    size = sharing.size_of(p)
    assert (size.pixels, size.batch) == (pixels, 3)
    assert CHOSEN in size.checkpoint


def test_work_that_no_hook_tells_of_is_heard_once_however_often_the_page_is_reloaded(
    sharing: Any, webui: Webui
) -> None:
    heard: list[str] = []
    sharing.before_work = lambda: heard.append(sharing.shared.state.job)
    untold = importlib.import_module("personal_avatar.webui.untold")
    untold.listen()
    untold.listen()
    for job in ("extras", "scripts_txt2img"):
        sharing.shared.state.begin(job=job)
    assert heard == ["extras"]
    assert webui.places == ["begins extras", "begins scripts_txt2img"]


@pytest.mark.parametrize(("module", "name"), [
    ("textual_inversion.textual_inversion", "create_embedding"),
    ("textual_inversion.textual_inversion", "train_embedding"), ("hypernetworks.hypernetwork", "train_hypernetwork"),
])
def test_the_webuis_own_training_has_its_checkpoint_on_the_card_until_it_ends(
    sharing: Any, webui: Webui, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    def works(steps: int) -> list[str]:
        time.sleep(2 * GRACE_S)  # the API's has not got the WebUI's queue
        return [*webui.places, str(steps)]

    made = ModuleType(f"modules.{module}")
    vars(made)[name] = works
    monkeypatch.setitem(sys.modules, made.__name__, made)
    untold = importlib.import_module("personal_avatar.webui.untold")
    untold.listen()
    untold.listen()
    with trainings(sharing.neighbourhood().store) as start:
        sharing.checkpoint().make_room(101, no_wait)
        start("train", engine="kohya")
        assert getattr(made, name)(steps=7) == ["memory", "card", "7"]
        until(lambda: webui.places == ["memory", "card", "memory"])


@pytest.fixture()
def train_embedding(sharing: Any, webui: Webui, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """The WebUI's own training, which ends when the given event is set and returns what was moved under it; the WebUI's
    queue is taken by the caller, or is not."""
    made = ModuleType("modules.textual_inversion.textual_inversion")

    def works(ends: threading.Event) -> list[str]:
        ends.wait(30)
        return list(webui.places)

    vars(made)["train_embedding"] = works
    monkeypatch.setitem(sys.modules, made.__name__, made)
    importlib.import_module("personal_avatar.webui.untold").listen()
    return lambda ends: made.train_embedding(ends)


@pytest.mark.parametrize("by_page", [False, True])
def test_a_training_of_ours_that_would_take_the_room_of_the_webuis_own_waits_for_its_end_and_says_so(
    by_page: bool, sharing: Any, webui: Webui, train_embedding: Callable[[Any], list[str]]
) -> None:
    """From the page it has the WebUI's queue, by the API it has not."""
    ends, told, under = threading.Event(), [], []

    def own() -> None:
        with sharing.queue_lock if by_page else nullcontext():
            under.extend(train_embedding(ends))

    def waiting(why: str) -> None:
        told.append(why)
        if len(told) == 3:
            ends.set()

    working = threading.Thread(target=own)
    working.start()
    until(lambda: sharing.checkpoint()._kept == 1)
    assert not sharing.checkpoint().make_room(100, no_wait), "where there is room for both nobody waits"
    assert sharing.checkpoint().make_room(101, waiting)
    working.join()
    assert under == [] and webui.places == ["memory"]
    assert len(told) >= 3 and "embedding" in told[0]


def test_whoever_waits_for_the_webuis_own_training_can_be_cancelled(
    sharing: Any, webui: Webui, train_embedding: Callable[[Any], list[str]]
) -> None:
    def cancelled(why: str) -> None:
        raise Cancelled("enough")

    ends = threading.Event()
    working = threading.Thread(target=train_embedding, args=(ends,))
    working.start()
    until(lambda: sharing.checkpoint()._kept == 1)
    with pytest.raises(Cancelled):
        sharing.checkpoint().make_room(101, cancelled)
    ends.set()
    working.join()
    assert webui.places == []


def test_it_does_not_go_beside_a_picture_that_begins_where_what_kept_it_ends(sharing: Any, webui: Webui) -> None:
    checkpoint, seen = sharing.Checkpoint(), []

    def waiting(why: str) -> None:
        seen.append(list(webui.places))
        if len(seen) == 1:
            sharing.queue_lock.release()  # the picture is there

    asking = threading.Thread(target=checkpoint.make_room, args=(101, waiting))
    sharing.queue_lock.acquire()
    with checkpoint._moving:
        checkpoint._kept = 1
        asking.start()
        time.sleep(0.2)
        checkpoint._kept = 0
    asking.join(10)
    assert seen and not any(seen) and webui.places == ["memory"]


@pytest.mark.parametrize(("device", "seen", "told"), [
    ("cuda:1", None, "1,0,2"), ("cuda:2", "3,0,GPU-ab", "GPU-ab,3,0"),
    ("cuda:0", None, None), ("cuda", None, None), ("cpu", None, None), ("xpu:1", None, None),
])
def test_trainings_take_the_card_that_the_webui_was_told_to_take(
    device: str, seen: str | None, told: str | None, sharing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others come after it, for plans that use several."""
    import torch

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(sharing.devices, "device", torch.device(device))
    assert sharing.card_index() == (int(device[-1]) if told else 0)
    assert sharing.visible_cards() == ((("CUDA_VISIBLE_DEVICES", told),) if told else ())


def test_of_cards_of_other_makers_they_take_the_first(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "hip", "6.0")
    monkeypatch.setattr(sharing.devices, "device", torch.device("cuda", 1))
    assert sharing.card_index() == 0 and sharing.visible_cards() == ()
