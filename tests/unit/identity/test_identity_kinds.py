"""Files are told by names and shapes: of the true sizes, of miniatures, of everything else that lies about."""
from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from miniature_adapters import NAMES, make_adapter, make_clip_vision, make_identitynet
from miniatures import make
from personal_avatar.benchmarks.identity_layout import adapter_shapes
from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.identity.kinds import (
    Adapter,
    ClipVision,
    IdentityNet,
    Other,
    read_shapes,
    recognised,
    wanted_adapter,
)
from personal_avatar.identity.nouns import AdapterKind


@pytest.mark.parametrize(("kind", "family"), NAMES)
def test_published_files_are_told_by_their_shapes(kind: AdapterKind, family: Family) -> None:
    shapes = adapter_shapes(kind, STANDARD_SIZES[family])
    found = recognised(shapes, Path(f"{NAMES[kind, family]}.bin"))
    assert isinstance(found, Adapter) and (found.kind, found.family) == (kind, family)
    assert len(found.widths) == {Family.SD1: 16, Family.SDXL: 70}[family]


@pytest.mark.parametrize(("kind", "family"), NAMES)
def test_the_family_needs_no_name(kind: AdapterKind, family: Family) -> None:
    found = recognised(adapter_shapes(kind, STANDARD_SIZES[family]), Path("renamed.bin"))
    assert isinstance(found, Adapter) and found.family is family


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize(("kind", "family"), NAMES)
def test_small_ones_are_told_by_structure(kind: AdapterKind, family: Family, suffix: str, tmp_path: Path) -> None:
    path = make_adapter(kind, family, tmp_path, suffix=suffix)
    found = recognised(read_shapes(path), path)
    assert isinstance(found, Adapter) and (found.kind, found.family) == (kind, family)


@pytest.mark.parametrize("name", ["FaceID_PlusV2", "faceid-plus-v2_sd15", "faceid_plus_v2"])
def test_the_second_plus_is_told_by_its_name_alone(name: str) -> None:
    shapes = adapter_shapes(AdapterKind.FACEID_PLUS, STANDARD_SIZES[Family.SD1])
    for given_name, kind in ((name, AdapterKind.FACEID_PLUS_V2), ("faceid-plus_sd15", AdapterKind.FACEID_PLUS)):
        found = recognised(shapes, Path(f"{given_name}.bin"))
        assert isinstance(found, Adapter) and found.kind is kind


def test_a_small_one_without_a_telling_name_is_for_any_family(tmp_path: Path) -> None:
    path = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path)
    found = recognised(read_shapes(path), Path("face.safetensors"))
    assert isinstance(found, Adapter) and found.family is None


@pytest.mark.parametrize(("path", "told"), [
    ("control_instant_id_sdxl.safetensors", 2), ("InstantID/ControlNetModel/diffusion_pytorch_model.safetensors", 2),
    ("InstantID/control-depth.safetensors", 1), ("control_depth_sdxl.safetensors", 0),
])
def test_the_identity_net_is_told_from_other_control_nets_by_names(path: str, told: int, tmp_path: Path) -> None:
    assert recognised(read_shapes(make_identitynet(tmp_path)), Path(path)) == IdentityNet(told)


def test_a_net_where_it_is_published_is_known_by_the_adapter_beside_it(tmp_path: Path) -> None:
    shapes = read_shapes(make_identitynet(tmp_path))
    (tmp_path / "ip-adapter.bin").touch()
    inside = tmp_path / "ControlNetModel" / "diffusion_pytorch_model.safetensors"
    assert recognised(shapes, inside) == IdentityNet(2)


def test_control_nets_in_the_layout_of_ldm_are_others() -> None:
    sdxl = {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.label_emb.0.0.weight": (8, 8)}
    assert recognised(sdxl, Path("instantid.pth")) == Other("a ControlNet for SDXL in the layout of LDM")
    assert recognised(dict(list(sdxl.items())[:1]), Path("a.pth")) == Other("a ControlNet for SD 1 or 2")


def test_the_seeing_half_of_clip_is_known(tmp_path: Path) -> None:
    assert recognised(read_shapes(make_clip_vision(tmp_path) / "model.safetensors"), tmp_path) == ClipVision(64)


def test_what_sees_otherwise_than_clip_is_not_taken_for_it() -> None:
    siglip = {
        "vision_model.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (729, 1152),
    }
    name = Path("sigclip_vision_patch14_384.safetensors")
    with pytest.raises(BaseUnsupported, match="sees pictures otherwise than CLIP"):
        wanted_adapter(recognised(siglip, name), name)


WHOLE_PICTURES = {
    "plus": {"image_proj.latents": (1, 16, 768), "image_proj.proj_in.weight": (768, 1280)},
    "base": {"image_proj.proj.weight": (3072, 1024), "image_proj.norm.weight": (768,)},
    "full": {"image_proj.proj.0.weight": (1280, 1280), "image_proj.proj.3.weight": (768,)},
}


@pytest.mark.parametrize("projection", WHOLE_PICTURES.values(), ids=WHOLE_PICTURES)
def test_adapters_for_whole_pictures_are_not_for_faces(projection: dict[str, tuple[int, ...]]) -> None:
    found = recognised({**projection, "ip_adapter.1.to_k_ip.weight": (320, 768)}, Path("a.bin"))
    with pytest.raises(BaseUnsupported, match=r"a\.bin is an IP-Adapter .*whole pictures") as caught:
        wanted_adapter(found, Path("a.bin"))
    assert "InstantID" in caught.value.hint and "FaceID" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lora_unet_down_blocks_0_attentions_0.lora_down.weight", "a LoRA"),
        ("unet.down_blocks.0.to_q_lora.down.weight", "a LoRA"),
        ("model.diffusion_model.input_blocks.0.0.weight", "a checkpoint"),
        ("down_blocks.0.resnets.0.conv1.weight", "a UNet"),
        ("first_stage_model.encoder.conv_in.weight", "a VAE"),
        ("emb_params", "an embedding"),
        ("visual.conv1.weight", "a CLIP in the layout of open_clip"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet for SD 1 or 2"),
        ("x", "of an unknown kind"),
    ],
)
def test_what_was_put_there_by_mistake_is_named(name: str, what: str) -> None:
    with pytest.raises(BaseUnsupported, match=f"mine.bin is {what}"):
        wanted_adapter(recognised({name: (4, 4)}, Path("mine.bin")), Path("mine.bin"))


def test_a_real_checkpoint_is_named(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path)
    assert recognised(read_shapes(base.path), base.path) == Other("a checkpoint")


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_what_cannot_be_read_is_named_with_the_remedy(suffix: str, tmp_path: Path) -> None:
    whole = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path, suffix=suffix)
    torn = tmp_path / f"torn{suffix}"
    torn.write_bytes(whole.read_bytes()[:-5000])
    for path in (torn, tmp_path / f"absent{suffix}"):
        with pytest.raises(WeightsCorrupt, match=path.name) as caught:
            read_shapes(path)
        assert str(path) in caught.value.hint


NAMED = st.text("abc._0123", max_size=12) | st.sampled_from([
    "image_proj.latents", "image_proj.proj_in.weight", "image_proj.proj.0.weight", "image_proj.proj.2.weight",
    "image_proj.norm.weight", "image_proj.perceiver_resampler.proj_in.weight", "ip_adapter.1.to_k_ip.weight",
    "vision_model.embeddings.patch_embedding.weight", "label_emb.0", "input_hint_block.0",
    "ip_adapter.x.to_k_ip.weight",
])


@given(shapes=st.dictionaries(NAMED, st.lists(st.integers(0, 2048), max_size=4).map(tuple), max_size=12))
def test_any_names_and_shapes_have_an_answer(shapes: dict[str, tuple[int, ...]]) -> None:
    assert isinstance(recognised(shapes, Path("any.bin")), Adapter | IdentityNet | ClipVision | Other)


@given(header=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_no_header_breaks_it(header: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    try:
        assert read_shapes(path) == {}
    except WeightsCorrupt as error:
        assert "a.safetensors" in error.message


def test_a_file_of_any_size_is_asked_in_no_time(tmp_path: Path) -> None:
    path, size = tmp_path / "a.safetensors", 40 * 2**30
    header = json.dumps({"emb_params": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with path.open("rb+") as file:
        file.truncate(8 + len(header) + size)  # a file with a hole
    started = time.perf_counter()
    assert read_shapes(path) == {"emb_params": (size // 2,)}
    assert time.perf_counter() - started < 1
