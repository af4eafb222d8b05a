"""Miniature files of InstantID and FaceID in a WebUI's data folder, and pictures with a person through its API."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from miniature_adapters import make_adapter, make_clip_vision, make_face_pack, make_identitynet
from personal_avatar.domain import Family
from personal_avatar.identity.nouns import AdapterKind
from PIL import Image

from tests.webui.webui_data import ASSETS, DRAWINGS, make_data_folder
from tests.webui.webui_families import NO_DOWNLOADS, PROBE, PX, Kind, checkpoints, miniature
from tests.webui.webui_server import REPOSITORY, Server

IDENTITY_PROBE = Path(__file__).parent / "probe_identity"
Settings = dict[str, Any]
TITLE = "Personal Avatar"
ERROR = TITLE + " error"
SD1, SD2, SDXL = Kind("sd1", Family.SD1), Kind("sd2", Family.SD2), Kind("sdxl", Family.SDXL)
SECOND = Kind("sdxl-second", Family.SDXL)
PLAIN_FACEID = {Family.SD1: "ip-adapter-faceid_sd15", Family.SDXL: "ip-adapter-faceid_sdxl"}
METHODS: dict[str, tuple[Kind, Settings]] = {
    "instantid": (SDXL, {"method": "instantid"}),
    "faceid-sdxl": (SDXL, {"method": "faceid", "adapter": PLAIN_FACEID[SDXL.family]}),
    "faceid-plus-v2-sdxl": (SDXL, {"method": "faceid", "adapter": "ip-adapter-faceid-plusv2_sdxl"}),
    "faceid-sd1": (SD1, {"method": "faceid", "adapter": PLAIN_FACEID[SD1.family]}),
    "faceid-plus-v2-sd1": (SD1, {"method": "faceid", "adapter": "ip-adapter-faceid-plusv2_sd15"}),
}
NONE = {"adapter_weight": 0.0, "identitynet_weight": 0.0}
# The WebUI puts back after a request only those settings that its file holds; these are what the tests override.
RESTORED = {
    "skip_early_cond": 0.0, "batch_cond_uncond": True, "token_merging_ratio": 0.0, "token_merging_ratio_hr": 0.0,
    "hypertile_enable_unet": False, "hypertile_max_depth_unet": 3, "hypertile_max_tile_unet": 256,
    "CLIP_stop_at_last_layers": 1,
}
ADAPTERS = (
    (AdapterKind.INSTANTID, Family.SDXL, ".bin"),
    (AdapterKind.FACEID, Family.SD1, ".bin"), (AdapterKind.FACEID, Family.SDXL, ".safetensors"),
    (AdapterKind.FACEID_PLUS_V2, Family.SD1, ".safetensors"), (AdapterKind.FACEID_PLUS_V2, Family.SDXL, ".bin"),
)


def make_identity_folder(folder: Path, face_models: Path) -> Path:
    """A data folder with our extension, both probes, miniature checkpoints and everything that an identity needs.

    `face_models`: where insightface's small models are kept.
    """
    made = make_data_folder(folder, extension=REPOSITORY)
    (made / "extensions" / "zz-probe").symlink_to(PROBE)
    (made / "extensions" / "zz-probe-identity").symlink_to(IDENTITY_PROBE)
    (made / "config.json").write_text(json.dumps({**NO_DOWNLOADS, **RESTORED}), encoding="utf-8")
    for number, kind in enumerate((SD1, SD2, SDXL, SECOND)):
        miniature(made, kind, seed=number)
    shelf = made / "models" / "ControlNet"
    for kind, family, suffix in ADAPTERS:
        make_adapter(kind, family, shelf, suffix=suffix)
    make_identitynet(shelf / "InstantID" / "ControlNetModel")
    make_clip_vision(shelf / "image_encoder")
    make_face_pack(made / "models" / "insightface" / "models", face_models)
    assert (checkpoints(made) / "sdxl.safetensors").is_file()
    return made


def drawing(name: str) -> str:
    """A shipped drawing as an API takes it."""
    return base64.b64encode((ASSETS / "samples" / name).read_bytes()).decode()


def picture(box: tuple[int, int, int, int] | None = None, size: int = PX) -> str:
    """A drawing as base64 PNG, or a mask that is white in `box`."""
    image = Image.open(DRAWINGS[0]).convert("RGB").resize((size, size))
    if box is not None:
        image = Image.new("RGB", (size, size))
        image.paste((255, 255, 255), box)
    stream = BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


ONE, SAME, OTHER, NOBODY = (drawing(name) for name in ("01.jpg", "05.jpg", "someone-else.jpg", "no-face.jpg"))


@dataclass(frozen=True)
class Made:
    """What came of a request. `pixels`: uint8 (height, width, 3) of every picture; `infotexts`: of the same."""

    pixels: tuple[np.ndarray, ...]
    infotexts: tuple[str, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(sha256(one.tobytes()).hexdigest() for one in self.pixels)


def asked(identity: Any = None, **changes: Any) -> dict[str, Any]:
    """The body of a request; `identity`: an object, a list of arguments, or None for a plain picture."""
    arguments = identity if isinstance(identity, list) else [identity]
    scripts = {} if identity is None else {"alwayson_scripts": {TITLE: {"args": arguments}}}
    return {
        "prompt": "a portrait", "negative_prompt": "blurred", "seed": 3, "steps": 3, "cfg_scale": 4, "width": PX,
        "height": PX, "sampler_name": "Euler", "save_images": False, **scripts, **changes,
    }


def paint(server: Server, identity: Any = None, *, route: str = "txt2img", **changes: Any) -> Made:
    """Pictures by the WebUI's own API."""
    answer = server.post(f"/sdapi/v1/{route}", asked(identity, **changes))
    assert answer.status_code == 200, answer.text[-2000:]
    document = answer.json()
    pixels = tuple(np.asarray(Image.open(BytesIO(base64.b64decode(one))).convert("RGB")) for one in document["images"])
    return Made(pixels, tuple(json.loads(document["info"])["infotexts"]))


def person(reference: str = ONE, **changes: Any) -> dict[str, Any]:
    return {"references": [reference], **changes}


def distance(one: Made, other: Made) -> float:
    """Mean difference of the pixels, 0..255."""
    return float(np.mean([
        np.abs(a.astype(float) - b.astype(float)).mean() for a, b in zip(one.pixels, other.pixels, strict=True)
    ]))


def state(server: Server) -> dict[str, Any]:
    """Weights, hooks, methods and callbacks of the model in memory."""
    return dict(server.get("/probe/identity/state").json())


def sabotage(server: Server, where: str, kind: str, nth: int) -> None:
    answer = server.post("/probe/identity/sabotage", {"where": where, "kind": kind, "nth": nth})
    assert answer.status_code == 200, answer.text


def mend(server: Server) -> None:
    assert server.post("/probe/identity/mend").status_code == 200
