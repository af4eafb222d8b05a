"""Random checkpoints: of the true size, readable by everybody."""
from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from miniatures import SIZES
from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES, UNET, shapes_of
from personal_avatar.benchmarks.random_checkpoint import standard_checkpoint, write_random
from personal_avatar.domain import Family
from personal_avatar.training.families.detect import detect
from safetensors import safe_open
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

# Parameters of the published networks.
PUBLISHED = {Family.SD1: 859_520_964, Family.SD2: 865_910_724, Family.SDXL: 2_567_463_684}


@pytest.mark.parametrize("family", list(Family))
def test_the_standard_unet_has_the_published_number_of_parameters(family: Family) -> None:
    shapes = shapes_of(STANDARD_SIZES[family])
    assert sum(prod(shape) for name, shape in shapes.items() if name.startswith(UNET)) == PUBLISHED[family]
    assert detect(shapes, "random") is family


def test_a_written_file_is_read_by_others(tmp_path: Path) -> None:
    shapes = shapes_of(SIZES[Family.SD2])
    write_random(tmp_path / "a.safetensors", shapes)
    read = load_file(tmp_path / "a.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in read.items()} == shapes
    assert all(tensor.isfinite().all() for tensor in read.values())
    assert not list(tmp_path.glob("*.part"))


def test_weights_keep_the_size_of_what_passes_through_them(tmp_path: Path) -> None:
    write_random(tmp_path / "a.safetensors", {"a.weight": (64, 400), "norm.weight": (64,), "norm.bias": (64,)})
    with safe_open(str(tmp_path / "a.safetensors"), "pt") as file:
        assert float(file.get_tensor("a.weight").float().std()) == pytest.approx(400**-0.5, rel=0.05)
        assert float(file.get_tensor("norm.weight").float().mean()) == pytest.approx(1.0, abs=0.05)
        assert float(file.get_tensor("norm.bias").float().mean()) == pytest.approx(0.0, abs=0.05)


def test_a_checkpoint_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "random-sdxl.safetensors"
    path.write_bytes(b"there")
    base = standard_checkpoint(Family.SDXL, tmp_path)
    assert (base.path, base.native_px, base.family) == (path, 1024, Family.SDXL)
    assert path.read_bytes() == b"there"
