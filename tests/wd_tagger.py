"""A WD tagger in miniature: the true layout (448 px, NHWC, a probability a tag) with random weights."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from onnx_files import node, write

SIDE_PX, CELLS = 448, 8
# (name, category): ratings first, as in the real table.
TAGS = [
    ("general", 9), ("sensitive", 9), ("questionable", 9), ("explicit", 9), ("1girl", 0), ("long_hair", 0),
    ("smile", 0), ("^_^", 0), ("red_dress", 0), ("park", 0), ("hat", 0), ("white_background", 0), ("car", 0),
    ("hatsune_miku", 4), ("saber_(fate)", 4),
]  # fmt: skip


def make(folder: Path, seed: int = 0) -> Path:
    """model.onnx and selected_tags.csv in `folder`."""
    random = np.random.default_rng(seed)
    inner = CELLS * CELLS * 3
    weights = {
        "weight": random.normal(0, 0.004, (inner, len(TAGS))).astype(np.float32),
        "bias": random.normal(0, 1.5, len(TAGS)).astype(np.float32),
    }
    cell = SIDE_PX // CELLS
    nodes = [
        node("Transpose", ["picture"], "planes", perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], "cells", kernel_shape=[cell, cell], strides=[cell, cell]),
        node("Flatten", ["cells"], "row", axis=1),
        node("Gemm", ["row", "weight", "bias"], "logits"),
        node("Sigmoid", ["logits"], "output"),
    ]
    given = ("picture", ["batch", SIDE_PX, SIDE_PX, 3])
    write(folder / "model.onnx", nodes, weights, given, ("output", ["batch", len(TAGS)]))
    with (folder / "selected_tags.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["tag_id", "name", "category", "count"])
        rows.writerows([number, name, kind, 1000] for number, (name, kind) in enumerate(TAGS))
    return folder
