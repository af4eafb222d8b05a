"""A WebUI that moves its model to and fro for want of memory: a person can be put into its pictures all the same."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.webui_families import Kind, choose
from tests.webui.webui_identity import (
    ERROR,
    NONE,
    OTHER,
    SD1,
    SDXL,
    make_identity_folder,
    paint,
    person,
    state,
)
from tests.webui.webui_server import Server


@pytest.fixture(scope="module", params=["--medvram", "--lowvram"])
def short_of_memory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, weights_folder: Path
) -> Iterator[Server]:
    models = weights_folder.parent / "insightface" / "buffalo_s"
    data = make_identity_folder(tmp_path_factory.mktemp("short") / "data", models)
    with Server(data, flags=("--nowebui", request.param), wait_s=900) as running:
        yield running


@pytest.mark.parametrize("kind", [SDXL, SD1], ids=lambda kind: kind.name)
def test_a_person_in_pictures_of_a_model_that_is_moved_about(short_of_memory: Server, kind: Kind) -> None:
    choose(short_of_memory, kind.name)
    plain, before = paint(short_of_memory), state(short_of_memory)
    one, other = paint(short_of_memory, person()), paint(short_of_memory, person(OTHER))
    assert ERROR not in one.infotexts[0] + other.infotexts[0]
    assert len({*plain.digests, *one.digests, *other.digests}) == 3
    assert paint(short_of_memory, person(**NONE)).digests == plain.digests
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    assert ERROR not in paint(short_of_memory, person(), **hires).infotexts[0]
    assert paint(short_of_memory, person()).digests == one.digests
    assert paint(short_of_memory).digests == plain.digests
    assert state(short_of_memory) == before
