"""Every method on every kind of checkpoint: trained in a running WebUI, taken by it, seen in its pictures."""
from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import Family, Method
from personal_avatar.training.families.files import read_shapes
from PIL import Image

from tests.webui.webui_data import training
from tests.webui.webui_families import (
    BY_NAME,
    KINDS,
    PX,
    Kind,
    base_of,
    choose,
    digest,
    found,
    loaded,
    miniature,
    weights,
    write_lora,
)
from tests.webui.webui_server import Server

FEW = {
    "steps": 3, "resolution_px": PX, "batch_size": 1, "save_count": 1, "score_pictures": 1, "sample_steps": 2,
    "must_rise": False,
}
OF_METHOD: dict[Method, dict[str, Any]] = {
    Method.LORA: {"rank": 4, "learning_rate": 1e-2, "text_encoder_learning_rate": 1e-3, "class_pictures": 4},
    Method.DREAMBOOTH_LORA: {"rank": 4, "learning_rate": 1e-2, "class_pictures": 4},
    Method.DREAMBOOTH: {"learning_rate": 1e-3, "class_pictures": 4},
    Method.TEXTUAL_INVERSION: {"learning_rate": 1e-1, "vectors": 2},
}
FORMS: dict[str, dict[str, Any]] = {
    "locon": {"conv_rank": 2}, "dora": {"dora": True, "conv_rank": 2}, "late": {"blocks": "late", "conv_rank": 0},
}
LORAS = (Method.LORA, Method.DREAMBOOTH_LORA)
FOLDERS = {Method.DREAMBOOTH: "models/Stable-diffusion", Method.TEXTUAL_INVERSION: "embeddings"}
Trained = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trained(families: Server, families_data: Path) -> Trained:
    """The result document of a training on the checkpoint of that kind, with `file`; each is trained once. The third
    argument, if given: the form of a LoRA."""

    @cache
    def train(kind: Kind, method: Method, form: str = "") -> dict[str, Any]:
        choose(families, kind.name)
        body = training(f"{form or method.value} on {kind.name}")
        plan = {**FEW, **OF_METHOD[method], **FORMS.get(form, {})}
        body |= {"images": body["images"][:3], "method": method.value, "plan": plan}
        accepted = families.post("/personal-avatar/v1/models/train", body)
        assert accepted.status_code == 202, accepted.text
        job = families.wait_job(accepted.json()["training_job_id"])
        assert job["state"] == "succeeded", job["error"]
        file = families_data / FOLDERS.get(method, "models/Lora") / job["result"]["files"][0]
        return {**job["result"], "model_id": job["model_id"], "file": file}

    return train


@pytest.mark.parametrize("method", list(Method), ids=lambda method: method.value)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_cell_of_the_table(
    families: Server, families_data: Path, trained: Trained, kind: Kind, method: Method
) -> None:
    result = trained(kind, method)
    assert f"{result['file'].name}: works" in families.log()  # the host tried it: all places found, a picture changed
    assert loaded(families) == f"{kind.name}.safetensors"
    if method in LORAS:
        _a_lora_works(families, result)
    elif method is Method.TEXTUAL_INVERSION:
        _an_embedding_works(families, result)
    else:
        _a_checkpoint_works(families, kind, result)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("kind", [BY_NAME["sd1"], BY_NAME["sdxl-eps"]], ids=lambda kind: kind.name)
def test_every_form_of_a_lora_is_taken_whole(families: Server, trained: Trained, kind: Kind, form: str) -> None:
    result = trained(kind, Method.LORA, form)
    assert f"{result['file'].name}: works" in families.log()
    shapes = read_shapes(result["file"])
    assert any(name.endswith(".dora_scale") for name in shapes) == (form == "dora")
    assert any(len(shape) == 4 and shape[-1] == 3 for shape in shapes.values()) == (form != "late")
    _a_lora_works(families, result)


@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH], ids=lambda method: method.value)
def test_a_checkpoint_for_inpainting_with_half_precision_is_trained_too(
    families: Server, families_data: Path, trained: Trained, method: Method
) -> None:
    kind = Kind("sd1-inpainting", Family.SD1)
    miniature(families_data, kind, inpainting=True, half=True)
    assert families.post("/sdapi/v1/refresh-checkpoints").status_code == 200
    result = trained(kind, method)
    assert loaded(families) == "sd1-inpainting.safetensors"
    assert f"{result['file'].name}: works" in families.log()
    if method is Method.LORA:
        _a_lora_works(families, result)
    else:
        _a_checkpoint_works(families, kind, result)


def _a_lora_works(server: Server, result: dict[str, Any]) -> None:
    file = result["file"]
    assert file.is_file() and file.stem in cards(server)["Lora"]
    parts = {name.partition(".")[0] for name in read_shapes(file)}
    assert set(server.get("/probe/places", params={"name": file.stem}).json()) == parts
    assert result["modules_matched"] == len(parts) > 0
    without, at_zero, at_one = (
        picture(server, f"portrait of sks woman{tag}")
        for tag in ("", f" <lora:{file.stem}:0>", f" <lora:{file.stem}:1>")
    )
    assert without == at_zero != at_one


def _an_embedding_works(server: Server, result: dict[str, Any]) -> None:
    file = result["file"]
    assert file.is_file() and file.stem in cards(server)["Textual Inversion"]
    assert server.get("/sdapi/v1/embeddings").json()["loaded"][file.stem]["vectors"] == 2
    made = server.txt2img(f"portrait of {file.stem} woman", width=PX, height=PX, steps=2)
    assert f"TI hashes: \"{file.stem}: " in made["info"]["infotexts"][0]
    with away(server, file):
        assert picture(server, f"portrait of {file.stem} woman", steps=2) != pixels(made)


def _a_checkpoint_works(server: Server, kind: Kind, result: dict[str, Any]) -> None:
    file = result["file"]
    assert file.is_file() and file.stem in cards(server)["Checkpoints"]
    known = found(server, file.stem)
    assert (known["family"], known["prediction"]) == (kind.family.value, kind.prediction)
    assert known["zero_terminal_snr"] == kind.zero_terminal_snr
    assert digest(server, file) != digest(server)
    assert loaded(server) == f"{kind.name}.safetensors"


def cards(server: Server) -> dict[str, list[str]]:
    """Names on the cards of the WebUI's tabs."""
    return dict(server.get("/probe/cards").json())


@contextmanager
def away(server: Server, embedding: Path) -> Iterator[None]:
    """The WebUI does without this embedding."""
    hidden = embedding.rename(embedding.with_suffix(".away"))
    try:
        _embeddings_are_read_again(server)
        yield
    finally:
        hidden.rename(embedding)
        _embeddings_are_read_again(server)


def _embeddings_are_read_again(server: Server) -> None:
    """The other prompt makes the WebUI forget what the last one meant."""
    assert server.post("/sdapi/v1/refresh-embeddings").status_code == 200
    picture(server, "something else", steps=1)


def picture(server: Server, prompt: str, steps: int = 3) -> bytes:
    """Pixels, without the infotext that a file has."""
    return pixels(server.txt2img(prompt, width=PX, height=PX, steps=steps))


def pixels(answer: dict[str, Any]) -> bytes:
    return Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))).convert("RGB").tobytes()


@pytest.mark.parametrize("kind", [BY_NAME["sd1"], BY_NAME["sdxl-eps"]], ids=lambda kind: kind.name)
def test_subject_style_and_embedding_work_in_one_prompt(
    families: Server, families_data: Path, trained: Trained, kind: Kind
) -> None:
    subject = trained(kind, Method.LORA)["file"].stem
    word = trained(kind, Method.TEXTUAL_INVERSION)["file"].stem
    base = base_of(families_data, kind)
    layer = next(name for name in weights(base) if name.endswith("transformer_blocks.0.attn1.to_out.0.weight"))
    part = layer.removeprefix("model.diffusion_model.").removesuffix(".weight").replace(".", "_")
    shapes = {f"lora_unet_{part}": weights(base)[layer].shape}
    style = write_lora(families_data, base, f"style-{kind.name}", shapes).stem
    choose(families, kind.name)
    tags = {"subject": f"<lora:{subject}:1>", "style": f"<lora:{style}:0.8>", "word": word}
    every = families.txt2img(" ".join(["portrait of a woman", *tags.values()]), width=PX, height=PX, steps=3)
    infotext = every["info"]["infotexts"][0]
    assert all(f"{name}: " in infotext for name in (subject, style, word))
    others = {
        left_out: picture(families, " ".join(["portrait of a woman", *(tags[one] for one in tags if one != left_out)]))
        for left_out in tags
    }
    assert len({pixels(every), *others.values()}) == 4


def test_portraits_tell_which_networks_were_made_for_another_family(families: Server, trained: Trained) -> None:
    kinds = [BY_NAME["sd1"], BY_NAME["sdxl-eps"]]
    subject, foreign = (trained(kind, Method.LORA) for kind in kinds)
    word, foreign_word = (trained(kind, Method.TEXTUAL_INVERSION)["file"].stem for kind in kinds)
    choose(families, kinds[0].name)
    accepted = families.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": subject["model_id"], "prompt": f"a portrait of {{subject}}, {word}, {foreign_word}",
        "num_images": 1, "restore": False, "settings": {"steps": 2, "width_px": PX, "height_px": PX,
                                                        "loras": f"{foreign['file'].stem}:0.5"},
    })
    assert accepted.status_code == 202, accepted.text
    job = families.wait_job(accepted.json()["generation_job_id"])
    assert job["state"] == "succeeded", job["error"]
    told = families.get(f"/personal-avatar/v1/jobs/{job['id']}/events").text
    for what in (f"The LoRA {foreign['file'].stem}", f"The embedding {foreign_word}"):
        assert told.count(f"{what} was made for Stable Diffusion XL, but ") == 1
    assert told.count(" was made for ") == 2
    (portrait,) = job["result"]["images"]
    assert all(name in portrait["prompt"] for name in (f"<lora:{subject['file'].stem}:1>", word))


def test_portraits_with_a_trained_checkpoint_leave_others_their_own(
    families: Server, families_data: Path, trained: Trained
) -> None:
    kind = BY_NAME["sd1"]
    result = trained(kind, Method.DREAMBOOTH)
    choose(families, kind.name)
    before = picture(families, "a portrait")
    size = {"width_px": PX, "height_px": PX}
    accepted = families.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": result["model_id"], "prompt": "a portrait of {subject}", "num_images": 3,
        "restore": False, "settings": {"steps": 40, **size},
    })
    assert accepted.status_code == 202, accepted.text
    families.wait_job(accepted.json()["generation_job_id"], until=("running",))
    assert picture(families, "a portrait") == before
    job = families.wait_job(accepted.json()["generation_job_id"])
    assert job["state"] == "succeeded", job["error"]
    saved = {file.name: file for file in (families_data / "outputs").rglob("*.png")}
    texts = [Image.open(saved[Path(image["path"]).name]).info["parameters"] for image in job["result"]["images"]]
    assert len(texts) == 3 and all(f"Model: {result['file'].stem}" in text for text in texts)
    assert loaded(families) == f"{kind.name}.safetensors"
