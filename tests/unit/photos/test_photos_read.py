"""Reading pictures: every kind that Pillow writes, and every way in which a file can be bad."""
from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from personal_avatar.errors import AvatarError, FileTooLarge, UnreadablePhoto
from personal_avatar.photos.read import Limits, read_photo
from personal_avatar.pictures import load_picture
from personal_avatar.pixels import EXIF_ORIENTATION
from PIL import Image, ImageCms, ImageFile

LIMITS = Limits()
SIZE = (24, 16)
FORMATS = ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX"]


def gradient() -> Image.Image:
    """Smooth and without symmetry: every corner has its own colour."""
    x, y = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


def encoded(picture: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def read(folder: Path, data: bytes, limits: Limits = LIMITS) -> np.ndarray:
    path = folder / "picture"
    path.write_bytes(data)
    pixels = read_photo(path, limits)[1]
    assert np.array_equal(load_picture(path), pixels)  # whatever reads a picture reads it so
    return pixels


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_is_read(tmp_path: Path, format_name: str) -> None:
    pixels = read(tmp_path, encoded(gradient(), format_name))
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    if format_name != "ICO":
        assert pixels.shape == (16, 24, 3)
        assert np.abs(pixels.astype(int) - np.asarray(gradient())).mean() < 12


def test_a_photo_knows_its_hash_and_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    (tmp_path / "a.jpg").write_bytes(encoded(gradient(), "JPEG", exif=exif))
    photo, pixels = read_photo(tmp_path / "a.jpg")
    assert photo.size_px == (16, 24) and pixels.shape == (24, 16, 3)
    assert len(photo.sha256) == 64 and photo.path == tmp_path / "a.jpg"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    undo = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2), 6: np.rot90, 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    upright = np.asarray(gradient())
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    assert np.array_equal(read(tmp_path, encoded(stored, "PNG", exif=exif)), upright)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_rotation_is_ignored(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    assert read(tmp_path, encoded(gradient(), "PNG", exif=exif)).shape == (16, 24, 3)


@pytest.mark.parametrize(("tag", "kind", "value"), [
    (0x010F, 99, b"abcd"), (0x0128, 7, b"ab\0\0"), (0x011A, 5, b"\x08\0\0\0"), (0x8769, 4, b"\x9f\x86\x01\0"),
])
def test_a_photo_is_turned_although_its_exif_has_an_odd_entry(
    tmp_path: Path, tag: int, kind: int, value: bytes
) -> None:
    entries = sorted([(EXIF_ORIENTATION, 3, b"\x06\0\0\0"), (tag, kind, value)])
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    exif += b"".join(struct.pack("<HHI", *entry[:2], 1) + entry[2] for entry in entries) + bytes(4)
    assert read(tmp_path, encoded(gradient(), "JPEG", exif=exif)).shape == (SIZE[0], SIZE[1], 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    assert read(tmp_path, encoded(gradient().convert(mode), "PNG")).shape == (16, 24, 3)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "F", "I"])
def test_rare_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    deep = gradient().convert("L").convert(mode) if mode in ("F", "I") else None
    picture = deep if deep is not None else _in_mode(mode)
    pixels = read(tmp_path, encoded(picture, "TIFF"))
    expected = gradient() if mode == "CMYK" else gradient().convert("L").convert("RGB")
    if mode != "LAB":
        assert np.abs(pixels.astype(int) - np.asarray(expected)).mean() < 3
    assert pixels.shape == (16, 24, 3)


def _in_mode(mode: str) -> Image.Image:
    if mode != "LAB":
        return gradient().convert(mode)
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(gradient(), srgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_cut(tmp_path: Path, format_name: str) -> None:
    grey = np.linspace(0, 65535, 24 * 16).astype(np.uint16).reshape(16, 24)
    pixels = read(tmp_path, encoded(Image.fromarray(grey), format_name))
    assert np.abs(pixels[:, :, 1].astype(float) - grey / 257).max() <= 1


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    picture = gradient().convert("RGBA")
    picture.putalpha(Image.fromarray(np.repeat([[0] * 12 + [255] * 12], 16, axis=0).astype(np.uint8)))
    pixels = read(tmp_path, encoded(picture, "PNG"))
    assert (pixels[:, :12] == 255).all() and np.array_equal(pixels[:, 12:], np.asarray(gradient())[:, 12:])


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 0, 0] + [0, 200, 0] * 255)
    picture.putpixel((0, 0), 1)
    pixels = read(tmp_path, encoded(picture, "GIF", transparency=0))
    assert pixels[0, 0].tolist() == [0, 200, 0] and (pixels[1:] == 255).all()


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    pixels = read(tmp_path, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert pixels[0, 0, 0] > 200 and pixels[0, 0, 1] < 50


def test_an_embedded_profile_is_applied(tmp_path: Path) -> None:
    """A profile whose red and green primaries are swapped must swap the colours."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other_name = srgb.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    swapped = other_name.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    plain = np.asarray(gradient())
    for harmless in (srgb, other_name, b"broken"):
        assert np.abs(read(tmp_path, encoded(gradient(), "PNG", icc_profile=harmless)) - plain.astype(int)).max() <= 1
    pixels = read(tmp_path, encoded(gradient(), "PNG", icc_profile=swapped)).astype(int)
    assert np.abs(pixels - plain[:, :, [1, 0, 2]]).max() <= 2


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_named(tmp_path: Path, format_name: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, format_name)
    with pytest.raises(UnreadablePhoto, match="picture is"):
        read(tmp_path, data[: int(share * len(data))])


@pytest.mark.parametrize("data", [b"hello", b"\xff\xd8\xff", b"%PDF-1.4", b"\x00" * 100, b"GIF89a", b"II*\x00"])
def test_what_is_no_picture_is_named_with_a_remedy(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnreadablePhoto) as caught:
        read(tmp_path, data)
    assert caught.value.hint


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto, match="empty"):
        read(tmp_path, b"")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jpg", tmp_path, tmp_path / "bad\x00name"):
        with pytest.raises(UnreadablePhoto, match="cannot be read"):
            read_photo(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everything is readable here")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(gradient(), "PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UnreadablePhoto, match="ermission"):
        read_photo(tmp_path / "a.png")


def test_large_files_and_pictures_are_refused_before_decoding(tmp_path: Path) -> None:
    data = encoded(gradient(), "PNG")
    with pytest.raises(FileTooLarge, match="24 x 16"):
        read(tmp_path, data, Limits(side_px=20))
    with pytest.raises(FileTooLarge, match="MB"):
        read(tmp_path, data, Limits(file_bytes=20))


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_refused_at_once(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    with pytest.raises(FileTooLarge):
        read(tmp_path, bomb + chunk(b"IEND", b""))


def test_postscript_is_not_handed_to_another_program(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto):
        read(tmp_path, encoded(gradient(), "EPS"))


@pytest.mark.parametrize(("brand", "package"), [(b"heic", "pillow-heif"), (b"avif", "avif")])
def test_a_format_of_a_plugin_is_read_or_the_plugin_is_named(tmp_path: Path, brand: bytes, package: str) -> None:
    header = b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00" + brand + b"mif1"
    with pytest.raises(UnreadablePhoto) as caught:
        read(tmp_path, header + bytes(200))
    assert "broken" in caught.value.message or package in caught.value.hint


def test_heic_is_read_upright_when_its_plugin_is_installed(tmp_path: Path) -> None:
    plugin = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    registered = set(Image.OPEN)
    plugin.from_pillow(gradient().resize((96, 64))).save(tmp_path / "a.heic", quality=95)
    photo, pixels = read_photo(tmp_path / "a.heic")
    assert photo.size_px == (96, 64)
    assert np.abs(pixels.astype(int) - np.asarray(gradient().resize((96, 64)))).mean() < 8
    assert set(Image.OPEN) == registered


def test_switches_of_the_process_stay_as_they_are(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    read(tmp_path, encoded(gradient(), "JPEG"))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    kind=st.sampled_from(FORMATS),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=8)), max_size=6),
    length=st.integers(0, 3000),
)
@example(kind="TIFF", cuts=[(4, b"\xff\xff\xff\x7f")], length=3000)
def test_damaged_files_raise_named_errors_only(
    tmp_path: Path, kind: str, cuts: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(encoded(gradient(), kind))
    for place, patch in cuts:
        data[place : place + len(patch)] = patch
    try:
        pixels = read(tmp_path, bytes(data[:length]), Limits(side_px=2000))
    except AvatarError as error:
        assert error.message and error.hint
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
