"""What an infotext says of an identity comes back by paste, and never holds a picture."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.identities import IdentitySettings, PersonSettings, Subject
from personal_avatar.identity.infotext import METHOD, pairs, photo_hash, settings_of
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.params import validated

PHOTO = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SHARE = st.integers(0, 20).map(lambda number: number / 20)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
WEIGHT = st.integers(0, 40).map(lambda number: number / 20)


def people() -> st.SearchStrategy[list[dict[str, Any]]]:
    region = st.fixed_dictionaries(dict.fromkeys(("left", "top", "right", "bottom"), SHARE))
    names = st.sampled_from(["", "anna", "photos", "Anna; Bob", "a@b*c", "100 %", "%41", " \u3000小芳 "]) | any_text
    person = st.fixed_dictionaries({"avatar": names, "weight": WEIGHT, "region": region})
    return st.lists(person, max_size=3)


@settings(deadline=None)
@given(
    values=st.fixed_dictionaries({}, optional={
        "adapter_weight": WEIGHT, "identitynet_weight": WEIGHT, "start": SHARE, "end": SHARE, "down_weight": WEIGHT,
        "keypoints": st.sampled_from(["auto", "reference", "none"]), "noise_seed": st.integers(0, 2**32 - 1),
        "second_pass": st.booleans(), "avatar": st.sampled_from(["", "anna"]),
        "negative": st.sampled_from(["zero", "noise"]), "adapter": st.sampled_from(["", "mine.safetensors"]),
    }),
    people=people(), restored=st.booleans(),
)
def test_every_setting_comes_back_from_the_infotext(
    values: dict[str, Any], people: list[dict[str, Any]], restored: bool
) -> None:
    restore = {"enabled": restored, "model": "GFPGAN" if restored else "", "min_similarity_drop": 0.05 * restored}
    chosen = validated(IdentitySettings, {**values, "people": people, "restore": restore, "method": "instantid"})
    written = dict(pairs(chosen, AdapterKind.INSTANTID, "ip-adapter.bin", [Subject((PHOTO,))]))
    again = validated(IdentitySettings, settings_of(written))
    assert again == chosen


def test_settings_of_the_net_are_not_told_of_a_faceid() -> None:
    written = dict(pairs(IdentitySettings(), AdapterKind.FACEID_PLUS_V2, "x.bin", [Subject((PHOTO,))]))
    assert written[METHOD] == "faceid-plus-v2"
    assert not any("identitynet" in name or "keypoints" in name for name in written)


@pytest.mark.parametrize(("people", "told"), [(2, "none"), (1, None)])
def test_where_several_stand_by_a_picture_is_told_of_a_faceid_too(people: int, told: str | None) -> None:
    """Faces of the picture part the stripes; one alone is everywhere."""
    chosen = IdentitySettings(keypoints="none")
    written = dict(pairs(chosen, AdapterKind.FACEID, "x.bin", [Subject((PHOTO,))] * people))
    assert written.get("Personal Avatar keypoints") == told
    assert validated(IdentitySettings, settings_of(written)).keypoints == (told or "auto")


@pytest.mark.parametrize("name", ["anna", "小芳", "Anna Maria", "100", "José"])
def test_names_are_written_as_people_write_them(name: str) -> None:
    chosen = IdentitySettings(people=(PersonSettings(avatar=name),))
    written = dict(pairs(chosen, AdapterKind.FACEID, "x.bin", [Subject((PHOTO,))]))
    assert written["Personal Avatar people"] == f"{name}@all*1"


def test_an_infotext_without_an_identity_says_nothing() -> None:
    assert settings_of({"Steps": "20", "Personal Avatar": "anna"}) == {}


def test_pictures_are_told_by_the_beginning_of_their_hash_only() -> None:
    other = PHOTO[::-1].copy()
    chosen = IdentitySettings(references=("data:image/png;base64,SECRET",), keypoints_image="SECRET")
    written = dict(pairs(chosen, AdapterKind.INSTANTID, "a.bin", [Subject((PHOTO,)), Subject((other, PHOTO))]))
    assert "SECRET" not in repr(written)
    assert written["Personal Avatar references"].split() == [photo_hash([PHOTO])[:10], photo_hash([other, PHOTO])[:10]]


def test_photos_of_other_shape_or_order_are_others() -> None:
    flat = PHOTO.reshape(2, 8, 3)
    other = PHOTO[::-1].copy()
    hashes = {photo_hash([PHOTO]), photo_hash([flat]), photo_hash([PHOTO, other]), photo_hash([other, PHOTO])}
    assert len(hashes) == 4
