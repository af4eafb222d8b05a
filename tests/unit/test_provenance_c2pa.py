"""Content credentials: sealed files read back by the C2PA reader itself; pixels and texts are what they were."""
from __future__ import annotations

import io
import itertools
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar import __version__, credentials, pictures
from personal_avatar.credentials import Ingredient, Signing, configured, format_of, manifest, signed
from personal_avatar.pictures import EDITED, GENERATED, encoded, infotext_of, mark_file, save_picture, source_of
from PIL import Image

needs_c2pa = pytest.mark.skipif(not credentials.installed(), reason="c2pa-python is not installed")
IMAGE = np.random.default_rng(5).integers(0, 256, (64, 48, 3), dtype=np.uint8)
TEXT = "chân dung của Hoà <lora:hoa:1>\nNegative prompt: blurry\nSteps: 20, Seed: 5"
KINDS = ("png", "jpeg", "webp")


@pytest.fixture()
def signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signing:
    monkeypatch.setenv(f"{credentials.VARIABLE}_FOLDER", str(tmp_path / "seal"))
    found = configured()
    assert found is not None
    return found


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def stated(data: bytes) -> dict[str, Any]:
    """The store of manifests in a file, as the C2PA reader tells it; empty when there is none."""
    from c2pa import C2paError, Reader

    try:
        with Reader(format_of(data), io.BytesIO(data)) as reader:
            found: dict[str, Any] = json.loads(reader.json())
    except C2paError:
        return {}
    return found


def active(data: bytes) -> dict[str, Any]:
    store = stated(data)
    found: dict[str, Any] = store["manifests"][store["active_manifest"]]
    return found


def actions(data: bytes) -> list[dict[str, Any]]:
    return [
        action for part in active(data)["assertions"] if part["label"].startswith("c2pa.actions")
        for action in part["data"]["actions"]
    ]


def problems(data: bytes) -> set[str]:
    return {problem["code"] for problem in stated(data).get("validation_status", [])}


@needs_c2pa
@pytest.mark.parametrize("kind", KINDS)
def test_a_sealed_file_is_valid_and_shows_the_same_picture(kind: str, signing: Signing, tmp_path: Path) -> None:
    plain = encoded(IMAGE, kind, TEXT)
    sealed = signed(plain, signing, GENERATED, "hoa.png")
    assert sealed != plain
    assert np.array_equal(pixels(plain), pixels(sealed))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(sealed)
    assert (infotext_of(path), source_of(path)) == (TEXT, GENERATED)
    assert stated(sealed)["validation_state"] == "Valid"
    (made,) = actions(sealed)
    assert (made["action"], made["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert made["softwareAgent"] == {"name": "Personal Avatar", "version": __version__}


@needs_c2pa
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_changes_a_byte_of_the_picture_breaks_the_seal(kind: str, signing: Signing) -> None:
    plain = encoded(IMAGE, kind, TEXT)
    sealed = signed(plain, signing)
    changed, middle = bytearray(sealed), len(plain) // 2
    changed[sealed.index(plain[middle : middle + 16])] ^= 1
    assert "assertion.dataHash.mismatch" in problems(bytes(changed))


@needs_c2pa
def test_a_certificate_of_this_machine_is_made_once_and_never_passes_for_a_trusted_one(signing: Signing) -> None:
    sealed = signed(encoded(IMAGE, "png"), signing)
    assert problems(sealed) == {"signingCredential.untrusted"}
    assert "untrusted" in active(sealed)["signature_info"]["common_name"]
    first = signing.files()
    assert Signing(signing.folder).files() == first
    assert sys.platform == "win32" or (signing.folder / credentials.MADE_HERE).stat().st_mode & 0o077 == 0


def pem(kind: str, text: str) -> bytes:
    return f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n".encode()


def test_programs_that_begin_at_once_never_mix_a_certificate_with_the_key_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, numbers = threading.Barrier(8), itertools.count()

    def made() -> tuple[bytes, bytes]:
        number = str(next(numbers))
        together.wait(10)
        return pem("CERTIFICATE", number) + pem("CERTIFICATE", "above"), pem("PRIVATE KEY", number)

    monkeypatch.setattr(credentials, "local_certificate", made)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Signing(tmp_path).files(), range(8)))
    for certificates, key in [*found, Signing(tmp_path).files()]:
        assert certificates.splitlines()[1] == key.splitlines()[1]
    assert next(numbers) == 8, "made once by each, and never again"


def test_the_key_is_nobody_elses_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fsync = os.fsync

    def flush(handle: int) -> None:
        seen.append(os.fstat(handle).st_mode & 0o077)
        fsync(handle)

    monkeypatch.setattr(credentials.os, "fsync", flush)
    credentials.write_private(tmp_path / "folder" / "key.pem", b"secret")
    assert sys.platform == "win32" or seen[0] == 0
    assert (tmp_path / "folder" / "key.pem").read_bytes() == b"secret"


@pytest.mark.parametrize("left", [b"", pem("CERTIFICATE", "a"), pem("PRIVATE KEY", "a"), b"-----BEGIN CERTIFICATE"])
def test_half_a_pair_is_made_anew(left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = pem("CERTIFICATE", "new"), pem("EC PRIVATE KEY", "new")
    monkeypatch.setattr(credentials, "local_certificate", lambda: pair)
    (tmp_path / credentials.MADE_HERE).write_bytes(left)
    for name in credentials.FORMERLY:
        (tmp_path / name).write_bytes(b"of two makers")
    assert Signing(tmp_path).files() == Signing(tmp_path).files() == pair
    assert [path.name for path in tmp_path.iterdir()] == [credentials.MADE_HERE]


@needs_c2pa
def test_the_owners_certificate_signs_when_it_is_named(
    tmp_path: Path, signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in zip(("CERTIFICATE", "KEY"), credentials.local_certificate(), strict=True):
        (tmp_path / name).write_bytes(data)
        monkeypatch.setenv(f"{credentials.VARIABLE}_{name}", str(tmp_path / name))
    own = configured()
    assert own is not None and own.is_own
    assert stated(signed(encoded(IMAGE, "png"), own))["validation_state"] == "Valid"
    assert not signing.folder.exists()


@needs_c2pa
def test_a_changed_picture_names_the_one_that_it_was_made_from(signing: Signing, tmp_path: Path) -> None:
    first = save_picture(IMAGE, tmp_path / "first.png", TEXT)
    second = save_picture(IMAGE[::-1], tmp_path / "second.png", TEXT, EDITED, first)
    (parent,) = active(second.read_bytes())["ingredients"]
    assert (parent["title"], parent["relationship"]) == ("first.png", "parentOf")
    assert [action["action"] for action in actions(second.read_bytes())] == ["c2pa.opened", "c2pa.edited"]
    assert stated(second.read_bytes())["validation_state"] == "Valid"


@needs_c2pa
def test_photos_of_people_are_neither_named_nor_shown_small(signing: Signing, tmp_path: Path) -> None:
    photo = tmp_path / "holiday.png"
    photo.write_bytes(encoded(IMAGE, "png", source=""))
    made = save_picture(IMAGE[::-1], tmp_path / "made.png", TEXT, EDITED, photo).read_bytes()
    assert b"holiday" not in made
    assert "ingredients" not in active(made) and "thumbnail" not in active(made)


@needs_c2pa
def test_a_file_of_the_host_is_sealed_once(signing: Signing, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(IMAGE, "png", TEXT, source=""))
    assert mark_file(path)
    first = path.read_bytes()
    assert stated(first)["validation_state"] == "Valid" and infotext_of(path) == TEXT
    assert mark_file(path)
    assert path.read_bytes() == first


@needs_c2pa
def test_an_avif_carries_credentials_where_it_can_be_written(signing: Signing, tmp_path: Path) -> None:
    data = io.BytesIO()
    try:
        Image.fromarray(IMAGE).save(data, "AVIF")
    except (KeyError, OSError):
        pytest.skip("this Pillow writes no AVIF")
    path = tmp_path / "a.avif"
    path.write_bytes(data.getvalue())
    assert mark_file(path)
    assert actions(path.read_bytes())[0]["digitalSourceType"] == GENERATED


@needs_c2pa
def test_what_cannot_be_sealed_stays_as_it_is(signing: Signing, tmp_path: Path) -> None:
    half = Signing(tmp_path, certificate=tmp_path / "none.pem")
    wrong = Signing(tmp_path / "other", algorithm="rot13")
    plain = encoded(IMAGE, "png", TEXT)
    assert signed(plain, half) == signed(plain, wrong) == plain
    assert signed(plain[:60], signing) == plain[:60]
    assert signed(b"BM no picture", signing) == b"BM no picture"


@pytest.mark.parametrize("word", ["off", "0", " No "])
def test_credentials_can_be_switched_off(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "installed", lambda: True)
    assert configured({credentials.VARIABLE: word}) is None
    assert configured({}) is not None


def test_without_the_package_files_are_marked_and_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "installed", lambda: False)
    assert configured({}) is None
    path = save_picture(IMAGE, tmp_path / "a.png", TEXT)
    assert path.read_bytes() == pictures.encoded(IMAGE, "png", TEXT)


def test_what_is_stated_follows_from_how_a_picture_was_made() -> None:
    made = manifest(GENERATED, "a.png", "image/png")["assertions"][0]["data"]["actions"]
    assert [(one["action"], one.get("digitalSourceType")) for one in made] == [("c2pa.created", GENERATED)]
    parent = [Ingredient("a.png", b"")]
    changed = manifest(EDITED, "b.png", "image/png", parent)["assertions"][0]["data"]["actions"]
    assert [(one["action"], one.get("digitalSourceType")) for one in changed] == [
        ("c2pa.opened", None), ("c2pa.edited", EDITED),
    ]
    assert changed[0]["parameters"] == {"ingredientIds": ["a.png"]}
