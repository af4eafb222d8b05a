"""What a training does on a graphics card, done on one that is pretended (see `pretended_card`)."""
from __future__ import annotations

import gc
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import personal_avatar
import pytest
import torch
from miniatures import make
from personal_avatar.domain import Avatar, BaseModelFile, Family, Method
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.training import compute, losses
from personal_avatar.training.compute import Compute
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.reading import TEXTS_AT_ONCE
from personal_avatar.training.data.training_set import ClassSet, TrainingSet
from personal_avatar.training.evaluation.following import PromptJudge
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.probe import probe
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.parking import Parking
from personal_avatar.training.planning.plan import BOTH, PLANS, PREDICTION, TrainPlan
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.run import run
from pretended_card import CARD, Card, Mixed, Waits

SAMPLES = Path(personal_avatar.__file__).parent / "assets" / "samples"
CAPTIONS, CLASSES = ["a portrait of sks man", "sks man", "sks man smiling"], ["a portrait of man", "man", "man smiling"]
OTHERS = ["a man", "a man in a hat"]
PREDICTIONS = {Family.SD1: "epsilon", Family.SD2: "v_prediction", Family.SDXL: "epsilon"}
SMALL = {"batch_size": 1, "noise_offset": 0.05, "vary_captions": False, "save_count": 1}
LOW_RANK = {"rank": 2, "alpha": 2.0, "learning_rate": 1e-3, "blocks": "late"}
CASES: dict[Method, dict[str, Any]] = {
    Method.LORA: {**LOW_RANK, "prior_weight": 0.3},
    Method.DREAMBOOTH_LORA: {**LOW_RANK, "text_encoder_learning_rate": 1e-4},
    Method.DREAMBOOTH: {"learning_rate": 1e-4, "ema_decay": 0.5},
    Method.TEXTUAL_INVERSION: {},
}
HALVES = ("fp16", "bf16")
# In the environment, such as EVERY_CASE_ON_A_CARD=1: all families x methods x formats and more, which takes a minute.
EVERYTHING = bool(os.environ.get("EVERY_CASE_ON_A_CARD"))
OPTIONS = [
    {"dora": True, "ema_decay": 0.5, "gradient_checkpointing": True, "precision": "bf16"},
    {"conv_rank": 2, "accumulate": 2, "prior_weight": 0.5, "prior_from": "both", "precision": "fp16"},
    {"optimiser": "schedulefree", "clip_skip": 2, "input_perturbation": 0.1, "precision": "fp32"},
]
only_with_everything = pytest.mark.skipif(not EVERYTHING, reason="EVERY_CASE_ON_A_CARD is not set")
MATRIX = [(Family.SD2, Method.DREAMBOOTH, "fp16")]
if EVERYTHING:
    MATRIX = list(itertools.product(PREDICTIONS, CASES, HALVES))


WHOLE = {
    "steps": 2, "save_count": 1, "score_pictures": 1, "sample_steps": 2, "resolution_px": 64, "batch_size": 1,
    "must_rise": False, "class_pictures": 4, "min_photos": 1, "precision": "fp16",
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    torch.set_num_threads(1)
    return {
        family: make(family, tmp_path_factory.mktemp(family.value), prediction=prediction, half=True)
        for family, prediction in PREDICTIONS.items()
    }


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # which goes through all of torch each time
    with Card().plugged_in() as found:
        yield found


def plan_of(method: Method, **values: Any) -> TrainPlan:
    return PLANS[method](**{**SMALL, **CASES[method], **values})


def trainer(
    base: BaseModelFile, method: Method, plan: TrainPlan, total: int = 100, captions: Sequence[str] = CAPTIONS
) -> Trainer:
    """On the device that there is."""
    model = registry.load(
        base, compute.choose(plan.precision), 64, text_apart=not plan.reads_anew, text_as_stored=True
    )
    drawn = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    latents, others = cache.Latents(tuple(drawn), tuple(drawn * 0.1)).split(3)
    text = None if plan.trains_text else reading.text_states(model, ["", *captions, *CLASSES, *OTHERS])
    made = attach(method, model, plan, trigger="sks man", class_noun="man")
    mask = torch.zeros(8, 8)
    mask[2:6, 2:6] = 1.0
    places = (losses.place_weights(mask, 0.3),) * 3
    model.park(text=text is not None)
    data = TrainingSet(latents, list(captions), CLASSES, text, places, ClassSet(others, OTHERS))
    return Trainer(model, made, data, plan, total)


def steps(running: Trainer, count: int) -> None:
    for _ in range(count):
        assert running.step()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "method", "precision"), MATRIX)
def test_steps_wait_for_nothing_and_leave_nothing_on_a_card_that_is_given_away(
    family: Family, method: Method, precision: str, bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    running = trainer(bases[family], method, plan_of(method, precision=precision))
    assert running.model.unet.device == CARD and running._scaler.is_enabled() == (precision == "fp16")
    assert {one.device.type for one in running.model.vae.parameters()} == {"cpu"}
    parked_and_restored(running, card, tmp_path)


@only_with_everything
@pytest.mark.slow
@pytest.mark.parametrize("values", OPTIONS)
def test_the_other_options_of_a_training_wait_for_nothing_either(
    values: dict[str, Any], bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    parked_and_restored(trainer(bases[Family.SD1], Method.LORA, plan_of(Method.LORA, **values)), card, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("prior_from", [PREDICTION, pytest.param(BOTH, marks=only_with_everything)])
def test_steps_that_ask_the_checkpoint_as_it_was_wait_for_nothing_either(
    prior_from: str, bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    plan = plan_of(Method.DREAMBOOTH, prior_from=prior_from, prior_weight=0.5, precision="fp16")
    parked_and_restored(trainer(bases[Family.SD1], Method.DREAMBOOTH, plan), card, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [Method.LORA, Method.TEXTUAL_INVERSION, pytest.param(Method.DREAMBOOTH_LORA, marks=only_with_everything)]
)
def test_captions_of_different_length_are_not_waited_for_either(
    method: Method, bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    """Read before, and at every step."""
    captions = [CAPTIONS[0] + ", tag" * 60, CAPTIONS[1], CAPTIONS[2] + ", tag" * 90]
    plan = plan_of(method, precision="fp16", batch_size=2, caption_dropout=0.2)
    running = trainer(bases[Family.SDXL], method, plan, captions=captions)
    parked_and_restored(running, card, tmp_path)


def parked_and_restored(running: Trainer, card: Card, folder: Path) -> None:
    """One step, then the next one twice: after the card was given away, and from the state that was kept before."""
    card.waits.clear()
    with card.never_waiting():
        steps(running, 1)
    assert running._look()
    kept = running.snapshot()
    assert lent(running, card, folder) == 0
    with card.never_waiting():
        steps(running, 1)
    assert running._look()
    first, weights = list(running.losses), running.method.state()
    running.restore(kept)
    assert {one.device for one in running.tensors()} == {CARD}
    steps(running, 1)
    assert running._look() and running.losses == first and np.isfinite(first).all()
    assert all(torch.equal(weight, weights[key]) for key, weight in running.method.state().items())


def lent(running: Trainer, card: Card, folder: Path) -> int:
    """Bytes that are left on the card while somebody else has it."""
    found: list[int] = []
    lend(running, folder, lambda: found.append(card.held))
    return found[0]


def lend(running: Trainer, folder: Path, look: Callable[[], None]) -> None:
    parking = Parking(Control(folder), EventWriter(folder), reserve_gb=0.0)
    parking.covers(running.model.tensors)
    parking.covers(running.tensors)
    parking.control.ask(YIELD)

    def once() -> None:
        look()
        parking.control.withdraw(YIELD)

    parking.heed(once)


@only_with_everything
@pytest.mark.slow
def test_the_pretended_card_computes_what_the_processor_does(bases: dict[Family, BaseModelFile]) -> None:
    plan, losses_of = plan_of(Method.LORA, precision="fp32"), []
    for place in (nullcontext(), Card().plugged_in()):
        with place:
            running = trainer(bases[Family.SD1], Method.LORA, plan)
            steps(running, 2)
            assert running._look()
            losses_of.append(running.losses)
    assert losses_of[0] == pytest.approx(losses_of[1], rel=1e-4)


@only_with_everything
@pytest.mark.slow
def test_only_optimisers_that_must_ask_for_numbers_wait(bases: dict[Family, BaseModelFile], card: Card) -> None:
    """Prodigy for its rate, at every step."""
    running = trainer(bases[Family.SD1], Method.LORA, plan_of(Method.LORA, precision="bf16"))
    waited = {}
    for name in ("adamw", "adafactor", "lion", "schedulefree", "muon", "prodigy"):
        plan = running.plan.copy(update={"optimiser": name, "prior_weight": 0.0})
        fresh = Trainer(running.model, running.method, running.data, plan, 100)
        steps(fresh, 1)
        card.waits.clear()
        steps(fresh, 1)
        waited[name] = len(card.waits)
    assert waited.pop("prodigy") > 0
    assert set(waited.values()) == {0}


@pytest.mark.slow
def test_gradients_that_are_too_large_for_fp16_leave_the_weights_alone(
    bases: dict[Family, BaseModelFile], card: Card
) -> None:
    running = trainer(bases[Family.SD1], Method.LORA, plan_of(Method.LORA, precision="fp16"))
    steps(running, 1)
    assert running._look()
    kept = running.snapshot()
    for group in kept["optimiser"]["param_groups"]:
        group["fused"] = None  # as a processor with an older torch leaves it
    running.restore(kept)
    running._scaler.load_state_dict({**running._scaler.state_dict(), "scale": 2.0**100})
    before = running.method.state()
    with card.never_waiting():
        steps(running, 1)
    assert running._look(), "it is the scaler's business alone"
    assert running._scaler.get_scale() == 2.0**99
    assert all(torch.equal(weight, before[key]) for key, weight in running.method.state().items())
    running._scaler.load_state_dict({**running._scaler.state_dict(), "scale": 256.0})
    steps(running, 1)
    assert not all(torch.equal(weight, before[key]) for key, weight in running.method.state().items())


@pytest.mark.slow
def test_weights_that_blew_up_are_put_back_on_the_card(bases: dict[Family, BaseModelFile], card: Card) -> None:
    plan = plan_of(Method.LORA, precision="fp16", ema_decay=0.5)
    running, notes = trainer(bases[Family.SD1], Method.LORA, plan), []
    steps(running, 1)
    assert running._look()
    good = running._good()
    running.method.load({key: weight * float("nan") for key, weight in running.method.state().items()})
    with card.never_waiting():
        steps(running, 2)
    assert not running._look(), "noticed later, when the losses are looked at"
    running._halve(good, Hooks(lambda *_: None, lambda step: None, notes.append))
    assert running.done == 1 and len(notes) == 1
    with card.never_waiting():
        steps(running, 1)
    assert running._look()
    assert {one.device for one in running.tensors()} == {CARD}


@only_with_everything
@pytest.mark.slow
def test_pictures_of_a_training_are_the_same_when_the_card_is_given_away_meanwhile(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    """Also those of the bare checkpoint, while the trained weights wait beside it."""
    plan = plan_of(Method.DREAMBOOTH, precision="fp16", optimiser="schedulefree", ema_decay=0.0)
    running = trainer(bases[Family.SDXL], Method.DREAMBOOTH, plan)
    steps(running, 1)
    assert running._look()
    running.model.unpark()
    settings, shots = SampleSettings(64, steps=2, guidance=3.0, batch=1), [Shot("sks man", 1)]
    trained, left = running.method.state(), []

    def look() -> None:
        left.append(card.held)

    with running._averaged.in_place(), running.method.strength(0.0):
        plain = make_pictures(running.model, shots, settings)
        parked = make_pictures(running.model, shots, settings, lambda: lend(running, tmp_path, look))
    assert (plain == parked).all() and len(left) == 2
    assert max(left) < 200_000, "texts and latents of the pictures under way alone"
    assert all(torch.equal(weight, trained[key]) for key, weight in running.method.state().items())
    assert {one.device for one in running.tensors()} == {CARD}


@pytest.mark.slow
def test_a_card_that_is_given_away_while_captions_are_read_is_given_away_whole(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    model, left = registry.load(bases[Family.SDXL], compute.choose("fp16"), 64), []
    parking = Parking(Control(tmp_path), EventWriter(tmp_path), reserve_gb=0.0)
    parking.covers(model.tensors)

    def heed() -> None:
        parking.control.ask(YIELD)
        parking.heed(lambda: (left.append(card.held), parking.control.withdraw(YIELD)))

    captions = [f"sks man, photo {number}" for number in range(2 * TEXTS_AT_ONCE)]
    found = reading.text_states(model, captions, on_group=heed)
    assert left == [0, 0] and {one.device for one in found.states.values()} == {CARD}


@pytest.mark.slow
def test_a_training_that_ends_while_captions_are_read_leaves_nothing_on_the_card(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    model = registry.load(bases[Family.SDXL], compute.choose("fp16"), 64, text_apart=True)
    parking = Parking(Control(tmp_path), EventWriter(tmp_path), reserve_gb=0.0)
    parking.covers(model.tensors)

    def heed() -> None:
        assert _on_card(*model.text_encoders.values()) and not _on_card(model.unet)
        parking.control.ask(YIELD)
        parking.heed(_cancel)

    with pytest.raises(Cancelled):
        reading.text_states(model, ["sks man"], on_group=heed)
    assert not _on_card(model.unet, model.vae, *model.text_encoders.values())


def _cancel() -> None:
    raise Cancelled("Enough.")


def _on_card(*modules: torch.nn.Module) -> bool:
    """Whether any part of them is."""
    return any(weight.device == CARD for module in modules for weight in module.parameters())


@only_with_everything
@pytest.mark.slow
def test_what_a_checkpoint_is_asked_beside_the_training_runs_on_a_card(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    """Which kind it is of, whether pictures follow their prompts, and of an inpainting one what its empty mask is."""
    model = registry.load(bases[Family.SD2], compute.choose("fp16"), 64)
    assert probe(model) in ("epsilon", "v_prediction", "v")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert 0.0 <= PromptJudge(model, ("a man", "a woman")).score(images, ("a man",)) <= 1.0
    grey = registry.load(make(Family.SD1, tmp_path, inpainting=True, half=True), compute.choose("fp16"), 64)
    seen: list[tuple[torch.dtype, bool]] = []
    grey.vae.encoder.register_forward_pre_hook(
        lambda _, inputs: seen.append((inputs[0].dtype, torch.is_autocast_enabled("cuda")))
    )
    grey.park(text=False)
    text, noisy = grey.encode_text(["a man"]), torch.zeros(1, 4, 16, 16, device="cuda")  # loading asked for 8 x 8
    for step in range(2):
        with torch.no_grad(), card.never_waiting() if step else nullcontext():
            assert grey.predict(noisy, torch.full((1,), 500, device="cuda"), text).shape == noisy.shape
    assert seen == [(torch.float32, False)], "the VAE overflows in half precision"


@only_with_everything
@pytest.mark.slow
def test_each_kind_of_fault_is_found(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(Method.LORA, precision="fp16", ema_decay=0.5, prior_weight=0.0)
    running = trainer(bases[Family.SD1], Method.LORA, plan)
    steps(running, 1)
    assert running._look()
    kept = running.snapshot()
    faults: list[tuple[Any, str, Any, type[Exception]]] = [
        (Compute, "send", lambda self, one: one, Mixed),
        (Compute, "send", lambda self, one: one.to(self.device), Waits),
        (Compute, "send", lambda self, one: one.to(self.device, non_blocking=True), Waits),
        (Compute, "send", lambda self, one: torch.as_tensor(one.numpy(), device=self.device), Waits),
        (reading.TextStates, "of", lambda self, said, _: {"states": self.states["states"][[0] * len(said)]}, Waits),
        (losses, "draw_noise", lambda shape, _, draw: torch.randn(shape, generator=draw, device="cuda"), Mixed),
        (losses, "weighted_error", lambda one, *_: one.sum() * float(one.sum()), Waits),
        (losses, "weighted_error", lambda one, *_: one[one > 0].sum(), Waits),
        (losses, "weighted_error", lambda one, *_: one.sum() + one.detach().numpy().sum(), TypeError),
        (running, "_look_every", 1, Waits),
        (running._averaged._average, "shadow_params", [one.cpu() for one in running._averaged.tensors()], Mixed),
        (type(running._scaler), "step", lambda self, optimiser: self.unscale_(optimiser), RuntimeError),
    ]
    for owner, name, fault, error in faults:
        running.restore(kept)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fault)
            with pytest.raises(error), card.never_waiting():
                running.step()
    running.restore(kept)
    first = next(iter(running._optimiser.state.values()))
    first["exp_avg"] = first["exp_avg"].cpu()
    with pytest.raises(Mixed):
        running.step()
    running.restore(kept)
    monkeypatch.setattr(running, "tensors", running._parameters)
    assert lent(running, card, tmp_path) > 0


@only_with_everything
@pytest.mark.slow
@pytest.mark.parametrize("method", list(Method))
def test_a_whole_training_from_photos_to_a_published_file_runs_on_a_card(
    method: Method, bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path, face_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On which text encoders lie as they are stored; those that are not trained, and the UNet, take turns, and read no
    prompt twice."""
    told = Told(monkeypatch)
    photos = tuple(SAMPLES / f"{number:02d}.jpg" for number in range(1, 5))
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    values = {**WHOLE, "save_count": 2}
    task = TrainTask(
        avatar, tmp_path / "avatar", photos, bases[Family.SD1], method, values, tmp_path / "models", face_weights
    )
    folder = tmp_path / "job"
    folder.mkdir()
    result = run(task, folder, EventWriter(folder), Control(folder))
    assert Path(result["files"][0]).is_file() and result["modules_matched"] > 0
    assert torch.float16 in told.text_formats
    if method is Method.TEXTUAL_INVERSION:
        assert told.both_there, "its words are trained where the UNet is"
    else:
        assert not told.both_there
        assert max(told.prompts.values()) == 1


class Told:
    """What checkpoints were asked: how often each was for one of the `prompts`, and whether ever with both parts on the
    card; `text_formats`: of the text encoders' weights meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts: Counter[tuple[int, str]] = Counter()
        self._asked: dict[int, DiffusionModel] = {}
        self.both_there = False
        self.text_formats: set[torch.dtype] = set()
        encode, predict = DiffusionModel.encode_text, DiffusionModel.predict

        def encoded(model: DiffusionModel, captions: Sequence[str], clip_skip: int = 1, least: int = 1) -> Any:
            self.both_there |= self._both(model)
            self._asked[id(model)] = model
            self.text_formats |= {one.dtype for part in model.text_encoders.values() for one in part.parameters()}
            self.prompts.update((id(model), one) for one in captions if len(captions) == 1)
            return encode(model, captions, clip_skip, least)

        def predicted(model: DiffusionModel, *given: Any) -> Any:
            self.both_there |= self._both(model)
            return predict(model, *given)

        monkeypatch.setattr(DiffusionModel, "encode_text", encoded)
        monkeypatch.setattr(DiffusionModel, "predict", predicted)

    @staticmethod
    def _both(model: DiffusionModel) -> bool:
        return _on_card(model.unet) and _on_card(*model.text_encoders.values())
