"""The nouns: they pass through JSON unchanged, and compute the little that they compute."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import (
    Advice,
    Avatar,
    BaseModelFile,
    Checkpoint,
    Consent,
    Coverage,
    Face,
    Family,
    Likeness,
    Look,
    Method,
    Photo,
    PhotoChoice,
    PhotoReport,
    PhotoVerdict,
    Portrait,
    Quality,
    Reason,
    from_json,
    to_json,
)

FACE = Face((1.0, 2.0, 31.0, 42.0), ((1.0, 2.0),) * 5, 0.9, (0.6, 0.8))
POINT = Checkpoint(Path("/l/a.safetensors"), "0" * 64, 100, Method.LORA, Family.SD1, "sks man", Likeness(0.1, 0.4, 0.8))
NOUNS = [
    FACE,
    PhotoVerdict(Path("a.jpg"), (Reason.BLURRED,), "sharpness 3, need 10", Photo(Path("a.jpg"), "ff", (4, 3)), FACE, 1,
                 Quality(1.0, 0.5, 0.0, 3.0, -2.0), 0.7),
    PhotoVerdict(Path("b.jpg"), people=(FACE, FACE), choice=PhotoChoice(True, 1), remarks=("EYES_CLOSED",),
                 quality=Quality(1.0, 0.5, 0.0, 3.0, -2.0, 5.0, 0.1, None, 0.4), look=Look.DRAWN),
    PhotoReport((PhotoVerdict(Path("a.jpg")),), (Advice("SAME_LIGHT", "More light.", {"spread": 3.5}),)),
    PhotoReport((), (), Coverage(3, {"front": 3, "left": 0}, {"close": 3}, scenes=2, missing=("NO_LEFT",))),
    BaseModelFile(Path("/m/x.safetensors"), "x", Family.SD1, config=Path("/m/x.yaml"), native_px=128),
    Avatar("anna", "Ánna", "u", "woman", "sks woman", "2026-01-01T00:00:00+00:00", reference=(0.5, 0.25),
           checkpoints=(POINT,), consent=Consent("she did", "u", "2026-01-01", ("ff",))),
    Portrait(Path("p.png"), 7, "a prompt", "oil", None, {"sharpness": 2.0}, 0, Path("r.png")),
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_passes_through_json_unchanged(noun: Any) -> None:
    assert from_json(type(noun), json.loads(json.dumps(to_json(noun)))) == noun


def test_what_is_of_another_shape_is_refused() -> None:
    for wrong in ({}, [], None, {"id": "a"}):
        with pytest.raises(ValueError, match="validation error"):
            from_json(Avatar, wrong)


def test_a_report_knows_who_was_accepted() -> None:
    report = PhotoReport((PhotoVerdict(Path("a")), PhotoVerdict(Path("b"), (Reason.DARK,))))
    assert [verdict.path.name for verdict in report.accepted] == ["a"]


@pytest.mark.parametrize(("reasons", "take", "accepted"), [
    ((), None, True), ((), False, False), ((), True, True),
    ((Reason.BLURRED,), None, False), ((Reason.BLURRED, Reason.OTHER_PERSON), True, True),
    ((Reason.BLURRED,), False, False),
])
def test_what_a_person_decided_comes_before_the_verdict(
    reasons: tuple[Reason, ...], take: bool | None, accepted: bool
) -> None:
    assert PhotoVerdict(Path("a"), reasons, choice=PhotoChoice(take)).accepted is accepted


@pytest.mark.parametrize("reason", [Reason.UNREADABLE, Reason.TOO_LARGE, Reason.NO_FACE])
def test_nobody_can_take_what_holds_nothing_to_train_on(reason: Reason) -> None:
    assert not PhotoVerdict(Path("a"), (reason,), choice=PhotoChoice(True)).accepted


def test_a_face_knows_its_size() -> None:
    assert (FACE.width_px, FACE.height_px) == (30.0, 40.0)


def point(after: float | None, step: int = 1) -> Checkpoint:
    likeness = None if after is None else Likeness(0.0, after, 1.0)
    return Checkpoint(Path(f"{step}.safetensors"), "", step, Method.LORA, Family.SD1, "sks man", likeness)


@pytest.mark.parametrize(("points", "best"), [
    ((), None), ((point(None, 1), point(None, 2)), 2), ((point(0.3, 1), point(0.5, 2), point(0.4, 3)), 2),
    ((point(0.3, 1), point(None, 2)), 1),
])
def test_the_best_checkpoint_is_the_likeliest_that_was_scored(points: tuple[Checkpoint, ...], best: int | None) -> None:
    found = Avatar("a", "A", "u", "man", "sks man", "", checkpoints=points).best
    assert (found.step if found else None) == best


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_recovered_is_a_finite_number(floor: float, after: float, ceiling: float) -> None:
    assert abs(Likeness(floor, after, ceiling).recovered) < 1e7


def test_recovered_is_the_share_of_the_way() -> None:
    assert Likeness(0.2, 0.5, 0.8).recovered == pytest.approx(0.5)
    assert Likeness(0.5, 0.5, 0.5).recovered == 0.0


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 1))
def test_who_is_more_alike_recovered_more_wherever_the_ceiling_lies(
    floor: float, ceiling: float, after: float, more: float
) -> None:
    """Of few photos it may lie below the floor."""
    assert Likeness(floor, after + more, ceiling).recovered > Likeness(floor, after, ceiling).recovered
