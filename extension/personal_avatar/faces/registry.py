"""Which face backend is used: the user's insightface models when there are some, else YuNet and SFace; CCIP for drawn
characters when it is there.

insightface's models are non-commercial: they are used when the user has them, and fetched only when asked for by name.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from personal_avatar import commandline
from personal_avatar.domain import Look
from personal_avatar.errors import WeightsMissing, WrongState
from personal_avatar.faces import landmarks
from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.ccip import CharacterAnalyser
from personal_avatar.faces.drawn import DrawnFaces
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.faces.sface import NAME as SFACE_NAME
from personal_avatar.faces.sface import sface
from personal_avatar.faces.yunet import YuNet
from personal_avatar.problems import stated
from personal_avatar.weights import registry as weights
from personal_avatar.weights.drawn import CCIP
from personal_avatar.weights.fetch import OnProgress, ensure
from personal_avatar.wording import text

DETECTORS = ("det_*.onnx", "scrfd_*bnkps.onnx")
RECOGNISERS = ("glintr100.onnx", "w600k_r50.onnx", "w600k_*.onnx")
DRAWN_DETECTORS = ("face_detect_v1.4_s/model.onnx", "face_detect_*/model.onnx")
CHARACTERS = ("ccip-caformer-24-randaug-pruned/model_feat.onnx", "ccip-*/model_feat.onnx")
SUBFOLDERS = ("", "antelopev2", "buffalo_l", "models/antelopev2", "models/buffalo_l", "*", "models/*")


@dataclass(frozen=True)
class ModelPack:
    """A folder in insightface's layout that holds a detector and a recogniser."""

    detector: Path
    recogniser: Path


def default_analyser(
    weights_folder: Path, model_folder: Path | None = None, on_progress: OnProgress | None = None
) -> Analyser:
    """The best backend at hand for photos; cheap to call again.

    `model_folder`: insightface's root, `models` or a pack in it; by default the folder `insightface` in
    `weights_folder`, for users who put their own models there. Without a pack YuNet and SFace (11 MB) are used, and
    fetched when they are not there yet; raises `WeightsMissing` when that fails.
    """
    pack = find_pack(model_folder or own_models(weights_folder))
    if pack is not None:
        points = pack.detector.parent / landmarks.NAME
        outline = landmarks.Landmarks106(points) if points.is_file() else None
        return Analyser(Scrfd(pack.detector), arcface(pack.recogniser), outline)
    return _of_the_zoo(weights_folder, on_progress)


def _of_the_zoo(weights_folder: Path, on_progress: OnProgress | None = None) -> Analyser:
    detector = ensure(weights.YUNET, weights_folder, on_progress)
    return Analyser(YuNet(detector), sface(ensure(weights.SFACE, weights_folder, on_progress)))


def analyser_for(look: Look, weights_folder: Path) -> FaceAnalyser:
    """Who recognises people in pictures of that look. Drawn ones: CCIP when it is there, else whoever does in photos.

    Raises as `default_analyser` does.
    """
    model = characters(weights_folder) if look is Look.DRAWN else None
    return default_analyser(weights_folder) if model is None else _of_characters(model, weights_folder)


def _of_characters(model: Path, weights_folder: Path) -> CharacterAnalyser:
    """Faces are found by the detector for drawings when it is there."""
    usual = default_analyser(weights_folder).detector
    drawn = _first(weights_folder, DRAWN_DETECTORS)
    return CharacterAnalyser(usual if drawn is None else DrawnFaces(drawn, usual), model)


def characters(weights_folder: Path) -> Path | None:
    """The file that tells drawn characters apart; None when there is none."""
    return _first(weights_folder, CHARACTERS)


def analyser_named(name: str, weights_folder: Path) -> FaceAnalyser:
    """The backend whose vectors carry this name, such as an avatar's `recogniser`; the default one for "".

    Raises `WeightsMissing` when it is CCIP and not here, `WrongState` when it is any other that is not here.
    """
    usual = default_analyser(weights_folder)
    if name in ("", usual.name):
        return usual
    if name == SFACE_NAME:
        return _of_the_zoo(weights_folder)
    for model in weights_folder.glob(CHARACTERS[-1]):
        if model.parent.name == name:
            return _of_characters(model, weights_folder)
    raise _not_here(name, weights_folder)


def _not_here(name: str, weights_folder: Path) -> WeightsMissing | WrongState:
    if name == Path(CCIP.file_name).parent.name:
        command = commandline.fetching(weights_folder, "drawn")
        return WeightsMissing(
            text("failure.no_drawn", who=name, size=CCIP.size_text),
            text("error.WEIGHTS_MISSING.run", command=command, file=f"{CCIP.url} -> {weights_folder / CCIP.file_name}"),
            (CCIP.name,),
        )
    return stated(WrongState, "failure.no_recogniser", "remedy.put_back_recogniser", who=name)


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
