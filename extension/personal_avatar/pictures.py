"""Reading any picture as upright RGB, and writing generated ones so that they say how they were made.

A written PNG carries the WebUI's text chunk `parameters` and an XMP packet with IPTC's digital source type
"trained algorithmic media", the agreed mark of generated pictures.
"""
from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.storage import write_bytes

PARAMETERS = "parameters"
XMP_CHUNK = "XML:com.adobe.xmp"
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
# IPTC news codes, digital source type: made by a model, and a photo of which a model made a part.
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# Layout: XMP specification part 1 (packet wrapper); property: IPTC Photo Metadata Standard, "Digital Source Type".
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{source}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def load_picture(path: Path) -> np.ndarray:
    """uint8 RGB (height, width, 3), turned upright, transparency on white. Raises `UnreadablePhoto`."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file) or file
            return np.asarray(_flat(upright)).copy()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadablePhoto(f"{Path(path).name} cannot be read as a picture ({error}).") from None


def covering(image: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """uint8 RGB (height, width, 3) in another size: scaled until it covers it, what is too much is cut off evenly."""
    from PIL import Image, ImageOps

    if image.shape[:2] == (height_px, width_px):
        return image
    fitted = ImageOps.fit(Image.fromarray(image), (width_px, height_px), Image.Resampling.LANCZOS)
    return np.asarray(fitted).copy()


def save_picture(image: np.ndarray, path: Path, infotext: str = "", source: str = GENERATED) -> Path:
    """Write uint8 RGB (height, width, 3) as a PNG that is complete or not there; answers `path`.

    `source`: `GENERATED` or `EDITED`.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    if infotext:
        chunks.add_text(PARAMETERS, infotext)
    chunks.add_itxt(XMP_CHUNK, _XMP.format(source=source))
    data = BytesIO()
    Image.fromarray(image).save(data, "PNG", pnginfo=chunks)
    write_bytes(path, data.getvalue())
    return path


def infotext_of(path: Path) -> str:
    """The text that `save_picture` or the WebUI wrote (PNG chunk, EXIF of JPEG and WebP); empty when there is none."""
    from PIL import Image

    with Image.open(path) as file:
        chunk = getattr(file, "text", {}).get(PARAMETERS, "")
        return str(chunk) or _user_comment(file.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT, b""))


def prompt_of(path: Path) -> str:
    """The prompt in a picture's infotext, its networks included; empty when there is none."""
    lines = infotext_of(path).split("\n")
    end = next((at for at, line in enumerate(lines) if line.startswith(("Negative prompt: ", "Steps: "))), len(lines))
    return "\n".join(lines[:end])


def _user_comment(data: bytes | str) -> str:
    """EXIF UserComment: eight bytes that name the code, then text; the WebUI writes UTF-16, the high byte first."""
    if isinstance(data, str) or not data.startswith(b"UNICODE\0"):
        return ""
    return data[8:].decode("utf-16-be", errors="replace")


def source_of(path: Path) -> str:
    """`GENERATED`, `EDITED`, or empty when the file does not say that a model had a hand in it."""
    from PIL import Image

    with Image.open(path) as file:
        packet = str(getattr(file, "text", {}).get(XMP_CHUNK, ""))
    return next((source for source in (GENERATED, EDITED) if source in packet), "")


def _flat(picture: object) -> object:
    """RGB, with a white ground behind transparent parts."""
    from PIL import Image

    assert isinstance(picture, Image.Image)
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    ground.alpha_composite(layer)
    return ground.convert("RGB")
