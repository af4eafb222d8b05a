"""`personal-avatar restore`: who it is, how much, and what a shell is told."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from personal_avatar import storage
from personal_avatar.domain import Face
from personal_avatar.pictures import load_picture
from personal_avatar.storage import short
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES, DrawingHost
from tests.unit.command_line import Run, on_drawings

run = pytest.fixture(on_drawings)
EVERY = ("--below-px", 0, "--set", "below_sharpness=0")


@pytest.fixture(autouse=True)
def brighter(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The host's restorer makes faces a little brighter; what it was asked."""
    asked: list[tuple[str, float]] = []

    def restore(
        host: DrawingHost, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        assert face is not None
        asked.append((model, fidelity))
        return np.clip(image.astype(int) + 30, 0, 255).astype(np.uint8)

    monkeypatch.setattr(DrawingHost, "restore", restore)
    return asked


def test_large_sharp_faces_stay_and_no_reference_is_needed(
    run: Run, tmp_path: Path, brighter: list[tuple[str, float]]
) -> None:
    said = run("restore", GOOD[0], "--out", tmp_path / "out", "--json")
    (row,) = said.document["images"]
    assert said.status == 0 and row["out"] is None and "large and sharp" in row["reason"] and not brighter
    assert row["faces"][0]["measured_by"] == "itself" and "embedding" not in said.out


@pytest.mark.slow
def test_options_reach_the_restorer_and_the_original_stays(
    run: Run, tmp_path: Path, brighter: list[tuple[str, float]]
) -> None:
    before = GOOD[1].read_bytes()
    said = run("restore", GOOD[1], "--reference", GOOD[0], "--model", "same", "--fidelity", 0.5, *EVERY,
               "--set", "min_similarity_drop=0.2", "--out", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    (row,) = said.document["images"]
    assert {model for model, _ in brighter} == {"same"} and min(asked for _, asked in brighter) == 0.5
    assert row["faces"][0]["measured_by"] == "person" and GOOD[1].read_bytes() == before
    if row["accepted"]:
        assert load_picture(Path(row["out"])).shape == load_picture(GOOD[1]).shape
        assert row["likeness_after"] >= row["likeness_before"] - 0.2


@pytest.mark.slow
def test_pictures_of_one_name_become_files_of_their_own(run: Run, tmp_path: Path) -> None:
    photos = [tmp_path / "summer" / "IMG_0001.jpg", tmp_path / "winter" / "IMG_0001.jpg"]
    for photo, source in zip(photos, (GOOD[0], GOOD[3]), strict=True):
        photo.parent.mkdir()
        photo.write_bytes(source.read_bytes())
    loose = ("--reference", GOOD[2], *EVERY, "--set", "min_similarity_drop=0.2", "--out", tmp_path / "out", "--json")
    said = [run("restore", *photos, *loose), run("restore", photos[0], *loose)]
    found = [Path(row["out"]).name for one in said for row in one.document["images"]]
    assert found == ["IMG_0001-restored.png", "IMG_0001-restored-2.png", "IMG_0001-restored-3.png"]
    first, second, again = (load_picture(tmp_path / "out" / name) for name in found)
    assert not np.array_equal(first, second) and np.array_equal(first, again)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_of_an_animation_it_is_told_that_its_first_picture_is_left(run: Run, tmp_path: Path, suffix: str) -> None:
    waving = tmp_path / f"waving.{suffix}"
    frames = [Image.fromarray(load_picture(photo)).resize((256, 256)) for photo in (GOOD[0], GOOD[3])]
    frames[0].save(waving, save_all=True, append_images=frames[1:])
    asked = ("--reference", GOOD[2], *EVERY, "--set", "min_similarity_drop=0.2", "--out", tmp_path / "out")
    said = run("restore", waving, GOOD[0], *asked)
    assert said.status == 0 and len(list((tmp_path / "out").iterdir())) == 2
    assert said.err == f"{waving} is an animation: only its first picture was restored.\n"


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["x" * 251, "x" * 235, "\u540d" * 83], ids=["251", "235", "three bytes each"])
def test_long_names_are_cut_where_words_are_added(run: Run, tmp_path: Path, stem: str) -> None:
    (tmp_path / "given").mkdir()
    photo = tmp_path / "given" / f"{stem}.png"
    photo.write_bytes(GOOD[0].read_bytes())
    asked = ("restore", photo, "--reference", GOOD[2], *EVERY, "--set", "min_similarity_drop=0.2",
             "--out", tmp_path / "out", "--json")
    said = [run(*asked), run(*asked)]
    found = [Path(row["out"]).name for one in said for row in one.document["images"]]
    assert [one.status for one in said] == [0, 0] and set(found) == {path.name for path in (tmp_path / "out").iterdir()}
    assert found == [f"{short(stem)}-restored.png", f"{short(stem)}-restored-2.png"]


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_does_not_end_the_work_on_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = storage.write_bytes

    def refuse(path: Path, content: bytes) -> None:
        if path.name.startswith(GOOD[0].stem):
            raise PermissionError(13, "Permission denied", str(path))
        write(path, content)

    monkeypatch.setattr("personal_avatar.pictures.write_bytes", refuse)
    said = run("restore", GOOD[0], GOOD[3], "--reference", GOOD[2], *EVERY, "--set", "min_similarity_drop=0.2",
               "--out", tmp_path / "out", "--json")
    first, second = said.document["images"]
    assert said.status == 0 and first["out"] is None and "Permission denied" in first["error"]["message"]
    assert Path(second["out"]).is_file()


@pytest.mark.parametrize(("words", "complaint", "status"), [
    (("--avatar", "nobody"), "nobody", 1), (("--model", "GFPGAN"), "GFPGAN", 1), (("--fidelity", 2), "fidelity", 2),
    (("--set", "sharpness=1"), "sharpness", 2), (("--reference", SAMPLES / "no-face.jpg"), "No face", 1),
])
def test_what_cannot_work_is_one_line(
    run: Run, tmp_path: Path, words: tuple[object, ...], complaint: str, status: int
) -> None:
    said = run("restore", GOOD[0], *words, "--out", tmp_path / "out")
    assert said.status == status and complaint in said.err and len(said.err.strip().splitlines()) == 1
