"""A second opinion: a recogniser of another kind than the one that somebody was trained and judged with."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from personal_avatar.faces import sface
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.registry import find_pack, own_models
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.faces.yunet import YuNet
from personal_avatar.weights.fetch import present
from personal_avatar.weights.registry import SFACE, YUNET


def second_to(name: str, weights_folder: Path, folders: Sequence[Path]) -> Analyser | None:
    """SFace for whoever is no SFace, else a pack of insightface in one of `folders`; None where its files are not here.

    Nothing is fetched for it. `name`: of the first recogniser.
    """
    if name != sface.NAME:
        there = all(present(weight, weights_folder) for weight in (YUNET, SFACE))
        detector, recogniser = (weights_folder / weight.file_name for weight in (YUNET, SFACE))
        return Analyser(YuNet(detector), sface.sface(recogniser)) if there else None
    packs = (find_pack(folder) for folder in (own_models(weights_folder), *folders) if folder.is_dir())
    pack = next((pack for pack in packs if pack is not None), None)
    return None if pack is None else Analyser(Scrfd(pack.detector), arcface(pack.recogniser))
