"""The memory model against what was measured; the plan that is offered in place of one that finds no room."""
from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldm_layout import header_only
from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES, Size, shapes_of
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.domain.families import NATIVE_PX
from personal_avatar.errors import PlanTooLarge
from personal_avatar.params import validated
from personal_avatar.training.planning import fitting, learned, reckoning
from personal_avatar.training.planning.fitting import nearest_fitting, needed_gb
from personal_avatar.training.planning.learned import Learned, case_of
from personal_avatar.training.planning.network import Network, network_in, network_of
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.training.planning.reckoning import Machine, Reckoned, memory_of
from personal_avatar.training.planning.ways import RAM, VRAM, Way, Wish, taken, ways_of

from tests.simulated_card import RANK, kept_by_dreambooth_gb, kept_gb, text_gb

ASSETS = Path(personal_avatar.__file__).parent / "assets"
POINTS = json.loads((ASSETS / "measured-memory.json").read_text(encoding="utf-8"))


@lru_cache
def shell(folder: Path, family: Family) -> BaseModelFile:
    """A checkpoint of the standard size whose file holds names and shapes, and no weights."""
    path = header_only(folder / f"{family.value}.safetensors", shapes_of(STANDARD_SIZES[family]))
    return BaseModelFile(path, family.value, family, native_px=NATIVE_PX[family])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shells")


@lru_cache
def network_like(checkpoint: str) -> Network:
    """Of a checkpoint that was measured: the shipped one, the standard size, one of half its width."""
    if checkpoint == "avatar-tiny":
        return network_in(ASSETS / "avatar-tiny" / "avatar-tiny.safetensors")
    return network_of(shapes_of(Size(unet=tuple(POINTS["unet"][checkpoint]))))


def named(point: dict[str, Any]) -> str:
    said = (f"{name}={value}" for name, value in point["plan"].items())
    return " ".join([point["checkpoint"], point["method"], str(point["px"]), *said])


@pytest.mark.parametrize("point", POINTS["points"], ids=named)
def test_the_model_is_near_what_was_measured(point: dict[str, Any]) -> None:
    """Peaks of resident memory of one step on a processor."""
    plan = validated(PLANS[Method(point["method"])], point["plan"])
    found = Reckoned(plan, network_like(point["checkpoint"]), point["px"], False, point["native_px"])
    assert POINTS["libraries_gb"] + found.step / 1e9 == pytest.approx(point["step_gb"], rel=0.12, abs=0.05)
    if "picture_gb" in point:
        assert POINTS["libraries_gb"] + found.pictures / 1e9 == pytest.approx(point["picture_gb"], rel=0.2)
    if "load_gb" in point:
        assert POINTS["libraries_gb"] + found.loading / 1e9 == pytest.approx(point["load_gb"], rel=0.12, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "px", "rows", "precision", "checkpointed", "most_gb_more"), [
    (Family.SD1, 512, 3, "bf16", False, 0.7), (Family.SD1, 512, 2, "fp32", False, 1.0),
    (Family.SDXL, 1024, 1, "bf16", False, 1.3), (Family.SD1, 512, 2, "bf16", True, 0.6),
    (Family.SD1, 512, 8, "bf16", True, 0.8), (Family.SD1, 768, 2, "fp32", True, 0.7),
    (Family.SDXL, 1024, 1, "bf16", True, 1.0), (Family.SDXL, 1024, 2, "bf16", True, 1.4),
    (Family.SDXL, 1024, 1, "fp32", True, 1.3),
])
def test_what_a_step_keeps_on_a_card_is_held_a_little_higher_than_it_is_simulated(
    folder: Path, family: Family, px: int, rows: int, precision: str, checkpointed: bool, most_gb_more: float
) -> None:
    """Simulated: nothing here was measured on a card."""
    import torch

    base, half = shell(folder, family), torch.bfloat16 if precision == "bf16" else None
    simulated = kept_gb(base, px, rows, half, checkpointed=checkpointed)
    asked = {"batch_size": rows, "precision": precision, "gradient_checkpointing": checkpointed, "rank": RANK}
    plan = validated(PLANS[Method.LORA], {**asked, "prior_weight": 0.0})
    found = Reckoned(plan, network_in(base.path), px, True, base.native_px)
    reckoned = (found.activations + 4 * found.trained) / 1e9
    assert simulated < reckoned < simulated + most_gb_more


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "passes", "most_gb_more"), [(2, 1, 0.7), (8, 1, 1.7), (2, 2, 0.7)])
def test_dreambooths_copies_in_half_precision_lie_beside_gradients_of_an_earlier_pass_alone(
    folder: Path, rows: int, passes: int, most_gb_more: float
) -> None:
    """With gradient checkpointing; simulated as above."""
    import torch

    base = shell(folder, Family.SD1)
    simulated = kept_by_dreambooth_gb(base, 512, rows, torch.bfloat16, checkpointed=True, passes=passes)
    asked = {"batch_size": rows, "accumulate": passes, "precision": "bf16", "gradient_checkpointing": True}
    plan = validated(PLANS[Method.DREAMBOOTH], {**asked, "prior_weight": 0.0})
    found = Reckoned(plan, network_in(base.path), 512, True, base.native_px)
    reckoned = (found.activations + 4 * found.trained + found.copies) / 1e9
    assert simulated < reckoned < simulated + most_gb_more
    assert (found.copies == 0) == (passes == 1)
    held = Reckoned(plan.copy(update={"prior_weight": 1.0}), found.network, 512, True, base.native_px)
    assert held.copies == 2 * found.trained, "the class goes through by itself"


@pytest.mark.slow
def test_text_encoders_are_widened_layer_by_layer_and_take_no_more_than_is_reckoned(folder: Path) -> None:
    base = shell(folder, Family.SDXL)
    network, plan = network_in(base.path), validated(PLANS[Method.TEXTUAL_INVERSION], {})
    weights, besides = text_gb(base, plan.batch_size)
    assert weights == pytest.approx(network.text_stored / 1e9, rel=0.01)
    assert besides < reckoning.TEXT_WORK * 4 * network.text / 1e9


LARGE = st.sampled_from([Family.SD1, Family.SD2, Family.SDXL])
OWN = st.fixed_dictionaries({}, optional={
    "batch_size": st.integers(1, 16), "resolution_px": st.sampled_from([256, 512, 768, 1024]),
    "gradient_checkpointing": st.booleans(), "optimiser": st.sampled_from(["adamw", "adafactor", "prodigy"]),
    "ema_decay": st.sampled_from([0.0, 0.999]), "precision": st.sampled_from(["auto", "fp32", "bf16"]),
    "text_encoder_learning_rate": st.sampled_from([0.0, 1.0]),  # prodigy takes its own rate alone
    "prior_weight": st.sampled_from([0.0, 1.0]),
})
METHODS = st.sampled_from(list(Method))
NOT_OF_WORDS = ("text_encoder_learning_rate", "prior_weight")


def wished(folder: Path, family: Family, method: Method, values: dict[str, Any], memory: str) -> Wish:
    if method is Method.TEXTUAL_INVERSION:
        values = {name: value for name, value in values.items() if name not in NOT_OF_WORDS}
    return Wish(shell(folder, family), method, values, memory, eight_bit=memory == VRAM)


def loss_of(ways: Sequence[Way], levels: Sequence[int]) -> float:
    return sum(way[level][0] for way, level in zip(ways, levels, strict=True))


@settings(max_examples=15, deadline=None)
@given(LARGE, METHODS, OWN, st.sampled_from([RAM, VRAM]), st.floats(0.5, 60.0))
def test_what_is_offered_fits_is_least_and_only_missing_where_nothing_fits(
    folder: Path, family: Family, method: Method, values: dict[str, Any], memory: str, free_gb: float
) -> None:
    wish = wished(folder, family, method, values, memory)
    offer = nearest_fitting(wish, free_gb)
    ways = ways_of(wish)
    fitting_losses = []
    for levels in itertools.product(*(range(len(way)) for way in ways)):
        loss = loss_of(ways, levels)
        if fitting_losses and loss >= min(fitting_losses):
            continue
        if needed_gb(wish.changed(taken(ways, levels))) <= free_gb:
            fitting_losses.append(loss)
    if offer is None:
        assert fitting_losses == []
        return
    offered = Wish(wish.base, offer.method, offer.plan, memory, wish.eight_bit)
    assert needed_gb(offered) <= free_gb
    assert needed_gb(wish.changed(offer.changes)) <= free_gb
    assert (offer.changes == {}) == (needed_gb(wish) <= free_gb)
    lost = [
        loss for levels in itertools.product(*(range(len(way)) for way in ways))
        if wish.changed(taken(ways, levels)).plan == offered.plan
        and wish.changed(taken(ways, levels)).method is offered.method
        for loss in [loss_of(ways, levels)]
    ]
    assert min(lost) == pytest.approx(min(fitting_losses))


MANY_WAYS = {
    "batch_size": 32, "rank": 256, "conv_rank": 64, "precision": "fp32", "ema_decay": 0.9, "optimiser": "adamw",
    "text_encoder_learning_rate": 1e-5,
}


@pytest.mark.parametrize("ratio", [None, 0.6, 1.3], ids=str)
@pytest.mark.parametrize("share", [0.95, 0.99, 1.001, 1.05, 1.3, 1.6])
def test_an_answer_about_the_largest_plan_takes_a_moment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ratio: float | None, share: float
) -> None:
    """Whoever asks waits for it, and there are some 16 000 plans between this one and the smallest."""
    wish = Wish(shell(folder, Family.SD1), Method.LORA, MANY_WAYS, VRAM, eight_bit=True)
    case = case_of(wish.plan, wish.base, wish.method, VRAM)
    known = Learned().with_ratio(case, ratio) if ratio else Learned()
    ways = ways_of(wish)
    least = needed_gb(wish.changed(taken(ways, [len(way) - 1 for way in ways])), known)
    looked: list[float] = []

    def counted(*given: Any) -> float:
        looked.append(memory_of(*given))
        return looked[-1]

    monkeypatch.setattr(fitting, "memory_of", counted)
    offer = nearest_fitting(wish, share * least, known)
    assert len(looked) < 5 * fitting.MOST_RECKONED
    assert (offer is not None) == (share > 1)
    if offer is not None:
        assert offer.predicted_gb <= round(share * least, 1)


@settings(max_examples=25, deadline=None)
@given(LARGE, METHODS, OWN, st.sampled_from([RAM, VRAM]))
def test_no_way_to_need_less_ever_needs_more(
    folder: Path, family: Family, method: Method, values: dict[str, Any], memory: str
) -> None:
    """But for what more batches before a step need."""
    wish = wished(folder, family, method, {**values, "accumulate": 1}, memory)
    before = fitting.predicted_gb(wish)
    for way in ways_of(wish):
        needs = [fitting.predicted_gb(wish.changed({**changes, "accumulate": 1})) for _, changes in way]
        assert needs == sorted(needs, reverse=True) and needs[0] == before


@pytest.mark.parametrize(("family", "method", "card_gb"), [
    (Family.SD1, Method.LORA, 8.0), (Family.SD1, Method.DREAMBOOTH, 24.0), (Family.SDXL, Method.LORA, 12.0),
    (Family.SD1, Method.TEXTUAL_INVERSION, 8.0), (Family.SDXL, Method.TEXTUAL_INVERSION, 12.0),
])
def test_what_is_known_to_fit_usual_cards_fits(folder: Path, family: Family, method: Method, card_gb: float) -> None:
    """The presets, on cards that people train with."""
    assert needed_gb(Wish(shell(folder, family), method, {}, VRAM)) < card_gb


@pytest.mark.parametrize(("family", "method", "card_gb"), [
    (Family.SD1, Method.DREAMBOOTH, 8.0), (Family.SDXL, Method.DREAMBOOTH, 16.0), (Family.SDXL, Method.LORA, 4.0),
])
def test_what_is_known_not_to_fit_does_not(folder: Path, family: Family, method: Method, card_gb: float) -> None:
    assert needed_gb(Wish(shell(folder, family), method, {}, VRAM)) > card_gb


def test_what_costs_time_alone_goes_first(folder: Path) -> None:
    wish = Wish(shell(folder, Family.SD1), Method.LORA, {"batch_size": 8}, VRAM)
    free = needed_gb(wish.changed({"gradient_checkpointing": True}))
    offer = nearest_fitting(wish, free)
    assert offer is not None and offer.changes == {"gradient_checkpointing": True}
    tight = nearest_fitting(wish, needed_gb(wish.changed({"gradient_checkpointing": True, "batch_size": 1})))
    assert tight is not None and tight.changes["batch_size"] * tight.changes["accumulate"] == 8


def test_a_whole_checkpoint_gives_way_to_a_lora_at_last(folder: Path) -> None:
    own = {"learning_rate": 3e-6, "optimiser": "adamw", "steps": 900}
    wish = Wish(shell(folder, Family.SD1), Method.DREAMBOOTH, own, VRAM)
    offer = nearest_fitting(wish, 7.0)
    assert offer is not None and offer.method is Method.LORA and offer.changes["method"] == "lora"
    assert offer.plan["steps"] == 900 and "learning_rate" not in offer.plan


def test_a_refusal_tells_people_and_programs_what_would_fit(folder: Path) -> None:
    wish = Wish(shell(folder, Family.SDXL), Method.LORA, {"batch_size": 4}, VRAM)
    with pytest.raises(PlanTooLarge, match="are free \\(a card\\)") as refused:
        fitting.refuse_too_large(wish, needed_gb(wish) - 0.1, 24.0, Learned(), "a card")
    details = refused.value.details
    assert details["changes"] and details["predicted_gb"] <= details["free_gb"] < details["needed_gb"]
    assert fitting.in_words(details["changes"]) in refused.value.hint
    assert json.loads(json.dumps(details)) == details
    with pytest.raises(PlanTooLarge, match="No smaller plan") as refused:
        fitting.refuse_too_large(wish, 0.1, 24.0, Learned(), "a card")
    assert refused.value.details["changes"] is None
    fitting.refuse_too_large(wish, needed_gb(wish), 24.0, Learned(), "a card")


def test_what_trainings_took_here_corrects_the_next_prediction(folder: Path, tmp_path: Path) -> None:
    wish = Wish(shell(folder, Family.SD1), Method.LORA, {}, VRAM)
    case = case_of(wish.plan, wish.base, wish.method, VRAM)
    learned.save(tmp_path, Learned().with_ratio(case, 0.8).with_ratio(case, 9.0))
    known = learned.load(tmp_path)
    assert known.ratios == ((case, 0.8),)
    assert needed_gb(wish, known) == pytest.approx(0.8 * fitting.predicted_gb(wish))
    other = wish.changed({"rank": 64})
    assert needed_gb(other, known) == pytest.approx(0.8 * fitting.MARGIN[VRAM] * fitting.predicted_gb(other))
    on_processor = Wish(wish.base, wish.method, {}, RAM)
    assert needed_gb(on_processor, known) == needed_gb(on_processor)


@pytest.mark.parametrize("former", [1, 2, 3])
def test_what_cards_took_is_not_held_against_a_later_model(folder: Path, tmp_path: Path, former: int) -> None:
    cases = [case_of(Wish(shell(folder, Family.SD1), Method.LORA, {}, memory).plan, shell(folder, Family.SD1),
                     Method.LORA, memory) for memory in (RAM, VRAM)]
    learned.save(tmp_path, Learned().with_ratio(cases[0], 0.9).with_ratio(cases[1], 0.8))
    file = tmp_path / learned.FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": former}))
    assert [case.memory for case, _ in learned.load(tmp_path).ratios] == [RAM]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trainings": [{"case": 3}]}', '{"trainings": {"a": 1}}'])
def test_a_damaged_file_of_what_was_learned_counts_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / learned.FILE).write_text(content)
    assert learned.load(tmp_path) == Learned()


def test_memory_of_a_checkpoint_that_is_gone_is_named(tmp_path: Path) -> None:
    from personal_avatar.errors import BaseNotFound

    gone = BaseModelFile(tmp_path / "gone.safetensors", "gone", Family.SD1)
    with pytest.raises(BaseNotFound):
        memory_of(Wish(gone, Method.LORA).plan, gone, Machine(on_card=False))


@pytest.mark.parametrize("method", list(Method))
def test_averaged_weights_in_a_checkpoint_need_no_memory(method: Method) -> None:
    """Of the kind that `v1-5-pruned` is: nobody loads them."""
    shapes = shapes_of(STANDARD_SIZES[Family.SD1])
    averaged = {f"model_ema.{name.replace('.', '')}": shape for name, shape in shapes.items()}
    plan = validated(PLANS[method], {"text_encoder_learning_rate": 1e-6} if method is Method.DREAMBOOTH else {})
    plain, held = (Reckoned(plan, network_of(found), 512, True, 512) for found in (shapes, {**shapes, **averaged}))
    assert (held.loading, held.step, held.pictures) == (plain.loading, plain.step, plain.pictures)


def test_what_reads_captions_anew_at_every_step_keeps_the_text_encoders(folder: Path) -> None:
    wish = Wish(shell(folder, Family.SDXL), Method.LORA, {"resolution_px": 1024}, VRAM)
    network, plan = network_in(wish.base.path), wish.plan
    step = Reckoned(plan, network, 1024, True, 1024).step
    shuffled = Reckoned(plan.copy(update={"shuffle_captions": True}), network, 1024, True, 1024).step
    assert shuffled - step >= network.text_stored


def test_on_a_card_text_encoders_are_reckoned_as_they_are_stored(folder: Path) -> None:
    network = network_in(shell(folder, Family.SDXL).path)
    in_fp32 = network_of(network.shapes)
    assert network.text_stored == 2 * network.text and in_fp32.text_stored == 4 * network.text
    plan, found = validated(PLANS[Method.TEXTUAL_INVERSION], {}), {}
    for on_card in (True, False):
        halves, whole = (Reckoned(plan, one, 1024, on_card, 1024).step for one in (network, in_fp32))
        found[on_card] = whole - halves
    assert found == {True: 2 * network.text, False: 0}


@pytest.mark.parametrize(("family", "method", "least_gb", "most_gb"), [
    (Family.SD1, Method.LORA, 3.0, 6.0),  # a UNet of 1.7 GB, text encoders of .25
    (Family.SDXL, Method.LORA, 7.0, 12.0),  # of 5.1 and 1.6
    (Family.SDXL, Method.DREAMBOOTH, 15.0, 30.0),  # in fp32, and what it began with
])
def test_beside_a_card_main_memory_holds_what_is_put_away(
    folder: Path, family: Family, method: Method, least_gb: float, most_gb: float
) -> None:
    wish = Wish(shell(folder, family), method, {}, VRAM)
    assert least_gb < reckoning.main_memory_of(wish.plan, wish.base) < most_gb


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 16), st.integers(1, 32))
def test_a_smaller_plan_shares_its_batches_out_evenly_to_all_cards(
    folder: Path, gpus: int, each: int, size: int
) -> None:
    values = {"gpus": gpus, "accumulate": gpus * each, "batch_size": size}
    wish = wished(folder, Family.SD1, Method.LORA, values, VRAM)
    for way in ways_of(wish):
        for _, changes in way:
            assert wish.changed(changes).plan.accumulate % gpus == 0
