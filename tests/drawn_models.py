"""Models for drawn characters in miniature: the true layout of inputs and outputs, random weights."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_files import node, write

CCIP_NAME = "ccip-caformer-24-randaug-pruned"
SIDE_PX, CELLS, FEATURES = 384, 12, 768
PLACES = 64


def make_ccip(folder: Path, seed: int = 0, name: str = CCIP_NAME) -> Path:
    """`<name>/model_feat.onnx`: NCHW, 384 px, 768 numbers that depend on the colours of 12 x 12 cells."""
    random = np.random.default_rng(seed)
    weights = {
        "weight": random.normal(0, 0.1, (CELLS * CELLS * 3, FEATURES)).astype(np.float32),
        "bias": np.zeros(FEATURES, dtype=np.float32),
    }
    cell = SIDE_PX // CELLS
    nodes = [
        node("AveragePool", ["input"], "cells", kernel_shape=[cell, cell], strides=[cell, cell]),
        node("Flatten", ["cells"], "row", axis=1),
        node("Gemm", ["row", "weight", "bias"], "output"),
    ]
    given = ("input", ["batch", 3, SIDE_PX, SIDE_PX])
    return write(folder / name / "model_feat.onnx", nodes, weights, given, ("output", ["batch", FEATURES]))


def make_drawn_faces(folder: Path, box: tuple[float, float, float, float] = (320.0, 200.0, 120.0, 160.0)) -> Path:
    """`face_detect_v1.4_s/model.onnx`: NCHW, 640 px, (1, 5, places) of middle, width, height and score. Each of 64
    columns that is red all the way down means that there is a face in `box`, the surer the redder."""
    weight = np.zeros((5, 3, 1, 1), dtype=np.float32)
    weight[4, 0] = 1.0
    nodes = [
        node("AveragePool", ["images"], "columns", kernel_shape=[640, 10], strides=[640, 10]),
        node("Conv", ["columns", "weight", "bias"], "table", kernel_shape=[1, 1]),
        node("ReduceMean", ["table"], "output0", axes=[2], keepdims=0),
    ]
    weights = {"weight": weight, "bias": np.array([*box, 0.0], dtype=np.float32)}
    given = ("images", ["batch", 3, 640, 640])
    return write(
        folder / "face_detect_v1.4_s" / "model.onnx", nodes, weights, given, ("output0", ["batch", 5, PLACES])
    )
