"""What judges pictures besides faces: a CLIP that reads prompts and sees pictures. Fetched only by name."""
from __future__ import annotations

from personal_avatar.weights.nouns import Weight

_OPENAI = "https://openaipublic.azureedge.net/clip/models"


def _clip(name: str, file_name: str, sha256: str, size_bytes: int) -> Weight:
    return Weight(
        name, f"clip/{file_name}", sha256, size_bytes, "MIT", "https://github.com/openai/CLIP/blob/main/LICENSE",
        "CLIP (OpenAI)", "tells how well a picture follows its prompt", url=f"{_OPENAI}/{sha256}/{file_name}",
        exact_size=False,
    )


CLIP_B = _clip(
    "clip-vit-b-32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 353_976_522
)
CLIP_L = _clip(
    "clip-vit-l-14", "ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 932_768_134
)
RANKING: tuple[Weight, ...] = (CLIP_B, CLIP_L)
