"""Models on a graphics card where there is one, on the processor in any other case."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from insightface_models import models
from personal_avatar import sessions
from personal_avatar.errors import WeightsCorrupt
from personal_avatar.sessions import session

CARD, PROCESSOR = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def recogniser(weights_folder: Path) -> Path:
    return models(weights_folder.parent / "insightface" / "buffalo_s")[1]


@pytest.fixture
def claims_a_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """An onnxruntime that was built for CUDA on a machine whose driver does not do: what it was asked for."""
    asked: list[Any] = []
    real = onnxruntime.InferenceSession

    def start(source: Any, options: Any, providers: list[Any]) -> Any:
        asked.append(providers)
        if providers != [PROCESSOR]:
            raise RuntimeError("CUDA driver version is insufficient for CUDA runtime version")
        return real(source, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CARD, PROCESSOR])
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    sessions._session.cache_clear()
    sessions.clear_card()
    yield asked
    sessions._session.cache_clear()
    sessions.clear_card()


def test_a_card_that_fails_is_no_error(claims_a_card: list[Any], recogniser: Path) -> None:
    found = session(recogniser, card=True)
    assert found.get_providers() == [PROCESSOR]
    assert [providers[0] for providers in claims_a_card[:2]] == [(CARD, sessions._CARD_OPTIONS), CARD]
    aligned = np.zeros((1, 3, 112, 112), np.float32)
    assert found.run(None, {found.get_inputs()[0].name: aligned})[0].shape == (1, 512)


def test_small_models_stay_on_the_processor(claims_a_card: list[Any], recogniser: Path) -> None:
    session(recogniser)
    assert claims_a_card == [[PROCESSOR]]


def test_a_broken_file_is_still_named(claims_a_card: list[Any], tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsCorrupt, match="broken.onnx"):
        session(tmp_path / "broken.onnx", card=True)


def test_without_a_card_nothing_is_tried(recogniser: Path) -> None:
    assert session(recogniser, card=True).get_providers()[-1] == PROCESSOR
    assert session(recogniser, card=True) is session(recogniser, card=True)


def test_what_lies_on_the_card_can_be_let_go(claims_a_card: list[Any], recogniser: Path) -> None:
    first, small = session(recogniser, card=True), session(recogniser)
    sessions.clear_card()
    assert session(recogniser, card=True) is not first
    assert session(recogniser) is small
