"""The network that tells people from what is behind them: photos are better with it, and are cut without it, too."""
from __future__ import annotations

from personal_avatar.weights.nouns import Carrier, Weight

MODNET = Weight(
    name="modnet",
    file_name="modnet.onnx",
    sha256="07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
    size_bytes=25_888_640,
    licence="Apache-2.0",
    licence_url="https://github.com/ZHKKKe/MODNet/blob/master/LICENSE",
    source="MODNet (Zhanghan Ke and others)",
    purpose="tells people from the background, for masks and backgrounds of training pictures",
    carrier=Carrier("mortal-portrait", "2.3.19", "mortal_portrait/modnet.onnx"),
    url="https://huggingface.co/Xenova/modnet/resolve/main/onnx/model.onnx",
)
