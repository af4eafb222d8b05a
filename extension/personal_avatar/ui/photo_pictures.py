"""Pictures that the page shows of laid-out photos: small and large ones, made once and kept beside the draft.

They lie in the draft's folder under names after the photos' content, so that they go with the draft, and a photo that
is laid out again has its pictures already. An empty file says that a photo cannot be shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from personal_avatar.errors import AvatarError
from personal_avatar.storage import sha256_of, write_bytes
from personal_avatar.ui.thumbs import jpeg

SMALL_PX, LARGE_PX = 480, 1600
KINDS = {"small": SMALL_PX, "large": LARGE_PX}


@dataclass(frozen=True)
class PhotoPictures:
    """The pictures of one draft, in `folder`."""

    folder: Path

    def small(self, photo: Path) -> Path | None:
        """The whole photo, upright, at most SMALL_PX a side; None when it cannot be shown."""
        return self._made(photo, "small")

    def large(self, photo: Path) -> Path | None:
        """The same with LARGE_PX."""
        return self._made(photo, "large")

    def forget(self, photo: Path) -> None:
        """Erase what was made of a photo; its content must still be there."""
        for path in self.folder.glob(f"*/{name_of(photo)}*.jpg"):
            path.unlink(missing_ok=True)

    def _made(self, photo: Path, kind: str) -> Path | None:
        try:
            target = self.folder / kind / f"{name_of(photo)}.jpg"
        except OSError:
            return None
        if not target.is_file():
            write_bytes(target, _reduced(photo, KINDS[kind]))
        return target if target.stat().st_size else None


def pictures_of(folder: Path) -> PhotoPictures:
    return PhotoPictures(folder)


def name_of(photo: Path) -> str:
    """Tells contents apart; raises OSError when the file is gone."""
    return _name(photo, photo.stat().st_mtime_ns)


@lru_cache(maxsize=1000)
def _name(photo: Path, stamp: int) -> str:
    return sha256_of(photo)[:32]


def _reduced(photo: Path, side_px: int) -> bytes:
    """The photo as a JPEG of at most `side_px` a side; nothing for what cannot be read."""
    from PIL import Image

    from personal_avatar.photos.read import read_photo

    try:
        picture = Image.fromarray(read_photo(photo)[1])
    except (AvatarError, OSError, ValueError):
        return b""
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return jpeg(picture)
