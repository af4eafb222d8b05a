"""The report on the shipped drawings and on files of every bad kind."""
from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import PhotoChoice, PhotoReport, Reason
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.quality import measure_whole
from personal_avatar.photos.read import read_photo
from personal_avatar.photos.report import check, to_document
from personal_avatar.photos.settings import PhotoSettings
from PIL import Image, ImageFilter

GOOD = [f"{number:02d}.jpg" for number in range(1, 11)]
BAD = {
    "blurred.jpg": Reason.BLURRED,
    "duplicate.jpg": Reason.DUPLICATE,
    "no-face.jpg": Reason.NO_FACE,
    "someone-else.jpg": Reason.OTHER_PERSON,
    "two-people.jpg": Reason.SEVERAL_FACES,
}


@pytest.fixture(scope="module")
def report(samples: Path, analyser: FaceAnalyser) -> PhotoReport:
    return check([samples / name for name in (*GOOD, *BAD)], analyser)


def changed(samples: Path, target: Path, **changes: float) -> Path:
    """01.jpg, darker or brighter (`gain`), smaller (`scale`) or blurred."""
    picture = Image.fromarray(read_photo(samples / "01.jpg")[1])
    if "blur" in changes:
        picture = picture.filter(ImageFilter.GaussianBlur(changes["blur"]))
    scale = changes.get("scale", 1.0)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    pixels = np.clip(np.asarray(picture) * changes.get("gain", 1.0), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(target)
    return target


@pytest.mark.slow
def test_all_good_drawings_are_accepted(report: PhotoReport) -> None:
    assert [verdict.path.name for verdict in report.accepted] == GOOD


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reason"), BAD.items())
def test_each_bad_drawing_is_rejected_for_what_is_wrong_with_it(
    report: PhotoReport, name: str, reason: Reason
) -> None:
    verdict = next(verdict for verdict in report.photos if verdict.path.name == name)
    assert verdict.reasons == (reason,) and verdict.detail


def test_the_details_say_numbers(report: PhotoReport) -> None:
    details = {verdict.path.name: verdict.detail for verdict in report.photos}
    assert details["blurred.jpg"].startswith("sharpness ") and ", need 27" in details["blurred.jpg"]
    assert details["two-people.jpg"] == "2 faces of similar size"
    assert details["duplicate.jpg"].startswith("shows the same as 0")
    assert all(details[name] == "" for name in GOOD)


def test_accepted_photos_carry_an_embedding_and_their_similarity(report: PhotoReport) -> None:
    for verdict in report.accepted:
        assert verdict.face is not None and verdict.face.embedding is not None and len(verdict.face.embedding) == 128
        assert verdict.similarity is not None and verdict.similarity > 0.6


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (Reason.DARK, {"gain": 0.15}),
        (Reason.OVEREXPOSED, {"gain": 4.0}),
        (Reason.FACE_TOO_SMALL, {"scale": 0.15}),
        (Reason.BLURRED, {"blur": 8.0}),
    ],
)
def test_a_bad_version_of_a_good_photo_is_rejected(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path, reason: Reason, changes: dict[str, float]
) -> None:
    verdict = check([changed(samples, tmp_path / "bad.png", **changes)], analyser).photos[0]
    assert reason in verdict.reasons


def test_a_face_cut_off_by_the_edge_is_rejected(samples: Path, analyser: FaceAnalyser, tmp_path: Path) -> None:
    image = read_photo(samples / "01.jpg")[1]
    left, top, right, bottom = analyser.detect(image)[0].box_px
    Image.fromarray(image[:, round(left + 0.4 * (right - left)) :]).save(tmp_path / "cut.png")
    verdict = check([tmp_path / "cut.png"], analyser).photos[0]
    assert verdict.reasons == (Reason.OCCLUDED,)


def test_a_small_face_in_the_background_is_no_reason(samples: Path, analyser: FaceAnalyser, tmp_path: Path) -> None:
    main = Image.fromarray(read_photo(samples / "01.jpg")[1])
    scene = Image.new("RGB", (main.width + 140, main.height), (200, 200, 200))
    scene.paste(main)
    scene.paste(Image.fromarray(read_photo(samples / "someone-else.jpg")[1]).resize((120, 120)), (main.width + 10, 20))
    scene.save(tmp_path / "scene.png")
    verdict = check([tmp_path / "scene.png"], analyser).photos[0]
    assert verdict.accepted and verdict.faces == 2
    strict = check([tmp_path / "scene.png"], analyser, PhotoSettings(second_face_share=0.05)).photos[0]
    assert strict.reasons == (Reason.SEVERAL_FACES,)


def test_broken_files_are_verdicts_and_the_good_photo_is_still_judged(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "half.jpg").write_bytes((samples / "01.jpg").read_bytes()[:9000])
    (tmp_path / "heavy.jpg").write_bytes(bytes(2_000_001))
    Image.new("RGB", (600, 10)).save(tmp_path / "long.png")
    names = ["empty.jpg", "text.jpg", "half.jpg", "absent.jpg", "heavy.jpg", "long.png"]
    paths = [*(tmp_path / name for name in names), samples / "01.jpg"]
    steps: list[tuple[int, int]] = []
    limits = PhotoSettings(max_file_mb=2, max_side_px=512)
    found = check(paths, analyser, limits, lambda done, total: steps.append((done, total)))
    reasons = [verdict.reasons for verdict in found.photos]
    assert reasons == [(Reason.UNREADABLE,)] * 4 + [(Reason.TOO_LARGE,)] * 2 + [()]
    assert all(verdict.detail for verdict in found.photos[:6])
    assert steps == [(number, 7) for number in range(1, 8)]


def test_the_same_file_twice_is_accepted_once(samples: Path, analyser: FaceAnalyser, tmp_path: Path) -> None:
    shutil.copy(samples / "02.jpg", tmp_path / "copy.jpg")
    found = check([samples / "02.jpg", tmp_path / "copy.jpg"], analyser)
    assert [verdict.reasons for verdict in found.photos] == [(), (Reason.DUPLICATE,)]


def test_no_photos_make_an_empty_report(analyser: FaceAnalyser) -> None:
    found = check([], analyser)
    assert found.photos == () and len(found.advice) == 1


@pytest.mark.slow
def test_people_can_be_judged_by_the_threshold_alone_or_not_at_all(
    samples: Path, analyser: FaceAnalyser
) -> None:
    paths = [samples / name for name in (*GOOD[:6], "someone-else.jpg")]
    for mode in ("threshold", "off"):
        assert check(paths, analyser, PhotoSettings(other_people=mode)).photos[-1].accepted


def test_the_document_has_the_agreed_form_and_no_biometric_vector(report: PhotoReport) -> None:
    document = to_document(report)
    assert json.loads(json.dumps(document)) == document
    assert document["set"]["accepted"] == 10 and isinstance(document["set"]["advice"], list)
    first = document["photos"][0]
    assert first["verdict"] == "accepted" and first["reasons"] == []
    assert set(first["face"]) == {"box_px", "landmarks_px", "score"}
    assert set(first["quality"]) >= {"sharpness", "brightness", "clipped", "yaw_deg", "pitch_deg", "roll_deg"}
    by_name = {Path(photo["path"]).name: photo for photo in document["photos"]}
    assert by_name["no-face.jpg"]["face"] is None and by_name["no-face.jpg"]["reasons"] == ["NO_FACE"]
    assert "embedding" not in json.dumps(document)


def test_a_decision_about_a_photo_that_was_given_twice_takes_it_once(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    again = Path(shutil.copy(samples / "03.jpg", tmp_path / "again.jpg"))
    taken = {read_photo(again)[0].sha256: PhotoChoice(take=True)}
    found = check([samples / "03.jpg", samples / "04.jpg", again], analyser, choices=taken)
    assert [verdict.path.name for verdict in found.accepted] == ["03.jpg", "04.jpg"]


def test_a_picture_as_thin_as_a_line_is_measured_in_little_memory() -> None:
    tracemalloc.start()
    measure_whole(np.zeros((3, 1200, 3), np.uint8))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60e6


def test_pictures_of_a_style_need_no_face(samples: Path, analyser: FaceAnalyser, tmp_path: Path) -> None:
    style = PhotoSettings(faces="ignored")
    dark = changed(samples, tmp_path / "dark.png", gain=0.1)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    icon = tmp_path / "icon.png"
    Image.new("RGB", (200, 48), "red").save(icon)
    names = ("no-face.jpg", "two-people.jpg", "someone-else.jpg", "03.jpg", "duplicate.jpg", "blurred.jpg")
    found = check([*(samples / name for name in names), dark, broken, icon], analyser, style)
    assert "200 x 48 pixels" in found.photos[-1].detail and "icon.png" in found.photos[-1].detail
    reasons = {verdict.path.name: verdict.reasons for verdict in found.photos}
    assert [verdict.path.name for verdict in found.accepted] == list(names[:4])
    assert reasons["duplicate.jpg"] == (Reason.DUPLICATE,) and reasons["blurred.jpg"] == (Reason.BLURRED,)
    assert reasons["dark.png"] == (Reason.DARK,) and reasons["broken.jpg"] == (Reason.UNREADABLE,)
    assert all(verdict.face is None and verdict.similarity is None for verdict in found.photos)
    assert to_document(found)["photos"][0]["face"] is None
