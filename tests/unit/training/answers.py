"""What a model answers, for comparing it with another or with itself at another time."""
from __future__ import annotations

import torch
from personal_avatar.training.families.model import DiffusionModel


def answer(model: DiffusionModel) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([500]), model.encode_text(["a portrait of a man"]))
