"""Whether a prompt still gives different pictures."""
from __future__ import annotations

import numpy as np
import pytest
from personal_avatar.training.evaluation.diversity import diversity

BLACK, WHITE = (np.full((96, 96, 3), value, np.uint8) for value in (0, 255))
FINE = np.indices((96, 96)).sum(0)[..., None].repeat(3, 2).astype(np.uint8) % 2 * 255


def test_only_pictures_of_one_prompt_are_compared() -> None:
    assert diversity([BLACK, WHITE], ["a", "b"]) == 0.0
    assert diversity([BLACK, WHITE, BLACK], ["a", "b", "a"]) == 0.0
    assert diversity([BLACK, WHITE], ["a", "a"]) == pytest.approx(1.0)
    assert diversity([BLACK, WHITE, WHITE], ["a", "a", "a"]) == pytest.approx(2 / 3)


def test_what_differs_in_details_alone_is_nearly_the_same() -> None:
    assert diversity([FINE, 255 - FINE], ["a", "a"]) < 0.02
