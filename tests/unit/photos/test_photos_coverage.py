"""What a set shows and lacks, and the advice that follows."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Advice, Coverage, Face, Photo, PhotoVerdict, Quality, Reason
from personal_avatar.photos.advice import CODES, advise, advised
from personal_avatar.photos.coverage import Shown, coverage
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.surroundings import Surroundings, kinds, measure

RED, BLUE = np.eye(144)[:2]


def shown(
    yaw: float = 0.0, pitch: float = 0.0, bright: float = 0.7, height: float = 300, side: float = 0.0,
    warmth: float = 0.2, ground: np.ndarray | None = RED, clothes: np.ndarray | None = RED,
    mouth: float | None = None,
) -> Shown:  # fmt: skip
    face = Face((0, 0, height, height), ((0, 0),) * 5, 0.9)
    quality = Quality(50, bright, 0, yaw, 0, pitch, None if mouth is None else 1.0, mouth)
    return Shown(Photo(Path("a.jpg"), "0", (1000, 1200)), face, quality, Surroundings(side, warmth, ground, clothes))


def varied() -> list[Shown]:
    grounds, clothes = (BLUE, RED, RED, RED, BLUE), (RED, BLUE, RED, RED, BLUE)
    return [
        shown(15.0 * n - 30, 0, (0.4, 0.6, 0.7, 0.8, 0.9)[n], 300, 0, 0.2, grounds[n], clothes[n]) for n in range(5)
    ]


def test_a_varied_set_lacks_nothing() -> None:
    found = coverage(varied())
    assert found.missing == ()
    assert {word: count for word, count in found.angles.items() if count} == {"front": 1, "left": 2, "right": 2}
    assert found.light["dark"] == 1 and found.light["bright"] == 1 and found.light["medium"] == 3
    assert (found.scenes, found.clothes, found.expressions) == (2, 2, {})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"yaw": 3.0, "bright": 0.3}, "SAME_POSE"),
        ({"yaw": 30.0}, "NO_LEFT"),
        ({"yaw": -30.0}, "NO_RIGHT"),
        ({"clothes": BLUE}, "SAME_CLOTHES"),
        ({"ground": BLUE}, "SAME_SCENE"),
        ({"height": 600.0}, "ALL_CLOSE"),
        ({"height": 90.0}, "ALL_FAR"),
        ({"mouth": 0.05}, "SAME_EXPRESSION"),
        ({"mouth": 0.9}, "SAME_EXPRESSION"),
    ],
)
def test_what_all_photos_have_in_common_is_named(changes: dict[str, float], code: str) -> None:
    photos = []
    for n, yaw in enumerate((-20, -8, 0, 8, 20)):
        ground, clothes = (RED, BLUE)[n % 2], (BLUE, RED)[n % 2]
        usual = {"yaw": yaw, "bright": 0.4 + 0.1 * n, "ground": ground, "clothes": clothes}
        turned = {"yaw": yaw + changes["yaw"]} if code in ("NO_LEFT", "NO_RIGHT") else {}
        photos.append(shown(**{**usual, **changes, **turned}))  # type: ignore[arg-type]
    assert code in coverage(photos).missing


def test_the_same_light_is_told_only_when_it_also_comes_from_one_side() -> None:
    photos = [shown(yaw=20.0 * n - 40, ground=(RED, BLUE)[n % 2], clothes=(RED, BLUE)[n % 2]) for n in range(5)]
    assert coverage(photos).missing == ("SAME_LIGHT",)
    lit = [*photos[:4], shown(yaw=40, side=0.3, ground=BLUE, clothes=BLUE)]
    assert coverage(lit).missing == () and coverage(lit).light["side"] == 1


def test_nothing_is_missing_of_four_photos() -> None:
    assert coverage([shown()] * 4).missing == () and coverage([]).photos == 0


def test_warm_and_cold_light_are_told_against_the_usual_in_the_set() -> None:
    found = coverage([shown(warmth=value) for value in (0.3, 0.3, 0.3, 0.45, 0.1)])
    assert (found.light["warm"], found.light["cold"]) == (1, 1)


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-60, 60), st.floats(10, 1500)), max_size=12))
def test_every_photo_is_under_one_angle_and_one_distance(rows: list[tuple[float, float, float]]) -> None:
    found = coverage([shown(yaw, pitch, height=height) for yaw, pitch, height in rows])
    assert sum(found.angles.values()) == sum(found.distances.values()) == found.photos == len(rows)


def test_kinds_are_told_apart_by_their_colours_and_not_guessed_from_few() -> None:
    assert kinds([RED, RED, BLUE]) == 2 and kinds([RED, None]) == 1
    assert kinds([RED, None, None]) is None and kinds([]) is None


def painted(shirt: tuple[int, int, int], wall: tuple[int, int, int], lit: float = 1.0) -> tuple[np.ndarray, Face]:
    image = np.zeros((400, 300, 3), np.uint8)
    image[:], image[240:] = wall, shirt
    image[80:200, 100:200] = (180, 140, 120)
    image[80:200, 150:200] = np.array([180, 140, 120]) * lit
    return image, Face((100, 80, 200, 200), ((0, 0),) * 5, 0.9)


def test_colours_of_clothes_and_ground_and_the_side_of_the_light_are_measured() -> None:
    one, other = measure(*painted((200, 20, 20), (90, 90, 90))), measure(*painted((20, 20, 200), (90, 90, 90), 0.5))
    assert kinds([one.clothes, other.clothes]) == 2 and kinds([one.ground, other.ground]) == 1
    assert one.side == 0 and other.side < -0.2 and one.warmth > 0.1


def test_a_close_view_shows_neither_clothes_nor_ground() -> None:
    image = np.full((200, 160, 3), 120, np.uint8)
    found = measure(image, Face((5, 5, 155, 195), ((0, 0),) * 5, 0.9))
    assert found.clothes is None and found.ground is None


# -- advice


def verdict(width: float = 300, reasons: tuple[Reason, ...] = ()) -> PhotoVerdict:
    face = Face((0, 0, width, width), ((0, 0),) * 5, 0.9)
    return PhotoVerdict(Path("a.jpg"), reasons, photo=Photo(Path("a.jpg"), "0", (9, 9)), face=face)


def codes(verdicts: list[PhotoVerdict], people: int = 1, missing: tuple[str, ...] = ()) -> list[str]:
    found = advise(verdicts, PhotoSettings(), people, Coverage(len(verdicts), missing=missing))
    return [advice.code for advice in found]


def test_advice_names_what_the_set_lacks() -> None:
    assert codes([verdict()] * 8) == []
    assert codes([verdict()] * 8, missing=("NO_LEFT", "SAME_LIGHT")) == ["NO_LEFT", "SAME_LIGHT"]
    assert codes([verdict(), verdict()]) == ["TOO_FEW", "NO_HELD_OUT"]
    assert codes([verdict(width=70)] * 8) == ["SMALL_FACES"]
    assert codes([verdict()] * 8, people=3) == ["MIXED_PEOPLE"]


def test_a_set_without_a_usable_photo_says_why() -> None:
    photos = [verdict(reasons=(Reason.BLURRED,))] * 2 + [verdict(reasons=(Reason.NO_FACE,))]
    advice = advise(photos, PhotoSettings())
    assert advice[0].code == "NONE_USABLE" and "2 BLURRED, 1 NO_FACE" in advice[0].text


def test_where_most_photos_show_no_face_the_setting_for_animals_and_things_is_named() -> None:
    photos = [verdict(reasons=(Reason.NO_FACE,))] * 2 + [verdict(reasons=(Reason.BLURRED,))]
    assert "faces=ignored" in advise(photos, PhotoSettings())[0].text


@pytest.mark.parametrize("code", CODES)
def test_every_advice_has_a_sentence_that_can_be_filled(code: str) -> None:
    values = {"accepted": 1, "photos": 2, "wanted": 3, "count": 4, "spread": 5.5, "reasons": "1 DARK", "people": 2}
    advice = advised(code, **values)
    assert isinstance(advice, Advice) and "{" not in advice.text and advice.values == values
