"""The mark of generated pictures: an XMP packet with IPTC's digital source type, put into finished files.

Pixels and everything else in a file stay as they are, so that pictures which others have saved can be marked, too. Only
a packet of a WebP that cannot be read gives way to ours, as that format has room for one.
"""
from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

# IPTC news codes, digital source type: made by a model, and a photo of which a model made a part.
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SOURCES = (GENERATED, EDITED)
MADE_BY = "personal_avatar.version"  # in the header of every file that was trained here
# Layout: XMP specification part 1 (packet wrapper); property: IPTC Photo Metadata Standard, "Digital Source Type".
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{source}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# Where a packet lies, by file format: XMP specification part 3.
PNG_START, PNG_KEYWORD = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp\0"
JPEG_START, JPEG_NAME = b"\xff\xd8\xff", b"http://ns.adobe.com/xap/1.0/\0"
VP8X_XMP, VP8X_ALPHA = 0x04, 0x10
_DESCRIPTION = re.compile(rb"<rdf:Description .*/>")
_OPENING = re.compile(rb"<rdf:RDF[^>]*>")
_STATED = re.compile(rb"DigitalSourceType[^<]{0,40}?(http://cv\.iptc\.org/newscodes/digitalsourcetype/\w+)")


def packet(source: str) -> bytes:
    """The XMP packet that states `source`, one of `SOURCES`."""
    return _XMP.format(source=source).encode("utf-8")


def source_in(data: bytes) -> str:
    """The digital source type that a file states in an XMP packet that is not compressed; empty when it states none.

    `data`: a whole PNG, JPEG or WebP file.
    """
    found = _STATED.search(b"".join(_packets(data)))
    return found.group(1).decode("ascii") if found else ""


def marked(data: bytes, source: str = GENERATED) -> bytes:
    """The same file with a packet that states `source`; unchanged when it says already that a model had a hand in it.

    Raises ValueError for anything but a whole PNG, JPEG or WebP file.
    """
    if source_in(data) in SOURCES:
        return data
    for start, add in ((PNG_START, _into_png), (JPEG_START, _into_jpeg), (b"RIFF", _into_webp)):
        if data.startswith(start):
            try:
                return add(data, packet(source))
            except (struct.error, IndexError) as error:
                raise ValueError(f"the file is damaged ({error})") from None
    raise ValueError("only PNG, JPEG and WebP can carry the mark")


def _packets(data: bytes) -> Iterator[bytes]:
    """XMP packets of a file; of a damaged file those before the damage."""
    try:
        if data.startswith(PNG_START):
            yield from (body for kind, body in _png_chunks(data) if kind == b"iTXt" and body.startswith(PNG_KEYWORD))
        elif data.startswith(JPEG_START):
            segments = (data[begin:end] for _, begin, end in _jpeg_segments(data))
            yield from (body for body in segments if body[4:].startswith(JPEG_NAME))
        elif data.startswith(b"RIFF"):
            yield from (body for kind, body in _riff_chunks(data) if kind == b"XMP ")
    except (struct.error, IndexError):
        return


# -- PNG


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_START)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += length + 12


def _into_png(data: bytes, xmp: bytes) -> bytes:
    """A chunk iTXt, not compressed, right behind the header chunk."""
    (length,) = struct.unpack_from(">I", data, len(PNG_START))
    end = len(PNG_START) + length + 12
    body = b"iTXt" + PNG_KEYWORD + b"\0\0\0\0" + xmp
    return data[:end] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[end:]


# -- JPEG


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, begin, end) of the segments before the pixels."""
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], at, at + 2 + length
        at += 2 + length


def _into_jpeg(data: bytes, xmp: bytes) -> bytes:
    """A segment APP1 behind JFIF's and EXIF's, which have to come first."""
    at = 2
    for marker, begin, end in _jpeg_segments(data):
        if marker == 0xE0 or (marker == 0xE1 and data[begin + 4 :].startswith(b"Exif\0")):
            at = end
    body = JPEG_NAME + xmp
    return data[:at] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[at:]


# -- WebP


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _into_webp(data: bytes, xmp: bytes) -> bytes:
    """A chunk `XMP ` at the end, where the format wants it, and a header that announces it."""
    xmp = next((_joined(body, xmp) for kind, body in _riff_chunks(data) if kind == b"XMP "), xmp)
    chunks = [(kind, body) for kind, body in _riff_chunks(data) if kind != b"XMP "]
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _extended(*chunks[0])))
    header = bytes([chunks[0][1][0] | VP8X_XMP]) + chunks[0][1][1:]
    chunks = [(b"VP8X", header), *chunks[1:], (b"XMP ", xmp)]
    parts = (struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks)
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _joined(there: bytes, xmp: bytes) -> bytes:
    """A packet with our statement before its own ones; ours alone when it has no place for it."""
    opening, ours = _OPENING.search(there), _DESCRIPTION.search(xmp)
    if opening is None or ours is None or opening[0].endswith(b"/>"):
        return xmp
    return there[: opening.end()] + ours[0] + there[opening.end() :]


def _extended(kind: bytes, body: bytes) -> bytes:
    """The extended header of a simple file: flags and size, read out of its bit stream (RFC 9649, RFC 6386)."""
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
        alpha = False
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([VP8X_ALPHA if alpha else 0, 0, 0, 0]) + size
