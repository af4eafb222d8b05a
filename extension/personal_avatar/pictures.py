"""Reading any picture as upright RGB, and writing generated ones so that they say how they were made.

A written file carries the WebUI's infotext (PNG: text chunk `parameters`; JPEG and WebP: EXIF UserComment) and an XMP
packet with IPTC's digital source type, the agreed mark of generated pictures; see `provenance`.
"""
from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.credentials import Ingredient, configured, signed
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.provenance import EDITED as EDITED
from personal_avatar.provenance import GENERATED as GENERATED
from personal_avatar.provenance import SOURCES, marked, source_in
from personal_avatar.storage import opened, write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image as Opened

PARAMETERS = "parameters"
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
UNICODE = b"UNICODE\0"
BYTE_ORDERS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
LONGEST_COMMENT = 64_000  # bytes: a JPEG has room for 64 KB of EXIF
NEGATIVE = "Negative prompt: "
PREFIX = "Personal Avatar "  # of what we say in the line with the settings
# That line of a picture; where it is not the WebUI's, with what was done to a finished one.
_SETTINGS = re.compile(rf"Steps: |{PREFIX}[\w ]+: ")
FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
ANIMATIONS = ("GIF", "WEBP", "PNG", "AVIF")  # Pillow's names
QUALITY = 95
GLANCE_PX = 256 * 256  # of which a picture is read to know that it is one


def load_picture(path: Path, most_px: int = 0) -> np.ndarray:
    """uint8 sRGB (height, width, 3), turned upright, transparency on white. Raises `UnreadablePhoto`, as which
    `FileTooLarge` counts, nothing else.

    `most_px`: a picture of more pixels is reduced by a whole factor, a JPEG while it is decoded; 0: none is.
    """
    from personal_avatar.pixels import pixels_of, to_srgb, upright

    with _opened(path) as file:
        if (factor := _too_large(file.size, most_px)) > 1:
            file.draft(None, (file.width // factor, file.height // factor))
        picture = to_srgb(upright(file))
        if (factor := _too_large(picture.size, most_px)) > 1:
            picture = picture.reduce(factor)
        return pixels_of(picture)


def readable(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that are pictures, in their order; looked at one by one as they are asked for."""
    for path in paths:
        with suppress(UnreadablePhoto):
            load_picture(path, GLANCE_PX)
            yield path


def alpha_of(path: Path) -> np.ndarray | None:
    """How opaque each pixel is, uint8 (height, width), turned upright; None where all are. Raises as `load_picture`."""
    from personal_avatar.pixels import upright

    with _opened(path) as file:
        if "A" not in file.getbands() and "transparency" not in file.info:
            return None
        alpha = np.asarray(upright(file).convert("RGBA").getchannel("A"))
        return None if alpha.min() == 255 else alpha


def moves(path: Path) -> bool:
    """Whether it is an animation, of which `load_picture` reads the first picture. Other files of several, such as a
    phone's with a preview, are none."""
    with suppress(UnreadablePhoto), _opened(path) as file:
        return file.format in ANIMATIONS and bool(getattr(file, "is_animated", False))
    return False


def with_alpha(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 RGBA that looks on white as `image` does, uint8 RGB; see `alpha_of`. In strips, as `pixels_of` works."""
    from personal_avatar.pixels import STRIP_ROWS

    made, colours = np.dstack([image, alpha]), _colours()
    for top in range(0, len(made), STRIP_ROWS):
        strip = made[top : top + STRIP_ROWS]
        if strip[..., 3].min(initial=255) < 255:
            strip[..., :3] = colours[strip[..., 3:], strip[..., :3]]
    return made


def _colours() -> np.ndarray:
    """uint8 (256, 256): by alpha, which colour looks on white as the second one does."""
    opaque = np.maximum(np.arange(256), 1)[:, None] / 255
    colours: np.ndarray = np.clip(np.rint(255 - (255 - np.arange(256)) / opaque), 0, 255).astype(np.uint8)
    return colours


def _too_large(size: tuple[int, int], most_px: int) -> int:
    """By which whole factor a picture has to be reduced to have at most so many pixels; 1: not at all."""
    return math.ceil(math.sqrt(size[0] * size[1] / most_px)) if most_px else 1


def load_mask(path: Path) -> np.ndarray:
    """uint8 (height, width), turned upright: how white a picture is; what is transparent is black. Raises as
    `load_picture`."""
    from personal_avatar.pixels import BLACK, pixels_of, to_srgb, upright

    with _opened(path) as file:
        grey: np.ndarray = pixels_of(to_srgb(upright(file), BLACK)).mean(axis=2).astype(np.uint8)
        return grey


@contextmanager
def _opened(path: Path) -> Iterator[Opened]:
    """A picture that is open; whatever goes wrong inside becomes `UnreadablePhoto`."""
    from personal_avatar.formats import naming, open_picture

    name = Path(path).name
    with naming(name), opened(Path(path)) as data, open_picture(data, name) as picture:
        yield picture


def covering(image: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """uint8 RGB (height, width, 3) in another size: scaled until it covers it, what is too much is cut off evenly."""
    from PIL import Image, ImageOps

    if image.shape[:2] == (height_px, width_px):
        return image
    fitted = ImageOps.fit(Image.fromarray(image), (width_px, height_px), Image.Resampling.LANCZOS)
    return np.asarray(fitted).copy()


def encoded(image: np.ndarray, kind: str, infotext: str = "", source: str = GENERATED) -> bytes:
    """The file of a picture, with its infotext and the mark.

    `image`: uint8 (height, width, 3 or 4), RGB or RGBA; `kind`: one of `FORMATS`; `source`: `GENERATED` or
    `EDITED`, "" for a picture that is somebody's own: no mark. In a JPEG transparent parts are white.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from personal_avatar.pixels import to_srgb

    picture, data = Image.fromarray(image), BytesIO()
    if kind == "png":
        chunks = PngInfo()
        if infotext:
            chunks.add_text(PARAMETERS, infotext)
        picture.save(data, "PNG", pnginfo=chunks)
    else:
        exif = Image.Exif()
        if infotext:
            exif[EXIF_IFD] = {USER_COMMENT: _as_comment(infotext)}
        shown = picture if kind == "webp" else to_srgb(picture)
        shown.save(data, kind.upper(), quality=QUALITY, exif=exif)
    return marked(data.getvalue(), source) if source else data.getvalue()


def _as_comment(infotext: str) -> bytes:
    """EXIF UserComment as the WebUI writes it, no longer than a JPEG can hold; no sign is cut in two."""
    text = infotext.encode("utf-16-be", "replace")[:LONGEST_COMMENT]
    return UNICODE + text.decode("utf-16-be", "ignore").encode("utf-16-be")


def save_picture(
    image: np.ndarray, path: Path, infotext: str = "", source: str = GENERATED, made_from: Path | None = None
) -> Path:
    """Write uint8 RGB or RGBA (height, width, 3 or 4) as a PNG that is complete or not there; answers `path`.

    `source`: `GENERATED` or `EDITED`; `made_from`: the picture that was changed, named when a model had made it.
    """
    write_bytes(path, sealed(encoded(image, "png", infotext, source), path.name, source, made_from))
    return path


def sealed(data: bytes, name: str, source: str = GENERATED, made_from: Path | None = None) -> bytes:
    """A finished file with content credentials, where they can be written; see `credentials`."""
    signing = configured()
    if signing is None:
        return data
    parents = [Ingredient(made_from.name, made_from.read_bytes())] if made_from and source_of(made_from) else []
    return signed(data, signing, source, name, parents)


def mark_file(path: Path, source: str = GENERATED) -> bool:
    """Put mark and credentials into a finished file that lacks the mark, its pixels and texts left as they are; whether
    it has it now.

    Only PNG, JPEG and WebP can carry it; an AVIF gets credentials alone.
    """
    data = path.read_bytes()
    try:
        with_mark = marked(data, source)
    except ValueError:
        if (with_seal := sealed(data, path.name, source)) == data:
            return False
        write_bytes(path, with_seal)
        return True
    if with_mark != data:
        write_bytes(path, sealed(with_mark, path.name, source))
    return True


def infotext_of(path: Path) -> str:
    """The text that `save_picture` or the WebUI wrote (PNG chunk, EXIF of JPEG and WebP); empty when there is none.
    Raises `UnreadablePhoto`, nothing else."""
    with _opened(path) as file:
        # what stands before the pixels is known without reading them; `text` reads the whole file
        chunk = file.info.get(PARAMETERS) or getattr(file, "text", {}).get(PARAMETERS, "")
        return str(chunk) or _user_comment(file.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT, b""))


def prompt_of(path: Path) -> str:
    """The prompt in a picture's infotext, its networks included; empty when there is none."""
    return prompt_in(infotext_of(path))


def prompt_in(infotext: str) -> str:
    """The prompt in an infotext."""
    return _parts(infotext)[0]


def negative_prompt_in(infotext: str) -> str:
    """The negative prompt in an infotext."""
    return _parts(infotext)[1]


def settings_in(infotext: str) -> str:
    """What an infotext says besides the prompts, such as "Steps: 20, Seed: 5"."""
    return _parts(infotext)[2]


def with_settings(infotext: str, said: str) -> str:
    """An infotext that says something more of how the picture was made."""
    return infotext + (", " if settings_in(infotext) else "\n" if infotext else "") + said


def _parts(infotext: str) -> tuple[str, str, str]:
    """(prompt, negative prompt, settings)."""
    lines = infotext.split("\n")
    end = next((at for at, line in enumerate(lines) if _SETTINGS.match(line)), len(lines))
    split = next((at for at, line in enumerate(lines[:end]) if line.startswith(NEGATIVE)), end)
    negative = "\n".join(lines[split:end]).removeprefix(NEGATIVE)
    return "\n".join(lines[:split]), negative, "\n".join(lines[end:])


def _user_comment(data: bytes | str) -> str:
    """EXIF UserComment: eight bytes that name the code, then text in UTF-16; of which byte comes first no more is said.
    The WebUI writes the high one, many cameras the low one; the high one is 0 in letters of the Latin alphabet."""
    if not isinstance(data, bytes) or not data.startswith(UNICODE):
        return ""
    text = data[len(UNICODE) :]
    order = BYTE_ORDERS.get(text[:2])
    if order is None:
        is_low_first = 2 * text[1::2].count(0) > len(text[1::2]) and text[1::2].count(0) > text[::2].count(0)
        order = "utf-16-le" if is_low_first else "utf-16-be"
    return text.decode(order, errors="replace").strip("\0\ufeff")


def source_of(path: Path) -> str:
    """`GENERATED`, `EDITED`, or empty when the file does not say that a model had a hand in it."""
    found = source_in(path.read_bytes())
    return found if found in SOURCES else ""
