"""The same somebody among many faces: on faces made of random numbers, where the truth is known."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.photos.alike import LikeSomebody, SameSomebody, mean_similarity, tightest


def faces_of(seed: int, counts: tuple[int, ...], spread: float = 0.4) -> np.ndarray:
    """`counts` faces of each of some people, in this order: (n, 64), L2 norm 1; strangers are about orthogonal."""
    random = np.random.default_rng(seed)
    rows = [
        middle + spread * _unit(random.normal(size=64))
        for middle, count in zip(map(_unit, random.normal(size=(len(counts), 64))), counts, strict=True)
        for _ in range(count)
    ]
    return np.stack([_unit(row) for row in rows]).astype(np.float32)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(4, 9), st.integers(0, 3), st.integers(0, 3))
def test_the_tightest_group_is_one_person(seed: int, most: int, second: int, third: int) -> None:
    faces = faces_of(seed, (most, second, third))
    group, limit = tightest(faces, 4)
    assert set(group) <= set(range(most))
    assert len(group) >= 4
    assert limit > 0.5


def test_of_two_people_the_more_alike_pictures_are_taken() -> None:
    loose, tight = faces_of(1, (6,), spread=0.8), faces_of(2, (6,), spread=0.2)
    faces = np.concatenate([loose, tight])
    found = SameSomebody(0.9, 0.4, 6).chosen(faces, 6)
    assert found is not None
    assert set(found.members) == set(range(6, 12))
    assert found.similarity == pytest.approx(mean_similarity(tight), abs=1e-3)
    assert found.runner_up == pytest.approx(mean_similarity(loose), abs=1e-3)


def test_the_most_typical_picture_is_first() -> None:
    found = SameSomebody(0.9, 0.4, 4).chosen(faces_of(3, (6, 2)), 4)
    assert found is not None
    assert list(found.likeness) == sorted(found.likeness, reverse=True)
    assert len(found.likeness) == len(found.members)


def test_strangers_are_no_character() -> None:
    judge = SameSomebody(0.7, 0.4, 3)
    faces = faces_of(4, (1,) * 12)
    assert judge.chosen(faces, 3) is None
    assert not judge.enough(faces)
    assert judge.chosen(faces[:2], 3) is None
    assert judge.chosen(np.zeros((0, 1), dtype=np.float32), 3) is None


def test_it_is_enough_when_as_many_as_are_wanted_leave_no_doubt() -> None:
    judge = SameSomebody(0.7, 0.4, 5)
    assert not judge.enough(faces_of(5, (4, 1, 1)))
    assert judge.enough(faces_of(5, (5, 1, 1)))
    assert not judge.enough(faces_of(5, (5, 1, 1), spread=1.2))


def test_the_first_face_is_like_nobody_and_others_like_the_nearest() -> None:
    faces, judge = faces_of(6, (2, 1)), SameSomebody(0.7, 0.4, 2)
    assert judge.likeness(faces[:1], 0) == 0
    assert judge.likeness(faces[:2], 1) == pytest.approx(float(faces[0] @ faces[1]))


def test_more_of_somebody_known_is_as_much_like_the_photos_as_they_are() -> None:
    everybody = faces_of(7, (20, 10))
    own, new = everybody[:8], everybody[8:]
    judge = LikeSomebody.of(own, keep=6, otherwise=0.99)
    found = judge.chosen(new, 6)
    assert found is not None
    assert set(found.members) <= set(range(12))
    assert 5 <= len(found.members) <= 12
    assert min(found.likeness) >= judge.needed - 1e-3
    assert judge.enough(new)
    assert judge.chosen(everybody[20:], 6) is None


def test_a_similarity_of_the_users_own_counts() -> None:
    own = faces_of(8, (8,))
    assert LikeSomebody.of(own, 3, 0.5, needed=0.99).chosen(own, 3) is None


def test_one_photo_cannot_tell_how_alike_photos_are() -> None:
    own = faces_of(8, (8,))
    assert LikeSomebody.of(own[:1], 3, otherwise=0.7).needed == 0.7
    assert LikeSomebody.of(own, 3, otherwise=0.1).needed > 0.7
