from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldm_layout import MINIATURE, STANDARD, shapes_of
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported
from personal_avatar.training.families import registry
from personal_avatar.training.families.detect import detect, read_shapes

UNET = "model.diffusion_model.input_blocks.0.0.weight"


def header_only(path: Path, shapes: dict[str, tuple[int, ...]]) -> BaseModelFile:
    """A file whose header is true and whose weights are missing: nothing that only detects may look at them."""
    entry = {"dtype": "F16", "data_offsets": [0, 0]}
    header = json.dumps({name: {**entry, "shape": shape} for name, shape in shapes.items()})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    return BaseModelFile(path, path.stem, Family.SD1)


def test_the_header_alone_tells_the_family(tmp_path: Path) -> None:
    base = header_only(tmp_path / "a.safetensors", shapes_of(STANDARD))
    assert registry.supported(base) is Family.SD1


@pytest.mark.parametrize(("key", "family"), [
    ("conditioner.embedders.0.transformer.x", Family.SDXL),
    ("cond_stage_model.model.transformer.resblocks.0.x", Family.SD2),
    ("cond_stage_model.transformer.text_model.x", Family.SD1),
])
def test_text_encoders_tell_families_apart(key: str, family: Family) -> None:
    assert detect({UNET: (320, 4, 3, 3), key: (1,)}) is family


@pytest.mark.parametrize(("shapes", "word"), [
    ({"double_blocks.0.x": (1,)}, "Flux"),
    ({"lora_unet_x.lora_up.weight": (1, 1)}, "LoRA"),
    ({"down_blocks.0.x": (1,)}, "diffusers layout"),
    ({UNET: (320, 9, 3, 3)}, "inpainting"),
    ({UNET: (320, 4, 3, 3)}, "no text encoder"),
    ({}, "unknown kind"),
])
def test_what_cannot_be_trained_is_named(shapes: dict[str, tuple[int, ...]], word: str) -> None:
    with pytest.raises(BaseUnsupported, match=word):
        detect(shapes)


def test_sdxl_is_refused_with_a_hint(tmp_path: Path) -> None:
    shapes = {UNET: (320, 4, 3, 3), "conditioner.embedders.0.x": (1,)}
    with pytest.raises(BaseUnsupported, match=r"Stable Diffusion XL.*Load a Stable Diffusion 1\.x"):
        registry.supported(header_only(tmp_path / "xl.safetensors", shapes))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BaseNotFound):
        read_shapes(tmp_path / "nowhere.safetensors")


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    path.write_bytes(data)
    try:
        read_shapes(path)
    except BaseUnsupported as error:
        assert "safetensors" in error.message


def test_a_pickle_with_code_in_it_is_refused(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": print}))
    with pytest.raises(BaseUnsupported, match="Convert it to safetensors"):
        read_shapes(path)


def test_a_plain_ckpt_has_the_same_shapes(tmp_path: Path) -> None:
    import torch

    shapes = {name: shape for name, shape in shapes_of(MINIATURE).items() if len(shape) == 1}
    torch.save({"state_dict": {name: torch.zeros(shape) for name, shape in shapes.items()}}, tmp_path / "a.ckpt")
    assert read_shapes(tmp_path / "a.ckpt") == shapes
