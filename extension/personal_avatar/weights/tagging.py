"""Weights of what describes photos: the WD taggers (words of Danbooru) and BLIP (sentences).

The checksums are those that the Hugging Face hub states for the revisions in the addresses.
"""
from __future__ import annotations

from personal_avatar.weights.nouns import Weight

_HUB = "https://huggingface.co"
_BLIP = f"{_HUB}/Salesforce/blip-image-captioning-base"
_BLIP_REVISION = "82a37760796d32b1411fe092ab5d4e227313294b"
_BLIP_SOURCE = "BLIP (Junnan Li and others, Salesforce)"


def _tagger(name: str, repository: str, revision: str, sha256: str, size_bytes: int) -> Weight:
    page = f"{_HUB}/SmilingWolf/{repository}"
    return Weight(
        f"{name}-model", f"wd14/{repository}/model.onnx", sha256, size_bytes, "Apache-2.0", page,
        "WD tagger v3 (SmilingWolf)", "describes a picture in tags", url=f"{page}/resolve/{revision}/model.onnx",
    )


WD_VIT = _tagger(
    "wd14-vit", "wd-vit-tagger-v3", "7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f",
    "35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6", 378_536_310,
)
WD_SWINV2 = _tagger(
    "wd14-swinv2", "wd-swinv2-tagger-v3", "627aef95638667ddcaa3ac8ae625e88ea5b02f51",
    "e6774bff34d43bd49f75a47db4ef217dce701c9847b546523eb85ff6dbba1db1", 467_460_978,
)
WD_EVA02 = _tagger(
    "wd14-eva02", "wd-eva02-large-tagger-v3", "b25b82a03f7282e41aa2f257a52c7583b710bd1c",
    "9e768793060c7939b277ccb382783e8670e8a042d29d77aa736be0c8cc898bfc", 1_260_435_999,
)
# The three have one table of tags.
WD_TAGS = Weight(
    "wd14-tags", "wd14/selected_tags.csv", "298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217", 308_468,
    "Apache-2.0", f"{_HUB}/SmilingWolf/wd-vit-tagger-v3", "WD tagger v3 (SmilingWolf)", "the names of the tags",
    url=f"{_HUB}/SmilingWolf/wd-vit-tagger-v3/resolve/7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f/selected_tags.csv",
)
BLIP_MODEL = Weight(
    "blip-model", "blip/pytorch_model.bin", "d6638651a5526cc2ede56f2b5104d6851b0755816d220e5e046870430180c767",
    989_820_849, "BSD-3-Clause", _BLIP, _BLIP_SOURCE, "describes a picture in a sentence",
    url=f"{_BLIP}/resolve/{_BLIP_REVISION}/pytorch_model.bin",
)
BLIP_WORDS = Weight(
    "blip-words", "blip/vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3", 231_508,
    "BSD-3-Clause", _BLIP, _BLIP_SOURCE, "the words of the sentences",
    url=f"{_BLIP}/resolve/{_BLIP_REVISION}/vocab.txt",
)

TAGGING: tuple[Weight, ...] = (WD_VIT, WD_SWINV2, WD_EVA02, WD_TAGS, BLIP_MODEL, BLIP_WORDS)
# Under the name of the tagger what it needs.
TAGGERS: dict[str, tuple[Weight, ...]] = {
    "wd14-vit": (WD_VIT, WD_TAGS),
    "wd14-swinv2": (WD_SWINV2, WD_TAGS),
    "wd14-eva02": (WD_EVA02, WD_TAGS),
    "blip": (BLIP_MODEL, BLIP_WORDS),
}
