"""A saved embedding means the same to others as to us: to diffusers and to the WebUI's reader."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from foreign import defined_in, load, pipeline, with_webui
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import Subject
from personal_avatar.training.methods.textual_inversion import TextualInversion
from personal_avatar.training.planning.plan import TextualInversionPlan
from safetensors.torch import load_file

FAMILIES = tuple(Family)
NAME = "pa-linh"
KEYS = {Family.SD1: ["emb_params"], Family.SD2: ["emb_params"], Family.SDXL: ["clip_g", "clip_l"]}
WIDTHS = {Family.SD1: 32, Family.SD2: 128, Family.SDXL: 160}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in FAMILIES}


def trained(model: DiffusionModel, file: Path) -> TextualInversion:
    words = TextualInversion(model, TextualInversionPlan(vectors=3), Subject("sks man", "man"))
    generator = torch.Generator().manual_seed(5)
    words.load({key: torch.randn(rows.shape, generator=generator) for key, rows in words.state().items()})
    words.save(file, {"modelspec.architecture": "stable-diffusion-v1/textual-inversion"})
    return words


def taught(model: DiffusionModel, file: Path) -> Any:
    """A pipeline of diffusers that has read the file."""
    pipe = pipeline(model)
    if model.family is not Family.SDXL:
        pipe.load_textual_inversion(str(file), token=NAME)
        return pipe
    rows = load_file(file)
    pipe.load_textual_inversion(rows["clip_l"], token=NAME, text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    pipe.load_textual_inversion(
        rows["clip_g"], token=NAME, text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2
    )
    return pipe


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_reads_the_same_words(bases: dict[Family, BaseModelFile], family: Family, tmp_path: Path) -> None:
    ours, theirs, file = load(bases[family]), load(bases[family]), tmp_path / f"{NAME}.safetensors"
    trained(ours, file)
    pipe = taught(theirs, file)
    spoken = [
        pipe.maybe_convert_prompt(f"a portrait of {NAME} man, smiling", tokenizer) for tokenizer in theirs.tokenizers
    ]
    assert len(set(spoken)) == 1
    assert f"{NAME}_2" in spoken[0]
    with torch.no_grad():
        expected, found = theirs.encode_text(spoken[:1]), ours.encode_text(["a portrait of sks man, smiling"])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
@with_webui
@pytest.mark.parametrize("family", FAMILIES)
def test_the_webui_reads_all_vectors_of_the_right_width(
    bases: dict[Family, BaseModelFile], family: Family, tmp_path: Path
) -> None:
    """The WebUI compares the width with that of the loaded checkpoint, and skips what does not fit without a word."""
    file = tmp_path / f"{NAME}.safetensors"
    words = trained(load(bases[family]), file)
    read = defined_in("modules/textual_inversion/textual_inversion.py", "create_embedding_from_data")
    read |= {"devices": SimpleNamespace(device="cpu"), "Embedding": lambda vec, name: SimpleNamespace(vec=vec)}
    found = read["create_embedding_from_data"](load_file(file), NAME)
    assert sorted(load_file(file)) == KEYS[family]
    assert (found.vectors, found.shape) == (3, WIDTHS[family])
    vectors = found.vec if isinstance(found.vec, dict) else {"emb_params": found.vec}
    assert {key: rows.tolist() for key, rows in vectors.items()} == {
        key: rows.tolist() for key, rows in words.state().items()
    }
