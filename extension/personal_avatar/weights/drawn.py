"""Weights for drawn characters: what finds their faces, and what tells one character from another.

Nobody needs them for photos. They are used where they lie, whoever put them there: `face_detect_*/model.onnx` and
`ccip-*/model_feat.onnx` below the folder of weights, the layout of the two repositories.
"""
from __future__ import annotations

from personal_avatar.weights.nouns import Weight

_HUB = "https://huggingface.co/deepghs"
_FACES = f"{_HUB}/anime_face_detection"
_CHARACTERS = f"{_HUB}/ccip_onnx"

DRAWN_FACES = Weight(
    name="drawn-faces",
    file_name="face_detect_v1.4_s/model.onnx",
    sha256="403b5bc93b6ff789b7d183418df4a1364049bac00c24acd927604a7ff6891483",
    size_bytes=44_583_229,
    licence="MIT",
    licence_url=_FACES,
    source="anime_face_detection v1.4 s (deepghs), YOLOv8",
    purpose="finds the faces of drawn characters",
    url=f"{_FACES}/resolve/784dc4c0bb692351ddcdbe6131a050b17d3025d5/face_detect_v1.4_s/model.onnx",
)

CCIP = Weight(
    name="ccip",
    file_name="ccip-caformer-24-randaug-pruned/model_feat.onnx",
    sha256="4ea118d16496274f4f6e08d3afc768cc592389e8f7f32f8732ce2215c228ac5f",
    size_bytes=150_248_245,
    licence="OpenRAIL (any purpose but those that it forbids)",
    licence_url=_CHARACTERS,
    source="CCIP, contrastive anime character image pretraining (7eu7d7, deepghs)",
    purpose="tells drawn characters apart",
    url=(
        f"{_CHARACTERS}/resolve/eb2acdd29af1703388d3d0c04221add322bc9110/"
        "ccip-caformer-24-randaug-pruned/model_feat.onnx"
    ),
)

DRAWN: tuple[Weight, ...] = (DRAWN_FACES, CCIP)
