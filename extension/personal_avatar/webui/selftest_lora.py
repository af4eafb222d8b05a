"""A LoRA is tried with the WebUI's own network code: every part must find its place, and it must change a picture.

The WebUI ignores parts that it does not know, and LoRAs of the wrong size, without a word; here this is an error.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import Crashed, NotTaken, SelfTestFailed
from personal_avatar.naming import first_line, named
from personal_avatar.problems import stated
from personal_avatar.training.families.files import read_shapes
from personal_avatar.webui import generation, trial

JOINED = ("_q_proj", "_k_proj", "_v_proj", "_out_proj")
OPEN_CLIP = "model_transformer_resblocks_"


def verify(file: Path) -> bool:
    """Try a LoRA that lies in the WebUI's folder on the chosen checkpoint; False when it was trained on another one.

    Raises `SelfTestFailed` when a part of it finds no place or does not fit, or when it changes nothing; `NotTaken`
    when the WebUI takes another file for its name.
    """
    import networks  # the WebUI's Lora extension; `published` has looked whether it is there

    with generation.turn():
        entry = networks.available_networks.get(file.stem)
        if entry is None or not file.samefile(entry.filename):
            prompt = f"<lora:{file.stem}>"
            if entry is None:
                raise stated(NotTaken, "failure.no_lora", prompt=prompt, place=file)
            raise stated(NotTaken, "failure.other_lora", other_file=entry.filename, prompt=prompt, place=file)
        base = trial.base()
        if not trial.trained_on(entry.metadata, base):
            return False
        _verify_places(file, _network(file, entry))
        _verify_effect(file, base)
    return True


def _network(file: Path, entry: Any) -> Any:
    """The file as the WebUI reads it for the loaded checkpoint."""
    import networks

    try:
        return networks.load_network(file.stem, entry)
    except (AssertionError, RuntimeError, KeyError, ValueError) as error:
        if not isinstance(named(error), Crashed):  # full memory is no fault of the file
            raise
        raise stated(
            SelfTestFailed, "failure.unreadable_there", trial.HINT, file=file.name, cause=first_line(error),
        ) from error


def _verify_places(file: Path, network: Any) -> None:
    wanted = parts_of(file)
    found = {module.network_key.partition(".")[0] for module in network.modules.values()}
    if wanted != found:
        missing = ", ".join(sorted(wanted - found)[:3])
        raise stated(
            SelfTestFailed, "failure.no_parts", trial.HINT, found=len(found), of=len(wanted), file=file.name,
            lost=missing,
        )
    alone = incomplete(set(network.modules))
    if alone:
        raise stated(
            SelfTestFailed, "failure.half_layer", trial.HINT, parts=", ".join(sorted(alone)[:3]),
            file=file.name,
        )


def parts_of(file: Path) -> set[str]:
    """Names of the modules that a LoRA file changes: what its tensors are called before the first dot."""
    return {name.partition(".")[0] for name in read_shapes(file)}


def incomplete(modules: set[str]) -> set[str]:
    """The modules (in the WebUI's names) of OpenCLIP's attention layers of which not all four parts are there.

    Query, key and value are one weight in that text encoder; the WebUI changes it with all of q, k, v, out or not at
    all, and says nothing.
    """
    parts = {name for name in modules if OPEN_CLIP in name and name.endswith(JOINED)}
    layers = {name: next(name.removesuffix(end) for end in JOINED if name.endswith(end)) for name in parts}
    return {name for name, layer in layers.items() if not all(layer + end in modules for end in JOINED)}


def _verify_effect(file: Path, base: BaseModelFile) -> None:
    without = trial.picture("portrait", base)
    with trial.blamed(file):
        with_it = trial.picture(f"portrait <lora:{file.stem}:1>", base)
    if "Networks with errors" in with_it.remarks:
        raise stated(
            SelfTestFailed, "failure.not_fitting", trial.HINT, file=file.name, cause=with_it.remarks.strip(),
        )
    trial.demand_difference(file, without, with_it)
