"""The photo report on photos of real people, against a key made by hand: nobody else gets in, good photos do."""
from __future__ import annotations

from itertools import combinations
from pathlib import Path

import insightface_models
import numpy as np
import pytest
import real_photos
from personal_avatar.domain import PhotoReport, Reason
from personal_avatar.errors import WeightsError
from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.registry import default_analyser
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.photos.memory import Memory
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import PhotoSettings
from PIL import Image, ImageFilter

OBAMA = ["obama.jpg", "obama2.jpg", "obama3.jpg", "impostor_1.jpg"]
MACRON, ARDERN = ["person_a_1.jpg", "person_a_2.jpg"], ["person_b_1.jpg", "person_b_2.jpg"]
OTHERS = ["biden.jpg", "impostor_2.jpg"]
WHO = dict.fromkeys(OBAMA, "obama") | dict.fromkeys(MACRON, "macron") | dict.fromkeys(ARDERN, "ardern")
WHO |= {name: name for name in OTHERS}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """With spoiled copies of photos of the first person, and a photo of six strangers."""
    try:
        found = real_photos.people(weights_folder.parent / "photos")
        group = real_photos.photo("t1.jpg", weights_folder.parent / "photos")
    except WeightsError as error:
        pytest.skip(f"no photos: {error}")
    made = tmp_path_factory.mktemp("made")
    sharp = Image.open(found["obama2.jpg"]).convert("RGB")
    face = sharp.width / 3
    spoiled = {
        "blurred.jpg": sharp.filter(ImageFilter.GaussianBlur(0.03 * face)),
        "dark.jpg": sharp.point(lambda value: value // 9),
        "tiny.jpg": sharp.resize((sharp.width // 12, sharp.height // 12)),
        "saved-again.jpg": sharp.resize((sharp.width // 2, sharp.height // 2)),
        "group.jpg": Image.fromarray(group),
    }
    for name, picture in spoiled.items():
        picture.save(made / name, quality=88)
    return found | {name: made / name for name in spoiled}


@pytest.fixture(scope="module", params=["sface", "w600k_mbf"])
def recognised(request: pytest.FixtureRequest, analyser: FaceAnalyser, weights_folder: Path) -> FaceAnalyser:
    if request.param == "sface":
        return analyser
    detector, recogniser = insightface_models.models(weights_folder.parent / "insightface" / "buffalo_s")
    return Analyser(Scrfd(detector), arcface(recogniser))


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


def told(report: PhotoReport) -> dict[str, tuple[Reason, ...]]:
    return {verdict.path.name: verdict.reasons for verdict in report.photos}


def test_a_person_with_strangers_and_spoiled_photos_comes_out_as_the_key_says(
    photos: dict[str, Path], recognised: FaceAnalyser, memory: Memory
) -> None:
    key = dict.fromkeys(OBAMA, ()) | dict.fromkeys(["biden.jpg", "person_b_1.jpg"], (Reason.OTHER_PERSON,))
    key |= {"32bit.png": (Reason.DUPLICATE,), "saved-again.jpg": (Reason.DUPLICATE,)}  # obama2.jpg once more
    key |= {"blurred.jpg": (Reason.BLURRED,), "group.jpg": (Reason.SEVERAL_FACES,)}
    report = check([photos[name] for name in [*key, "dark.jpg", "tiny.jpg"]], recognised, memory=memory)
    found = told(report)
    assert {name: found[name] for name in key} == key
    assert Reason.DARK in found["dark.jpg"] and Reason.FACE_TOO_SMALL in found["tiny.jpg"]
    assert {verdict.path.name for verdict in report.accepted} == set(OBAMA)


@pytest.mark.parametrize("own, others", [
    (OBAMA, MACRON), (OBAMA[:3], MACRON + ARDERN), (MACRON, OTHERS[:1]), (ARDERN, ["obama.jpg", "person_a_1.jpg"]),
])
def test_of_two_or_three_people_the_one_in_most_photos_is_kept(
    own: list[str], others: list[str], photos: dict[str, Path], recognised: FaceAnalyser, memory: Memory
) -> None:
    for order in ([*own, *others], [*others, *own]):
        report = check([photos[name] for name in order], recognised, memory=memory)
        assert {verdict.path.name for verdict in report.accepted} == set(own)


def test_two_photos_of_a_person_years_apart_are_both_good(
    photos: dict[str, Path], recognised: FaceAnalyser, memory: Memory
) -> None:
    for pair in (MACRON, ARDERN):
        assert len(check([photos[name] for name in pair], recognised, memory=memory).accepted) == 2


def test_the_recognisers_limit_parts_the_same_person_from_others(
    photos: dict[str, Path], recognised: FaceAnalyser, memory: Memory
) -> None:
    seen = [memory.examined(photos[name], recognised, PhotoSettings(), {}).candidates[0].embedding for name in WHO]
    vectors = dict(zip(WHO, seen, strict=True))
    for one, other in combinations(WHO, 2):
        similarity = float(np.dot(vectors[one], vectors[other]))
        assert (similarity >= recognised.same_person_above) == (WHO[one] == WHO[other]), (one, other, similarity)


def test_who_has_the_network_for_it_is_told_how_open_eyes_and_mouths_are(
    photos: dict[str, Path], weights_folder: Path, tmp_path: Path
) -> None:
    folder = weights_folder.parent / "insightface" / "buffalo_s"
    for file in (*insightface_models.models(folder), insightface_models.landmarks(weights_folder.parent / "landmarks")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with_points = default_analyser(weights_folder, tmp_path)
    report = check([photos[name] for name in [*OBAMA, *MACRON]], with_points)
    seen = {verdict.path.name: verdict.quality for verdict in report.photos if verdict.quality is not None}
    assert all(quality.eyes_open is not None and quality.eyes_open > 0.4 for quality in seen.values())
    mouths = {name: quality.mouth_open or 0.0 for name, quality in seen.items()}
    assert min(mouths["obama.jpg"], mouths["impostor_1.jpg"]) > 0.35 > 0.2 > max(mouths[name] for name in MACRON)
    assert report.coverage is not None and report.coverage.expressions["mouth_open"] >= 1
