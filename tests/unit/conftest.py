from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.errors import WeightsError


@pytest.fixture(scope="session")
def face_weights() -> Path:
    """A folder with the verified detector and recogniser, fetched once and kept in `.cache`."""
    from personal_avatar.weights.fetch import ensure
    from personal_avatar.weights.registry import SFACE, YUNET

    folder = Path(__file__).resolve().parents[2] / ".cache" / "weights"
    try:
        for weight in (YUNET, SFACE):
            ensure(weight, folder)
    except WeightsError as error:
        pytest.skip(f"no face models: {error}")
    return folder
