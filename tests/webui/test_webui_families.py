"""Every kind of checkpoint in a running WebUI: what the host says of it, pictures with it, files tried on it."""
from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.domain import Family, Method
from personal_avatar.training.families.detect import VAE
from safetensors.numpy import save_file

from tests.webui.webui_families import (
    BY_NAME,
    KINDS,
    Kind,
    base_of,
    checkpoints,
    choose,
    digest,
    found,
    generate,
    loaded,
    miniature,
    wait_for_sampling,
    weights,
    write_checkpoint,
    write_embedding,
    write_lora,
)
from tests.webui.webui_server import Server

TEXT = "encoder_layers_0_self_attn"
UNET = {
    Family.SD1: "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v",
    Family.SD2: "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v",
    Family.SDXL: "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v",
}
IN_FILE = {
    Family.SD1: "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight",
    Family.SD2: "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight",
    Family.SDXL: "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_v.weight",
}
TOKENS = {
    Family.SD1: {"emb_params": "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"},
    Family.SD2: {"emb_params": "cond_stage_model.model.token_embedding.weight"},
    Family.SDXL: {
        "clip_l": "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
        "clip_g": "conditioner.embedders.1.model.token_embedding.weight",
    },
}
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
every_family = pytest.mark.parametrize("kind", [BY_NAME[name] for name in ("sd1", "sd2-v", "sdxl-eps")],
                                       ids=lambda kind: kind.name)


def published(server: Server, file: Path) -> dict[str, Any]:
    """As what lies in its folder."""
    methods = {"embeddings": Method.TEXTUAL_INVERSION, "Stable-diffusion": Method.DREAMBOOTH}
    kinds = [method for name, method in methods.items() if name in file.parts]
    body = {"file": str(file), "method": (kinds or [Method.LORA])[0].value}
    return dict(server.post("/probe/published", body).json())


@every_kind
def test_a_checkpoint_is_known_before_and_after_it_is_loaded(families: Server, kind: Kind) -> None:
    expected = (kind.family.value, kind.prediction, kind.zero_terminal_snr)
    cold = found(families, kind.name)
    choose(families, kind.name)
    warm = families.get("/probe/checkpoint").json()["answer"]
    for known in (cold, warm):
        assert (known["family"], known["prediction"], known["zero_terminal_snr"]) == expected


def test_a_pickled_checkpoint_is_known_and_painted_with(families: Server, families_data: Path) -> None:
    """Saved as old programs did; the WebUI refuses some things that new ones add to the archive."""
    import torch

    choose(families, "sd1")
    base = base_of(families_data, BY_NAME["sd1"])
    pickled = base.with_name("pickled.ckpt")
    tensors = {name: torch.from_numpy(value) for name, value in weights(base).items()}
    torch.save({"state_dict": tensors, "global_step": 1}, pickled, _use_new_zipfile_serialization=False)
    pickled.with_suffix(".yaml").write_bytes(base.with_suffix(".yaml").read_bytes())
    assert digest(families, pickled) == digest(families)
    assert found(families, pickled.name)["family"] == "sd1"
    evil = pickled.with_name("evil.ckpt")
    evil.write_bytes(b"not a pickle at all")
    error = generate(families, evil)["error"]
    assert error["code"] == "BASE_UNSUPPORTED" and evil.name in error["message"]


def test_the_vae_is_the_one_that_the_webui_uses(families: Server, families_data: Path) -> None:
    near = checkpoints(families_data) / "sd1.vae.safetensors"
    chosen = families_data / "models" / "VAE" / "another.safetensors"
    chosen.parent.mkdir(exist_ok=True)
    inside = weights(base_of(families_data, BY_NAME["sd1"])).items()
    vae = {name.removeprefix(VAE): value for name, value in inside if name.startswith(VAE)}
    for file in (near, chosen):
        save_file(vae, file)
    families.post("/sdapi/v1/refresh-vae")
    choose(families, "sd2-eps")
    try:
        said = {}
        for choice in ("Automatic", "None", "another.safetensors"):
            families.post("/sdapi/v1/options", {"sd_vae": choice})
            said[choice] = found(families, "sd1")["vae"], found(families, "sd2-eps")["vae"]
        assert said == {
            "Automatic": (str(near), None), "None": (None, None), "another.safetensors": (str(chosen), str(chosen)),
        }
    finally:
        near.unlink()
        chosen.unlink()
        families.post("/sdapi/v1/refresh-vae")
        families.post("/sdapi/v1/options", {"sd_vae": "Automatic"})


def test_pictures_with_another_checkpoint_leave_the_chosen_one(families: Server, families_data: Path) -> None:
    choose(families, "sd1")
    options, ours = families.get("/sdapi/v1/options").json(), digest(families)
    wanted = {}
    for kind in KINDS:
        wanted[kind.name] = digest(families, base_of(families_data, kind))
        assert loaded(families) == "sd1.safetensors"
    assert families.get("/sdapi/v1/options").json() == options
    assert len(set(wanted.values())) == len(KINDS)
    assert wanted["sd1"] == digest(families) == ours
    choose(families, "sdxl-eps")
    assert digest(families) == wanted["sdxl-eps"]


def test_a_cancelled_picture_puts_the_checkpoint_back(families: Server, families_data: Path) -> None:
    choose(families, "sd1")
    options = families.get("/sdapi/v1/options").json()
    answer = generate(families, base_of(families_data, BY_NAME["sd2-v"]), stop_after=2)
    assert answer["error"]["code"] == "CANCELLED"
    assert families.get("/sdapi/v1/options").json() == options
    assert loaded(families) == "sd1.safetensors"


def test_interrupt_puts_the_checkpoint_back(families: Server, families_data: Path) -> None:
    choose(families, "sd1")
    answers: list[dict[str, Any]] = []
    another = base_of(families_data, BY_NAME["sdxl-eps"])
    asked = threading.Thread(target=lambda: answers.append(generate(families, another, seeds=[1, 2, 3], steps=150)))
    asked.start()
    wait_for_sampling(families, 5)
    families.post("/sdapi/v1/interrupt")
    asked.join()
    assert answers[0]["error"]["code"] == "CANCELLED"
    assert loaded(families) == "sd1.safetensors"


def test_what_the_user_chooses_meanwhile_stays_chosen(families: Server, families_data: Path) -> None:
    choose(families, "sd1")
    another = base_of(families_data, BY_NAME["sdxl-eps"])
    asked = threading.Thread(target=lambda: generate(families, another, steps=150))
    asked.start()
    wait_for_sampling(families, 5)
    families.post("/sdapi/v1/options", {"sd_model_checkpoint": "sd2-eps"})
    asked.join()
    assert families.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("sd2-eps.safetensors")
    assert loaded(families) == "sd2-eps.safetensors"


@pytest.mark.parametrize("chosen", ["sd1", "sdxl-eps"])
def test_a_checkpoint_that_cannot_be_loaded_is_named(families: Server, families_data: Path, chosen: str) -> None:
    choose(families, chosen)
    before = digest(families)
    whole = base_of(families_data, BY_NAME["sd1"])
    cut = whole.with_name(f"cut-{chosen}.safetensors")
    cut.write_bytes(whole.read_bytes()[:-1000])
    cut.with_suffix(".yaml").write_bytes(whole.with_suffix(".yaml").read_bytes())
    answer = generate(families, cut)
    assert answer["error"]["code"] == "BASE_UNSUPPORTED" and cut.name in answer["error"]["message"]
    assert published(families, cut)["error"]["code"] == "SELFTEST"
    assert loaded(families) == f"{chosen}.safetensors"
    assert digest(families) == before
    assert generate(families, cut.with_name("gone.safetensors"))["error"]["code"] == "BASE_NOT_FOUND"


def test_velocity_is_sampled_as_the_checkpoint_says_whatever_the_yaml(families: Server, families_data: Path) -> None:
    """A v-prediction SDXL checkpoint without the right yaml, as they are found: only its tensors tell what it is."""
    kind = BY_NAME["sdxl-v-ztsnr"]
    told = base_of(families_data, kind)
    silent = miniature(families_data, kind, name="silent", seed=KINDS.index(kind)).path
    yaml = silent.with_suffix(".yaml")
    yaml.write_text(yaml.read_text(encoding="utf-8").replace("VScaling", "EpsScaling"), encoding="utf-8")
    assert digest(families, silent) == digest(families, told)
    choose(families, kind.name)
    families.post("/sdapi/v1/options", {"sd_noise_schedule": "Zero Terminal SNR"})
    try:
        assert digest(families) == digest(families, told)
    finally:
        families.post("/sdapi/v1/options", {"sd_noise_schedule": "Default"})


@every_family
def test_loras_are_tried_on_unet_and_text_encoders(families: Server, families_data: Path, kind: Kind) -> None:
    choose(families, kind.name)
    base = base_of(families_data, kind)
    unet = {UNET[kind.family]: weights(base)[IN_FILE[kind.family]].shape}
    good = write_lora(families_data, base, f"good-{kind.name}", {**unet, **_text_parts(kind, base)})
    assert published(families, good) == {"answer": []}
    assert f"{good.name}: works" in families.log()
    text = write_lora(families_data, base, f"text-{kind.name}", _text_parts(kind, base))
    assert published(families, text) == {"answer": []}


def _text_parts(kind: Kind, base: Path) -> dict[str, tuple[int, ...]]:
    """All four projections of the first layer of every text encoder, as kohya names them."""
    prefixes = {"lora_te1_text_model": "clip_l", "lora_te2_text_model": "clip_g"}
    if kind.family is not Family.SDXL:
        prefixes = {"lora_te_text_model": "emb_params"}
    widths = {prefix: weights(base)[TOKENS[kind.family][part]].shape[1] for prefix, part in prefixes.items()}
    parts = ("q_proj", "k_proj", "v_proj", "out_proj")
    return {f"{prefix}_{TEXT}_{part}": (width, width) for prefix, width in widths.items() for part in parts}


@pytest.mark.parametrize("kind", [BY_NAME["sd2-eps"], BY_NAME["sdxl-eps"]], ids=lambda kind: kind.name)
def test_a_lora_of_half_an_attention_layer_of_openclip_fails(
    families: Server, families_data: Path, kind: Kind
) -> None:
    choose(families, kind.name)
    base = base_of(families_data, kind)
    parts = _text_parts(kind, base)
    half = {name: shape for name, shape in parts.items() if name.endswith(("q_proj", "v_proj"))}
    error = published(families, write_lora(families_data, base, f"half-{kind.name}", half))["error"]
    assert error["code"] == "SELFTEST" and "all four" in error["message"]


@every_family
def test_an_embedding_is_tried(families: Server, families_data: Path, kind: Kind) -> None:
    choose(families, kind.name)
    base = base_of(families_data, kind)
    random = np.random.default_rng(5)
    tensors = {
        part: random.normal(size=(2, weights(base)[name].shape[1])).astype(np.float32) * 0.2
        for part, name in TOKENS[kind.family].items()
    }
    good = write_embedding(families_data, base, f"pa-good-{kind.name}", tensors)
    assert published(families, good) == {"answer": []}
    assert f"{good.name}: works" in families.log()
    listed = families.get("/sdapi/v1/embeddings").json()
    assert good.stem in listed["loaded"] and good.stem not in listed["skipped"]
    wide = {part: np.tile(vectors, (1, 2)) for part, vectors in tensors.items()}
    error = published(families, write_embedding(families_data, base, f"pa-wide-{kind.name}", wide))["error"]
    assert error["code"] == "SELFTEST" and "skips" in error["message"]


def test_an_embedding_that_changes_nothing_fails(families: Server, families_data: Path) -> None:
    """The word means already what the vectors say."""
    choose(families, "sd1")
    base = base_of(families_data, BY_NAME["sd1"])
    vocabulary = json.loads((checkpoints(families_data) / "miniature-text" / "vocab.json").read_text(encoding="utf-8"))
    vectors = weights(base)[TOKENS[Family.SD1]["emb_params"]][[vocabulary["cat</w>"]]]
    error = published(families, write_embedding(families_data, base, "cat", {"emb_params": vectors}))["error"]
    assert error["code"] == "SELFTEST" and "changes nothing" in error["message"]
    (families_data / "embeddings" / "cat.safetensors").unlink()


@every_family
def test_a_trained_checkpoint_is_tried_and_the_chosen_one_is_back(
    families: Server, families_data: Path, kind: Kind
) -> None:
    choose(families, kind.name)
    base, options = base_of(families_data, kind), families.get("/sdapi/v1/options").json()
    good = write_checkpoint(base, f"trained-{kind.name}", 3.0)
    assert published(families, good) == {"answer": []}
    assert f"{good.name}: works" in families.log()
    assert good.stem in {model["model_name"] for model in families.get("/sdapi/v1/sd-models").json()}
    assert families.get("/sdapi/v1/options").json() == options
    assert loaded(families) == base.name
    same = write_checkpoint(base, f"same-{kind.name}", 1.0)
    error = published(families, same)["error"]
    assert error["code"] == "SELFTEST" and "changes nothing" in error["message"]


def test_of_files_for_another_checkpoint_only_checkpoints_are_tried(families: Server, families_data: Path) -> None:
    choose(families, "sd1")
    other = base_of(families_data, BY_NAME["sdxl-eps"])
    lora = write_lora(families_data, other, "other-lora", {"lora_unet_nowhere": (8, 8)})
    embedding = write_embedding(families_data, other, "pa-other", {"clip_l": np.ones((1, 5), np.float32)})
    checkpoint = write_checkpoint(other, "other-checkpoint", 1.0)
    for file in (lora, embedding):
        assert [told["code"] for told in published(families, file)["answer"]] == ["NOT_TRIED_BASE"]
        assert f"{file.name} was saved, but not tried" in families.log()
    assert published(families, checkpoint) == {"answer": []}
    assert f"{checkpoint.name}: works" in families.log()
    embedding.unlink()
