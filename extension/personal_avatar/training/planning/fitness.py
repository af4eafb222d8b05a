"""Whether a checkpoint can be trained at all, as far as the header of its file tells: asked before any work begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from personal_avatar.domain import BaseModelFile
from personal_avatar.domain.families import OF_CROSS_ATTENTIONS, OF_WIDTH
from personal_avatar.errors import AvatarError, BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.training.families.detect import UNET, WEIGHTS
from personal_avatar.training.families.files import Shapes, not_floating, read_shapes
from personal_avatar.training.families.loading import named_layout_errors
from personal_avatar.training.families.sidecar import cross_width, read_params, sidecar_of
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.families.vae_config import refuse_lost, vae_config, vae_shapes
from personal_avatar.training.planning.network import READER, network_in
from personal_avatar.wording import FAMILIES, text

_ENDS = ("weight", "bias", "positional_embedding", "text_projection")  # of the names of weights, not of counters
_SCALES = (".scale_weight", ".weight_scale", ".absmax", ".SCB")  # what weights of fewer bits are multiplied by


def refuse_unfit(base: BaseModelFile) -> None:
    """No weights are read, and no torch is needed for safetensors. Raises `BaseNotFound`; `BaseUnsupported` for what is
    no checkpoint, is quantised, has no VAE, the yaml of another model, or a network of which the size cannot be told or
    parts are missing."""
    network = network_in(base.path)
    _refuse_quantised(base.path, network.shapes, WEIGHTS)
    refuse_lost(base)
    if base.vae is not None:
        _refuse_quantised(base.vae, read_shapes(base.vae), ("",))
    base, params = replace(base, family=network.family), read_params(base)
    with named_layout_errors(base, FAMILIES[base.family]):
        _refuse_numbers(network.shapes)
        _refuse_foreign_yaml(base, cross_width(params), network.cross_attentions[1])
        unet_config(network.shapes, params, base)
        vae_config(vae_shapes(network.shapes, base), params, base)


def takes_published(base: BaseModelFile) -> bool:
    """Whether adapters of faces fit that are published for its family, by the header of its file; there are none for
    Stable Diffusion 2. Where that cannot be read, whoever loads it says why."""
    try:
        count, width = network_in(base.path).cross_attentions
    except AvatarError:
        return True
    return OF_CROSS_ATTENTIONS.get(count) is OF_WIDTH.get(width) is base.family


def face_widths(base: BaseModelFile) -> tuple[int, ...]:
    """How wide the UNet's cross-attentions are, in rising order, by the header of its file: adapters of faces have to
    be as wide. Empty where that cannot be read."""
    try:
        shapes = network_in(base.path).shapes
    except AvatarError:
        return ()
    return tuple(sorted(shape[0] for key, shape in shapes.items() if key.startswith(UNET) and key.endswith(READER)))


def _refuse_quantised(path: Path, shapes: Shapes, prefixes: tuple[str, ...]) -> None:
    """Raises `BaseUnsupported`. What is not called as weights are, such as numbers of positions, may be whole."""
    stored = {name: kind for name, kind in not_floating(path).items() if name.endswith(_ENDS)}
    stored |= {name: text("content.scale") for name in shapes if name.endswith(_SCALES)}
    for name, kind in stored.items():
        if name.startswith(prefixes):
            values = {"file": path.name, "tensor": name, "format": kind}
            raise stated(BaseUnsupported, "base.quantised", "remedy.fp16", **values)


def _refuse_foreign_yaml(base: BaseModelFile, said: int, found: int) -> None:
    """Raises `BaseUnsupported` for a yaml of another model, which a WebUI would build in place of what the file holds.
    `said`, `found`: how wide cross-attentions are, 0 where that is not known."""
    if said and found and said != found:
        values = {"yaml": sidecar_of(base).name, "file": base.path.name}
        model = FAMILIES[OF_WIDTH[said]] if said in OF_WIDTH else text("content.other_model")
        family = FAMILIES[base.family]
        raise stated(BaseUnsupported, "base.other_yaml", "remedy.other_yaml", model=model, family=family, **values)


def _refuse_numbers(shapes: Shapes) -> None:
    """Raises `ValueError`: of nothing in a network there is just one."""
    for name, shape in shapes.items():
        if name.startswith(UNET) and not shape:
            raise ValueError(text("content.single", tensor=name))
