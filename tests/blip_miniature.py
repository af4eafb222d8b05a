"""BLIP in miniature: transformers' own files with random weights and a vocabulary of a few words."""
from __future__ import annotations

from pathlib import Path
from typing import Any

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a man woman with red blue green hat car park the sitting ##s tree , . on"
WORDS = VOCABULARY.split()
SIDE_PX = 32
BEGIN, STOP = len(WORDS), 3
# So strong that what is said depends on the picture.
GAIN, CROSS_GAIN = 3.0, 6.0


def make(folder: Path, seed: int = 1) -> Any:
    """Write model.safetensors, config.json and vocab.txt; returns the model (BlipForConditionalGeneration)."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
    text = {
        **sizes, "vocab_size": len(WORDS) + 2, "encoder_hidden_size": 64, "max_position_embeddings": 64,
        "bos_token_id": BEGIN, "eos_token_id": STOP, "sep_token_id": STOP, "pad_token_id": 0,
    }  # fmt: skip
    config = BlipConfig(vision_config={**sizes, "image_size": SIDE_PX, "patch_size": 16}, text_config=text)
    model = BlipForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            gain = CROSS_GAIN if "crossattention" in name else GAIN
            parameter.data.normal_(0, gain / parameter[0].numel() ** 0.5, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return model

