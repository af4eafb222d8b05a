"""The host's answers, asked inside a running WebUI by a small extension of the tests (probe/)."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.miniature_upscaler import make_upscaler
from tests.webui.webui_data import TINY, make_data_folder
from tests.webui.webui_server import NATIVE_PX, REPOSITORY, Server

PROBE = Path(__file__).parent / "probe"
STYLES = "name,prompt,negative_prompt\nIn Chalk,\"chalk drawing of {prompt}, paper\",\"photo\"\n"
ATTENTION = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
IN_FILE = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_data_folder(tmp_path_factory.mktemp("probe") / "data", extension=REPOSITORY)
    (made / "extensions" / "zz-probe").symlink_to(PROBE)
    (made / "styles.csv").write_text(STYLES, encoding="utf-8")
    upscaler = make_upscaler(made / "models" / "ESRGAN" / "mini.pth")
    upscaler.with_name("broken.pth").write_bytes(b"no weights")
    return made


@pytest.fixture(scope="module")
def probed(folder: Path) -> Iterator[Server]:
    with Server(folder, flags=("--nowebui",)) as running:
        yield running


@pytest.fixture(scope="module")
def width() -> int:
    """Width of the attention layer that the LoRAs of these tests change."""
    return int(load_file(TINY / "avatar-tiny.safetensors")[IN_FILE].shape[1])


def lora(folder: Path, name: str, key: str, width: int, scale: float, base: str = "base.safetensors") -> Path:
    """A LoRA of rank 4 for one layer, in the WebUI's folder."""
    random = np.random.default_rng(3)
    file = folder / "models" / "Lora" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file({
        f"{key}.lora_down.weight": random.normal(size=(4, width)).astype(np.float16),
        f"{key}.lora_up.weight": (random.normal(size=(width, 4)) * scale).astype(np.float16),
        f"{key}.alpha": np.asarray(4.0, dtype=np.float16),
    }, file, {"ss_sd_model_name": base, "ss_base_model_version": "sd_v1"})
    return file


def published(server: Server, file: Path) -> dict[str, Any]:
    return dict(server.post("/probe/published", {"file": str(file)}).json())


def test_a_good_lora_passes_the_hosts_own_test(probed: Server, folder: Path, width: int) -> None:
    assert published(probed, lora(folder, "good", ATTENTION, width, 0.5)) == {"answer": []}
    assert "good" in {entry["name"] for entry in probed.get("/sdapi/v1/loras").json()}


def test_a_lora_with_names_that_the_webui_ignores_fails(probed: Server, folder: Path, width: int) -> None:
    key = "unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q_unknown"
    error = published(probed, lora(folder, "ignored", key, width, 0.5))["error"]
    assert error["code"] == "SELFTEST" and "0 of 1" in error["message"]


def test_a_lora_of_another_size_fails(probed: Server, folder: Path, width: int) -> None:
    error = published(probed, lora(folder, "other-size", ATTENTION, width * 2, 0.5))["error"]
    assert error["code"] == "SELFTEST" and "does not fit" in error["message"]


def test_a_lora_that_changes_nothing_fails(probed: Server, folder: Path, width: int) -> None:
    error = published(probed, lora(folder, "nothing", ATTENTION, width, 0.0))["error"]
    assert error["code"] == "SELFTEST" and "changes nothing" in error["message"]


def test_a_lora_of_another_checkpoint_is_not_tried(probed: Server, folder: Path, width: int) -> None:
    file = lora(folder, "elsewhere", ATTENTION, width * 2, 0.0, base="another.safetensors")
    (told,) = published(probed, file)["answer"]
    assert told["code"] == "NOT_TRIED_BASE" and told["values"]["base"] == "another.safetensors"


def test_a_lora_is_one_wherever_it_lies(probed: Server, folder: Path, width: int) -> None:
    """Where the WebUI looks for other models, it is told of and becomes no checkpoint."""
    file = lora(folder, "astray", ATTENTION, width, 0.5)
    moved = file.rename(folder / "models" / "Stable-diffusion" / file.name)
    (told,) = published(probed, moved)["answer"]
    assert told["code"] == "ELSEWHERE" and str(file.parent) in told["text"]
    assert "astray" not in {model["model_name"] for model in probed.get("/sdapi/v1/sd-models").json()}
    moved.unlink()
    (folder / "linked").symlink_to(folder / "models" / "Lora", target_is_directory=True)
    through = folder / "linked" / lora(folder, "linked", ATTENTION, width, 0.5).name
    assert published(probed, through) == {"answer": []} and "linked.safetensors: works" in probed.log()


def test_a_lora_is_kept_while_the_card_is_full(probed: Server, folder: Path, width: int) -> None:
    (folder / "card-is-full").touch()
    try:
        (told,) = published(probed, lora(folder, "untried", ATTENTION, width, 0.5))["answer"]
    finally:
        (folder / "card-is-full").unlink()
    assert (told["code"], told["values"]) == ("NOT_TRIED_MEMORY", {"file": "untried.safetensors"})
    assert published(probed, folder / "models" / "Lora" / "untried.safetensors") == {"answer": []}


def test_another_lora_of_the_name_is_named_and_the_own_one_is_tried_when_it_is_gone(
    probed: Server, folder: Path, width: int
) -> None:
    file, more = lora(folder, "twice", ATTENTION, width, 0.5), folder / "models" / "LyCORIS"
    more.mkdir(exist_ok=True)
    other = Path(shutil.copy(file, more))
    error = published(probed, file)["error"]
    assert error["code"] == "NOT_TAKEN" and str(other) in error["message"]
    other.unlink()
    assert published(probed, file) == {"answer": []}


def test_the_test_pictures_leave_no_trace(probed: Server, folder: Path, width: int) -> None:
    probed.txt2img("the user's last prompt", steps=1)
    published(probed, lora(folder, "traceless", ATTENTION, width, 0.5))
    assert (folder / "params.txt").read_text(encoding="utf-8").startswith("the user's last prompt")
    assert not list(folder.glob("outputs/**/*.png"))


def test_the_checkpoint_is_known_with_family_hash_and_size(probed: Server, folder: Path) -> None:
    found = probed.get("/probe/checkpoint").json()["answer"]
    assert (found["family"], found["prediction"], found["native_px"]) == ("sd1", "epsilon", NATIVE_PX)
    assert len(found["sha256"]) == 64 and found["title"] == f"base.safetensors [{found['sha256'][:10]}]"
    assert found["config"] == str(folder / "models" / "Stable-diffusion" / "base.yaml")


@pytest.mark.parametrize("wanted", ["base.safetensors", "base"])
def test_a_checkpoint_is_found_by_what_the_webui_calls_it(probed: Server, wanted: str) -> None:
    found = probed.post("/probe/find_checkpoint", {"wanted": wanted}).json()["answer"]
    assert found["title"].startswith("base.safetensors [")


def test_a_checkpoint_is_found_by_its_path(probed: Server, folder: Path) -> None:
    path = folder / "models" / "Stable-diffusion" / "base.safetensors"
    assert probed.post("/probe/find_checkpoint", {"wanted": str(path)}).json()["answer"]["path"] == str(path)


@pytest.mark.parametrize("wanted", ["", "/etc/passwd", "bas", str(TINY / "avatar-tiny.safetensors")])
def test_what_is_not_on_the_list_is_not_found(probed: Server, wanted: str) -> None:
    assert probed.post("/probe/find_checkpoint", {"wanted": wanted}).json()["error"]["code"] == "BASE_NOT_FOUND"


def test_no_restorer_is_offered_without_weights(probed: Server) -> None:
    assert probed.get("/probe/restorers").json() == {"answer": []}


def test_upscalers_are_those_whose_weights_are_on_the_disk(probed: Server) -> None:
    assert probed.get("/probe/upscalers").json() == {"answer": ["broken", "mini"]}


@pytest.mark.parametrize(("height", "width", "factor"), [(40, 56, 4), (37, 51, 2)])
def test_an_upscaler_makes_a_picture_exactly_as_many_times_larger(
    probed: Server, height: int, width: int, factor: int
) -> None:
    asked = {"name": "mini", "height": height, "width": width, "factor": factor}
    made = probed.post("/probe/upscale", asked).json()["answer"]
    assert made["shape"] == [height * factor, width * factor, 3] and made["type"] == "uint8"


@pytest.mark.parametrize("name", ["broken", "Lanczos", "R-ESRGAN 4x+", "nobody"])
def test_what_only_resamples_is_refused_by_name(probed: Server, name: str) -> None:
    asked = {"name": name, "height": 24, "width": 24, "factor": 2}
    error = probed.post("/probe/upscale", asked).json()["error"]
    assert error["code"] == "UPSCALER_MISSING" and name in error["message"]


@pytest.mark.parametrize(("place", "name"), [
    ("Codeformer/codeformer-v0.1.0.pth", "CodeFormer"), ("GFPGAN/GFPGANv1.4.pth", "GFPGAN"),
    ("facerestore_models/RestoreFormer.pth", "RestoreFormer"),
])
def test_a_restorer_is_offered_when_its_weights_are_there(
    probed: Server, folder: Path, place: str, name: str
) -> None:
    file = folder / "models" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    try:
        assert probed.get("/probe/restorers").json() == {"answer": [name]}
    finally:
        file.unlink()


def test_the_users_own_styles_are_offered(probed: Server) -> None:
    own = [style for style in probed.get("/personal-avatar/v1/styles").json()["styles"] if style["origin"] == "own"]
    assert [(style["name"], style["prompt"]) for style in own] == [("In Chalk", "chalk drawing of {subject}, paper")]


def test_data_lie_in_the_webuis_data_folder(probed: Server, folder: Path) -> None:
    folders = probed.get("/probe/folders").json()["answer"]
    assert str(folder / "models" / "ControlNet") in folders.pop("identity") and folders.pop("sd_scripts") == ""
    assert folders.pop("more_wildcards") == [] and folders.pop("callers_name_folders")
    assert folders.pop("more_checkpoints") == []
    assert folders.pop("more_loras") == [str(folder / "models" / "LyCORIS")]
    assert folders == {
        "data": str(folder / "personal-avatar"), "loras": str(folder / "models" / "Lora"),
        "embeddings": str(folder / "embeddings"), "checkpoints": str(folder / "models" / "Stable-diffusion"),
    }
