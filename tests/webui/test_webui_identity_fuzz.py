"""Many generations with random settings, some of which fail or are stopped: the model is as it was after each of them.

`PERSONAL_AVATAR_FUZZ`: how many (default: 60), `PERSONAL_AVATAR_FUZZ_SEED`: which ones (default: 1).
"""
from __future__ import annotations

import base64
import os
import random
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.webui.webui_compositions import COMPOSED
from tests.webui.webui_data import ASSETS
from tests.webui.webui_families import PX, choose
from tests.webui.webui_identity import (
    ERROR,
    NOBODY,
    ONE,
    OTHER,
    SAME,
    SD1,
    SDXL,
    SECOND,
    asked,
    mend,
    paint,
    person,
    sabotage,
    state,
)
from tests.webui.webui_server import Server

COUNT = int(os.environ.get("PERSONAL_AVATAR_FUZZ", "60"))
SEED = int(os.environ.get("PERSONAL_AVATAR_FUZZ_SEED", "1"))
KINDS = (SDXL, SDXL, SD1, SECOND)
STAYS = 12  # generations with one checkpoint
PLACES = ("unet:0", "unet:{}", "unet:{}", "unet:{}", "residuals", "keys", "hint", "context", "tokens", "prepare",
          "reference")
FAILURES = ("error", "error", "memory", "interrupt", "skip", "stop")
WORDS = ("refiner", "clip skip")  # what also changes the checkpoint in memory has tests of its own
CHANGES = [{}, *(changes for name, changes in COMPOSED.items() if name not in WORDS)]


def identity_of(chance: random.Random) -> dict[str, Any]:
    """Random settings, a few of them wrong."""
    share, weight = (lambda: round(chance.random(), 2)), (lambda: round(chance.uniform(0, 2), 2))
    found: dict[str, Any] = {
        "adapter_weight": weight(), "identitynet_weight": weight(), "start": chance.choice((0.0, 0.0, share())),
        "end": chance.choice((1.0, 1.0, share())), "identitynet_end": chance.choice((1.0, share())),
        "keypoints": chance.choice(("auto", "reference", "none")), "negative": chance.choice(("zero", "noise")),
        "down_weight": weight(), "mid_weight": weight(), "up_weight": weight(), "lora_weight": weight(),
        "structure_weight": weight(), "method": chance.choice(("auto", "auto", "auto", "faceid", "instantid")),
        "second_pass": chance.random() < 0.1, "second_pass_below_px": 1024,
    }
    photos = [chance.choice((ONE, SAME, OTHER)) for _ in range(chance.randint(1, 3))]
    wrong = chance.random()
    if wrong < 0.05:
        return {**found, "references": [NOBODY]}
    if wrong < 0.1:
        return {**found, "references": photos, "adapter_weight": -1}
    if wrong < 0.7:
        return {**found, "references": photos}
    middle = round(chance.uniform(0.2, 0.8), 2)
    regions = ({"left": 0.0, "right": middle}, {"left": middle, "right": 1.0})
    return {**found, "people": [{"references": [chance.choice((ONE, OTHER))], "region": one} for one in regions]}


def failure_of(chance: random.Random) -> tuple[str, str, int]:
    place = chance.choice(PLACES).format(chance.randrange(2000))
    return place, chance.choice(FAILURES), chance.choice((0, 0, 0, 1, 2, 20))


def test_nothing_stays_behind(identity: Server) -> None:
    chance = random.Random(SEED)
    before: dict[str, dict[str, Any]] = {}
    outcomes = {"painted": 0, "refused": 0, "raised": 0}
    for number in range(COUNT):
        kind = KINDS[number // STAYS % len(KINDS)]
        if number % STAYS == 0:
            choose(identity, kind.name)
            paint(identity, **COMPOSED["hypertile"])  # which leaves its own methods in a model for good
            fresh = left(identity)
            assert before.setdefault(kind.name, fresh) == fresh
        wanted, changes = identity_of(chance), dict(chance.choice(CHANGES))
        place = failure_of(chance) if chance.random() < 0.6 else None
        if place:
            sabotage(identity, *place)
        answer = identity.post(f"/sdapi/v1/{changes.pop('route', 'txt2img')}", asked(wanted, **changes))
        mend(identity)
        told = (number, wanted, changes, place)
        assert answer.status_code == 200 or place, (told, answer.text[-2000:])
        outcomes[_outcome(answer)] += 1
        assert left(identity) == before[kind.name], told
    assert ERROR not in paint(identity, person()).infotexts[0]
    assert all(count for count in outcomes.values()), outcomes


def left(server: Server) -> dict[str, Any]:
    """The plain picture, then what the model in memory is like."""
    return {"plain": paint(server).digests, **state(server)}


def _outcome(answer: Any) -> str:
    if answer.status_code != 200:
        return "raised"
    return "refused" if ERROR in answer.json()["info"] else "painted"


def photo(number: int) -> str:
    """A drawing that no other number gives."""
    pixels = np.asarray(Image.open(ASSETS / "samples" / "01.jpg").convert("RGB").resize((256, 256))).copy()
    pixels[: 1 + number % 16, : 1 + number // 16] = (number, 255 - number, 7)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize("kind", [SDXL, SD1], ids=lambda kind: kind.name)
def test_changes_of_the_reference_leak_nothing(identity: Server, kind: Any) -> None:
    """Some people are remembered: the first changes fill what is kept, the others find it full."""
    choose(identity, kind.name)

    def changes(numbers: range) -> dict[str, float]:
        for number in numbers:
            made = paint(identity, person(photo(number)), steps=1, width=PX, height=PX)
            assert ERROR not in made.infotexts[0]
        return dict(identity.get("/probe/identity/memory").json())

    full, later = changes(range(30)), changes(range(30, 50))
    assert later["tensors"] <= full["tensors"]
    assert later["tensor_mb"] == pytest.approx(full["tensor_mb"], abs=0.5)
    assert later["resident_mb"] - full["resident_mb"] < 20
