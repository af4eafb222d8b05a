"""Places in a picture, where only the part of it around a mask is painted anew."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity import regions
from personal_avatar.webui.identity.parts import Part

WHOLE_PX, SIZE_PX = (200, 100), (64, 64)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def part_of(left: int, top: int, width: int, height: int) -> Part:
    return Part((left, top, width, height), WHOLE_PX, SIZE_PX)


def places(part: Part, *people: dict[str, Any]) -> tuple[np.ndarray | None, ...]:
    """Where in the part they act."""
    asked = IdentityRequest(IdentitySettings(), tuple(Subject((), **person) for person in people))
    return regions.masks(part.of(asked).people, *SIZE_PX, (), "boxes")


def as_mask(box: tuple[float, float, float, float], width: int = 60, height: int = 20) -> np.ndarray:
    made = regions.masks([Subject((), box=box)], width, height, (), "boxes")[0]
    assert made is not None
    return (made * 255).astype(np.uint8)


@pytest.mark.parametrize("how", ["box", "mask"])
def test_a_place_is_where_it_was_in_the_whole_picture(how: str) -> None:
    """The part is the middle half of the picture: half of it is the left half of the picture."""
    left, right = ({"box": box} if how == "box" else {"mask": as_mask(box)} for box in (LEFT, RIGHT))
    first, second = places(part_of(50, 0, 100, 100), left, right)
    assert first is not None and second is not None
    assert first[:, :30].min() == second[:, 34:].min() == 1.0 and first[:, 34:].max() == second[:, :30].max() == 0.0


@pytest.mark.parametrize("how", ["box", "mask"])
def test_who_stands_outside_is_left_out_and_who_fills_the_part_is_everywhere_in_it(how: str) -> None:
    left, right = ({"box": box} if how == "box" else {"mask": as_mask(box)} for box in (LEFT, RIGHT))
    (only,) = places(part_of(0, 0, 100, 50), left, right)
    assert only is not None and only.min() == 1.0
    assert places(part_of(0, 0, 100, 50), right) == ()


def test_a_mask_wins_over_a_box_here_too_and_who_has_no_place_stays_without() -> None:
    part = part_of(0, 0, 100, 50)
    assert places(part, {"mask": as_mask(RIGHT), "box": LEFT}) == ()
    assert places(part, {}) == (None,)


def test_of_a_pose_that_part_counts_which_lies_there_when_it_is_fitted_into_the_picture() -> None:
    """A square picture in one that is twice as wide as high stands in its middle, twice as large here."""
    pose = np.zeros((50, 50, 3), np.uint8)
    pose[10:20, 30:40] = 255
    found = part_of(100, 0, 100, 100).of(IdentityRequest(IdentitySettings(), (Subject(()),), pose)).keypoints_image
    assert found is not None and found.shape == (64, 64, 3)
    white = np.argwhere(found[..., 0] > 127)
    assert np.allclose(white.min(axis=0), np.array((20, 10)) * 0.64, atol=1.5)
    assert np.allclose(white.max(axis=0) + 1, np.array((40, 30)) * 0.64, atol=1.5)


def test_what_has_no_place_is_as_it_was() -> None:
    asked = IdentityRequest(IdentitySettings(end=0.5), (Subject((), name="Anna", weight=0.7),))
    found = part_of(0, 0, 100, 50).of(asked)
    assert found.settings is asked.settings and found.keypoints_image is None
    assert (found.people[0].name, found.people[0].weight) == ("Anna", 0.7)
