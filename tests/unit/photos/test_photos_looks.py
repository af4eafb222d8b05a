"""Who recognises people in a set: decided by what most of its pictures are."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_models import CCIP_NAME, make_ccip
from personal_avatar.domain import Look
from personal_avatar.photos.looks import LOOKED_AT, analyser_of, look_of_set
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import PhotoSettings
from PIL import Image


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures in which every pixel differs, as in photos."""
    folder = tmp_path_factory.mktemp("noisy")
    random = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for path in weights_folder.glob("*.onnx"):
        shutil.copyfile(path, folder / path.name)
    make_ccip(folder)
    return folder


def test_the_majority_decides(samples: Path, noisy: list[Path]) -> None:
    drawn = [samples / "01.jpg", samples / "02.jpg"]
    assert look_of_set(drawn, PhotoSettings()) is Look.DRAWN
    assert look_of_set([*drawn, *noisy], PhotoSettings()) is Look.PHOTO


def test_the_user_knows_better(samples: Path, noisy: list[Path]) -> None:
    assert look_of_set(noisy, PhotoSettings(look="drawn")) is Look.DRAWN
    assert look_of_set([samples / "01.jpg"], PhotoSettings(look="photo")) is Look.PHOTO


def test_broken_files_and_empty_sets_do_not_count(samples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    assert look_of_set([broken, tmp_path / "gone.png", samples / "01.jpg"], PhotoSettings()) is Look.DRAWN
    assert look_of_set([broken], PhotoSettings()) is Look.PHOTO
    assert look_of_set([], PhotoSettings()) is Look.PHOTO


def test_of_a_large_set_a_few_are_read(samples: Path, tmp_path: Path) -> None:
    """They are spread over the set: every second file is missing, and yet most of those looked at are there."""
    paths = [samples / "01.jpg" if number % 10 == 0 else tmp_path / f"{number}.png" for number in range(10 * LOOKED_AT)]
    assert look_of_set(paths, PhotoSettings()) is Look.DRAWN


def test_drawings_are_recognised_by_ccip_where_it_is(
    samples: Path, noisy: list[Path], weights: Path, weights_folder: Path
) -> None:
    drawn = sorted(samples.glob("0*.jpg"))
    assert analyser_of(drawn, PhotoSettings(), weights).name == CCIP_NAME
    assert analyser_of(drawn, PhotoSettings(look="photo"), weights).name == "sface-2021dec"
    assert analyser_of(noisy, PhotoSettings(), weights).name == "sface-2021dec"
    assert analyser_of(drawn, PhotoSettings(), weights_folder).name == "sface-2021dec"


def test_a_check_runs_with_the_recogniser_for_drawings(samples: Path, weights: Path) -> None:
    drawn = sorted(samples.glob("0[1-5].jpg"))
    report = check(drawn, analyser_of(drawn, PhotoSettings(), weights), PhotoSettings(other_people="off"))
    assert len(report.accepted) == 5
    assert {len(verdict.face.embedding or ()) for verdict in report.photos if verdict.face} == {768}
