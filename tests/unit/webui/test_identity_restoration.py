"""Restoration in the accordion: what a request gives, and what comes back from an infotext."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.identities import IdentityRestoreSettings, IdentitySettings
from personal_avatar.identity import infotext
from personal_avatar.webui.identity.arguments import NAMES, PASTED, RESTORE, settings_of
from personal_avatar.webui.identity.pasting import values_of

KEYS = st.fixed_dictionaries({}, optional={
    "model": st.sampled_from(["GFPGAN", "CodeFormer"]), "below_px": st.integers(0, 4096), "others": st.booleans(),
    "fidelity": st.integers(0, 20).map(lambda step: step / 20), "self_drop": st.just(0.05),
    "below_sharpness": st.just(0.5), "min_similarity_drop": st.just(0.1),
})


def test_every_setting_has_a_place_and_the_first_ones_kept_theirs() -> None:
    assert {f"restore.{name}" for name in IdentityRestoreSettings.__fields__} <= set(NAMES)
    assert NAMES.index("layout") == NAMES.index("restore.min_similarity_drop") + 1
    assert all(NAMES.index(f"restore.{name}") > NAMES.index(PASTED) for name in RESTORE[3:])


def test_numbers_of_sliders_become_whole() -> None:
    listed: list[Any] = [None] * len(NAMES)
    for name, value in (("enabled", True), ("restore.enabled", True), ("restore.below_px", 96.0)):
        listed[NAMES.index(name)] = value
    assert settings_of(listed).restore == IdentityRestoreSettings(enabled=True, below_px=96)


@given(KEYS, st.booleans(), st.integers(32, 1024))
def test_a_restoration_without_anybody_comes_back_from_its_infotext(
    restore: dict[str, Any], second_pass: bool, below_px: int
) -> None:
    settings = IdentitySettings(
        restore={"enabled": True, **restore}, second_pass=second_pass, second_pass_below_px=below_px
    )
    told = dict((*infotext.restore_pairs(settings), *infotext.second_pass_pairs(settings)))
    values = values_of(told)
    assert values["enabled"] is True and values["avatar"] == ""
    assert {name: values[f"restore.{name}"] for name in RESTORE} == settings.restore.dict()
    assert (values["second_pass"], values["second_pass_below_px"]) == (second_pass, below_px)


def test_a_plain_picture_switches_everything_off() -> None:
    assert values_of({"Steps": "20"}) == {"enabled": False}
    assert infotext.restore_pairs(IdentitySettings()) == ()
