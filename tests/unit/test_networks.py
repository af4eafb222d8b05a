"""What LoRA and embedding files are for, told from their headers, and what a prompt would run into."""
from __future__ import annotations

import json
import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.avatars import AvatarStore
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.host import Folders
from personal_avatar.networks import alias_of, family_of_file, header_of, loras_in, mismatches, split_embeddings
from safetensors.torch import save_file

ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
LDM_ATTENTION = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight"
SELF_ATTENTION = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_{}_attn1_to_q.lora_down.weight"
DAMAGED = "{} cannot be read: its file is damaged or no such file. Download or train it again."
LORAS = {Family.SD1: 768, Family.SD2: 1024, Family.SDXL: 2048}


def write(path: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path, metadata or None)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = [tmp_path / name for name in ("data", "loras", "embeddings", "checkpoints")]
    for folder in made:
        folder.mkdir()
    return Folders(*made)


def checkpoint(family: Family = Family.SD1) -> BaseModelFile:
    return BaseModelFile(Path("mine.safetensors"), "mine", family)


def test_a_header_is_read_once_while_its_file_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened, really = write(tmp_path / "one.safetensors", {ATTENTION: (4, 768)}), [], Path.open
    monkeypatch.setattr(Path, "open", lambda one, *how, **more: opened.append(one) or really(one, *how, **more))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    found = [header_of(path) for _ in range(3)]
    assert len(opened) == 1 and found[0].shapes == {ATTENTION: (4, 768)}
    write(path, {ATTENTION: (4, 1024)})
    assert header_of(path).shapes == {ATTENTION: (4, 1024)}


def test_a_file_that_was_changed_just_now_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "one.safetensors", {ATTENTION: (4, 768)})
    changed = path.stat().st_mtime_ns
    assert header_of(path).shapes == {ATTENTION: (4, 768)}
    write(path, {ATTENTION: (768, 4)})
    os.utime(path, ns=(changed, changed))
    assert header_of(path).shapes == {ATTENTION: (768, 4)}


@pytest.mark.parametrize("by_replacing", [False, True])
def test_a_file_of_the_same_size_whose_time_was_set_back_is_read_anew(tmp_path: Path, by_replacing: bool) -> None:
    path = write(tmp_path / "one.safetensors", {ATTENTION: (4, 768)})
    other = write(tmp_path / "other.safetensors", {ATTENTION: (768, 4)})
    for one in (path, other):
        os.utime(one, (1_000_000_000, 1_000_000_000))
    assert header_of(path).shapes == {ATTENTION: (4, 768)}
    time.sleep(0.05)  # more than the steps of a file system's clock
    if by_replacing:
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert header_of(path).shapes == {ATTENTION: (768, 4)}


@pytest.mark.parametrize(("shapes", "metadata", "family"), [
    ({ATTENTION: (4, 768)}, {}, Family.SD1),
    ({ATTENTION: (4, 1024)}, {}, Family.SD2),
    ({LDM_ATTENTION: (4, 2048)}, {}, Family.SDXL),
    ({TEXT: (4, 1024)}, {}, Family.SD2),
    ({"unet.down_blocks.0.attn2.to_k.lora_A.weight": (4, 2048)}, {}, Family.SDXL),
    ({LDM_ATTENTION: (4, 64)}, {}, Family.SDXL),
    ({"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 64)}, {}, Family.SDXL),
    ({ATTENTION: (4, 64)}, {}, None),
    ({SELF_ATTENTION.format(0): (4, 64)}, {}, None),
    ({SELF_ATTENTION.format(1): (4, 64)}, {}, Family.SDXL),
    ({ATTENTION: (4, 64)}, {"ss_base_model_version": "sd_v2"}, Family.SD2),
    ({ATTENTION: (4, 64)}, {"ss_base_model_version": "sdxl_base_v1-0"}, Family.SDXL),
    ({ATTENTION: (4, 64)}, {"modelspec.architecture": "stable-diffusion-v1/lora"}, Family.SD1),
    ({"emb_params": (3, 768)}, {}, Family.SD1),
    ({"emb_params": (1024,)}, {}, Family.SD2),
    ({"clip_l": (3, 64), "clip_g": (3, 64)}, {}, Family.SDXL),
    ({"emb_params": (3, 64)}, {}, None),
    ({"cond_stage_model.transformer.text_model.final_layer_norm.weight": (64,)}, {}, Family.SD1),
    ({"cond_stage_model.model.ln_final.weight": (64,)}, {}, Family.SD2),
    ({"conditioner.embedders.1.model.ln_final.weight": (64,)}, {}, Family.SDXL),
    ({"first_stage_model.decoder.conv_in.weight": (4, 4, 3, 3)}, {}, None),
])
def test_the_family_of_a_file_is_read_from_its_header(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], family: Family | None
) -> None:
    assert family_of_file(write(tmp_path / "x.safetensors", shapes, **metadata)) is family


@pytest.mark.parametrize(("name", "content", "family"), [
    ("old.pt", {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(4, 768)}}, Family.SD1),
    ("one.bin", {"<one>": torch.zeros(1024)}, Family.SD2),
    ("lora.ckpt", {"state_dict": {LDM_ATTENTION: torch.zeros(4, 2048)}}, Family.SDXL),
    ("none.pt", {"step": 5}, None),
    ("code.pt", torch.nn.Linear(768, 4), None),
])
def test_pickled_files_have_a_family_too(tmp_path: Path, name: str, content: object, family: Family | None) -> None:
    torch.save(content, tmp_path / name)
    assert family_of_file(tmp_path / name) is family
    assert family_of_file(tmp_path / f"gone{Path(name).suffix}") is None


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"PK\x03\x04"])
def test_a_file_that_cannot_be_read_has_no_family(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    assert family_of_file(tmp_path / "x.safetensors") is None
    assert family_of_file(tmp_path / "gone.safetensors") is None


def write_header(path: Path, header: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header.encode())) + header.encode() + bytes(64))
    return path


def entry(**changes: object) -> str:
    return json.dumps({"emb_params": {"dtype": "F32", "shape": [1, 16], "data_offsets": [0, 64]} | changes})


HOSTILE = [
    "[" * 100_000, '{"a":' * 100_000, "[]", "5", '{"a": 5}', '{"a": []}', '{"__metadata__": 5}',
    '{"__metadata__": {"ss_output_name": []}}', "9" * 5000,
    *(entry(shape=shape) for shape in ([[1]], [-1], [1.5], [True], [None], "12", 5, {"1": 2}, [float("inf")])),
    *(entry(data_offsets=span) for span in (
        [0, float("inf")], [float("nan"), 4],
        [-4, 4], [8, 4], [0], [0, 1, 2], "04", {"0": 1, "1": 2}, [0, 65], [0, True], [0, 60], [4, 64],
    )),
]


@pytest.mark.parametrize("header", HOSTILE, ids=lambda header: header[:60])
def test_a_header_that_lies_breaks_nothing(folders: Folders, header: str) -> None:
    """Neither what reads every file of a folder nor a prompt that names this one."""
    path = write_header(folders.loras / "anna.safetensors", header)
    with pytest.raises(ValueError):
        header_of(path)
    assert family_of_file(path) is None
    assert mismatches("<lora:anna:1> <lora:other:1>", checkpoint(), folders) == [
        DAMAGED.format("The LoRA anna"), "There is no LoRA named other.",
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=5),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3), max_leaves=6,
)
ENTRY = st.fixed_dictionaries({}, optional={
    "dtype": st.just("F16") | ANYTHING,
    "shape": st.lists(st.integers(0, 9), max_size=3) | ANYTHING,
    "data_offsets": st.lists(st.integers(0, 64), min_size=2, max_size=2) | ANYTHING,
})
NAMES = st.sampled_from(["__metadata__", "emb_params", ATTENTION, "clip_l", "clip_g"])


@given(st.dictionaries(NAMES, ENTRY | ANYTHING, max_size=3) | ANYTHING)
def test_what_is_read_of_a_header_is_what_it_says_it_is(
    tmp_path_factory: pytest.TempPathFactory, header: object
) -> None:
    path = write_header(tmp_path_factory.mktemp("any") / "x.safetensors", json.dumps(header))
    family_of_file(path)
    try:
        found = header_of(path)
    except ValueError:
        return
    assert all(type(size) is int and size >= 0 for shape in found.shapes.values() for size in shape)
    assert all(8 <= first <= end <= path.stat().st_size for _, first, end in found.spans.values())
    assert all(isinstance(text, str) for text in found.metadata.values())


def test_a_prompt_with_what_fits_has_no_complaints(folders: Folders) -> None:
    write(folders.loras / "people" / "anna.safetensors", {ATTENTION: (4, 768)})
    write(folders.embeddings / "pa-bob.safetensors", {"emb_params": (4, 768)})
    write(folders.embeddings / "unknown.safetensors", {"emb_params": (4, 64)})
    prompt = "(pa-bob man:1.2), unknown <lora:anna:0.8> <hypernet:x:1>"
    assert mismatches(prompt, checkpoint(), folders) == []


@pytest.mark.parametrize("base", list(Family))
def test_each_network_of_another_family_is_named(folders: Folders, base: Family) -> None:
    for family, width in LORAS.items():
        write(folders.loras / f"l-{family.value}.safetensors", {ATTENTION: (4, width)})
        write(folders.embeddings / f"e-{family.value}.safetensors", {"emb_params": (2, width)})
    prompt = " ".join(f"<lora:l-{family.value}:1> e-{family.value}" for family in Family)
    found = mismatches(prompt, checkpoint(base), folders)
    others = [family for family in Family if family is not base]
    assert [line.split(" was ")[0] for line in found] == [
        *(f"The LoRA l-{family.value}" for family in others), *(f"The embedding e-{family.value}" for family in others)
    ]
    assert all("mine" in line for line in found)


@pytest.mark.parametrize(("shapes", "metadata", "model"), [
    ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 64)}, {}, "Flux"),
    ({"x": (4, 64)}, {"modelspec.architecture": "flux-1-dev/lora"}, "Flux"),
    ({"x": (4, 64)}, {"ss_base_model_version": "sd3m"}, "Stable Diffusion 3"),
    ({"transformer.transformer_blocks.1.attn.to_q.lora_A.weight": (4, 64)}, {}, "another kind of model"),
])
def test_a_network_for_a_model_that_is_not_ours_is_named(
    folders: Folders, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], model: str
) -> None:
    write(folders.loras / "other.safetensors", shapes, **metadata)
    (told,) = mismatches("a man <lora:other:1>", checkpoint(), folders)
    assert told.startswith(f"The LoRA other was made for {model}")


def add_avatar(folders: Folders, name: str) -> None:
    avatars = AvatarStore(folders.data / "avatars")
    avatars.save(avatars.open(name, user_id="local", class_noun="woman", statement="She agreed."))


def test_what_is_missing_is_named_once_and_a_weight_of_nothing_asks_for_nothing(folders: Folders) -> None:
    add_avatar(folders, "Eve")
    prompt = "pa-eve woman, pa-eve <lora:gone:1> <lora:off:0>"
    assert mismatches(prompt, checkpoint(), folders) == [
        "There is no LoRA named gone.", "There is no embedding named pa-eve."
    ]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("cut", [0, 9, 200, -1])
def test_a_file_that_cannot_be_read_is_named(folders: Folders, suffix: str, cut: int) -> None:
    for folder, name, shape in ((folders.loras, ATTENTION, (4, 768)), (folders.embeddings, "emb_params", (4, 768))):
        path = folder / f"torn{suffix}"
        if suffix == ".pt":
            torch.save({name: torch.zeros(shape)}, path)
        else:
            write(path, {name: shape})
        path.write_bytes(path.read_bytes()[:cut])
    assert mismatches("torn, torn <lora:torn:1> <lora:torn:1>", checkpoint(), folders) == [
        DAMAGED.format("The LoRA torn"), DAMAGED.format("The embedding torn"),
    ]


@pytest.mark.parametrize("weights", ["1", "0:1", "1:0", "te=0:unet=1", "-1"])
def test_a_network_with_either_weight_is_asked_for(folders: Folders, weights: str) -> None:
    assert mismatches(f"<lora:gone:{weights}>", checkpoint(), folders) == ["There is no LoRA named gone."]


def test_embeddings_of_the_negative_prompt_are_looked_at_and_loras_there_do_nothing(folders: Folders) -> None:
    write(folders.embeddings / "bad-hands.safetensors", {"emb_params": (4, 2048)})
    write(folders.loras / "ink.safetensors", {ATTENTION: (4, 2048)})
    found = mismatches("a man", checkpoint(), folders, "blurry, (bad-hands:1.2), <lora:ink:1> <lora:gone:1>")
    assert [line.split(" was made")[0] for line in found] == [
        *(f"The LoRA {name} stands in the negative prompt, where it does nothing." for name in ("ink", "gone")),
        "The embedding bad-hands",
    ]
    add_avatar(folders, "Eve")
    assert mismatches("", checkpoint(), folders, "pa-eve") == ["There is no embedding named pa-eve."]


@pytest.mark.parametrize("prompt", [
    "a pa-system on a stage", "pa-nels, pa-eve2", "grand-pa-eve, pa-eve-ning, pa-eve_x, papa-eve", "pa-../eve", "pa-",
])
def test_an_ordinary_word_is_no_missing_embedding(folders: Folders, prompt: str) -> None:
    add_avatar(folders, "Eve")
    assert mismatches(prompt, checkpoint(), folders) == []


def test_of_two_loras_with_one_name_the_one_is_judged_that_the_webui_takes(folders: Folders) -> None:
    """Its `walk_files` goes folder by folder, through links, and the last of a name stays."""
    write(folders.loras / "bob.safetensors", {ATTENTION: (4, 2048)})
    shared = write(folders.data / "shared" / "bob.safetensors", {ATTENTION: (4, 768)}).parent
    (folders.loras / "sub").symlink_to(shared, target_is_directory=True)
    assert loras_in(folders.loras) == {"bob": folders.loras / "sub" / "bob.safetensors"}
    assert mismatches("<lora:bob:1>", checkpoint(), folders) == []
    write(folders.data / "LyCORIS" / "bob.safetensors", {ATTENTION: (4, 1024)})
    (said,) = mismatches("<lora:bob:1>", checkpoint(), replace(folders, more_loras=(folders.data / "LyCORIS",)))
    assert "Stable Diffusion 2" in said


def test_a_lora_is_found_by_the_name_it_gives_itself(folders: Folders) -> None:
    write(folders.loras / "file.safetensors", {ATTENTION: (4, 768)}, ss_output_name="anna")
    assert mismatches("<lora:anna:1>", checkpoint(), folders) == []


@pytest.mark.parametrize(("text", "pieces"), [
    ("a pa-anna woman", [("a ", None), ("pa-anna", "pa-anna"), (" woman", None)]),
    ("PA-Anna,x", [("PA-Anna", "pa-anna"), (",x", None)]),
    ("pa-annabel", [("pa-annabel", None)]),
    ("pa-anna2", [("pa-anna2", "pa-anna2")]),
    ("pa-anna3", [("pa-anna", "pa-anna"), ("3", None)]),
    ("bad hands.", [("bad hands", "bad hands"), (".", None)]),
    ("bad  hand", [("bad  hand", None)]),
    ("", []),
])
def test_embeddings_are_found_as_whole_words(text: str, pieces: list[tuple[str, str | None]]) -> None:
    assert split_embeddings(text, ["pa-anna", "pa-anna2", "bad hands"]) == pieces


@given(st.text(alphabet="ab-1 ,_", max_size=30), st.sets(st.text(alphabet="ab-1_", max_size=4), max_size=4))
def test_nothing_of_a_text_is_lost(text: str, names: set[str]) -> None:
    pieces = split_embeddings(text, names)
    assert "".join(part for part, _ in pieces) == text
    assert all(name is None or name in names for _, name in pieces)


@pytest.mark.parametrize(("texts", "alias"), [
    ({"ss_output_name": "anna"}, "anna"), ({"ss_output_name": 'Ann "A" \\ \u1ea3nh'}, 'Ann "A" \\ \u1ea3nh'), ({}, ""),
    ({"ss_output_name": ""}, ""), ({"ss_tag_frequency": '{"ss_output_name": "other"}'}, ""),
    ({"a": '{"ss_output_name": "other"}', "ss_output_name": "anna", "z": '"ss_output_name": "other"'}, "anna"),
])
def test_what_a_file_calls_itself_is_found_whatever_else_its_texts_say(
    tmp_path: Path, texts: dict[str, str], alias: str
) -> None:
    path = tmp_path / "one.safetensors"
    save_file({"lora": torch.zeros(1, 1)}, path, texts)
    assert alias_of(path) == alias == header_of(path).metadata.get("ss_output_name", "")


@pytest.mark.parametrize("content", [
    b"", b"\x09", b"\xff" * 40, b"\x20\x00\x00\x00\x00\x00\x00\x00" + b'{"ss_output_name": "\xff"',
])
def test_a_damaged_file_calls_itself_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.safetensors").write_bytes(content)
    assert alias_of(tmp_path / "one.safetensors") == alias_of(tmp_path / "gone.safetensors") == ""
