"""SFace as a differentiable network, for the identity part of the VAE's loss.

The weights are the Apache-2.0 file `face_recognition_sface_2021dec.onnx` (OpenCV zoo). Its graph is a chain, so that
each node becomes one layer and no general ONNX importer is needed. Measurements use another recogniser than the one
trained against.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CROP_PX = 112
TEMPLATE_PX = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace-like recognisers expect left eye, right eye, nose tip and mouth corners in their 112 px crop."""


class IdentityNet(nn.Module):
    """A frozen chain of convolutions read from an ONNX file.

    Input: float32 [n, 3, 112, 112], RGB, 0..255. Output: (embedding [n, 128], unit length; feature maps of the tapped
    layers). Raises ValueError for a graph with an operator that such a chain does not have.
    """

    def __init__(self, path: Path, taps: tuple[int, ...] = (4, 8, 14)) -> None:
        super().__init__()
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        weights = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
        self.steps: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = []
        for node in graph.node:
            inputs = [weights[name] for name in node.input if name in weights]
            self.steps.append((node.op_type, _layer(node, inputs)))
        self.taps = taps

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        features, activations = [], 0
        for kind, step in self.steps:
            crops = step(crops)
            if kind == "PRelu":
                activations += 1
                if activations in self.taps:
                    features.append(crops)
        return functional.normalize(crops), features


def _layer(node: Any, inputs: list[torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    attributes = {item.name: (list(item.ints) or item.i or item.f) for item in node.attribute}
    if node.op_type == "Conv":
        stride, padding, groups = attributes["strides"], attributes["pads"][:2], attributes["group"]
        return lambda x: functional.conv2d(x, inputs[0], None, stride, padding, 1, groups)
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = inputs
        scale = gamma / (variance + attributes["epsilon"]).sqrt()
        return lambda x: x * _channels(scale, x) + _channels(beta - mean * scale, x)
    simple: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "Sub": lambda x: x - inputs[0],
        "Mul": lambda x: x * inputs[0],
        "PRelu": lambda x: torch.where(x > 0, x, x * inputs[0].reshape(1, -1, 1, 1)),
        "Dropout": lambda x: x,
        "Flatten": lambda x: x.flatten(1),
        "Gemm": lambda x: functional.linear(x, inputs[0], inputs[1]),
    }
    if node.op_type not in simple:
        raise ValueError(
            f"operator {node.op_type} does not belong in SFace's graph: is this face_recognition_sface_2021dec.onnx?"
        )
    return simple[node.op_type]


def _channels(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape(1, -1, *([1] * (like.dim() - 2)))


def crop_matrix(landmarks_px: np.ndarray) -> np.ndarray:
    """Similarity transform that takes crop pixels to picture pixels.

    landmarks_px: float [5, 2] in the picture. Returns float32 [2, 3]: least squares over rotation, scale and shift.
    """
    source, target = TEMPLATE_PX, np.asarray(landmarks_px, np.float64)
    a = source - source.mean(0)
    b = target - target.mean(0)
    norm = (a * a).sum()
    cos, sin = (a * b).sum() / norm, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)]).astype(np.float32)


def crop_faces(pictures: torch.Tensor, landmarks_px: np.ndarray) -> torch.Tensor:
    """Aligned crops, differentiable. pictures: [n, 3, h, w] in -1..1; returns [n, 3, 112, 112], RGB, 0..255."""
    height, width = pictures.shape[-2:]
    ys, xs = torch.meshgrid(torch.arange(CROP_PX), torch.arange(CROP_PX), indexing="ij")
    points = torch.stack([xs, ys, torch.ones_like(xs)], -1).float()
    matrices = torch.from_numpy(np.stack([crop_matrix(item) for item in landmarks_px]))
    where = torch.einsum("hwk,nck->nhwc", points, matrices).to(pictures.device)
    grid = (where + 0.5) / torch.tensor([width, height], device=where.device) * 2 - 1
    crops = functional.grid_sample(pictures, grid, align_corners=False, padding_mode="border")
    return (crops.clamp(-1, 1) + 1) * 127.5
