"""Nothing of the user's is lost to a dataset: what would be replaced or mixed with it is refused, byte by byte."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import PhotoReport
from personal_avatar.errors import InvalidSettings, UnreadablePhoto
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos import kohya
from personal_avatar.photos import prepare as preparing
from personal_avatar.photos.prepare import load_dataset, prepare
from personal_avatar.photos.replacing import _is_cache
from personal_avatar.photos.report import check
from personal_avatar.wording import text
from PIL import Image

RECIPE: dict[str, Any] = {"trigger": "sks woman", "class_noun": "woman", "held_out": 0.0}


@pytest.fixture
def make(analyser: FaceAnalyser) -> Callable[..., Any]:
    """Check the photos and prepare them in a folder."""

    def made(photos: list[Path], out: Path, resolution_px: int = 128) -> Any:
        return prepare(
            check(photos, analyser), out, resolution_px=resolution_px, origins=kohya.origins(photos), **RECIPE
        )

    return made


@pytest.fixture
def photos(samples: Path, tmp_path: Path) -> list[Path]:
    """Of the user, outside of any dataset."""
    return filled(tmp_path / "photos", samples)


def filled(folder: Path, samples: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(samples / f"0{number}.jpg", folder)) for number in (1, 2, 3)]


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (512, 512), 200).save(path)
    return path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("inside", "out"), [
    ("me/images", "me"), ("me/masks", "me"), ("me/held_out", "me"), ("me/images/10_sks man", "me"),
    ("me/images/deep/down", "me"),
])
def test_photos_in_the_datasets_own_place_stay(
    make: Callable[..., Any], samples: Path, tmp_path: Path, inside: str, out: str
) -> None:
    own = filled(tmp_path / inside, samples)
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings, match=r"01\.jpg") as caught:
        make(own, tmp_path / out)
    assert contents(tmp_path) == before and caught.value.hint == text("remedy.free_folder")


def test_a_folder_called_as_enlargements_were_is_one_like_any_other(
    make: Callable[..., Any], samples: Path, tmp_path: Path
) -> None:
    own = filled(tmp_path / "me" / "enlarged", samples)
    before = contents(tmp_path)
    assert len(make(own, tmp_path / "me").samples) == 3
    assert before.items() <= contents(tmp_path).items()


def test_a_dataset_of_ours_is_no_source_of_itself(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path
) -> None:
    dataset = make(photos, tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings):
        make([dataset.folder / sample.image for sample in dataset.samples], tmp_path / "out", 256)
    assert contents(tmp_path) == before


def test_masks_of_a_kohya_dataset_stay(make: Callable[..., Any], samples: Path, tmp_path: Path) -> None:
    own = filled(tmp_path / "koh" / "10_sks man", samples)
    mask(tmp_path / "koh" / "masks" / "02.png")
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings, match=r"02\.png"):
        make(own, tmp_path / "koh")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("link", ["folder", "photo", "caption"])
def test_links_lead_to_what_would_be_replaced(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path, link: str
) -> None:
    dataset = make(photos, tmp_path / "out")
    place = dataset.folder / dataset.samples[0].image.parent
    (tmp_path / "linked").mkdir()
    if link == "folder":
        (tmp_path / "linked" / "all").symlink_to(place, target_is_directory=True)
        own = sorted((tmp_path / "linked" / "all").glob("*.png"))
    elif link == "photo":
        own = [tmp_path / "linked" / "one.png"]
        own[0].symlink_to(sorted(place.glob("*.png"))[0])
    else:
        own = [Path(shutil.copy(photos[0], tmp_path / "linked"))]
        own[0].with_suffix(".txt").symlink_to(sorted(place.glob("*.txt"))[0])
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings):
        make(own, tmp_path / "out", 256)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [
    "images/1_sks woman/mine.png", "images/1_sks woman/001_sdxl.npz", "masks/notes.doc", "held_out/a.jpg",
    "images/other/a.jpg", "manifest.json", "unfinished.json", "images", "masks",
])
def test_files_of_others_in_the_datasets_place_are_refused_by_name(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path, name: str
) -> None:
    stranger = tmp_path / "out" / name
    stranger.parent.mkdir(parents=True)
    stranger.write_text('{"mine": []}', encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings, match=name.rsplit("/", 1)[-1]):
        make(photos, tmp_path / "out")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "images.zip", "enlarged/a.png", "images/.DS_Store", "masks/Thumbs.db"])
def test_files_of_others_that_are_in_nobodys_way_stay(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path, name: str
) -> None:
    make(photos, tmp_path / "out")
    stranger = tmp_path / "out" / name
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_bytes(b"mine")
    assert make(photos, tmp_path / "out", 256).resolution_px == 256
    assert stranger.read_bytes() == b"mine"


@pytest.mark.parametrize("ending", [".npz", "_0512x0512_sd.npz"])
def test_latents_that_a_trainer_kept_beside_our_pictures_go_with_them(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path, ending: str
) -> None:
    dataset = make(photos, tmp_path / "out")
    picture = dataset.folder / dataset.samples[0].image
    kept = picture.with_name(f"{picture.stem}{ending}")
    kept.touch()
    assert make(photos, tmp_path / "out", 256).resolution_px == 256
    assert not kept.exists()


def test_a_name_that_is_no_pictures_makes_no_latents_ours() -> None:
    assert not _is_cache("images/mine.npz", ["", "images", "manifest"])
    assert _is_cache("images/1_sks/001.npz", ["images/1_sks/001.png"])


def test_a_manifest_cannot_name_files_elsewhere(make: Callable[..., Any], photos: list[Path], tmp_path: Path) -> None:
    dataset = make(photos, tmp_path / "out")
    manifest = dataset.folder / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    data["dataset"]["held_out"] = [{**data["dataset"]["samples"][0], "image": "../photos/01.jpg", "mask": None}]
    manifest.write_text(json.dumps(data), encoding="utf-8")
    make(photos, tmp_path / "out", 256)
    assert all(photo.is_file() for photo in photos)


def test_a_caption_that_was_changed_by_hand_is_kept(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path
) -> None:
    dataset = make(photos, tmp_path / "out")
    caption = (dataset.folder / dataset.samples[1].image).with_suffix(".txt")
    caption.write_text("a photo of sks woman in her kitchen\n", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(InvalidSettings, match=caption.name):
        make(photos, tmp_path / "out", 256)
    assert make(photos, tmp_path / "out") == dataset and contents(tmp_path) == before


def test_another_dataset_of_ours_leaves_nothing_of_the_earlier(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path
) -> None:
    make(photos, tmp_path / "out")
    dataset = make(photos[:1], tmp_path / "out", 256)
    (sample,) = dataset.samples
    assert {path.relative_to(dataset.folder) for path in contents(dataset.folder)} == {
        Path("manifest.json"), sample.image, sample.image.with_suffix(".txt"), sample.mask,
    }


def test_what_was_interrupted_can_be_repeated(
    make: Callable[..., Any], photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(photos, tmp_path / "out")
    with monkeypatch.context() as patch:

        def full(place: Path, *_: object) -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"half")
            raise UnreadablePhoto("no room")

        patch.setattr(preparing, "write_mask", full)
        with pytest.raises(UnreadablePhoto):
            make(photos, tmp_path / "out", 256)
    assert not (tmp_path / "out" / "manifest.json").exists()
    dataset = make(photos[:2], tmp_path / "out", 192)
    assert load_dataset(tmp_path / "out") == dataset
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 2
    assert not (tmp_path / "out" / "unfinished.json").exists()


def test_in_a_folder_that_is_ours_alone_a_dataset_begins_anew(
    photos: list[Path], analyser: FaceAnalyser, tmp_path: Path
) -> None:
    left = tmp_path / "out" / "images" / "1_sks woman" / "009-deadbeef.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an earlier version")
    report: PhotoReport = check(photos, analyser)
    prepare(report, tmp_path / "out", resolution_px=128, ours=True, **RECIPE)
    assert not left.exists()
