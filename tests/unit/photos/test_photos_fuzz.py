"""Damaged files by the hundred, and pictures of 50,000 pixels: always a picture or a named error, at once."""
from __future__ import annotations

import io
import struct
import time
import tracemalloc
import warnings
import zlib
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from personal_avatar.errors import AvatarError, FileTooLarge, UnreadablePhoto
from personal_avatar.photos.read import read_photo
from personal_avatar.pictures import infotext_of, load_picture
from personal_avatar.pixels import STRIP_ROWS
from PIL import Image

CASES = 120
# Numbers that parsers trip over, in both byte orders: none, all, the largest signed one, 50,000.
ODD = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xc3\x50", b"\x50\xc3\0\0"]
KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "PNG": ("RGB", "PNG", {}), "PNG 16 bit": ("I;16", "PNG", {}), "JPEG": ("RGB", "JPEG", {}),
    "JPEG progressive": ("RGB", "JPEG", {"progressive": True}), "JPEG CMYK": ("CMYK", "JPEG", {}),
    "WebP": ("RGB", "WEBP", {}), "WebP lossless": ("RGBA", "WEBP", {"lossless": True}), "GIF": ("P", "GIF", {}),
    "TIFF": ("RGB", "TIFF", {}), "TIFF deflated": ("RGB", "TIFF", {"compression": "tiff_deflate"}),
    "BMP": ("RGB", "BMP", {}), "ICO": ("RGBA", "ICO", {}),
}
OTHERS: dict[str, tuple[str, str, dict[str, object]]] = {
    "DDS": ("RGBA", "DDS", {}), "PCX": ("RGB", "PCX", {}), "SGI": ("RGB", "SGI", {}), "TGA": ("RGB", "TGA", {}),
    "JPEG2000": ("RGB", "JPEG2000", {}), "PPM": ("RGB", "PPM", {}),
}  # fmt: skip


def good(kind: str) -> bytes:
    mode, format_name, options = {**KINDS, **OTHERS}[kind]
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def damaged(data: bytes, random: Random) -> bytes:
    """Cut short, or some bytes of it changed, repeated or left out; the head more often than the rest."""
    if random.random() < 0.15:
        return data[: random.randrange(len(data))]
    broken = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        place = random.randrange(len(broken) if random.random() < 0.5 else min(len(broken), 80))
        what = random.randrange(5)
        if what == 0:
            broken[place] = random.randrange(256)
        elif what == 1:
            broken[place : place + 4] = random.choice(ODD)
        elif what == 2:
            broken[place] ^= 1 << random.randrange(8)
        elif what == 3:
            broken[place:place] = broken[place : place + random.randrange(40)]
        else:
            del broken[place : place + random.randrange(1, 40)]
    return bytes(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_broken_becomes_a_picture_or_a_named_error(tmp_path: Path, kind: str) -> None:
    random, data, found = Random(kind), good(kind), Counter[str]()
    for case in range(CASES):
        path = tmp_path / f"{case}"
        path.write_bytes(damaged(data, random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                pixels = read_photo(path)[1]
            except AvatarError as error:
                assert isinstance(error, UnreadablePhoto | FileTooLarge) and error.message and error.hint
                found["error"] += 1
            else:
                assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
                found["picture"] += 1
    assert found["error"] >= 10


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_what_is_broken_is_named_wherever_a_picture_is_read(tmp_path: Path, kind: str) -> None:
    random, data, broken = Random(kind), good(kind), 0
    for case in range(CASES // 4):
        path = tmp_path / f"{case}"
        path.write_bytes(damaged(data, random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for read in (load_picture, infotext_of):
                try:
                    read(path)
                except UnreadablePhoto:
                    broken += 1
    assert broken


def test_a_page_description_is_no_picture(tmp_path: Path) -> None:
    """It would be handed to another program."""
    path = tmp_path / "a.png"
    Image.new("RGB", (20, 20)).save(path, "EPS")
    for read in (load_picture, infotext_of):
        with pytest.raises(UnreadablePhoto, match="drawing, not a photo"):
            read(path)


def test_what_decoders_do_not_know_and_what_is_too_large_is_named(tmp_path: Path) -> None:
    dds = tmp_path / "a.dds"
    data = bytearray(good("DDS"))
    data[80:92] = struct.pack("<II4s", 4, 4, b"ABCD")[:12]
    dds.write_bytes(bytes(data))
    with pytest.raises(UnreadablePhoto):
        load_picture(dds)
    large = tmp_path / "large.png"
    large.write_bytes(png(50_000))
    for read in (load_picture, infotext_of):
        with pytest.raises(FileTooLarge):
            read(large)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(side: int, extra: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(bytes(9000))) + chunk(b"IEND", b"")


def of_50000_px() -> dict[str, bytes]:
    jpeg = bytearray(good("JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 50_000, 50_000)
    gif = b"GIF89a" + struct.pack("<HHBBB", 50_000, 50_000, 0x80, 0, 0) + bytes(6)
    gif += b"," + struct.pack("<HHHHB", 0, 0, 50_000, 50_000, 0) + b"\x02\x02\x44\x01\x00;"
    bmp = bytearray(good("BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    tiff = good("TIFF")
    for tag, side in ((256, 48), (257, 40)):
        for kind, form in ((3, "<HHIHH"), (4, "<HHII")):
            entry = struct.pack(form, *((tag, kind, 1, side, 0) if kind == 3 else (tag, kind, 1, side)))
            tiff = tiff.replace(entry, struct.pack("<HHII", tag, 4, 1, 50_000))
    # VP8 holds sizes of 14 bits; VP8X, around it, of 24.
    canvas = (49_999).to_bytes(3, "little") * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + good("WebP")[12:]
    return {
        "PNG": png(50_000), "JPEG": bytes(jpeg), "GIF": gif, "BMP": bytes(bmp), "TIFF": tiff,
        "WebP": b"RIFF" + struct.pack("<I", len(webp)) + webp,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP"])
def test_fifty_thousand_pixels_are_refused_without_being_unpacked(tmp_path: Path, kind: str) -> None:
    (tmp_path / "bomb").write_bytes(of_50000_px()[kind])
    began = time.monotonic()
    tracemalloc.start()
    with pytest.raises(UnreadablePhoto if kind == "WebP" else FileTooLarge):
        read_photo(tmp_path / "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 and time.monotonic() - began < 2


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_packed_metadata_is_not_unpacked_without_end(tmp_path: Path, kind: bytes) -> None:
    packed = b"x\0\0" + zlib.compress(bytes(200_000_000), 9)
    (tmp_path / "bomb.png").write_bytes(png(48, chunk(kind, packed)))
    tracemalloc.start()
    with pytest.raises(UnreadablePhoto):
        read_photo(tmp_path / "bomb.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90e6


@pytest.mark.parametrize("height", [1, STRIP_ROWS - 1, STRIP_ROWS, STRIP_ROWS + 1, 3 * STRIP_ROWS])
def test_strips_put_together_are_the_picture(tmp_path: Path, height: int) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png")[1], pixels)
    deep = np.random.default_rng(height).integers(0, 65536, (height, 5)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_photo(tmp_path / "deep.png")[1][..., 0], np.rint(deep / 257).astype(np.uint8))
