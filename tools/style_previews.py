"""Draw the little pictures that stand beside the styles, with avatar-tiny: python -m tools.style_previews [ID ...]

avatar-tiny knows a few words only, so a preview shows the colours and the mood of a style and not the style itself;
what it is told stands in the style's file as `preview`.
"""
from __future__ import annotations

import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from personal_avatar.domain import Style
from personal_avatar.host import PictureRequest
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.styles.library import PREVIEWS, shipped
from PIL import Image

SIDE_PX = 128
QUALITY = 72


def main(wanted: list[str]) -> None:
    """Only the styles of these ids; all of them without any."""
    PREVIEWS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        host = StandaloneHost(Path(data))
        Studio(host).install_tiny()
        for style in shipped():
            if not wanted or style.id in wanted:
                write(style, drawn(style, host))


def drawn(style: Style, host: StandaloneHost) -> np.ndarray:
    """uint8 RGB (192, 192, 3); the same for the same style."""
    seed = zlib.crc32(style.id.encode())
    request = PictureRequest(style.preview, "", (seed,), 192, 192, steps=24, guidance=5.0)
    return next(host.generate(request, lambda step, total: None)).image


def write(style: Style, image: np.ndarray) -> None:
    small = Image.fromarray(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    small.save(PREVIEWS / f"{style.id}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1:])
