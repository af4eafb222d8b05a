"""Photos in, avatars out, through the HTTP API of a running WebUI."""
from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.webui.webui_data import ASSETS, DRAWINGS
from tests.webui.webui_server import NATIVE_PX, Server


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


@pytest.fixture(scope="module")
def likeness(data: Path) -> Any:
    """Cosine likeness of a picture to the shipped drawings, by the recogniser that the extension uses."""
    from personal_avatar.faces.registry import default_analyser
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.ranking.person import person_from

    analyser = default_analyser(data / "personal-avatar" / "weights")
    return Scorer(analyser, person_from(DRAWINGS, analyser).reference)


def test_the_lora_lies_where_the_webui_looks(server: Server, avatar: dict[str, Any], data: Path) -> None:
    file = data / "models" / "Lora" / avatar["checkpoints"][0]["file"]
    assert file.is_file()
    assert file.with_suffix(".png").is_file() and file.with_suffix(".json").is_file()
    assert file.stem in {lora["name"] for lora in server.get("/sdapi/v1/loras").json()}
    assert json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["activation text"]


def test_the_host_tried_the_lora_itself(server: Server, avatar: dict[str, Any]) -> None:
    assert f"{avatar['checkpoints'][0]['file']}: works" in server.log()  # the level of the log is INFO in these tests


def test_the_lora_turns_the_picture_toward_the_person(server: Server, avatar: dict[str, Any], likeness: Any) -> None:
    name = avatar["prompt"].split(":")[1]
    found: dict[int, list[float]] = {0: [], 1: []}
    for seed in range(8):
        for weight in (0, 1):
            prompt = f"a portrait of {avatar['trigger']} <lora:{name}:{weight}>"
            scored = likeness.score(decoded(server.txt2img(prompt, seed=seed)["images"][0])).likeness
            found[weight].append(scored if scored is not None else 0.0)
    print(f"likeness without {np.mean(found[0]):.3f}, with {np.mean(found[1]):.3f}: {found}")  # noqa: T201
    assert np.mean(found[1]) > np.mean(found[0]) + 0.03


def test_portraits_are_ranked_best_first(server: Server, portraits: dict[str, Any]) -> None:
    images = portraits["result"]["images"]
    overall = [image["scores"].get("overall", 0.0) for image in images]  # there is none without a face
    assert len(images) == 6 and overall == sorted(overall, reverse=True) and overall[0] > 0
    assert all((image["likeness"] is None) == (score == 0) for image, score in zip(images, overall, strict=True))
    assert sorted(image["seed"] for image in images) == [5, 6, 7, 8, 9, 10]
    best = server.get(f"/personal-avatar/v1/jobs/{portraits['id']}/images/0")
    assert best.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(best.content)).size == (NATIVE_PX, NATIVE_PX)


def test_others_get_their_pictures_meanwhile_unchanged(portraits: dict[str, Any]) -> None:
    assert portraits["meanwhile"] == portraits["before"]


@pytest.fixture()
def saved(portraits: dict[str, Any], data: Path) -> list[Path]:
    """The portraits as files in the WebUI's own folder of pictures."""
    files = sorted((data / "outputs" / "txt2img-images").rglob("*.png"))
    return [file for file in files if Path(file).name in {image["path"] for image in portraits["result"]["images"]}]


def test_portraits_are_saved_as_the_webui_saves_pictures(saved: list[Path], avatar: dict[str, Any]) -> None:
    texts = [Image.open(path).info["parameters"] for path in saved]
    assert len(texts) == 6
    for text in texts:
        assert f"Personal Avatar: {avatar['id']}" in text and "Lora hashes: " in text
        assert avatar["prompt"] in text.splitlines()[0]


def test_a_portrait_is_what_txt2img_makes_of_its_infotext(server: Server, saved: list[Path]) -> None:
    ours = Image.open(saved[0])
    again = server.post("/sdapi/v1/txt2img", {"infotext": ours.info["parameters"]}).json()["images"][0]
    assert np.array_equal(decoded(again), np.asarray(ours.convert("RGB")))


def test_the_shipped_checkpoint_is_installed_once(server: Server, data: Path) -> None:
    titles = [server.post("/personal-avatar/v1/checkpoints/avatar-tiny").json()["title"] for _ in range(2)]
    assert titles[0] == titles[1] and titles[0].startswith("avatar-tiny.safetensors [")
    assert titles[0] in {model["title"] for model in server.get("/sdapi/v1/sd-models").json()}
    installed = data / "models" / "Stable-diffusion" / "avatar-tiny.safetensors"
    assert installed.read_bytes() == (ASSETS / "avatar-tiny" / "avatar-tiny.safetensors").read_bytes()
    picture = server.txt2img("a portrait", override_settings={"sd_model_checkpoint": titles[0]}, steps=2)
    assert picture["info"]["sd_model_name"] == "avatar-tiny"
    assert not list(installed.parent.glob("avatar-tiny-2*"))


def test_a_foreign_file_of_the_same_name_is_left_alone(server: Server, data: Path) -> None:
    file = data / "models" / "Stable-diffusion" / "avatar-tiny.safetensors"
    shipped = file.read_bytes()
    file.write_bytes(b"somebody else's")
    try:
        title = server.post("/personal-avatar/v1/checkpoints/avatar-tiny").json()["title"]
        assert title.startswith("avatar-tiny-2.safetensors [")
        assert file.read_bytes() == b"somebody else's"
    finally:
        file.write_bytes(shipped)


def test_a_client_that_we_did_not_write_works_as_before(server: Server, avatar: dict[str, Any]) -> None:
    webuiapi = pytest.importorskip("webuiapi")
    api = webuiapi.WebUIApi(host="127.0.0.1", port=server.port, sampler="Euler", steps=4)
    made = api.txt2img(prompt=f"portrait of {avatar['trigger']}", width=64, height=64, seed=3)
    assert made.image.size == (64, 64)
    assert avatar["prompt"].split(":")[1] in {lora["name"] for lora in api.get_loras()}
    health = api.session.get(f"{server.url}/personal-avatar/v1/health").json()
    assert health["status"] == "ok"
