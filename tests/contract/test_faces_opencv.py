"""Our YuNet and SFace against OpenCV's own implementations on the same files. OpenCV is not needed by the package."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.faces.alignment import align_to
from personal_avatar.faces.detection import placed
from personal_avatar.faces.sface import sface
from personal_avatar.faces.yunet import CANVAS_PX, YuNet
from personal_avatar.photos.read import read_photo
from personal_avatar.weights.registry import SFACE, YUNET

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
if not hasattr(cv2, "FaceDetectorYN"):
    pytest.skip("this OpenCV has no FaceDetectorYN", allow_module_level=True)


@pytest.mark.parametrize("share", [1.0, 2 / 3, 0.3])
@pytest.mark.parametrize("name", ["01.jpg", "10.jpg", "two-people.jpg", "no-face.jpg"])
def test_yunet_finds_what_opencv_finds(weights_folder: Path, samples: Path, name: str, share: float) -> None:
    canvas = placed(read_photo(samples / name)[1], CANVAS_PX, share).canvas
    theirs = cv2.FaceDetectorYN.create(str(weights_folder / YUNET.file_name), "", (CANVAS_PX, CANVAS_PX), 0.65, 0.3)
    rows = theirs.detect(np.ascontiguousarray(canvas[:, :, ::-1]))[1]
    ours = YuNet(weights_folder / YUNET.file_name)(canvas)
    assert len(ours) == (0 if rows is None else len(rows))
    for face, row in zip(ours, [] if rows is None else rows, strict=True):
        assert np.allclose((face.box_px[0], face.box_px[1], face.width_px, face.height_px), row[:4], atol=0.05)
        assert np.allclose(np.ravel(face.landmarks_px), row[4:14], atol=0.05)
        assert face.score == pytest.approx(float(row[14]), abs=1e-3)


def their_sface(weights_folder: Path) -> Any:
    try:
        return cv2.FaceRecognizerSF.create(str(weights_folder / SFACE.file_name), "")
    except cv2.error as error:
        pytest.skip(f"OpenCV {cv2.__version__} refuses the file: {error}")


def test_sface_gives_the_vectors_of_opencv(weights_folder: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    theirs, ours = their_sface(weights_folder), sface(weights_folder / SFACE.file_name)
    for crop in crops:
        expected = theirs.feature(np.ascontiguousarray(crop[:, :, ::-1])).ravel()
        assert np.allclose(ours.vector(crop), expected, atol=1e-3)


@pytest.mark.parametrize("name", ["01.jpg", "06.jpg", "someone-else.jpg"])
def test_a_face_of_the_size_of_the_crop_is_aligned_as_by_opencv(
    weights_folder: Path, samples: Path, name: str
) -> None:
    """On larger faces ours is smoother: OpenCV skips pixels there."""
    canvas = placed(read_photo(samples / name)[1], CANVAS_PX, 0.35).canvas
    face = YuNet(weights_folder / YUNET.file_name)(canvas)[0]
    row = np.array([*face.box_px[:2], face.width_px, face.height_px, *np.ravel(face.landmarks_px), face.score])
    bgr = np.ascontiguousarray(canvas[:, :, ::-1])
    theirs = their_sface(weights_folder).alignCrop(bgr, row.astype(np.float32))[:, :, ::-1]
    ours = align_to(canvas, face.landmarks_px)
    assert np.abs(ours.astype(float) - theirs).mean() < 2.0
