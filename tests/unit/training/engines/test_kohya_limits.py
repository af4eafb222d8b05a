"""What sd-scripts cannot do is said before it starts: all at once, and only where it matters."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kohya_orders import base_of
from ldm_layout import STANDARD as FULL_SIZE
from ldm_layout import STANDARD_SDXL, Size, header_only, shapes_of
from personal_avatar.domain import BaseModelFile, Family, Goal, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.training.engines.kohya.limits import fitted, limits
from personal_avatar.training.engines.kohya.sizes import STANDARD, UNET_TENSORS
from personal_avatar.training.families.detect import UNET, VAE
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.planning.fitness import refuse_unfit
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS, TrainPlan, plan_for

FIRST = UNET + "input_blocks.0.0.weight"


def what_it_cannot_do(plan: TrainPlan, base: BaseModelFile, method: Method) -> list[str]:
    return [limit.sentence for limit in limits(plan, base, method)]


def checkpoint(folder: Path, family: Family = Family.SD1, **other: tuple[int, ...]) -> BaseModelFile:
    shapes: dict[str, tuple[int, ...]] = {FIRST: (320, 4, 3, 3), **STANDARD[family]}
    shapes |= {f"{UNET}{number}": (1,) for number in range(UNET_TENSORS[family] - len(shapes))}
    shapes |= {UNET + name: shape for name, shape in other.items()} | {VAE + "encoder.conv_in.weight": (128, 3, 3, 3)}
    return replace(base_of(family), path=header_only(folder / "base.safetensors", shapes))


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("method", Method)
def test_the_usual_plans_can_be_done(tmp_path: Path, method: Method, family: Family) -> None:
    plan = PLANS[method](prior_dropout=0.0, vary_captions=False)
    assert what_it_cannot_do(plan, checkpoint(tmp_path, family), method) == []


@pytest.mark.parametrize(
    ("method", "family", "values", "word"),
    [
        (Method.LORA, Family.SD1, {"ema_decay": 0.99}, "ema_decay"),
        (Method.LORA, Family.SD1, {"stop_at": 0.8}, "stop_at"),
        (Method.LORA, Family.SD1, {"dora": True}, "dora"),
        (Method.LORA, Family.SD1, {"vary_captions": True}, "vary_captions"),
        (Method.LORA, Family.SD1, {"blocks": "late"}, "blocks"),
        (Method.LORA, Family.SD1, {"rank": 32, "conv_rank": 8}, "conv_rank must be 0 or 32"),
        (Method.LORA, Family.SDXL, {"clip_skip": 2}, "clip_skip"),
        (Method.LORA, Family.SD2, {"clip_skip": 2}, "clip_skip"),
        (Method.DREAMBOOTH, Family.SD1, {"optimiser": "schedulefree"}, "schedulefree"),
        (Method.TEXTUAL_INVERSION, Family.SD1, {"caption_dropout": 0.1}, "caption_dropout"),
        (Method.DREAMBOOTH, Family.SD1, {"prior_from": "prediction"}, "prior_from"),
        (Method.DREAMBOOTH, Family.SDXL, {"prior_weight": 0.5}, "prior_weight must be 1"),
        (Method.DREAMBOOTH_LORA, Family.SD1, {"prior_dropout": 0.25}, "prior_dropout"),
        (Method.LORA, Family.SD1, {"prior_styles": 0.3, "prior_weight": 1.0}, "prior_styles"),
        (Method.LORA, Family.SD1, {"prior_after": 0.25, "prior_weight": 1.0}, "prior_after"),
        (
            Method.DREAMBOOTH_LORA, Family.SD1,
            {"prior_from": "both", "text_encoder_learning_rate": 1e-5}, "text encoder",
        ),
    ],
)
def test_what_the_user_set_and_it_cannot_do_is_refused(
    tmp_path: Path, method: Method, family: Family, values: dict[str, Any], word: str
) -> None:
    plan = PLANS[method](**{"prior_dropout": 0.0, "vary_captions": False, **values})
    with pytest.raises(InvalidSettings, match=word):
        fitted(plan, checkpoint(tmp_path, family), method, values)


def test_what_the_user_did_not_set_gives_way_and_is_told(tmp_path: Path) -> None:
    plan = PLANS[Method.LORA](stop_at=0.8, blocks="late", rank=8, vary_captions=False)
    changed, told = fitted(plan, checkpoint(tmp_path), Method.LORA, {"rank"})
    assert changed == PLANS[Method.LORA](**{**plan.dict(), "stop_at": 0.0, "blocks": "all"})
    assert len(told) == 2


@pytest.mark.parametrize("version", ["0.9.1", "0.10.1"])
@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("method", Method)
def test_what_it_trains_instead_is_a_plan_of_ours(
    tmp_path: Path, method: Method, goal: Goal, family: Family, version: str
) -> None:
    base = checkpoint(tmp_path, family)
    for values in ({"goal": goal.value}, {"goal": goal.value, "text_encoder_learning_rate": 1e-5}):
        changed, _ = fitted(plan_for(base, method, values), base, method, values, version)
        assert plan_for(base, method, changed.dict()) == changed
        assert fitted(changed, base, method, changed.dict(), version) == (changed, [])


def test_a_style_does_without_the_prior_that_it_cannot_have(tmp_path: Path) -> None:
    base, values = checkpoint(tmp_path), {"goal": "style"}
    changed, told = fitted(plan_for(base, Method.DREAMBOOTH, values), base, Method.DREAMBOOTH, values)
    assert changed.prior_weight == 0 and "prior_from prediction" in " ".join(told)
    with pytest.raises(InvalidSettings, match="prior_from"):
        chosen = {**values, "prior_weight": 0.5}
        fitted(plan_for(base, Method.DREAMBOOTH, chosen), base, Method.DREAMBOOTH, chosen)


def test_older_releases_can_do_less(tmp_path: Path) -> None:
    asked = {"prior_weight": 1.0, "prior_from": "both", "prior_dropout": 0.0, "optimiser": "schedulefree"}
    plan = PLANS[Method.LORA](**asked, vary_captions=False)
    base = checkpoint(tmp_path)
    changed, told = fitted(plan, base, Method.LORA, (), "0.9.1")
    assert (changed.prior_from, changed.optimiser, len(told)) == ("pictures", "adamw", 2)
    assert fitted(plan, base, Method.LORA, (), "0.10.1") == (plan, [])


def test_an_optimiser_that_it_lacks_gives_way_with_its_rate_unless_the_user_set_that(tmp_path: Path) -> None:
    plan = plan_for(checkpoint(tmp_path), Method.LORA, {"optimiser": "muon", "prior_dropout": 0.0})
    changed, told = fitted(plan, checkpoint(tmp_path), Method.LORA, ())
    assert (changed.optimiser, changed.learning_rate) == ("adamw", plan.learning_rate / 2)
    assert "sd-scripts has no optimiser muon" in told
    changed, _ = fitted(plan, checkpoint(tmp_path), Method.LORA, {"learning_rate"})
    assert (changed.optimiser, changed.learning_rate) == ("adamw", plan.learning_rate)
    with pytest.raises(InvalidSettings, match="no optimiser muon"):
        fitted(plan, checkpoint(tmp_path), Method.LORA, {"optimiser"})


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("method", Method)
def test_every_optimiser_can_be_asked_for(tmp_path: Path, method: Method, family: Family) -> None:
    base = checkpoint(tmp_path, family)
    for optimiser in OPTIMISERS:
        plan = plan_for(base, method, {"optimiser": optimiser} if optimiser != "muon" else {})
        assert fitted(plan, base, method, ())[0].optimiser in OPTIMISERS


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    values = {"dora": True, "ema_decay": 0.9, "stop_at": 0.5}
    with pytest.raises(InvalidSettings) as refused:
        fitted(PLANS[Method.LORA](**values), checkpoint(tmp_path), Method.LORA, values)
    assert all(name in refused.value.message for name in values)
    assert "diffusers" in refused.value.hint


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"input_blocks.0.0.weight": (320, 9, 3, 3)}, "9 channels"),
        ({"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (64, 96)}, "layout of Stable Diffusion 1.x"),
        ({"one.too.many": (1,)}, "layout of Stable Diffusion 1.x"),
    ],
)
def test_unusual_checkpoints_are_refused_by_name(
    tmp_path: Path, other: dict[str, tuple[int, ...]], word: str
) -> None:
    with pytest.raises(InvalidSettings, match=f"base.safetensors.*{word}"):
        fitted(PLANS[Method.LORA](), checkpoint(tmp_path, **other), Method.LORA, ())


@pytest.mark.parametrize(("family", "size"), [(Family.SD1, FULL_SIZE), (Family.SDXL, STANDARD_SDXL)])
def test_a_checkpoint_without_a_vae_is_refused_also_with_one_beside_it(
    tmp_path: Path, family: Family, size: Size
) -> None:
    shapes = shapes_of(size)
    bare = header_only(tmp_path / "noVae.safetensors", {n: s for n, s in shapes.items() if not n.startswith(VAE)})
    vae = {name.removeprefix(VAE): shape for name, shape in shapes.items() if name.startswith(VAE)}
    base = replace(base_of(family), path=bare, vae=header_only(tmp_path / "vae.safetensors", vae))
    refuse_unfit(base)  # our own loop trains it
    (told,) = what_it_cannot_do(PLANS[Method.LORA](vary_captions=False), base, Method.LORA)
    assert "noVae.safetensors" in told and "VAE" in told
    whole = replace(base, path=header_only(tmp_path / "whole.safetensors", shapes))
    assert what_it_cannot_do(PLANS[Method.LORA](vary_captions=False), whole, Method.LORA) == []


def test_a_small_checkpoint_without_a_vae_is_refused_alike(tiny: BaseModelFile, tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in read_shapes(tiny.path).items() if not name.startswith(VAE)}
    base = replace(tiny, path=header_only(tmp_path / "noVae.safetensors", shapes), vae=tiny.path)
    (told,) = what_it_cannot_do(PLANS[Method.LORA](vary_captions=False), base, Method.LORA)
    assert "VAE in the checkpoint" in told


@pytest.mark.parametrize("family", [Family.SD2, Family.SDXL])
def test_other_sizes_of_later_families_are_refused(tmp_path: Path, family: Family) -> None:
    with pytest.raises(InvalidSettings, match="base.safetensors.*standard size"):
        fitted(PLANS[Method.LORA](), checkpoint(tmp_path, family, **{"one.too.many": (1,)}), Method.LORA, ())


def test_a_small_checkpoint_of_the_first_family_can_be_trained(tiny: BaseModelFile) -> None:
    assert what_it_cannot_do(PLANS[Method.LORA](vary_captions=False), tiny, Method.LORA) == []


def test_a_checkpoint_that_is_gone_is_named() -> None:
    assert "no checkpoint" in what_it_cannot_do(PLANS[Method.LORA](), base_of(), Method.LORA)[0]
