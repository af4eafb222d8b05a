"""Which keypoints a picture follows, and where its people stand."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from personal_avatar.domain import Face
from personal_avatar.errors import InvalidSettings, NoFace
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.nouns import Reference
from personal_avatar.identity.poses import poses_of

SIZE_PX = (200, 100)
PICTURE = np.zeros((50, 100, 3), np.uint8)


def face(left: float, top: float, side: float) -> Face:
    points = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    placed = tuple((left + x * side, top + y * side) for x, y in points)
    return Face((left, top, left + side, top + side), placed, 0.9)


def reference(side_px: int = 100) -> Reference:
    empty = np.zeros((0, 512), np.float32)
    return Reference(empty, empty, empty, face(0.2 * side_px, 0.2 * side_px, 0.6 * side_px), (side_px, side_px))


def asked(count: int = 1, image: np.ndarray | None = None, **settings: str) -> IdentityRequest:
    people = tuple(Subject((PICTURE,), name=f"P{number}") for number in range(count))
    return IdentityRequest(IdentitySettings(**settings), people, image)


def nobody(image: np.ndarray) -> list[Face]:
    return []


def two(image: np.ndarray) -> list[Face]:
    """The larger one is on the right."""
    return [face(60, 10, 30), face(5, 10, 20)]


def middle(points: np.ndarray) -> float:
    return float(points[:, 0].mean())


def test_without_a_picture_the_reference_photo_gives_the_pose() -> None:
    found = poses_of(asked(), [reference()], SIZE_PX, nobody)
    assert found.points is not None and found.points.shape == (1, 5, 2)
    assert middle(found.points[0]) == pytest.approx(100)
    assert found.masks == (None,)


def test_a_picture_gives_the_pose_scaled_to_the_target() -> None:
    found = poses_of(asked(image=PICTURE), [reference()], SIZE_PX, lambda image: [face(60, 10, 30)])
    assert found.points is not None
    assert middle(found.points[0]) == pytest.approx(2 * 75)


def test_faces_of_the_picture_belong_to_the_people_from_left_to_right() -> None:
    wanted = asked(2, PICTURE, layout="left-to-right")
    found = poses_of(wanted, [reference(), reference()], SIZE_PX, two)
    assert found.points is not None
    assert [middle(points) for points in found.points] == pytest.approx([30, 150])
    left, right = found.masks
    assert left is not None and right is not None
    assert left[:, :80].all() and not left[:, 110:].any() and right[:, 110:].all()


def test_several_people_without_a_picture_stand_side_by_side_each_in_the_own_part() -> None:
    found = poses_of(asked(2, layout="left-to-right"), [reference(), reference()], SIZE_PX, nobody)
    assert found.points is not None
    assert [middle(points) for points in found.points] == pytest.approx([50, 150])


@pytest.mark.parametrize("image", [None, PICTURE])
@pytest.mark.parametrize("absent", [0, 1])
def test_who_has_no_weight_is_not_drawn_and_the_other_stays_in_place(image: np.ndarray | None, absent: int) -> None:
    wanted, references = asked(2, image, layout="left-to-right"), [reference(), reference()]
    people = tuple(replace(one, weight=float(number != absent)) for number, one in enumerate(wanted.people))
    both, one = (poses_of(each, references, SIZE_PX, two) for each in (wanted, replace(wanted, people=people)))
    assert both.points is not None and one.points is not None
    assert np.array_equal(one.points, np.delete(both.points, absent, axis=0))
    pairs = zip(both.masks, one.masks, strict=True)
    assert all(old is not None and new is not None and np.array_equal(old, new) for old, new in pairs)


def test_where_nobody_has_weight_nothing_is_drawn() -> None:
    people = (Subject((PICTURE,), weight=0.0),)
    assert poses_of(IdentityRequest(IdentitySettings(), people), [reference()], SIZE_PX, nobody).points is None


def test_a_box_holds_the_keypoints_of_its_person() -> None:
    people = (Subject((PICTURE,), box=(0.5, 0.0, 1.0, 0.5)),)
    found = poses_of(IdentityRequest(IdentitySettings(), people), [reference()], SIZE_PX, nobody)
    assert found.points is not None
    assert (found.points[0, :, 0] >= 100).all() and (found.points[0, :, 1] <= 50).all()


def test_where_the_picture_shows_no_face_the_pose_is_free_and_it_is_said() -> None:
    found = poses_of(asked(image=PICTURE), [reference()], SIZE_PX, nobody)
    assert found.points is None
    assert "No face" in found.warning and "free" in found.warning


def test_a_picture_that_was_chosen_must_show_a_face() -> None:
    with pytest.raises(NoFace):
        poses_of(asked(image=PICTURE, keypoints="image"), [reference()], SIZE_PX, nobody)


def test_a_chosen_picture_must_be_there() -> None:
    with pytest.raises(InvalidSettings, match="no picture"):
        poses_of(asked(keypoints="image"), [reference()], SIZE_PX, nobody)


def test_nothing_is_followed_when_that_is_wanted() -> None:
    assert poses_of(asked(image=PICTURE, keypoints="none"), [reference()], SIZE_PX, two).points is None
