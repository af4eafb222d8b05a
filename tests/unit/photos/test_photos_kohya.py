"""Datasets of kohya's trainers: written, read again, and back."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.captions.files import caption_file, own_caption, without_captions
from personal_avatar.domain import Dataset, Photo, PhotoVerdict
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos import kohya
from personal_avatar.photos.kohya import Origin
from personal_avatar.photos.prepare import prepare
from personal_avatar.photos.recipe import Recipe
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import FULL, PhotoSettings
from personal_avatar.storage import sha256_of
from personal_avatar.studio import pictures_in
from PIL import Image

pytestmark = pytest.mark.slow

WHOLE = PhotoSettings(framing=FULL, other_people="off", look="photo")


@pytest.fixture(scope="module")
def written(samples: Path, analyser: FaceAnalyser, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three pictures of 128 pixels, each three times in an epoch, one with a caption of its own."""
    photos = tmp_path_factory.mktemp("photos")
    for number in (1, 2, 3):
        shutil.copy(samples / f"{number:02d}.jpg", photos)
    (photos / "02.txt").write_text("sks woman, red wall")
    found = check(sorted(photos.glob("*.jpg")), analyser)
    return prepare(
        found, tmp_path_factory.mktemp("written"), resolution_px=128, trigger="sks woman", class_noun="woman",
        held_out=0.0, settings=PhotoSettings(repeats=3),
    )


def read_again(folder: Path, out: Path, analyser: FaceAnalyser, trigger: str = "sks woman") -> Dataset:
    """The dataset in `folder` as the photos of another one."""
    photos = pictures_in([folder])
    found = check(photos, analyser, WHOLE)
    return prepare(
        found, out, resolution_px=128, trigger=trigger, class_noun="woman", held_out=0.0, settings=WHOLE,
        origins=kohya.origins(photos),
    )


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.mark.parametrize("inside", [".", "images"])
def test_what_was_written_comes_back_as_it_was(
    written: Dataset, analyser: FaceAnalyser, tmp_path: Path, inside: str
) -> None:
    again = read_again(written.folder / inside, tmp_path, analyser)
    assert len(again.samples) == len(written.samples) == 3
    for one, other in zip(written.samples, again.samples, strict=True):
        assert other.caption == one.caption and other.repeats == one.repeats == 3
        assert other.image.parent == one.image.parent == Path("images/3_sks woman")
        assert np.array_equal(pixels(written.folder / one.image), pixels(again.folder / other.image))
        assert np.array_equal(pixels(written.folder / str(one.mask)), pixels(again.folder / str(other.mask)))


def test_another_trigger_takes_the_place_of_the_first(
    written: Dataset, analyser: FaceAnalyser, tmp_path: Path
) -> None:
    again = read_again(written.folder, tmp_path, analyser, "ohwx woman")
    assert {sample.caption for sample in again.samples} == {"a photo of ohwx woman", "ohwx woman, red wall"}


def test_repeats_and_masks_change_the_fingerprint(written: Dataset, analyser: FaceAnalyser, tmp_path: Path) -> None:
    first = read_again(written.folder, tmp_path / "first", analyser)
    moved = tmp_path / "moved"
    shutil.copytree(written.folder / "images" / "3_sks woman", moved / "4_sks woman")
    without_masks = read_again(moved, tmp_path / "second", analyser)
    shutil.copytree(written.folder / "masks", moved / "masks")
    with_masks = read_again(moved, tmp_path / "third", analyser)
    assert len({one.fingerprint for one in (first, without_masks, with_masks)}) == 3
    assert {sample.repeats for sample in with_masks.samples} == {4}


def test_what_is_known_of_pictures_can_be_kept_and_forgotten(written: Dataset, tmp_path: Path) -> None:
    found = kohya.origins(pictures_in([written.folder]))
    home = tmp_path / "kept" / kohya.keep(found, tmp_path / "kept")
    kept = kohya.kept(home)
    assert {sha256: (one.repeats, one.words) for sha256, one in kept.items()} == {
        sha256: (one.repeats, one.words) for sha256, one in found.items()
    }
    for sha256, origin in kept.items():
        assert origin.mask is not None and origin.mask.parent == home
        assert sha256_of(origin.mask) == sha256_of(found[sha256].mask or Path())
    nothing = kohya.keep({}, tmp_path / "kept")
    assert kohya.kept(tmp_path / "kept" / nothing) == {} and kohya.kept(home) == kept
    kohya.drop(tmp_path / "kept", {nothing})
    assert not (tmp_path / "kept").exists()


def test_what_is_known_of_the_same_pictures_in_two_datasets_is_kept_beside_each_other(tmp_path: Path) -> None:
    """The same picture with other repeats, or with another mask of the same name."""
    names, found = [], []
    for number, (repeats, mask) in enumerate([(2, b"one"), (3, b"one"), (3, b"other")]):
        (tmp_path / f"{number}" / f"{repeats}_ohwx").mkdir(parents=True)
        (tmp_path / f"{number}" / f"{repeats}_ohwx" / "a.png").write_bytes(b"picture")
        (tmp_path / f"{number}" / "masks").mkdir()
        (tmp_path / f"{number}" / "masks" / "a.png").write_bytes(mask)
        found.append(kohya.origins(pictures_in([tmp_path / f"{number}"])))
        names.append(kohya.keep(found[-1], tmp_path / "kept"))
    for name, (repeats, mask) in zip(names, [(2, b"one"), (3, b"one"), (3, b"other")], strict=True):
        (kept,) = kohya.kept(tmp_path / "kept" / name).values()
        assert kept.repeats == repeats and kept.mask is not None and kept.mask.read_bytes() == mask
    assert kohya.keep(found[0], tmp_path / "kept") == names[0]
    kohya.drop(tmp_path / "kept", names[:1])
    assert [path.name for path in (tmp_path / "kept").iterdir()] == names[:1]


def test_what_an_earlier_version_kept_stays_as_long_as_a_task_of_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mask")
    (tmp_path / kohya.NOTES).write_text('{"abc": {"repeats": 4, "words": "", "mask": "a.png"}}')
    before = kohya.kept(tmp_path / "")
    assert before["abc"].repeats == 4
    other = kohya.keep({"def": Origin(2)}, tmp_path)
    kohya.drop(tmp_path, {other, ""})
    assert kohya.kept(tmp_path / "") == before
    kohya.drop(tmp_path, {other})
    assert [path.name for path in tmp_path.iterdir()] == [other]


def test_what_others_put_where_it_is_kept_stays(tmp_path: Path) -> None:
    """As when the folder was moved to another disk, and a link leads there."""
    disk = tmp_path / "disk"
    (disk / "holiday").mkdir(parents=True)
    for name in ("letter.txt", "holiday/x.jpg"):
        (disk / name).write_text("theirs")
    (tmp_path / "kept").symlink_to(disk, target_is_directory=True)
    name = kohya.keep({"def": Origin(2)}, tmp_path / "kept")
    (disk / ("0" * 16)).symlink_to(disk / "holiday", target_is_directory=True)
    kohya.drop(tmp_path / "kept", ())
    assert not (disk / name).exists() and (disk / "letter.txt").is_file() and (disk / "holiday" / "x.jpg").is_file()


def test_ordinary_folders_stay_what_they_are(tmp_path: Path) -> None:
    for name in ("2023_holiday", "holiday", "0_nothing", "photos", "_x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"")
    assert kohya.folders_in(tmp_path) == [] and pictures_in([tmp_path]) == [tmp_path / "b.png"]
    assert kohya.origins(tmp_path.rglob("*.png")) == {}


def test_several_folders_with_masks_of_their_own(tmp_path: Path) -> None:
    for folder, text in (("2_a man", b"1"), ("10_b man", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(text)
        (tmp_path / "masks" / folder).mkdir(parents=True)
        (tmp_path / "masks" / folder / "x.png").write_bytes(text)
    found = kohya.origins(pictures_in([tmp_path]))
    assert sorted((one.repeats, one.words) for one in found.values()) == [(2, "a man"), (10, "b man")]
    for sha256, origin in found.items():
        assert origin.mask is not None and sha256_of(origin.mask) == sha256


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(UnreadablePhoto, match="x.png"):
        kohya.mask_pixels(Origin(mask=tmp_path / "x.png"), (10, 10))


def test_captions_may_be_named_caption(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"")
    photo.with_suffix(".caption").write_text("ohwx cat on a mat")
    assert own_caption(photo, "sks cat", "ohwx cat") == "sks cat on a mat"
    assert without_captions(sorted(tmp_path.iterdir())) == [photo]
    photo.with_suffix(".txt").write_text("a cat")
    assert caption_file(photo).suffix == ".txt"


@pytest.mark.parametrize(("folder", "said", "meant"), [
    ("20_portrait", "a portrait of ohwx man in a park", "sks woman, a portrait of ohwx man in a park"),
    ("10_a woman", "a woman beside another woman", "sks woman, a woman beside another woman"),
    ("10_ohwx", "ohwx in a park", "sks woman in a park"),
    ("10_ohwx girl", "photo of ohwx girl", "photo of sks woman"),
])
def test_only_a_trigger_in_a_folders_name_is_replaced_in_captions(
    tmp_path: Path, folder: str, said: str, meant: str
) -> None:
    photo = tmp_path / folder / "a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"a")
    photo.with_suffix(".txt").write_text(said)
    recipe = Recipe(512, "sks woman", "woman", 0.0, 0, PhotoSettings(), origins=kohya.origins([photo]))
    verdict = PhotoVerdict(photo, photo=Photo(photo, sha256_of(photo), (512, 512)))
    assert recipe.captions([verdict]) == (meant,)
