from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family
from personal_avatar.errors import Cancelled, InvalidSettings, NanLoss
from personal_avatar.training import compute, loop, losses, optimisers, storing
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.captions import leads
from personal_avatar.training.data.reading import TEXTS_AT_ONCE
from personal_avatar.training.data.training_set import ClassSet, Pictures, TrainingSet
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods.base import State
from personal_avatar.training.methods.dreambooth import Dreambooth
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import BOTH, PICTURES, PREDICTION, DreamboothPlan, LoraPlan

Load = Callable[[], DiffusionModel]
CAPTIONS = ["a portrait of sks man", "sks man smiling", "a portrait of sks man"]
PLAN = LoraPlan(rank=2, alpha=2.0, conv_rank=2, batch_size=2, learning_rate=1e-3, noise_offset=0.05, save_count=2)


def pictures(count: int = 3, height_px: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height_px, 64, 3), dtype=np.uint8))


def training_set(model: DiffusionModel, plan: LoraPlan = PLAN) -> TrainingSet:
    classes = [caption.replace("sks man", "man") for caption in CAPTIONS]
    changing = plan.trains_text or plan.shuffle_captions
    asked = [one for caption in (*CAPTIONS, *classes, "a man", "a man in a hat") for one in leads(caption)]
    text = None if changing else reading.text_states(model, ["", *asked])
    others = ClassSet(cache.encode_all(model, pictures(5)[3:]), ["a man", "a man in a hat"])
    return TrainingSet(cache.encode_all(model, pictures()), CAPTIONS, classes, text, others=others)


def trainer(load: Load, plan: LoraPlan = PLAN, total: int = 6) -> Trainer:
    model = load()
    return Trainer(model, Lora(model, plan), training_set(model, plan), plan, total)


def quiet(save: Callable[[int], bool | None] = lambda step: None) -> Hooks:
    return Hooks(lambda *_: None, save, lambda sentence: None)


def same(one: Trainer, other: State) -> bool:
    found = one.method.state()
    return found.keys() == other.keys() and all(torch.equal(found[key], other[key]) for key in found)


def taken_up(load: Load, plan: LoraPlan, total: int, folder: Path) -> tuple[Trainer, Trainer]:
    """A training whose state was written to the disk in its middle, and one that went on from there; both ended."""
    whole, second = (trainer(load, plan, total) for _ in range(2))

    def write(done: int, *_: object) -> None:
        if done == total // 2:
            storing.write(folder, {}, whole.state())

    whole.run(replace(quiet(), step=write))
    second.restore(storing.read(folder)[1])
    assert second.done == total // 2
    second.run(quiet())
    return whole, second


@dataclass(frozen=True)
class Finished:
    losses: list[float]
    state: State


@pytest.fixture(scope="module")
def usual(load_miniature: Load) -> Finished:
    """A training as `trainer` makes it, of which nobody asked anything on its way."""
    running = trainer(load_miniature)
    running.run(quiet())
    return Finished(running.losses, running.method.state())


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_to_the_last_bit(load_miniature: Load, usual: Finished) -> None:
    other = trainer(load_miniature)
    other.run(quiet())
    assert other.losses == usual.losses
    assert same(other, usual.state)


@pytest.mark.slow
def test_another_seed_is_another_run(load_miniature: Load, usual: Finished) -> None:
    other = trainer(load_miniature, PLAN.copy(update={"seed": 2}))
    other.run(quiet())
    assert other.losses != usual.losses


@pytest.mark.slow
def test_a_state_goes_to_the_disk_and_on_from_there_as_if_nothing_had_happened(
    load_miniature: Load, usual: Finished, tmp_path: Path
) -> None:
    whole, second = taken_up(load_miniature, PLAN, 6, tmp_path)
    assert second.done == whole.done == 6
    assert second.losses == whole.losses == usual.losses
    assert same(second, usual.state) and same(whole, usual.state)


@pytest.mark.slow
def test_a_training_learns_its_pictures(load_miniature: Load) -> None:
    """On the same noise before and after, for the captions that were learned."""
    plan = PLAN.copy(update={"learning_rate": 5e-3, "caption_dropout": 0.0})
    running = trainer(load_miniature, plan, total=30)
    before = fixed_error(running)
    running.run(quiet())
    assert fixed_error(running) < 0.97 * before


def fixed_error(running: Trainer) -> float:
    latents, times = torch.stack(running.data.latents.mean).repeat(4, 1, 1, 1), torch.arange(60, 1000, 80)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
    alpha = running.model.alphas_cumprod().float()[times]
    with torch.no_grad():
        text = running.model.encode_text(CAPTIONS * 4)
        found = running.model.predict(losses.add_noise(latents, noise, alpha), times, text)
    return float((found - noise).pow(2).mean())


@pytest.mark.slow
@pytest.mark.parametrize("plan", [
    PLAN.copy(update={"prior_weight": 1.0}),
    PLAN.copy(update={"prior_weight": 1.0, "prior_from": PICTURES}),
    PLAN.copy(update={"prior_weight": 1.0, "prior_from": BOTH}),
    PLAN.copy(update={"shuffle_captions": True, "input_perturbation": 0.1, "accumulate": 2, "ema_decay": 0.5}),
    *(PLAN.copy(update={"optimiser": name}) for name in OPTIMISERS if name != "adamw8bit"),
    PLAN.copy(update={"text_encoder_learning_rate": 1e-4}),
    PLAN.copy(update={"gradient_checkpointing": True}),
])
def test_every_option_trains_something(load_miniature: Load, plan: LoraPlan) -> None:
    running = trainer(load_miniature, plan, total=3)
    before = running.method.state()
    running.run(quiet())
    moved = {key for key, weight in running.method.state().items() if not torch.equal(weight, before[key])}
    assert any(key.startswith("lora_unet") for key in moved)
    assert any(key.startswith("lora_te") for key in moved) == running.method.trains_text


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_the_class_is_held_by_as_many_pictures_as_the_plan_says(
    load_miniature: Load, monkeypatch: pytest.MonkeyPatch, size: int, gradient_checkpointing: bool
) -> None:
    """Which memory and time are reckoned by. With checkpointing person and class go back one after the other."""
    values = {"prior_weight": 1.0, "batch_size": size, "gradient_checkpointing": gradient_checkpointing}
    plan = PLAN.copy(update={**values, "prior_from": PREDICTION})
    running = trainer(load_miniature, plan)
    asked: list[int] = []
    predict = running.model.predict

    def counted(noisy: torch.Tensor, *rest: Any) -> torch.Tensor:
        if torch.is_grad_enabled():
            asked.append(len(noisy))
        return predict(noisy, *rest)

    monkeypatch.setattr(running.model, "predict", counted)
    assert running.step()
    assert asked == ([size, plan.prior_rows] if gradient_checkpointing else [size + plan.prior_rows])
    assert plan.copy(update={"prior_weight": 0.0}).prior_rows == 0


@pytest.mark.slow
def test_less_memory_for_more_time_changes_no_step(load_miniature: Load) -> None:
    plan = PLAN.copy(update={"prior_weight": 0.5, "prior_from": PREDICTION, "accumulate": 2})
    plain, saving = (trainer(load_miniature, plan.copy(update={"gradient_checkpointing": on})) for on in (False, True))
    for running in (plain, saving):
        running.run(quiet())
    assert saving.losses == pytest.approx(plain.losses, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PREDICTION, BOTH])
def test_the_checkpoints_own_answers_cost_nothing_as_long_as_nothing_was_learned(
    load_miniature: Load, usual: Finished, kind: str
) -> None:
    guarded = trainer(load_miniature, PLAN.copy(update={"prior_weight": 1.0, "prior_from": kind}))
    assert guarded.step()
    assert guarded.losses == usual.losses[:1]


@pytest.mark.slow
def test_prior_holds_the_class_where_it_was(load_miniature: Load) -> None:
    plan = PLAN.copy(update={"learning_rate": 5e-3, "caption_dropout": 0.0})
    moved = [class_drift(load_miniature, plan.copy(update={"prior_weight": weight})) for weight in (0.0, 2.0)]
    assert moved[1] < moved[0]


@pytest.mark.slow
def test_prior_holds_the_answer_to_no_words(load_miniature: Load) -> None:
    """Guidance leads away from that answer: one that is the person's leads away from the person."""
    plan = PLAN.copy(update={"learning_rate": 5e-3, "prior_weight": 2.0})
    moved = [class_drift(load_miniature, plan.copy(update={"prior_dropout": share}), "") for share in (0.0, 0.75)]
    assert moved[1] < moved[0]


def test_the_prior_begins_where_it_is_told_to(load_miniature: Load, usual: Finished) -> None:
    """Until then a training is what it is without one, to the last bit."""
    learned: list[list[float]] = []
    for more in ({"prior_weight": 1.0, "prior_after": 0.5}, {"prior_weight": 1.0}):
        running = trainer(load_miniature, PLAN.copy(update=more), total=6)
        running.run(quiet())
        learned.append(running.losses)
    later, always = learned
    alone = usual.losses
    assert later[:3] == alone[:3] and later[3] != alone[3]
    assert always[1] != alone[1]


def class_drift(load: Load, plan: LoraPlan, caption: str = "a portrait of man") -> float:
    """How far the answer to `caption` is from the untrained checkpoint's, after a short training."""
    running = trainer(load, plan, total=16)
    running.run(quiet())
    noisy = torch.randn((8, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    text, times = running.model.encode_text([caption] * 8), torch.arange(60, 1000, 120)
    with torch.no_grad():
        after = running.model.predict(noisy, times, text)
        with running.method.strength(0.0):
            before = running.model.predict(noisy, times, text)
    return float((after - before).pow(2).mean())


@pytest.mark.slow
def test_checkpoints_are_saved_where_they_are_due(load_miniature: Load) -> None:
    steps: list[int] = []
    trainer(load_miniature).run(quiet(steps.append))
    assert steps == [3, 6]


@pytest.mark.slow
def test_a_wish_to_stop_ends_the_training_between_two_steps(load_miniature: Load) -> None:
    def stop(done: int, *_: object) -> None:
        if done == 2:
            raise Cancelled("enough")

    running = trainer(load_miniature)
    with pytest.raises(Cancelled):
        running.run(Hooks(stop, lambda step: None, lambda sentence: None))
    assert running.done == 2


@pytest.mark.slow
def test_a_blown_up_loss_goes_back_and_halves_the_rate(load_miniature: Load) -> None:
    running, notes = trainer(load_miniature, total=20), []

    def poison(done: int, *_: object) -> None:
        if done == 12 and not notes:
            running.method.load({key: weight * float("nan") for key, weight in running.method.state().items()})

    running.run(Hooks(poison, lambda step: None, notes.append))
    assert notes == ["The loss blew up at step 12; going on from step 10 at half the learning rate."]
    assert running.rate == 0.5
    assert all(torch.isfinite(weight).all() for weight in running.method.state().values())
    assert len(running.losses) == 20


@pytest.mark.slow
def test_one_bad_batch_does_not_end_a_training_whose_weights_are_too_many_to_copy(load_miniature: Load) -> None:
    plan = DreamboothPlan(batch_size=1, learning_rate=1e-5, precision="fp32")
    model = load_miniature()
    running, notes = Trainer(model, Dreambooth(model, plan), training_set(model), plan, 4), []
    good = {key: weight.clone() for key, weight in running.method.state().items()}
    backward = running._backward

    def poisoned() -> torch.Tensor:
        loss = backward()
        if running.done == 2 and not notes:
            for weight in running._parameters():
                weight.grad.fill_(float("nan"))
        return loss * (1 if notes or running.done < 2 else float("nan"))

    def back() -> int:
        running.method.load(good)
        return 0

    running._backward = poisoned  # type: ignore[method-assign]
    running.run(Hooks(lambda *_: None, lambda step: None, notes.append, back))
    assert notes == ["The loss blew up at step 2; going on from step 0 at half the learning rate."]
    assert running.done == len(running.losses) == 4


@pytest.mark.slow
def test_a_loss_that_keeps_blowing_up_is_a_named_error(load_miniature: Load) -> None:
    model = load_miniature()
    data = training_set(model)
    infinite = tuple(mean * float("inf") for mean in data.latents.mean)
    broken = replace(data, latents=cache.Latents(infinite, data.latents.std))
    with pytest.raises(NanLoss, match=r"0\.25 times"):
        Trainer(model, Lora(model, PLAN), broken, PLAN, 4).run(quiet())


@pytest.mark.slow
def test_an_exploding_loss_counts_as_blown_up(load_miniature: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    running = trainer(load_miniature)
    monkeypatch.setattr(loop, "EXPLODED_LOSS", 1e-9)
    assert not running.step()


@pytest.mark.slow
def test_cached_latents_are_those_of_the_vae(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    fresh = cache.cached_latents(tmp_path, "a", model, pictures())
    first = [*fresh.mean, *fresh.std]
    kept = cache.cached_latents(tmp_path, "a", model, pictures(1))
    direct = model.encode_images(np.stack(pictures()[1:2]))
    assert kept.encoder is None and all(map(torch.equal, [*kept.mean, *kept.std], first))
    assert torch.allclose(kept.mean[1], direct[0][0], atol=1e-5)
    assert torch.allclose(kept.std[1], direct[1][0], atol=1e-5)


@pytest.mark.slow
def test_latents_do_not_follow_from_how_a_picture_lies_in_memory(load_miniature: Load) -> None:
    """Pictures that were made lie there otherwise than those that were read from a file."""
    model = load_miniature()
    read = np.stack(pictures(2))
    made = np.ascontiguousarray(read.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert made.strides != read.strides
    assert all(map(torch.equal, model.encode_images(made), model.encode_images(read)))


@pytest.mark.slow
def test_pictures_of_several_sizes_are_encoded_and_learned_each_with_its_like(load_miniature: Load) -> None:
    model = load_miniature()
    mixed = cache.encode_all(model, [*pictures(3), *pictures(3, height_px=128)])
    assert [size[1:] for size in mixed.sizes()] == 3 * [(8, 8)] + 3 * [(16, 8)]
    data = replace(training_set(model), latents=mixed, captions=CAPTIONS * 2, class_captions=["man"] * 6)
    running = Trainer(model, Lora(model, PLAN), data, PLAN, 6)
    running.run(quiet())
    assert len(running.losses) == 6


@pytest.mark.slow
def test_text_states_are_read_again_when_nothing_changed(load_miniature: Load, tmp_path: Path) -> None:
    model = load_miniature()
    fresh, kept = (cache.cached_text_states(tmp_path, model, ["a man", "a dog"], 1) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(kept.of(["a dog"])["states"], fresh.of(["a dog"])["states"])


def test_drawn_latents_have_the_spread_of_the_vae() -> None:
    latents = cache.Latents((torch.full((4, 8, 8), 2.0),), (torch.full((4, 8, 8), 0.5),))
    drawn = latents.draw(torch.zeros(200, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.05)


@pytest.mark.slow
def test_text_states_are_those_of_the_encoder(load_miniature: Load) -> None:
    model = load_miniature()
    states = reading.text_states(model, ["a man", "a woman", "a man"])
    assert states.states["states"].shape[0] == 2
    assert torch.allclose(states.of(["a woman"])["states"], model.encode_text(["a woman"])["states"], atol=1e-5)


def counted(model: DiffusionModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many captions go through the encoders in each pass from now on."""
    rows: list[int] = []
    encode = model.encode_tokens

    def noted(tokens: Sequence[torch.Tensor], clip_skip: int = 1) -> Any:
        rows.append(len(tokens[0]))
        return encode(tokens, clip_skip)

    monkeypatch.setattr(model, "encode_tokens", noted)
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL])
def test_many_captions_are_read_a_few_at_a_time_and_as_one_by_one(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = registry.load(make(family, tmp_path, half=True), compute.choose("fp32"), 64)
    captions = [f"sks man, photo {number}" for number in range(2 * TEXTS_AT_ONCE + 1)]
    rows = counted(model, monkeypatch)
    found = reading.text_states(model, captions)
    assert rows == [TEXTS_AT_ONCE, TEXTS_AT_ONCE, 1]
    for row, caption in enumerate(captions):
        with torch.no_grad():
            alone = model.encode_text([caption])
        assert found.row_of[caption] == row and found.states.keys() == alone.keys()
        for name, one in alone.items():
            assert torch.allclose(found.states[name][row], one[0], atol=1e-5)


@pytest.mark.slow
def test_a_wish_is_heeded_while_captions_are_read(
    load_miniature: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_miniature()
    rows = counted(model, monkeypatch)

    def heed() -> None:
        if rows:
            raise Cancelled("The training was cancelled.")

    with pytest.raises(Cancelled):
        cache.cached_text_states(tmp_path, model, [str(number) for number in range(100)], 1, heed)
    assert rows == [TEXTS_AT_ONCE] and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_enough_likeness_ends_the_training_early(load_miniature: Load) -> None:
    running = trainer(load_miniature)
    running.run(quiet(lambda step: True))
    assert running.done == 3


@pytest.mark.slow
def test_averaged_weights_are_what_is_saved_and_not_what_is_trained_on(load_miniature: Load) -> None:
    running = trainer(load_miniature, PLAN.copy(update={"ema_decay": 0.9}))
    saved: list[dict[str, torch.Tensor]] = []
    running.run(quiet(lambda step: saved.append(running.method.state())))
    assert not all(torch.equal(saved[-1][key], weight) for key, weight in running.method.state().items())


@pytest.mark.slow
def test_an_optimiser_that_averages_by_itself_is_not_averaged_once_more(load_miniature: Load) -> None:
    saved: list[dict[str, torch.Tensor]] = []
    for decay in (0.0, 0.7):
        running = trainer(load_miniature, PLAN.copy(update={"optimiser": "schedulefree", "ema_decay": decay}))
        running.run(quiet(lambda step, running=running: saved.append(running.method.state())))
    alone, both = saved[len(saved) // 2 - 1], saved[-1]
    assert all(torch.equal(both[key], weight) for key, weight in alone.items())


@pytest.mark.slow
def test_losses_that_are_looked_at_together_are_the_same(load_miniature: Load, usual: Finished) -> None:
    other = trainer(load_miniature)
    other._look_every = 10
    other.run(quiet())
    assert other.losses == usual.losses


GOING_ON = ("prodigy", "schedulefree", "lion", "adafactor", "muon")


@pytest.mark.slow
@pytest.mark.parametrize("plan", [
    *(PLAN.copy(update={"optimiser": name}) for name in GOING_ON),
    PLAN.copy(update={"ema_decay": 0.5, "accumulate": 2, "shuffle_captions": True, "words_factor": 4.0}),
])
def test_every_optimiser_goes_on_from_the_disk(load_miniature: Load, plan: LoraPlan, tmp_path: Path) -> None:
    whole, second = taken_up(load_miniature, plan, 4, tmp_path)
    assert same(second, whole.method.state())
    assert all(map(torch.equal, second._averaged.tensors(), whole._averaged.tensors()))


def test_an_optimiser_that_cannot_run_is_refused_before_any_work() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a graphics card")
    with pytest.raises(InvalidSettings, match="adamw8bit"):
        optimisers.refuse_impossible(PLAN.copy(update={"optimiser": "adamw8bit"}))


@pytest.mark.slow
def test_a_scaler_that_waited_for_a_step_does_not_stop_the_way_back(load_miniature: Load) -> None:
    """fp16 on a graphics card: the loss is looked at between `unscale_` and `update`."""
    running, notes = trainer(load_miniature, total=20), []
    running._scaler = torch.amp.GradScaler("cpu", enabled=True)

    def poison(done: int, *_: object) -> None:
        if done == 12 and not notes:
            running.method.load({key: weight * float("nan") for key, weight in running.method.state().items()})

    running.run(Hooks(poison, lambda step: None, notes.append))
    assert len(notes) == 1
    assert len(running.losses) == 20


def test_masked_places_count_what_they_are_told(load_miniature: Load) -> None:
    """With everything outside switched off, a change outside of the mask changes nothing."""
    mask = torch.zeros(8, 8)
    mask[:4] = 1.0
    places = losses.place_weights(mask, 0.0)
    assert float(places.mean()) == pytest.approx(1.0)
    answer, wanted = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    other = answer.clone()
    other[:, :, 4:] = 100.0
    ones = torch.ones(1)
    found = [float(losses.weighted_error(one, wanted, ones, places[None])) for one in (answer, other)]
    assert found[0] == found[1] == pytest.approx(1.0)


@pytest.mark.slow
def test_the_first_share_of_the_steps_sees_small_pictures(load_miniature: Load) -> None:
    running = trainer(load_miniature, PLAN.copy(update={"low_first": 0.5, "prior_weight": 0.5}), total=6)
    whole = running.data.latents
    small = cache.Latents(*(tuple(one[:, ::2, ::2] for one in part) for part in (whole.mean, whole.std)))
    running = Trainer(running.model, running.method, replace(running.data, small=Pictures(small)), running.plan, 6)
    seen: list[int] = []
    predict = running.model.predict
    running.model.predict = lambda noisy, *rest: (seen.append(noisy.shape[-1]), predict(noisy, *rest))[1]
    kept: list[dict[str, Any]] = []
    for _ in range(6):
        kept.append(running.snapshot())
        running.step()
    side = running.data.latents.mean[0].shape[-1]
    assert seen == sorted(seen) and set(seen) == {side // 2, side} and seen.count(side) == seen.count(side // 2)
    told = list(running.losses)
    running.restore(kept[2])
    for _ in range(4):
        running.step()
    assert running.losses == told


def test_middle_timesteps_are_spread_over_the_middle() -> None:
    draw = torch.Generator().manual_seed(0)
    times = losses.middle_timesteps(4000, 1000, draw).float()
    assert int(times.min()) >= 0 and int(times.max()) <= 999
    assert float(((times > 333) & (times < 667)).float().mean()) == pytest.approx(0.512, abs=0.02)
    assert float(times.mean()) == pytest.approx(500, abs=5)
    four = losses.middle_timesteps(4, 1000, draw).sort().values
    assert [int(edge) for edge in (four > torch.tensor([0, 337, 500, 662])).int()] == [1, 1, 1, 1]


@pytest.mark.slow
def test_other_timesteps_are_another_training(load_miniature: Load, usual: Finished) -> None:
    middle = trainer(load_miniature, PLAN.copy(update={"timesteps": "middle"}))
    middle.run(quiet())
    assert middle.losses != usual.losses
