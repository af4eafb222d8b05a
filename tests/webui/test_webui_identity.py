"""A person in the pictures of a running WebUI without training: InstantID and FaceID on miniature files."""
from __future__ import annotations

from typing import Any

import pytest

from tests.webui.webui_families import Kind, choose
from tests.webui.webui_identity import (
    ERROR,
    METHODS,
    NOBODY,
    NONE,
    ONE,
    OTHER,
    SAME,
    SD1,
    SD2,
    SDXL,
    TITLE,
    Settings,
    distance,
    paint,
    person,
    picture,
)
from tests.webui.webui_server import Server

every_method = pytest.mark.parametrize("kind, settings", METHODS.values(), ids=METHODS)


@every_method
def test_the_picture_follows_the_reference(identity: Server, kind: Kind, settings: Settings) -> None:
    choose(identity, kind.name)
    plain, one, other = paint(identity), paint(identity, person(**settings)), paint(identity, person(OTHER, **settings))
    assert ERROR not in one.infotexts[0] + other.infotexts[0]
    assert len({*plain.digests, *one.digests, *other.digests}) == 3
    assert paint(identity, person(**settings)).digests == one.digests
    assert distance(plain, one) > 1.0


@every_method
def test_without_weight_the_picture_is_the_plain_one(identity: Server, kind: Kind, settings: Settings) -> None:
    choose(identity, kind.name)
    plain = paint(identity)
    found = paint(identity, person(**settings, **NONE))
    assert found.digests == plain.digests
    assert ERROR not in found.infotexts[0]
    assert paint(identity).digests == plain.digests


def test_auto_takes_what_fits_the_checkpoint(identity: Server) -> None:
    for kind, method in ((SDXL, "instantid"), (SD1, "faceid-plus-v2")):
        choose(identity, kind.name)
        assert f"{TITLE} identity: {method}" in paint(identity, person()).infotexts[0]


def test_both_halves_of_instantid_shape_thepicture(identity: Server) -> None:
    choose(identity, SDXL.name)
    wanted = ({}, {"adapter_weight": 0.0}, {"identitynet_weight": 0.0}, {"keypoints": "none"}, {"end": 0.5},
              {"start": 0.5}, {"identitynet_end": 0.4}, {"mid_weight": 0.0}, {"negative": "noise"})
    found = [paint(identity, person(**changes)).digests[0] for changes in wanted]
    assert len({*found, paint(identity).digests[0]}) == len(wanted)  # no keypoints is no IdentityNet


def test_several_photos_are_one_person(identity: Server) -> None:
    choose(identity, SDXL.name)
    both = paint(identity, {"references": [ONE, SAME]})
    assert ERROR not in both.infotexts[0]
    assert both.digests not in (paint(identity, person(ONE)).digests, paint(identity, person(SAME)).digests)


def test_a_list_of_arguments_means_the_same_as_an_object(identity: Server) -> None:
    choose(identity, SDXL.name)
    listed = paint(identity, [True, [ONE], "", "instantid", 0.6, 0.7])
    meant = paint(identity, person(method="instantid", adapter_weight=0.6, identitynet_weight=0.7))
    assert listed.digests == meant.digests
    assert paint(identity, [False, [ONE]]).digests == paint(identity).digests


def test_the_infotext_says_everything_but_the_photo(identity: Server) -> None:
    choose(identity, SDXL.name)
    said = paint(identity, person(adapter_weight=0.65, start=0.1, end=0.9, mid_weight=0.5)).infotexts[0]
    for word in ("identity: instantid", "file: ip-adapter_instant_id_sdxl.bin", "adapter weight: 0.65", "start: 0.1",
                 "end: 0.9", "identitynet weight: 0.8", "keypoints: auto", "mid weight: 0.5", "references: "):
        assert f"{TITLE} {word}" in said
    assert len(said) < 2000
    assert TITLE not in paint(identity).infotexts[0]


@pytest.mark.parametrize("given, word", [
    ({"references": [ONE], "weigth": 1.0}, "weigth"),
    ({"references": [ONE], "adapter_weight": 9.0}, "adapter_weight"),
    ({"references": [NOBODY]}, "face"),
    ({}, "photo"),
    ({"references": ["no picture"]}, ""),
    ({"references": [ONE], "adapter": "nowhere"}, "nowhere"),
])
def test_what_is_wrong_is_said_and_the_picture_is_the_plain_one(identity: Server, given: Settings, word: str) -> None:
    choose(identity, SDXL.name)
    found = paint(identity, given)
    assert ERROR in found.infotexts[0] and word in found.infotexts[0]
    assert found.digests == paint(identity).digests


def test_a_batch_goes_on_without_a_face(identity: Server) -> None:
    choose(identity, SDXL.name)
    assert len(paint(identity, person(NOBODY), n_iter=2).pixels) >= 2
    assert ERROR not in paint(identity, person()).infotexts[0]


def test_stable_diffusion_2_is_refused_by_name(identity: Server) -> None:
    choose(identity, SD2.name)
    found = paint(identity, person())
    assert "Stable Diffusion 2" in found.infotexts[0]
    assert found.digests == paint(identity).digests


def test_several_people_have_their_places(identity: Server) -> None:
    choose(identity, SDXL.name)
    left, right = ({"left": 0.0, "right": 0.5}, {"left": 0.5, "right": 1.0})

    def two(first: str, second: str, *places: Settings) -> tuple[str, ...]:
        pairs = zip((first, second), places, strict=True)
        made = paint(identity, {"people": [{"references": [photo], "region": place} for photo, place in pairs]})
        assert ERROR not in made.infotexts[0] and "people: " in made.infotexts[0]
        return made.digests

    both = two(ONE, OTHER, left, right)
    assert both != two(OTHER, ONE, left, right)
    assert both != two(ONE, ONE, left, right)
    assert both != paint(identity, person()).digests


def test_a_mask_wins_over_a_box_and_a_weight_is_a_persons_own(identity: Server) -> None:
    choose(identity, SD1.name)
    left = {"references": [ONE], "region": {"right": 0.5}}

    def made(**changes: Any) -> tuple[str, ...]:
        return paint(identity, {"people": [{**left, **changes}]}).digests

    assert made() == made(mask=picture((0, 0, 32, 64))) == made(mask=picture((0, 0, 32, 64)), region={"left": 0.5})
    assert made() != made(mask=picture((32, 0, 64, 64)))
    assert made(weight=0.0) == paint(identity).digests
