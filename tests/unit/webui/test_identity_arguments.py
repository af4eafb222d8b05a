"""What a request or the panel gives becomes settings, and comes back from an infotext."""
from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings, NotFound
from personal_avatar.identities import IdentitySettings, RegionSettings
from personal_avatar.identity import infotext
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.pictures import save_picture
from personal_avatar.webui.identity import pasting
from personal_avatar.webui.identity.arguments import ADVANCED, NAMES, pasted_photos, settings_of, texts
from personal_avatar.webui.identity.foreign import identity_units
from personal_avatar.webui.identity.people import request_of
from PIL import Image

PHOTO = np.full((20, 30, 3), 90, dtype=np.uint8)


def text_of(picture: np.ndarray) -> str:
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def panel(**values: Any) -> list[Any]:
    """The values of an untouched panel, with changes by name (a double underscore is a dot)."""
    untouched: dict[str, Any] = dict.fromkeys(NAMES)
    for name in NAMES:
        if name.startswith("person"):
            untouched[name] = {"left": 0, "top": 0, "right": 1, "bottom": 1, "weight": 1, "avatar": ""}.get(
                name.partition(".")[2]
            )
    changed = {name.replace("__", "."): value for name, value in values.items()}
    assert set(changed) <= set(NAMES)
    return [{**untouched, "enabled": True, **changed}[name] for name in NAMES]


def test_every_setting_has_its_place_in_the_panel() -> None:
    assert set(IdentitySettings.__fields__) - {"people", "restore"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES) and "adapter" in ADVANCED


def test_nothing_given_is_switched_off_and_an_object_is_switched_on() -> None:
    assert not settings_of([]).enabled and not settings_of([False]).enabled
    assert settings_of([{}]).enabled


def test_an_untouched_panel_has_the_defaults() -> None:
    assert settings_of(panel()) == IdentitySettings()


@pytest.mark.parametrize("key", ["adaptor_weight", "people.0.photo", ""])
def test_an_unknown_key_is_named(key: str) -> None:
    with pytest.raises(InvalidSettings, match="is not a setting"):
        settings_of([{key: 1}])


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings_of([{"adapter_weight": 9, "method": "magic", "people": [{"weight": "much"}]}])
    assert all(word in str(caught.value) for word in ("adapter_weight", "method", "people.0.weight"))


def test_pictures_of_all_sorts_become_text(tmp_path: Path) -> None:
    file = save_picture(PHOTO, tmp_path / "photo.png")
    given_ones = [PHOTO, Image.fromarray(PHOTO), SimpleNamespace(name=str(file)), text_of(PHOTO), "", None]
    found = list(texts([*given_ones, {"image": PHOTO, "mask": None}]))
    assert len(found) == 5
    for text in found:
        with Image.open(BytesIO(base64.b64decode(text))) as picture:
            assert np.array_equal(np.asarray(picture), PHOTO)


def test_text_is_never_taken_for_a_path() -> None:
    settings = settings_of([{"references": [__file__]}])
    with pytest.raises(InvalidSettings, match=r"references\[0\] is not base64"):
        request_of(settings, lambda _: [])
    with pytest.raises(InvalidSettings, match=r"people\[1\].mask is not base64"):
        people = [{"references": [text_of(PHOTO)], "mask": mask} for mask in ("", "?")]
        request_of(settings_of([{"people": people}]), lambda _: [])


def test_one_person_with_photos() -> None:
    request = request_of(settings_of(panel(references=[PHOTO], adapter_weight=0.5)), lambda _: [])
    assert [len(person.photos) for person in request.people] == [1]
    assert request.settings.adapter_weight == 0.5 and request.people[0].box is None


def test_several_people_with_boxes_and_masks() -> None:
    mask = np.zeros((8, 8, 3), dtype=np.uint8)
    mask[:, 4:] = 255
    settings = settings_of(panel(
        references=[PHOTO, PHOTO], person1__right=0.5, person2__references=[PHOTO], person2__mask=mask,
        person4__avatar="anna", person4__weight=2, layout="boxes",
    ))
    assert [person.avatar for person in settings.people] == ["", "", "anna"] and not settings.references
    assert settings.people[0].region == RegionSettings(right=0.5) and settings.people[2].weight == 2.0
    request = request_of(settings.copy(update={"people": settings.people[:2]}), lambda _: [])
    assert request.people[0].box == (0.0, 0.0, 0.5, 1.0)
    assert request.people[1].mask is not None and request.people[1].mask.tolist() == mask[:, :, 0].tolist()


@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("through", ["page", "api"])
def test_what_is_transparent_of_a_mask_is_not_painted(hidden: int, through: str) -> None:
    """As painting programs save strokes on an empty ground, whichever colour lies hidden there."""
    painted = np.full((8, 8, 4), hidden, dtype=np.uint8)
    painted[:, :, 3] = 0
    painted[:, 4:] = 255
    given_one = painted if through == "page" else text_of(painted)
    request = request_of(settings_of(panel(references=[PHOTO], person1__mask=given_one)), lambda _: [])
    mask = request.people[0].mask
    assert mask is not None and mask.shape == (8, 8)
    assert not mask[:, :4].any() and (mask[:, 4:] == 255).all()


def test_the_weight_of_one_person_counts_also_where_nobody_else_is() -> None:
    request = request_of(settings_of(panel(references=[PHOTO], person1__weight=1.7)), lambda _: [])
    assert [person.weight for person in request.people] == [1.7]


def test_one_person_may_be_in_any_slot() -> None:
    request = request_of(settings_of(panel(person2__references=[PHOTO])), lambda _: [])
    assert [len(person.photos) for person in request.people] == [1]


def test_an_avatars_photos_are_read_where_none_were_given(tmp_path: Path) -> None:
    file = save_picture(PHOTO, tmp_path / "photo.png")
    request = request_of(settings_of([{"avatar": "anna"}]), lambda avatar: [file] if avatar == "anna" else [])
    assert np.array_equal(request.people[0].photos[0], PHOTO) and request.people[0].name == "anna"


def test_nobody_too_many_an_unknown_avatar_and_an_empty_box_are_refused() -> None:
    def nobody(avatar: str) -> list[Path]:
        raise NotFound(f"There is no avatar {avatar!r}.")

    with pytest.raises(InvalidSettings, match="No photo"):
        request_of(IdentitySettings(), nobody)
    with pytest.raises(NotFound):
        request_of(IdentitySettings(avatar="who"), nobody)
    with pytest.raises(InvalidSettings, match="21 photos"):
        request_of(IdentitySettings(references=("x",) * 21), nobody)
    with pytest.raises(InvalidSettings, match="9 people"):
        request_of(settings_of([{"people": [{"references": ["no picture"]}] * 9}]), nobody)
    with pytest.raises(InvalidSettings, match="box is empty"):
        request_of(settings_of(panel(references=[PHOTO], person1__left=0.5, person1__right=0.5)), nobody)


@given(
    weight=st.sampled_from([0.0, 0.8, 1.35]), end=st.sampled_from([0.5, 1.0]), net=st.sampled_from([0.4, 0.8]),
    second=st.booleans(), restore=st.booleans(), avatar=st.sampled_from(["", "anna"]),
    negative=st.sampled_from(["zero", "noise"]), seed=st.sampled_from([0, 7]), method=st.sampled_from([*AdapterKind]),
    box=st.sampled_from([0.5, 1.0]),
)
def test_what_an_infotext_says_comes_back_into_the_panel(method: AdapterKind, **given_ones: Any) -> None:
    values = panel(
        references=[PHOTO], avatar=given_ones["avatar"], adapter_weight=given_ones["weight"], end=given_ones["end"],
        identitynet_weight=given_ones["net"], second_pass=given_ones["second"],
        restore__enabled=given_ones["restore"], negative=given_ones["negative"], noise_seed=given_ones["seed"],
        person1__right=given_ones["box"], adapter="face.bin",
    )
    settings = settings_of(values)
    request = request_of(settings, lambda _: [])
    back = pasting.values_of(dict(infotext.pairs(settings, method, "face.bin", request.people)))
    expected = dict(zip(NAMES, values, strict=True))
    told = {"avatar", "adapter_weight", "end", "second_pass", "restore.enabled", "negative", "noise_seed"}
    told |= {"identitynet_weight"} if method is AdapterKind.INSTANTID else set()
    assert {name: back[name] for name in told} == {name: expected[name] for name in told}
    assert back["person1.right"] == given_ones["box"] and back["enabled"] and back["adapter"] == "face.bin"
    assert back["method"] == ("instantid" if method is AdapterKind.INSTANTID else "faceid")
    assert set(back) == set(NAMES) - pasting.UNSTORED


def test_the_hashes_of_pasted_photos_are_no_setting() -> None:
    values = panel(references=[PHOTO], pasted_photos=" 0123456789 ")
    assert settings_of(values).enabled and pasted_photos(values) == "0123456789"
    assert pasted_photos([{"references": []}]) == "" and pasted_photos([]) == ""
    people = request_of(settings_of(values), lambda _: []).people
    told = dict(infotext.pairs(settings_of(values), AdapterKind.FACEID, "x", people))
    assert pasting.reminder(told) == infotext.hashes(people) != ""


def test_a_plain_picture_switches_the_panel_off_and_leaves_the_rest() -> None:
    assert pasting.values_of({"Steps": "20"}) == {"enabled": False}


def test_a_damaged_infotext_changes_nothing() -> None:
    assert pasting.values_of({infotext.METHOD: "instantid", "Personal Avatar start": "soon"}) == {}


def test_a_pasted_field_is_both_a_name_and_a_function() -> None:
    field = pasting.field("start")
    assert field == "Personal Avatar start" and field in ["Personal Avatar start"]
    assert field({infotext.METHOD: "instantid", "Personal Avatar start": "0.25"}) == 0.25


def test_controlnets_own_units_are_seen() -> None:
    units = [
        SimpleNamespace(enabled=True, module="instant_id_face_embedding", model="x"),
        {"enabled": True, "module": "none", "model": "ip-adapter-faceid-plusv2_sd15"},
        SimpleNamespace(enabled=False, module="instant_id_face_keypoints", model=""),
        {"module": "canny", "model": "control_canny"}, True, None, "text",
    ]
    assert identity_units(units) == ["instant_id_face_embedding", "ip-adapter-faceid-plusv2_sd15"]

