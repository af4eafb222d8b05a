"""The dataset on disk, made of the shipped drawings."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Dataset, PhotoReport, Reason
from personal_avatar.errors import InvalidSettings, NoFace, NotFound, TooFewPhotos
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.prepare import embeddings, load_dataset, prepare, reference_embedding
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import PhotoSettings
from PIL import Image

RECIPE = {"resolution_px": 128, "trigger": "sks woman", "class_noun": "woman"}


@pytest.fixture(scope="module")
def report(samples: Path, analyser: FaceAnalyser) -> PhotoReport:
    return check([samples / f"{number:02d}.jpg" for number in range(1, 7)], analyser)


@pytest.fixture(scope="module")
def made(report: PhotoReport, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(report, tmp_path_factory.mktemp("dataset"), **RECIPE)


@pytest.fixture
def dataset(made: Dataset, tmp_path: Path) -> Dataset:
    """A copy of its own for a test that changes something."""
    shutil.copytree(made.folder, tmp_path / "dataset")
    return load_dataset(tmp_path / "dataset")


def test_pictures_and_captions_lie_where_kohya_looks(made: Dataset) -> None:
    assert len(made.samples) == 4 and len(made.held_out) == 2
    pictures = sorted((made.folder / "images" / "1_sks woman").glob("*.png"))
    assert pictures == sorted(made.folder / sample.image for sample in made.samples)
    for sample in (*made.samples, *made.held_out):
        with Image.open(made.folder / sample.image) as picture:
            assert picture.size == (128, 128) and picture.mode == "RGB"
        caption = (made.folder / sample.image).with_suffix(".txt").read_text().strip()
        assert caption == sample.caption == "a photo of sks woman"


def test_the_manifest_says_how_each_picture_was_cut(made: Dataset, report: PhotoReport) -> None:
    data = json.loads((made.folder / "manifest.json").read_text())
    assert data["dataset"]["version"] == 2 and data["dataset"]["folder"] == "."
    assert [crop["photo"] for crop in data["crops"]] == [verdict.path.name for verdict in report.accepted]
    assert all(crop["scale"] > 0 and min(crop["size_px"]) > 100 for crop in data["crops"])


def test_a_dataset_can_be_read_again_and_moved(dataset: Dataset, made: Dataset, tmp_path: Path) -> None:
    assert replace(dataset, folder=made.folder) == made
    shutil.move(dataset.folder, tmp_path / "elsewhere")
    moved = load_dataset(tmp_path / "elsewhere")
    assert moved.samples == made.samples and moved.folder == tmp_path / "elsewhere"


def test_nothing_is_done_again_when_nothing_changed(report: PhotoReport, dataset: Dataset) -> None:
    picture = dataset.folder / dataset.samples[0].image
    before = picture.stat().st_mtime_ns
    assert prepare(report, dataset.folder, **RECIPE) == dataset
    assert picture.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [{"trigger": "ohwx woman"}, {"resolution_px": 64}, {"held_out": 0.0}, {"settings": PhotoSettings(repeats=3)}],
)
def test_any_change_makes_another_dataset_and_leaves_nothing_of_the_old(
    report: PhotoReport, dataset: Dataset, change: dict[str, object]
) -> None:
    (dataset.folder / "notes.txt").write_text("mine")
    changed = prepare(report, dataset.folder, **{**RECIPE, **change})  # type: ignore[arg-type]
    assert changed.fingerprint != dataset.fingerprint
    samples = (*changed.samples, *changed.held_out)
    listed = {changed.folder / path for sample in samples for path in (sample.image, sample.mask) if path}
    assert set(changed.folder.rglob("*.png")) == listed
    assert (dataset.folder / "notes.txt").read_text() == "mine"


def test_a_lost_picture_is_made_again(report: PhotoReport, dataset: Dataset) -> None:
    (dataset.folder / dataset.samples[2].image).unlink()
    with pytest.raises(NotFound):
        load_dataset(dataset.folder)
    assert prepare(report, dataset.folder, **RECIPE) == dataset
    assert load_dataset(dataset.folder) == dataset


def test_a_dataset_without_manifest_is_none(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.folder / "manifest.json").write_text("{")
    for folder in (dataset.folder, tmp_path / "absent"):
        with pytest.raises(NotFound) as caught:
            load_dataset(folder)
        assert "repare the photos again" in caught.value.hint


def test_the_split_is_the_same_whatever_the_order_of_the_photos(
    report: PhotoReport, made: Dataset, tmp_path: Path
) -> None:
    turned = prepare(PhotoReport(report.photos[::-1]), tmp_path, **RECIPE)
    assert turned.fingerprint == made.fingerprint
    assert {s.source_sha256 for s in turned.held_out} == {s.source_sha256 for s in made.held_out}


def test_few_photos_are_all_trained_on(report: PhotoReport, tmp_path: Path) -> None:
    dataset = prepare(PhotoReport(report.photos[:4]), tmp_path, **RECIPE)
    assert len(dataset.samples) == 4 and dataset.held_out == ()


def test_captions_follow_the_template(report: PhotoReport, tmp_path: Path) -> None:
    template = PhotoSettings(caption_template="{trigger}, a {class_noun}, drawing")
    dataset = prepare(PhotoReport(report.photos[:1]), tmp_path, **RECIPE, settings=template)
    assert dataset.samples[0].caption == "sks woman, a woman, drawing"


@pytest.mark.parametrize("template", ["{name}", "{", "{0}", "{trigger.upper}", "{trigger:>9}"])
def test_an_unknown_place_in_the_template_is_named(report: PhotoReport, tmp_path: Path, template: str) -> None:
    with pytest.raises(InvalidSettings, match="caption_template"):
        prepare(report, tmp_path, **RECIPE, settings=PhotoSettings(caption_template=template))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resolution_px", [0, 60, 130])
def test_a_resolution_that_no_model_takes_is_refused(
    report: PhotoReport, tmp_path: Path, resolution_px: int
) -> None:
    with pytest.raises(InvalidSettings, match="multiple of 8"):
        prepare(report, tmp_path, **{**RECIPE, "resolution_px": resolution_px})


def test_without_accepted_photos_there_is_no_dataset(report: PhotoReport, tmp_path: Path) -> None:
    rejected = PhotoReport(tuple(replace(verdict, reasons=(Reason.DARK,)) for verdict in report.photos))
    with pytest.raises(TooFewPhotos):
        prepare(rejected, tmp_path, **RECIPE)


def test_a_photo_that_was_changed_after_the_check_is_named(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    shutil.copy(samples / "01.jpg", tmp_path / "a.jpg")
    found = check([tmp_path / "a.jpg"], analyser)
    shutil.copy(samples / "02.jpg", tmp_path / "a.jpg")
    with pytest.raises(NotFound, match="a.jpg was changed"):
        prepare(found, tmp_path / "out", **RECIPE)
    with pytest.raises(NotFound):
        load_dataset(tmp_path / "out")


def test_a_trigger_with_signs_becomes_a_safe_folder(report: PhotoReport, tmp_path: Path) -> None:
    dataset = prepare(PhotoReport(report.photos[:1]), tmp_path, **{**RECIPE, "trigger": "../a:b*? nàng"})
    folder = (tmp_path / dataset.samples[0].image).parent
    assert folder.parent == tmp_path / "images" and folder.name == "1__a_b__ nàng"
    assert dataset.samples[0].caption == "a photo of ../a:b*? nàng"


def test_the_reference_of_the_report_and_of_the_dataset_are_the_same_person(
    report: PhotoReport, made: Dataset, analyser: FaceAnalyser
) -> None:
    one, other = reference_embedding(report, analyser), reference_embedding(made, analyser)
    assert one.dtype == np.float32 and float(np.linalg.norm(one)) == pytest.approx(1, abs=1e-5)
    assert float(one @ other) > 0.9
    assert len(embeddings(made.folder, made.held_out, analyser)) == 2


def test_a_reference_without_a_face_is_named(analyser: FaceAnalyser) -> None:
    with pytest.raises(NoFace):
        reference_embedding(PhotoReport(()), analyser)


def test_faces_are_found_again_when_the_report_came_without_them(
    report: PhotoReport, made: Dataset, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    bare = PhotoReport(tuple(replace(verdict, face=None) for verdict in report.photos))
    dataset = prepare(bare, tmp_path, **RECIPE, analyser=analyser)
    for sample, twin in zip(dataset.samples, made.samples, strict=True):
        assert (tmp_path / sample.image).read_bytes() == (made.folder / twin.image).read_bytes()
    assert float(reference_embedding(bare, analyser) @ reference_embedding(report, analyser)) > 0.999
