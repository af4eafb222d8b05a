"""How much of each pixel is a person: a matting network for portraits, where it is there or asked for."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from personal_avatar.domain import Face
from personal_avatar.photos.crop import Window, places, to_crop
from personal_avatar.photos.settings import AUTO, ELLIPSE, KEEP, PhotoSettings
from personal_avatar.problems import stated
from personal_avatar.wording import text

# The shorter side of what the network looks at, and what its sides are multiples of.
SIDE_PX = 512
STEP_PX = 32
# The middle of a face, this share of its box, must belong to the person of the matte, this much of it. Of 121 photos
# 116 have .97 and more, the others .87 and less: the network saw somebody else, or nobody.
CORE_SHARE = 0.8
CORE_FOUND = 0.9
# What hangs together is looked for in a smaller picture, of what is a person by this much.
MAP_PX = 128
SOLID = 0.3


@dataclass(frozen=True)
class Matting:
    """MODNet (arXiv 2011.11961), read from the file `model`."""

    model: Path

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 RGB (height, width, 3) -> float32 (height, width): 1 where a person is, 0 behind, between in hair."""
        from personal_avatar.sessions import session

        height, width = image.shape[:2]
        seen = Image.fromarray(image).resize(seen_at((width, height)), Image.Resampling.BICUBIC)
        pixels = (np.asarray(seen, dtype=np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        (answer,) = session(self.model).run(["output"], {"input": pixels})
        matte = Image.fromarray(answer[0, 0]).resize((width, height), Image.Resampling.BILINEAR)
        return np.clip(np.asarray(matte, dtype=np.float32), 0, 1)


def seen_at(size_px: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) at which a picture of `size_px` is shown to the network: the shorter side 512 pixels, both
    multiples of 32; nearly the picture's proportions."""
    scale = SIDE_PX / min(size_px)
    width, height = (max(STEP_PX, round(side * scale / STEP_PX) * STEP_PX) for side in size_px)
    return width, height


def persons(matte: np.ndarray, face: Face, window: Window) -> np.ndarray | None:
    """What of a crop's matte (see `Matting`) hangs together with the face, the same kind of array.

    `window`: where the crop lies in the photo that `face` was found in. None where the face is not the matte's person.
    """
    size_px = (matte.shape[1], matte.shape[0])
    left, top, right, bottom = face.box_px
    middle = ((left + right) / 2, (top + bottom) / 2)
    x, y = places(window, size_px)
    radii = (CORE_SHARE * face.width_px / 2, CORE_SHARE * face.height_px / 2)
    core = np.hypot((x - middle[0]) / radii[0], (y - middle[1]) / radii[1]) <= 1
    if not core.any() or float(matte[core].mean()) < CORE_FOUND:
        return None
    whole: np.ndarray = np.where(core, np.float32(1), matte)
    whole *= _hanging_together(whole, to_crop(window, size_px, middle))
    return whole


def _hanging_together(matte: np.ndarray, start_px: tuple[float, float]) -> np.ndarray:
    """float32 (height, width): 1 on everything solid that can be reached from `start_px` (x, y), and a little around
    it; softly 0 elsewhere."""
    height, width = matte.shape
    scale = MAP_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    solid = np.asarray(Image.fromarray(matte).resize(size, Image.Resampling.BOX)) > SOLID
    island = Image.fromarray(solid.astype(np.uint8)).copy()  # one that may be drawn in
    start = tuple(min(max(int(at * scale), 0), end - 1) for at, end in zip(start_px, size, strict=True))
    ImageDraw.floodfill(island, start, 2)
    reached = island.point(lambda value: 255 * (value == 2)).filter(ImageFilter.MaxFilter(5))
    grown = reached.convert("F").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grown, dtype=np.float32) / 255


def chosen(
    settings: PhotoSettings, weights_folder: Path | None, say: Callable[[str], None] = lambda sentence: None
) -> Matting | None:
    """The network as the settings want it; None: masks are ellipses. It is fetched when it cannot be done without.

    `weights_folder`: where it lies or comes to lie; None: it is not to be had. `say` hears of a download.
    Raises `WeightsMissing`.
    """
    from personal_avatar.errors import WeightsMissing
    from personal_avatar.weights.fetch import ensure, present
    from personal_avatar.weights.matting import MODNET

    if not settings.wants_faces or (settings.background == KEEP and settings.matting == ELLIPSE):
        return None
    if settings.background == KEEP and settings.matting == AUTO:
        found = weights_folder is not None and present(MODNET, weights_folder)
        return Matting(weights_folder / MODNET.file_name) if found and weights_folder else None
    if weights_folder is None:
        raise stated(WeightsMissing, "failure.no_folder", file=MODNET.file_name)
    if not present(MODNET, weights_folder):
        size = f"{MODNET.size_text}, {MODNET.licence}"
        say(text("log.fetching", file=MODNET.file_name, size=size, purpose=MODNET.purpose))
    return Matting(ensure(MODNET, weights_folder))
