"""Would the WebUI apply every module of a saved LoRA, and to the very weight that it was trained on?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.families.files import Weights, read_shapes
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.webui_names import webui_name

if TYPE_CHECKING:
    import torch

REPORT_IT = "remedy.report"


def check(path: Path, model: DiffusionModel, trained_on: dict[str, torch.Tensor]) -> int:
    """Number of modules, all found. `trained_on`: key -> frozen weight; it is compared with what the checkpoint's file
    has, as long as that is the one that was trained on. Raises `SelfTestFailed`."""
    shapes, known = product_shapes(path), model.webui_weight_names()
    names = {key: known.get(webui_name(key, model.family) or "") for key in shapes}
    lost = [key for key, name in names.items() if name is None or key not in trained_on]
    if lost or not shapes or len(set(names.values())) < len(names):
        raise stated(
            SelfTestFailed, "failure.lost_modules", REPORT_IT, found=len(names) - len(lost), of=len(names),
            file=path.name, lost=lost[:1],
        )
    in_file = _in_file(model, {str(name): trained_on[key] for key, name in names.items()})
    for key, name in names.items():
        if not _same_place(shapes[key], in_file[str(name)], trained_on[key]):
            raise stated(SelfTestFailed, "failure.other_module", REPORT_IT, module=key)
    return len(names)


def _in_file(model: DiffusionModel, trained_on: Weights) -> Weights:
    """Place in the checkpoint -> what its file has there; of one that is gone or was replaced, what was trained on."""
    return model.file_weights(list(trained_on)) if model.file_is_as_read else trained_on


def product_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Kohya key -> shape of up times down, which must be that of the weight it is added to."""
    shapes = read_shapes(path)
    keys = [key.removesuffix(".lora_up.weight") for key in shapes if key.endswith(".lora_up.weight")]
    return {key: (shapes[f"{key}.lora_up.weight"][0], *shapes[f"{key}.lora_down.weight"][1:]) for key in keys}


def same_layer(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether shapes of weights are the same but for ones at their ends: a linear layer is a convolution of one pixel,
    and who reads LoRAs takes the one for the other. sd-scripts trains Stable Diffusion 2 as such convolutions."""
    long, short = sorted((tuple(shape), tuple(other)), key=len, reverse=True)
    return long[: len(short)] == short and set(long[len(short) :]) <= {1}


def _same_place(shape: tuple[int, ...], in_file: torch.Tensor, trained_on: torch.Tensor) -> bool:
    """Whether the tensor that the WebUI adds to is the very one that was trained on."""
    import torch

    if not same_layer(shape, in_file.shape):
        return False
    return torch.equal(in_file.to(trained_on.device, trained_on.dtype).reshape(trained_on.shape), trained_on)
