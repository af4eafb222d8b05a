"""Face restorers in the WebUI: the files that it and its users have, through its own loader, one face at a time.

The WebUI's own functions would look for faces a second time, with another detector that has to be downloaded first;
see `restoration.aligned` for what is done instead. Nothing is downloaded unasked.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from modules import devices, modelloader, paths, shared

from personal_avatar.domain import Face
from personal_avatar.restoration import networks
from personal_avatar.restoration.aligned import restore_faces
from personal_avatar.webui.folders import data_folder
from personal_avatar.webui.generation import turn

CODEFORMER = "CodeFormer"


def folders() -> tuple[Path, ...]:
    """Where weights of restorers lie; ours is the last."""
    models = Path(paths.models_path)
    ours = data_folder() / "weights" / networks.FOLDER
    given = (shared.cmd_opts.codeformer_models_path, shared.cmd_opts.gfpgan_models_path)
    return (*map(Path, given), models / "RestoreFormer", models / "facerestore_models", ours)


def available() -> tuple[str, ...]:
    """Names of the restorers that work now, best first."""
    return tuple(networks.files_in(folders()))


def chosen(wanted: str) -> str:
    """The restorer of that name, the best one when it is empty. Raises `RestorerMissing`."""
    installed = available()
    model = wanted or next(iter(installed), "")
    if model not in installed:
        raise networks.missing(model, folders()[-1], installed)
    return model


def restore(image: np.ndarray, model: str, fidelity: float, face: Face | None = None) -> np.ndarray:
    """Wait for our turn in the queue, then `restored`."""
    with turn():
        return restored(image, model, fidelity, face)


def restored(image: np.ndarray, model: str, fidelity: float, face: Face | None = None) -> np.ndarray:
    """Restore `face`, or all faces, of a uint8 RGB picture; `fidelity` 0 (free) .. 1 (faithful). Only within the
    WebUI's queue. Raises `RestorerMissing`."""
    file = networks.file_of(model, folders())
    if file is None:
        raise networks.missing(model, folders()[-1], available())
    device = devices.device_codeformer if model == CODEFORMER else devices.device_gfpgan
    network = networks.network_of(model, file, file.stat().st_mtime_ns, _load)
    network.to(device)
    try:
        faces = _all_faces(image) if face is None else [face]
        return restore_faces(image, faces, networks.calling(model, network, device), fidelity)
    finally:
        if shared.opts.face_restoration_unload:
            network.to(devices.cpu)


def _all_faces(image: np.ndarray) -> list[Face]:
    from personal_avatar.webui import register

    return register.studio().analyser().detect(image)


def _load(file: Path) -> Any:
    return modelloader.load_spandrel_model(file, device="cpu")
