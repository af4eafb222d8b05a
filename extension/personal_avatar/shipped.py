"""Where the files lie that come with us: the small checkpoint, drawings, styles. Standard library only."""
from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parent / "assets"
AVATAR_TINY = ASSETS / "avatar-tiny"
TOKENIZER = AVATAR_TINY / "diffusers" / "tokenizer"  # of CLIP
SAMPLES = ASSETS / "samples"
