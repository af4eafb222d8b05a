"""Miniatures of every kind of checkpoint in a WebUI's data folder, and files that were made for them."""
from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.webui.webui_data import make_data_folder
from tests.webui.webui_server import REPOSITORY, Server

PROBE = Path(__file__).parent / "probe"
EPSILON, VELOCITY = "epsilon", "v_prediction"
PX = 64
NO_DOWNLOADS = {"show_progress_type": "Approx cheap"}  # the other previews of SDXL need a network from the internet


@dataclass(frozen=True)
class Kind:
    """A column of the table of families: what its checkpoint is called and how it predicts."""

    name: str
    family: Family
    prediction: str = EPSILON
    zero_terminal_snr: bool = False


KINDS = (
    Kind("sd1", Family.SD1), Kind("sd2-eps", Family.SD2), Kind("sd2-v", Family.SD2, VELOCITY),
    Kind("sdxl-eps", Family.SDXL), Kind("sdxl-v-ztsnr", Family.SDXL, VELOCITY, True),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def make_families_folder(folder: Path) -> Path:
    """A data folder with our extension, the probe, avatar-tiny as "base" and a miniature of every kind."""
    made = make_data_folder(folder, extension=REPOSITORY)
    (made / "extensions" / "zz-probe").symlink_to(PROBE)
    (made / "config.json").write_text(json.dumps(NO_DOWNLOADS), encoding="utf-8")
    for number, kind in enumerate(KINDS):
        miniature(made, kind, seed=number)
    return made


def miniature(folder: Path, kind: Kind, **changes: Any) -> BaseModelFile:
    """A checkpoint of this kind among the WebUI's, in half precision as nearly all are; `changes`: arguments of
    `make`."""
    wanted = {"name": kind.name, "prediction": kind.prediction, "zero_terminal_snr": kind.zero_terminal_snr}
    return make(kind.family, checkpoints(folder), **{**wanted, "half": True, **changes})


def base_of(folder: Path, kind: Kind) -> Path:
    return checkpoints(folder) / f"{kind.name}.safetensors"


def found(server: Server, name: str) -> dict[str, Any]:
    """What the host says of a checkpoint."""
    answer = server.post("/probe/find_checkpoint", {"wanted": name}).json()
    assert "answer" in answer, answer
    return dict(answer["answer"])


def choose(server: Server, name: str) -> None:
    """Load a checkpoint as the page does, by its title."""
    answer = server.post("/sdapi/v1/options", {"sd_model_checkpoint": found(server, name)["title"]})
    assert answer.status_code == 200, answer.text
    assert loaded(server).startswith(f"{name}.")


def loaded(server: Server) -> str:
    """File name of the checkpoint in memory."""
    return str(server.get("/probe/loaded").json()["answer"])


def wait_for_sampling(server: Server, step: int, wait_s: float = 60.0) -> None:
    """Until the picture that the WebUI makes has come to this step; after a picture the number stays, without a job."""
    end = time.monotonic() + wait_s
    while True:
        state = server.get("/sdapi/v1/progress?skip_current_image=true").json()["state"]
        if state["job"] and state["sampling_step"] >= step:
            return
        assert time.monotonic() < end, f"no picture came to step {step} within {wait_s:.0f} s"
        time.sleep(0.02)


def generate(server: Server, checkpoint: Path | None = None, stop_after: int = -1, **changes: Any) -> dict[str, Any]:
    """The host's pictures: [digest, infotext] of each as `answer`, or `error`; `stop_after`: cancelled at that step."""
    request = {
        "prompt": "a portrait", "negative_prompt": "", "seeds": [3], "width_px": PX, "height_px": PX, "steps": 3,
        "checkpoint": str(checkpoint) if checkpoint else None, **changes,
    }
    return dict(server.post("/probe/generate", {"request": request, "stop_after": stop_after}).json())


def digest(server: Server, checkpoint: Path | None = None, **changes: Any) -> str:
    answer = generate(server, checkpoint, **changes)
    assert "answer" in answer, answer
    return str(answer["answer"][0][0])


def checkpoints(folder: Path) -> Path:
    return folder / "models" / "Stable-diffusion"


def weights(file: Path) -> dict[str, np.ndarray]:
    with safe_open(str(file), "np") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def header(base: Path) -> dict[str, str]:
    """The metadata by which our files say for which checkpoint they were made."""
    return {"ss_sd_model_name": base.name}


def write_lora(folder: Path, base: Path, name: str, parts: dict[str, tuple[int, ...]], scale: float = 0.5) -> Path:
    """A LoRA of rank 4; `parts`: name of a module in the file -> shape of the weight that it changes."""
    random = np.random.default_rng(3)
    tensors = {}
    for part, (rows, columns, *_) in parts.items():
        tensors[f"{part}.lora_down.weight"] = random.normal(size=(4, columns)).astype(np.float32)
        tensors[f"{part}.lora_up.weight"] = (random.normal(size=(rows, 4)) * scale).astype(np.float32)
        tensors[f"{part}.alpha"] = np.asarray(4.0, dtype=np.float32)
    file = folder / "models" / "Lora" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file(tensors, file, header(base))
    return file


def write_embedding(folder: Path, base: Path, name: str, tensors: dict[str, np.ndarray]) -> Path:
    file = folder / "embeddings" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file(tensors, file, header(base))
    return file


def write_checkpoint(base: Path, name: str, factor: float) -> Path:
    """A checkpoint whose attention layers are `factor` times those of `base`, with its yaml."""
    file = base.with_name(f"{name}.safetensors")
    changed = {
        key: value * np.float32(factor) if key.endswith("attn2.to_v.weight") else value
        for key, value in weights(base).items()
    }
    save_file(changed, file, header(base))
    file.with_suffix(".yaml").write_bytes(base.with_suffix(".yaml").read_bytes())
    return file
