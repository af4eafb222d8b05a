"""Which face backend is used: the user's insightface models when there are some, else YuNet and SFace.

insightface's models are non-commercial: they are used when the user has them, and fetched only when asked for by name.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.faces.sface import sface
from personal_avatar.faces.yunet import YuNet
from personal_avatar.weights import registry as weights
from personal_avatar.weights.fetch import OnProgress, ensure

DETECTORS = ("det_*.onnx", "scrfd_*bnkps.onnx")
RECOGNISERS = ("glintr100.onnx", "w600k_r50.onnx", "w600k_*.onnx")
SUBFOLDERS = ("", "antelopev2", "buffalo_l", "models/antelopev2", "models/buffalo_l", "*", "models/*")


@dataclass(frozen=True)
class ModelPack:
    """A folder in insightface's layout that holds a detector and a recogniser."""

    detector: Path
    recogniser: Path


def default_analyser(
    weights_folder: Path, model_folder: Path | None = None, on_progress: OnProgress | None = None
) -> FaceAnalyser:
    """The best backend at hand; cheap to call again.

    `model_folder`: insightface's root, `models` or a pack in it; by default the folder `insightface` in
    `weights_folder`, for users who put their own models there. Without a pack YuNet and SFace (11 MB) are used, and
    fetched when they are not there yet; raises `WeightsMissing` when that fails.
    """
    pack = find_pack(model_folder or own_models(weights_folder))
    if pack is not None:
        return Analyser(Scrfd(pack.detector), arcface(pack.recogniser))
    detector = ensure(weights.YUNET, weights_folder, on_progress)
    return Analyser(YuNet(detector), sface(ensure(weights.SFACE, weights_folder, on_progress)))


def own_models(weights_folder: Path) -> Path:
    """Where users may put packs of insightface."""
    return weights_folder / "insightface"


def find_pack(folder: Path) -> ModelPack | None:
    """The first folder with both files, in the order of `SUBFOLDERS`; None when there is none."""
    for pattern in SUBFOLDERS:
        for place in sorted(folder.glob(pattern)) if pattern else [folder]:
            detector, recogniser = _first(place, DETECTORS), _first(place, RECOGNISERS)
            if detector is not None and recogniser is not None:
                return ModelPack(detector, recogniser)
    return None


def _first(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)
