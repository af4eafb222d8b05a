"""Learning the words of our captions without touching the other 49,000 tokens of CLIP's vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from . import captions, characters


class WordOffsets(nn.Module):
    """Trainable offsets on the token embeddings of the caption words, added by a hook while training.

    The table itself stays frozen, which saves a fifth of the optimiser's work. `fold` writes the offsets into the
    table.
    """

    def __init__(self, embedding: nn.Embedding, tokens: list[int]) -> None:
        super().__init__()
        self.tokens = torch.tensor(tokens)
        self.offsets = nn.Embedding(len(tokens) + 1, embedding.embedding_dim, padding_idx=0)
        nn.init.zeros_(self.offsets.weight)
        places = torch.zeros(embedding.num_embeddings, dtype=torch.long)
        places[self.tokens] = torch.arange(1, len(tokens) + 1)
        self.register_buffer("places", places, persistent=False)
        embedding.weight.requires_grad_(False)
        embedding.register_forward_hook(lambda _, inputs, output: output + self.offsets(self.places[inputs[0]]))

    @torch.no_grad()
    def folded(self, table: torch.Tensor) -> torch.Tensor:
        """The embedding table with the offsets added, float32 [49408, width]."""
        out = table.detach().clone()
        out[self.tokens] += self.offsets.weight[1:].detach().to(out)
        return out


def caption_tokens(tokenizer: Any) -> list[int]:
    """Ids of every token that a caption can contain, start and end included, ascending."""
    texts = ["a , man woman person portrait of with and wearing bearded beard glasses bald neutral expression"]
    texts += ["hair shirt background skin eyes", *captions.CUT_WORDS.values()]
    texts += [" ".join(words) for words in captions.STYLE_WORDS.values()]
    for names in (characters.COLOURS, characters.HAIR, characters.SKIN, characters.IRIS, characters.EXPRESSIONS):
        texts.append(" ".join(names))
    return sorted({token for text in texts for token in tokenizer(text).input_ids})


def add_strange_words(caption: str, words: list[str], rng: np.random.Generator) -> str:
    """Put one to four words that mean nothing yet into a caption, so that triggers and styles do not disturb."""
    parts = caption.split(" ") if caption else []
    for _ in range(int(rng.integers(1, 5))):
        parts.insert(int(rng.integers(len(parts) + 1)), words[rng.integers(len(words))])
    return " ".join(parts)


def strange_words(tokenizer: Any) -> list[str]:
    """Whole words of the vocabulary that no caption uses."""
    known = set(caption_tokens(tokenizer))
    return [
        word.removesuffix("</w>")
        for word, token in sorted(tokenizer.get_vocab().items())
        if word.endswith("</w>") and word[:-4].isalpha() and word.isascii() and token not in known
    ]
