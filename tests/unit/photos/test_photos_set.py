"""What is judged across photos: repeats, strangers, the held-out split."""
from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.duplicates import Fingerprint, face_patch, repeats, same_picture, thumbnail
from personal_avatar.photos.heldout import held_out, how_many
from personal_avatar.photos.persons import centre, compare
from personal_avatar.photos.read import read_photo
from PIL import Image, ImageDraw

NAMES = [f"{number:02d}.jpg" for number in range(1, 11)]


def fingerprint(image: np.ndarray, name: str) -> Fingerprint:
    return Fingerprint(name, image.shape[0] * image.shape[1], thumbnail(image))


def saved_again(picture: Image.Image, scale: float, quality: int) -> np.ndarray:
    """As JPEG."""
    buffer = io.BytesIO()
    size = (round(picture.width * scale), round(picture.height * scale))
    picture.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.fixture(scope="module")
def drawings(samples: Path) -> list[Image.Image]:
    return [Image.fromarray(read_photo(samples / name)[1]) for name in NAMES]


@settings(max_examples=30)
@given(index=st.integers(0, 9), scale=st.floats(0.25, 2.0), quality=st.integers(40, 95))
def test_a_picture_saved_again_or_resized_is_the_same_and_no_other(
    drawings: list[Image.Image], index: int, scale: float, quality: int
) -> None:
    picture = drawings[index]
    again = fingerprint(saved_again(picture, scale, quality), "again")
    same = [same_picture(again, fingerprint(np.asarray(other), str(place))) for place, other in enumerate(drawings)]
    assert same == [place == index for place in range(10)]


def test_of_repeats_the_largest_is_kept_and_of_equals_the_first(drawings: list[Image.Image]) -> None:
    small = drawings[0].resize((128, 128))
    prints = [fingerprint(np.asarray(p), str(n)) for n, p in enumerate((small, drawings[0], drawings[1], drawings[0]))]
    assert repeats(prints) == {0: 1, 3: 1}


def test_of_repeats_the_one_that_the_user_vouched_for_is_kept(drawings: list[Image.Image]) -> None:
    small = drawings[0].resize((128, 128))
    prints = [fingerprint(np.asarray(p), str(n)) for n, p in enumerate((drawings[0], small))]
    assert repeats(prints, sure=[1]) == {0: 1}


def test_a_mirrored_picture_is_the_same(drawings: list[Image.Image]) -> None:
    one, other = np.asarray(drawings[0]), np.asarray(drawings[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert same_picture(fingerprint(one, "a"), fingerprint(other, "b"))


def line_drawing(seed: int, width: int) -> Image.Image:
    """A face of thin lines on white paper."""
    lot = Random(seed)
    picture = Image.new("RGB", (512, 512), "white")
    draw = ImageDraw.Draw(picture)
    x, y, radius = (lot.gauss(mean, 20) for mean in (256, 230, 120))
    draw.ellipse([x - radius, y - 1.2 * radius, x + radius, y + 1.2 * radius], outline="grey", width=width)
    for _ in range(15):
        begin = lot.gauss(x, 60), lot.gauss(y, 90)
        draw.line([begin, (begin[0] + lot.gauss(0, 30), begin[1] + lot.gauss(0, 40))], fill="grey", width=width)
    return picture


@pytest.mark.parametrize("width", [1, 2, 3])
def test_thin_lines_on_paper_are_told_apart_and_found_again(width: int) -> None:
    drawings = [line_drawing(seed, width) for seed in range(8)]
    pictures = [*map(np.asarray, drawings), saved_again(drawings[0], 0.9, 30), saved_again(drawings[1], 0.33, 85)]
    assert repeats([fingerprint(picture, str(place)) for place, picture in enumerate(pictures)]) == {8: 0, 9: 1}


def test_two_pictures_of_one_colour_are_the_same() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    assert same_picture(fingerprint(white, "a"), fingerprint(white - 2, "b"))


def test_one_shot_cut_in_two_ways_is_the_same_only_with_the_same_face(
    drawings: list[Image.Image], analyser: FaceAnalyser
) -> None:
    def cut(picture: Image.Image, name: str, box: tuple[int, int, int, int]) -> Fingerprint:
        image = np.asarray(picture.crop(box))
        face = analyser.detect(image)[0]
        seen = fingerprint(image, name)
        return replace(seen, embedding=analyser.embed(image, face), patch=face_patch(image, face))

    whole, tight = (0, 0, 512, 512), (60, 0, 460, 512)
    one, again, other = cut(drawings[0], "a", whole), cut(drawings[0], "b", tight), cut(drawings[1], "c", tight)
    assert float(np.sqrt(np.mean((one.thumbnail - again.thumbnail) ** 2))) > 12
    assert same_picture(one, again) and not same_picture(one, other)
    assert not same_picture(one, replace(again, embedding=other.embedding))


def test_a_burst_is_a_repeat_only_with_the_same_face() -> None:
    grey = np.full((16, 16, 3), 100.0)
    face, other = np.eye(2)
    one, next_shot = Fingerprint("a", 1, grey, face), Fingerprint("b", 1, grey + 8, face)
    assert same_picture(one, next_shot)
    assert not same_picture(one, Fingerprint("c", 1, grey + 8, other))
    assert not same_picture(one, Fingerprint("d", 1, grey + 8))


def person(seed: int, count: int, spread: float, size: int = 128) -> np.ndarray:
    """Photos of one person: cosines to each other of about 1 / (1 + spread²)."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=size)
    photos = middle / np.linalg.norm(middle) + spread * random.normal(size=(count, size)) / np.sqrt(size)
    return photos / np.linalg.norm(photos, axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.integers(4, 20), st.integers(1, 3), st.floats(0.2, 0.8), st.randoms())
def test_strangers_are_found_in_whatever_order(
    seed: int, own: int, strangers: int, spread: float, random: Random
) -> None:
    strangers = min(strangers, (own - 1) // 2)
    photos = np.vstack([person(seed, own, spread), *(person(seed + 1 + n, 1, spread) for n in range(strangers))])
    order = list(range(len(photos)))
    random.shuffle(order)
    found = compare(photos[order], 0.4)
    assert {order[index] for index in found.strangers} == set(range(own, own + strangers))
    assert not found.mixed and len(found.similarity) == len(photos)


@given(st.integers(0, 10**6), st.integers(1, 25), st.floats(0.0, 0.8))
def test_nobody_is_a_stranger_among_photos_of_one_person(seed: int, count: int, spread: float) -> None:
    found = compare(person(seed, count, spread), 0.4)
    assert not found.strangers and not found.mixed


def test_other_characters_are_found_far_above_the_threshold_of_photos() -> None:
    """As drawings are: one character's pictures at .95 to each other, another one at .55 to them."""
    own = person(1, 8, 0.2)
    beside = person(2, 1, 0.0)[0]
    middle = own.sum(axis=0) / np.linalg.norm(own.sum(axis=0))
    beside = beside - (beside @ middle) * middle
    other = 0.55 * middle + np.sqrt(1 - 0.55**2) * beside / np.linalg.norm(beside)
    found = compare(np.vstack([own, other]), 0.4)
    assert found.strangers == {8} and found.needed > 0.6
    assert not compare(np.vstack([own, other]), 0.4, by_spread=False).strangers


@pytest.mark.parametrize("count", [2, 3])
def test_of_photos_that_all_show_somebody_else_the_first_is_kept(count: int) -> None:
    photos = np.vstack([person(seed, 1, 0.1) for seed in range(count)])
    found = compare(photos, 0.4)
    assert found.strangers == set(range(1, count)) and found.mixed and found.people == count


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 4), st.randoms())
def test_the_person_in_most_photos_is_meant_and_the_others_are_strangers(
    seed: int, own: int, people: int, random: Random
) -> None:
    """Two to four people; one of them has one photo more than each of the others."""
    groups = [person(seed, own + 1, 0.5), *(person(seed + 1 + n, own, 0.5) for n in range(people - 1))]
    photos, order = np.vstack(groups), list(range(own + 1 + own * (people - 1)))
    random.shuffle(order)
    found = compare(photos[order], 0.4)
    assert {order[index] for index in found.strangers} == set(range(own + 1, len(order)))
    assert found.people == people and found.mixed == (2 * (own + 1) <= len(order))


def test_of_two_people_in_equal_numbers_the_first_is_kept_and_the_set_is_called_mixed() -> None:
    found = compare(np.vstack([person(1, 4, 0.3), person(2, 4, 0.3)]), 0.4)
    assert found.mixed and found.strangers == {4, 5, 6, 7}


def test_who_the_user_vouched_for_is_meant_even_in_the_minority() -> None:
    photos = np.vstack([person(1, 6, 0.3), person(2, 2, 0.3)])
    assert compare(photos, 0.4).strangers == {6, 7}
    found = compare(photos, 0.4, sure=[7])
    assert found.strangers == set(range(6)) and found.mixed
    assert float(found.centre @ photos[6]) > 0.9


def test_a_person_seen_in_very_different_photos_is_one() -> None:
    """Neighbours are alike, the first and the last are not: on average they are."""
    angles = np.radians(np.linspace(0, 75, 8))
    photos = np.zeros((8, 128))
    photos[:, 0], photos[:, 1] = np.cos(angles), np.sin(angles)
    found = compare(photos, 0.4)
    assert float(photos[0] @ photos[7]) < 0.3 and found.people == 1 and not found.strangers


@given(st.integers(0, 10**6), st.integers(5, 20))
def test_the_centre_ignores_a_stranger_and_has_length_one(seed: int, count: int) -> None:
    own, other = person(seed, count, 0.4), person(seed + 1, 1, 0.4)
    found = centre(np.vstack([own, other]))
    assert found.dtype == np.float32 and float(np.linalg.norm(found)) == pytest.approx(1, abs=1e-5)
    assert float(found @ centre(own)) > 0.999 and min(own @ found) > float(other[0] @ found)


hashes = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), max_size=60, unique=True)


@given(hashes, st.floats(0, 1), st.integers(0, 5), st.randoms())
def test_the_split_does_not_depend_on_the_order(sha256s: list[str], share: float, seed: int, order: Random) -> None:
    apart = held_out(sha256s, share, seed)
    order.shuffle(sha256s)
    assert apart == held_out(sha256s, share, seed) and apart <= set(sha256s)
    assert len(apart) <= len(sha256s) / 3 or not apart


@pytest.mark.parametrize(
    ("photos", "kept"), [(0, 0), (4, 0), (5, 0), (6, 2), (10, 2), (11, 2), (12, 3), (15, 3), (20, 4), (100, 20)]
)
def test_a_fifth_is_kept_out_and_at_least_two_of_six_and_three_of_twelve(photos: int, kept: int) -> None:
    assert len(held_out([f"{number:064x}" for number in range(photos)])) == kept


def known(sha256s: list[str], vectors: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(sha256s, vectors, strict=True))


@given(st.integers(0, 10**6), st.integers(6, 24), st.randoms())
def test_photos_that_are_kept_out_look_together_as_all_of_them_do(seed: int, count: int, order: Random) -> None:
    sha256s = [f"{number:064x}" for number in range(count)]
    faces = known(sha256s, person(seed, count, 0.7))
    whole = np.mean(list(faces.values()), axis=0)

    def off_by(apart: frozenset[str]) -> float:
        return float(np.linalg.norm(np.mean([faces[sha256] for sha256 in apart], axis=0) - whole))

    apart = held_out(sha256s, faces=faces)
    by_lot = [held_out(sha256s, seed=lot) for lot in range(20)]
    assert len(apart) == len(by_lot[0]) and off_by(apart) < float(np.mean([off_by(lot) for lot in by_lot]))
    order.shuffle(sha256s)
    assert held_out(sha256s, faces=faces) == apart


def test_a_photo_unlike_the_others_is_trained_on_rather_than_measured_by() -> None:
    sha256s = [f"{number:064x}" for number in range(9)]
    faces = known(sha256s, np.vstack([person(1, 8, 0.3), person(2, 1, 0.3)]))
    assert all(sha256s[8] not in held_out(sha256s, seed=seed, faces=faces) for seed in range(20))


@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans(), st.randoms())
def test_photos_that_show_the_same_are_kept_out_or_trained_on_together(
    seed: int, copies: int, is_known: bool, order: Random
) -> None:
    sha256s = [hashlib.sha256(f"{seed}-{number}".encode()).hexdigest() for number in range(9 + copies)]
    faces = known(sha256s, person(seed, len(sha256s), 0.7)) if is_known else None
    twins = dict.fromkeys(sha256s[8:], "first.jpg")
    apart = held_out(sha256s, seed=seed, faces=faces, twins=twins)
    assert not apart & set(twins) or apart >= set(twins)
    assert len(apart) == how_many(len(sha256s))
    order.shuffle(sha256s)
    assert held_out(sha256s, seed=seed, faces=faces, twins=twins) == apart


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize(("photos", "groups", "kept"), [
    (8, [5], 2), (12, [6], 3), (15, [10], 3), (15, [13], 2), (30, [20], 6), (30, [2] * 12, 6), (20, [4, 4, 4], 4),
    (6, [5], 0), (10, [2] * 5, 0), (12, [2] * 6, 0),
])
def test_photos_that_show_the_same_take_no_more_than_their_share(
    photos: int, groups: list[int], kept: int, is_known: bool
) -> None:
    """None where what fits into it would all show the same."""
    for seed in range(60):
        sha256s = [hashlib.sha256(f"{seed}-{number}".encode()).hexdigest() for number in range(photos)]
        left = iter(sha256s)
        alike = {name: [next(left) for _ in range(size)] for name, size in enumerate(groups)}
        twins = {sha256: f"{name}.jpg" for name, group in alike.items() for sha256 in group}
        faces = known(sha256s, person(seed, photos, 0.7)) if is_known else None
        apart = held_out(sha256s, seed=seed, faces=faces, twins=twins)
        assert len(apart) == kept
        assert all(not apart & set(group) or apart >= set(group) for group in alike.values())


def test_the_split_of_photos_that_show_different_things_is_what_it_always_was() -> None:
    sha256s = [f"{number:064x}" for number in range(12)]
    by_lot = sorted(sha256s, key=lambda sha256: hashlib.sha256(f"3:{sha256}".encode()).hexdigest())
    assert held_out(sha256s, seed=3) == frozenset(by_lot[:3])
    faces = known(sha256s, person(1, 12, 0.7))
    assert sorted(int(sha256, 16) for sha256 in held_out(sha256s, seed=3, faces=faces)) == [0, 8, 11]


def test_where_a_face_is_not_known_the_lot_decides() -> None:
    sha256s = [f"{number:064x}" for number in range(9)]
    faces = known(sha256s[1:], person(1, 8, 0.3))
    assert all(held_out(sha256s, seed=seed, faces=faces) == held_out(sha256s, seed=seed) for seed in range(5))
    assert held_out(sha256s[:5], faces=faces) == frozenset()
