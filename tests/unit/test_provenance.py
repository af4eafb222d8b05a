"""The mark of generated pictures in every format: added without touching pixels or texts, read by others, too."""
from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.pictures import EDITED, FORMATS, GENERATED, encoded, infotext_of, mark_file, source_of
from personal_avatar.provenance import marked, packet, source_in
from PIL import Image

KINDS = sorted(FORMATS)
TEXT = "chân dung của Hoà <lora:hoa:1>\nNegative prompt: blurry\nSteps: 20, Seed: 5"


def noise(height: int = 33, width: int = 21, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, bands), dtype=np.uint8)


def plain(kind: str, bands: int = 3, **how: Any) -> bytes:
    """A file as Pillow writes it, without any mark."""
    data = io.BytesIO()
    Image.fromarray(noise(bands=bands)).save(data, kind.upper(), **how)
    return data.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("source", [GENERATED, EDITED])
@pytest.mark.parametrize("kind", KINDS)
def test_an_encoded_picture_carries_infotext_and_mark(kind: str, source: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(noise(), kind, TEXT, source))
    assert infotext_of(path) == TEXT
    assert source_of(path) == source
    assert Image.open(path).size == (21, 33)


FILES = [("png", {}), ("jpeg", {}), ("webp", {"lossless": True}), ("webp", {"quality": 80})]


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize(("kind", "how"), FILES)
def test_marking_leaves_every_pixel_as_it_is(kind: str, how: dict[str, Any], bands: int) -> None:
    if (kind, bands) == ("jpeg", 4):
        return
    before = plain(kind, bands, **how)
    after = marked(before)
    assert source_in(before) == "" and source_in(after) == GENERATED
    assert np.array_equal(pixels(before), pixels(after))
    assert marked(after) == after


@pytest.mark.parametrize("kind", KINDS)
def test_marking_keeps_the_infotext_that_another_program_wrote(kind: str, tmp_path: Path) -> None:
    """As the WebUI saves: PNG with a text chunk, others with EXIF."""
    from PIL.PngImagePlugin import PngInfo

    exif, chunks = Image.Exif(), PngInfo()
    exif[0x8769] = {0x9286: b"UNICODE\0" + TEXT.encode("utf-16-be")}
    chunks.add_text("parameters", TEXT)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(plain(kind, **({"pnginfo": chunks} if kind == "png" else {"exif": exif})))
    assert mark_file(path)
    assert (infotext_of(path), source_of(path)) == (TEXT, GENERATED)


RATED = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:Rating="5" e:DigitalSourceType='
    b'"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def test_what_a_webp_says_of_itself_stays_beside_the_mark() -> None:
    """The format has one packet."""
    after = marked(plain("webp", xmp=RATED), EDITED)
    found = Image.open(io.BytesIO(after)).info["xmp"]
    assert source_in(after) == EDITED and marked(after, EDITED) == after and after.count(b"XMP ") == 1
    assert b'xmp:Rating="5"' in found and ElementTree.fromstring(found) is not None
    assert source_in(marked(plain("webp", xmp=b"damaged"))) == GENERATED


def test_other_programs_find_the_packet_where_the_formats_have_it() -> None:
    webp = Image.open(io.BytesIO(marked(plain("webp"))))
    assert webp.info["xmp"] == packet(GENERATED)
    jpeg = Image.open(io.BytesIO(marked(plain("jpeg"))))
    assert ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + packet(GENERATED)) in jpeg.applist  # type: ignore[attr-defined]
    png = Image.open(io.BytesIO(marked(plain("png"))))
    assert png.text["XML:com.adobe.xmp"].encode() == packet(GENERATED)  # type: ignore[attr-defined]


def test_transparency_stays_where_the_format_has_it_and_becomes_white_where_not() -> None:
    image = noise(bands=4)
    image[..., 3] = 0
    assert pixels(encoded(image, "png"))[..., 3].max() == 0
    assert pixels(encoded(image, "webp"))[..., 3].max() == 0
    assert pixels(encoded(image, "jpeg")).min() > 250


def test_a_very_long_infotext_fits_into_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpeg"
    path.write_bytes(encoded(noise(), "jpeg", "x" * 80_000))
    assert len(infotext_of(path)) == 32_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_infotext_of_emoji_fits_too_and_ends_with_a_whole_one(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(noise(), kind, "x" + "\U0001F600" * 40_000))
    assert infotext_of(path).startswith("x\U0001F600") and set(infotext_of(path)) == {"x", "\U0001F600"}


def test_a_file_that_cannot_carry_the_mark_is_left_alone(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.bmp")
    before = (tmp_path / "a.bmp").read_bytes()
    assert not mark_file(tmp_path / "a.bmp")
    assert (tmp_path / "a.bmp").read_bytes() == before and source_of(tmp_path / "a.bmp") == ""


@given(st.sampled_from(KINDS), st.data())
def test_damaged_files_are_refused_by_name_or_marked_but_never_crash(kind: str, data: st.DataObject) -> None:
    whole = plain(kind)
    cut = data.draw(st.integers(0, len(whole)))
    damaged = bytearray(whole[:cut])
    for at in data.draw(st.lists(st.integers(0, max(0, cut - 1)), max_size=4)) if cut else []:
        damaged[at] = data.draw(st.integers(0, 255))
    source_in(bytes(damaged))
    try:
        marked(bytes(damaged))
    except ValueError:
        return
