"""Pictures made while training: what lies on the card meanwhile, and that nothing else depends on it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.training import compute
from personal_avatar.training.data import cache
from personal_avatar.training.evaluation.following import PromptJudge
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, latents_of, make_pictures
from personal_avatar.training.families import model as model_module
from personal_avatar.training.families import parts, registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.parking import Parking

SETTINGS = SampleSettings(64, steps=2, guidance=4.0, batch=2, negative_prompt="blurred")
SHOTS = [Shot(f"a man, number {number}", 50 + number) for number in range(5)]
CARD, MEMORY = torch.device("cuda", 0), torch.device("cpu")
UNET, TEXT, VAE = "unet", "text", "vae"


@pytest.fixture(scope="module", params=[Family.SD1, pytest.param(Family.SDXL, marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    torch.set_num_threads(1)
    base = make(request.param, tmp_path_factory.mktemp("samples"))
    return registry.load(base, compute.choose("fp32"), 64)


@dataclass
class Card:
    """A pretended graphics card: it knows where every part of a model was moved, and notes what works. Everything is
    computed in main memory all the same."""

    model: DiffusionModel
    at: dict[int, torch.device] = field(default_factory=dict)
    worked: list[tuple[str, ...]] = field(default_factory=list)  # what worked, then all that was on the card

    def parts(self) -> dict[str, list[torch.nn.Module]]:
        return {UNET: [self.model.unet], VAE: [self.model.vae], TEXT: list(self.model.text_encoders.values())}

    def place(self, part: torch.nn.Module) -> torch.device:
        return self.at.get(id(part), CARD)

    def move(self, parts: list[torch.nn.Module], device: torch.device) -> None:
        """What the model computes on stands for the card."""
        device = CARD if device is self.model.compute.device else device
        self.at.update({id(part): device for part in parts})

    def held(self) -> list[str]:
        return sorted(name for name, group in self.parts().items() if any(self.place(part) == CARD for part in group))

    def note(self, name: str) -> Callable[..., None]:
        return lambda *_: self.worked.append((name, *self.held()))


@pytest.fixture
def card(model: DiffusionModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    found = Card(model)
    model.texts.clear()
    monkeypatch.setattr(DiffusionModel, "on_card", True)
    monkeypatch.setattr(parts, "_place", found.place)
    monkeypatch.setattr(parts, "_move", found.move)
    watched = {UNET: [model.unet], TEXT: found.parts()[TEXT], VAE: [model.vae.encoder, model.vae.decoder]}
    hooks = [part.register_forward_pre_hook(found.note(name)) for name, group in watched.items() for part in group]
    yield found
    for hook in hooks:
        hook.remove()


def by_hand(model: DiffusionModel) -> np.ndarray:
    """Batch after batch from its text to its pictures."""
    batches = [SHOTS[at : at + SETTINGS.batch] for at in range(0, len(SHOTS), SETTINGS.batch)]
    with torch.no_grad():
        return np.concatenate([model.decode(latents_of(model, batch, SETTINGS)) for batch in batches])


def in_order(worked: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without repetitions."""
    return [one for at, one in enumerate(worked) if at == 0 or worked[at - 1] != one]


def test_on_a_processor_nothing_moves_and_pictures_are_those_of_batch_after_batch(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: moved.append(module))
    called: list[int] = []
    images = make_pictures(model, SHOTS, SETTINGS, lambda: called.append(1))
    assert images.shape == (5, 64, 64, 3) and (images == by_hand(model)).all()
    assert len(called) == 6 and not moved


def test_fewer_at_a_time_are_the_same_pictures(model: DiffusionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = make_pictures(model, SHOTS, replace(SETTINGS, batch=4))
    judge = PromptJudge(model, ("a man", "a man smiling", "a man in a hat"))
    score, predict, coded = judge.score(wanted, ["a man"] * len(wanted)), DiffusionModel.predict, DiffusionModel.decode

    def narrow(self: DiffusionModel, noisy: torch.Tensor, *given: Any) -> torch.Tensor:
        if len(noisy) > 2:  # one picture, guided
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return predict(self, noisy, *given)

    def narrow_decoder(self: DiffusionModel, latents: torch.Tensor) -> np.ndarray:
        if len(latents) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return coded(self, latents)

    monkeypatch.setattr(type(model), "predict", narrow)
    monkeypatch.setattr(type(model), "decode", narrow_decoder)
    found = make_pictures(model, SHOTS, replace(SETTINGS, batch=4))
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert judge.score(wanted, ["a man"] * len(wanted)) == pytest.approx(score, abs=0.2)


def test_on_a_card_each_part_works_without_those_that_are_done(model: DiffusionModel, card: Card) -> None:
    images = make_pictures(model, SHOTS, SETTINGS)
    assert in_order(card.worked) == [(TEXT, TEXT, UNET, VAE), (UNET, UNET, VAE), (VAE, VAE)]
    assert card.held() == [TEXT, UNET, VAE]
    assert (images == by_hand(model)).all()


def test_text_encoders_that_are_kept_apart_come_once_and_alone(
    model: DiffusionModel, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "text_apart", True)
    model.park(text=True, vae=False)
    images = make_pictures(model, SHOTS, SETTINGS)
    assert in_order(card.worked) == [(TEXT, TEXT, VAE), (UNET, UNET, VAE), (VAE, VAE)]
    assert card.held() == [UNET, VAE]
    card.worked.clear()
    model.park(text=True)
    model.unpark()
    assert (make_pictures(model, SHOTS, SETTINGS) == images).all()
    assert in_order(card.worked) == [(UNET, UNET, VAE), (VAE, VAE)]
    assert card.held() == [UNET, VAE]


def test_latents_alone_are_painted_without_the_text_encoders(model: DiffusionModel, card: Card) -> None:
    with torch.no_grad():
        latents_of(model, SHOTS[:1], SETTINGS)
    assert in_order(card.worked) == [(TEXT, TEXT, UNET, VAE), (UNET, UNET, VAE)] and len(card.held()) == 3


def test_what_was_put_away_before_stays_there(model: DiffusionModel, card: Card) -> None:
    model.park(text=True, vae=False)
    with model.without(text=True, unet=True):
        assert card.held() == [VAE]
    assert card.held() == [UNET, VAE]


@pytest.mark.parametrize("call", [1, 3, 5])
def test_whoever_stops_it_finds_everything_on_the_card(model: DiffusionModel, card: Card, call: int) -> None:
    stop_at(model, card, call, lambda: None)
    assert card.held() == [TEXT, UNET, VAE]


@pytest.mark.parametrize("call", [1, 5])
def test_a_card_that_was_given_away_is_not_taken_back_by_an_error(
    model: DiffusionModel, card: Card, call: int
) -> None:
    stop_at(model, card, call, lambda: card.move([part for group in card.parts().values() for part in group], MEMORY))
    assert card.held() == []


def stop_at(model: DiffusionModel, card: Card, call: int, before: Callable[[], None]) -> None:
    """The `call`-th look for wishes raises; there are three batches."""
    called: list[int] = []

    def on_batch() -> None:
        called.append(1)
        if len(called) == call:
            before()
            raise InterruptedError

    with pytest.raises(InterruptedError):
        make_pictures(model, SHOTS, SETTINGS, on_batch)
    assert len(called) == call


def test_pictures_are_judged_with_one_part_at_a_time(model: DiffusionModel, card: Card) -> None:
    captions = ("a man", "a woman in a garden")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    PromptJudge(model, captions).score(images, captions)
    assert in_order(card.worked) == [(VAE, VAE), (TEXT, TEXT, UNET, VAE), (UNET, UNET, VAE)]
    assert card.held() == [TEXT, UNET, VAE]


def test_large_pictures_are_encoded_one_by_one_on_a_card(
    model: DiffusionModel, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
    together = cache.encode_all(model, images).mean
    monkeypatch.setattr(model_module, "CODED_AT_ONCE", 64 * 64)
    card.worked.clear()
    alone = cache.encode_all(model, images).mean
    assert card.worked == [(VAE, VAE)] * 3
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(together, alone, strict=True))


@pytest.mark.slow
def test_the_card_can_be_lent_between_batches(model: DiffusionModel, tmp_path: Path) -> None:
    parking = Parking(Control(tmp_path), EventWriter(tmp_path), gives=("cpu",))
    parking.covers(model.tensors)

    def lend() -> None:
        parking.control.ask(YIELD)
        parking.heed(lambda: parking.control.withdraw(YIELD))

    few = replace(SETTINGS, batch=4)
    assert (make_pictures(model, SHOTS, few, lend) == make_pictures(model, SHOTS, few)).all()
