"""The dataset on disk, made of the shipped drawings."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Dataset, PhotoChoice, PhotoReport, Reason, Sample
from personal_avatar.errors import InvalidSettings, NoFace, NotFound, TooFewPhotos
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.prepare import embeddings, load_dataset, prepare, reference_embedding
from personal_avatar.photos.recipe import Recipe, planned
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import sha256_of as file_hash
from PIL import Image

from tests.unit.painted_faces import PaintedFaces, face_at, person, picture

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


def test_every_training_picture_has_a_mask_of_its_size_outside_of_the_pictures(made: Dataset) -> None:
    for sample in made.samples:
        assert sample.mask is not None and sample.mask.as_posix() == f"masks/{sample.image.name}"
        with Image.open(made.folder / sample.mask) as mask:
            assert mask.mode == "L" and mask.size == (128, 128)
            values = np.asarray(mask)
        assert values[58, 64] == 255 and values.min() == 0 and 0.2 < float(values.mean()) / 255 < 0.95
    assert {sample.mask for sample in made.held_out} == {None}
    assert {path.suffix for path in (made.folder / "images").rglob("*.*")} == {".png", ".txt"}


@pytest.mark.slow
def test_whole_pictures_have_sizes_of_their_own_and_held_out_ones_stay_portraits(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    parts = 3 * [(0, 0, 512, 512), (70, 0, 442, 512)]
    for number, part in enumerate(parts, start=1):
        with Image.open(samples / f"{number:02d}.jpg") as picture:
            picture.crop(part).save(tmp_path / f"{number}.png")
    found = check(sorted(tmp_path.glob("*.png")), analyser)
    whole = PhotoSettings(framing="full")
    dataset = prepare(found, tmp_path / "out", **{**RECIPE, "resolution_px": 320}, settings=whole)
    assert len(dataset.samples) == 4 and load_dataset(dataset.folder) == dataset
    shown = set()
    for sample in dataset.samples:
        with Image.open(dataset.folder / sample.image) as picture:
            shown.add(picture.size)
        with Image.open(dataset.folder / str(sample.mask)) as mask:
            assert mask.size == picture.size
    assert len(shown) > 1 and all(width % 64 == height % 64 == 0 for width, height in shown)
    for sample in dataset.held_out:
        with Image.open(dataset.folder / sample.image) as picture:
            assert picture.size == (320, 320)
    assert len(embeddings(dataset.folder, dataset.samples, analyser)) == 4


def test_a_dataset_of_the_version_before_is_read_without_masks(dataset: Dataset) -> None:
    manifest = dataset.folder / "manifest.json"
    data = json.loads(manifest.read_text())
    data["dataset"]["version"] = 1
    for sample in (*data["dataset"]["samples"], *data["dataset"]["held_out"]):
        del sample["mask"]
    manifest.write_text(json.dumps(data))
    shutil.rmtree(dataset.folder / "masks")
    old = load_dataset(dataset.folder)
    assert old.version == 1 and {sample.mask for sample in old.samples} == {None}
    assert [sample.image for sample in old.samples] == [sample.image for sample in dataset.samples]


def test_a_dataset_of_a_newer_version_is_refused_by_name(dataset: Dataset) -> None:
    manifest = dataset.folder / "manifest.json"
    data = json.loads(manifest.read_text())
    data["dataset"]["version"] = 3
    manifest.write_text(json.dumps(data))
    with pytest.raises(NotFound, match="newer version"):
        load_dataset(dataset.folder)


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
    [
        {"trigger": "ohwx woman"},
        {"resolution_px": 64},
        {"held_out": 0.0},
        {"settings": PhotoSettings(repeats=3)},
        {"settings": PhotoSettings(framing="full")},
    ],
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


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_lost_picture_is_made_again(report: PhotoReport, dataset: Dataset, kind: str) -> None:
    (dataset.folder / getattr(dataset.samples[2], kind)).unlink()
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


def test_a_photo_and_the_same_one_smaller_both_taken_by_hand_are_on_one_side(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    photos = [samples / f"{number:02d}.jpg" for number in range(1, 11)]
    again = tmp_path / "again.jpg"
    with Image.open(photos[2]) as opened:
        opened.resize((opened.width * 4 // 5, opened.height * 4 // 5)).save(again)
    choices = {file_hash(photo): PhotoChoice(take=True) for photo in (photos[2], again)}
    report = check([*photos, again], analyser, choices=choices)
    assert len(report.accepted) == 11 and any(verdict.reasons for verdict in report.accepted)
    by_lot = [replace(verdict, face=None) for verdict in report.accepted]  # not by how they look
    together = set()
    for seed in range(12):
        recipe = Recipe(128, "sks woman", "woman", held_out=0.3, seed=seed, settings=PhotoSettings())
        kept_out = {sample.source_sha256 for sample in planned(by_lot, tmp_path, recipe).held_out}
        together.add(len({file_hash(photos[2]), file_hash(again)} & kept_out))
    assert together == {0, 2}


def test_which_photos_show_the_same_does_not_hang_on_names(
    samples: Path, report: PhotoReport, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    """In two folders there may be two photos of one name, of which one was taken beside a smaller one of itself."""
    def planned_as(names: tuple[str, str, str]) -> list[tuple[str, set[str]]]:
        large, small, other = photos = [tmp_path / name for name in names]
        for photo in photos:
            photo.parent.mkdir(exist_ok=True)
        shutil.copy(samples / "07.jpg", large)
        shutil.copy(samples / "08.jpg", other)
        with Image.open(large) as opened:
            opened.resize((opened.width * 4 // 5, opened.height * 4 // 5)).save(small)
        found = check(photos, analyser, choices={file_hash(one): PhotoChoice(take=True) for one in photos}).accepted
        assert len(found) == 3
        by_lot = [replace(verdict, face=None) for verdict in (*found, *report.photos)]
        recipes = [Recipe(128, "sks woman", "woman", 0.3, seed, PhotoSettings()) for seed in range(12)]
        plans = [planned(by_lot, tmp_path, recipe) for recipe in recipes]
        return [(plan.fingerprint, {sample.source_sha256 for sample in plan.held_out}) for plan in plans]

    assert planned_as(("a/1.jpg", "a/2.jpg", "b/1.jpg")) == planned_as(("x.jpg", "y.jpg", "z.jpg"))


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


def test_captions_beside_the_photos_are_used_and_belong_to_the_fingerprint(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    for number in (1, 2):
        shutil.copy(samples / f"{number:02d}.jpg", tmp_path)
    (tmp_path / "01.txt").write_text("smiling, blue background\n", encoding="utf-8")
    found, out = check(sorted(tmp_path.glob("*.jpg")), analyser), tmp_path / "out"
    first = prepare(found, out, **RECIPE)
    captions = [sample.caption for sample in first.samples]
    assert captions == ["sks woman, smiling, blue background", "a photo of sks woman"]
    written = (out / first.samples[0].image).with_suffix(".txt").read_text(encoding="utf-8")
    assert written == "sks woman, smiling, blue background\n"
    (tmp_path / "01.txt").write_text("frowning", encoding="utf-8")
    assert prepare(found, out, **RECIPE).samples[0].caption == "sks woman, frowning"
    without = prepare(found, out, **RECIPE, settings=PhotoSettings(caption_files=False))
    assert {sample.caption for sample in without.samples} == {"a photo of sks woman"}
    assert len({first.fingerprint, without.fingerprint}) == 2


def test_all_broken_captions_are_named_at_once_before_anything_is_written(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        shutil.copy(samples / f"{number:02d}.jpg", tmp_path)
    (tmp_path / "01.txt").write_bytes(b"\xff\x00\x81 caf\xe9")
    (tmp_path / "02.txt").write_text("word " * 1000)
    found = check(sorted(tmp_path.glob("*.jpg")), analyser)
    with pytest.raises(InvalidSettings, match=r"01\.txt .*; 02\.txt ") as caught:
        prepare(found, tmp_path / "out", **RECIPE)
    assert "caption_files" in caught.value.hint and not (tmp_path / "out").exists()


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


def test_of_several_faces_in_a_training_picture_the_one_in_the_middle_counts(tmp_path: Path) -> None:
    """The painted detector tells the one at the left first."""
    painted = PaintedFaces()
    Image.fromarray(picture(1, 2, 3)).save(tmp_path / "a.png")
    (found,) = embeddings(tmp_path, [Sample(Path("a.png"), "", "")], painted)
    own = painted.embed(person(2), face_at(0, 0))
    assert float(found @ own) > 0.99 > float(found @ painted.embed(person(1), face_at(0, 0)))


def test_a_reference_without_a_face_is_named(analyser: FaceAnalyser) -> None:
    with pytest.raises(NoFace):
        reference_embedding(PhotoReport(()), analyser)


@pytest.mark.slow
def test_faces_are_found_again_when_the_report_came_without_them(
    report: PhotoReport, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    bare = PhotoReport(tuple(replace(verdict, face=None) for verdict in report.photos))
    made, dataset = (
        prepare(known, tmp_path / name, **RECIPE, held_out=0.0, analyser=analyser)
        for known, name in ((report, "with"), (bare, "without"))
    )
    for sample, twin in zip(dataset.samples, made.samples, strict=True):
        assert (dataset.folder / sample.image).read_bytes() == (made.folder / twin.image).read_bytes()
    assert float(reference_embedding(bare, analyser) @ reference_embedding(report, analyser)) > 0.999


def test_pictures_of_a_style_stay_whole_and_have_no_masks(
    samples: Path, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    style = PhotoSettings(faces="ignored", framing="full", caption_template="a picture in {trigger}")
    found = check(sorted(samples.glob("*.jpg")), analyser, style)
    made = prepare(found, tmp_path, resolution_px=192, trigger="sks style", class_noun="style", settings=style)
    assert {sample.mask for sample in (*made.samples, *made.held_out)} == {None} and made.held_out
    assert {sample.caption for sample in made.samples} == {"a picture in sks style"}
    sizes = {path.name: Image.open(path).size for path in tmp_path.rglob("*.png")}
    assert (192, 192) in sizes.values() and any(width > height for width, height in sizes.values())
    assert not (tmp_path / "masks").exists()
