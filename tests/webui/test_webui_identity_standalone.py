"""The same person, seed and sampler in the WebUI and without it: the pictures part no farther than plain ones do."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.host import PictureRequest
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.pictures import load_picture
from personal_avatar.standalone.host import StandaloneHost

from tests.webui.webui_data import ASSETS
from tests.webui.webui_families import PX, Kind, base_of, choose
from tests.webui.webui_identity import METHODS, Made, Settings, distance, paint, person
from tests.webui.webui_server import Server

PHOTO = ASSETS / "samples" / "01.jpg"
STEPS = 12
# At full weight a LoRA of random weights makes any difference of the samplers ten times as large.
CALM = {"lora_weight": 0.3}


@pytest.fixture(scope="module")
def standalone(identity_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneHost]:
    """With the checkpoints and the identity files of the WebUI's data folder."""
    host = StandaloneHost(tmp_path_factory.mktemp("standalone"))
    shelf = host.folders().identity_folders[0]
    for name in ("ControlNet", "insightface"):
        shutil.copytree(identity_data / "models" / name, shelf / name)
    yield host
    host.unload()


def without_the_webui(host: StandaloneHost, checkpoint: Path, identity: IdentityRequest | None) -> Made:
    request = PictureRequest(
        "a portrait", "blurred", (3,), PX, PX, steps=STEPS, guidance=4.0, sampler="Euler", checkpoint=checkpoint,
        identity=identity,
    )
    return Made(tuple(picture.image for picture in host.generate(request, lambda done, total: None)), ())


@pytest.mark.parametrize("kind, settings", METHODS.values(), ids=METHODS)
def test_both_hosts_paint_the_same_person(
    identity: Server, identity_data: Path, standalone: StandaloneHost, kind: Kind, settings: Settings
) -> None:
    settings = {**settings, **CALM}
    choose(identity, kind.name)
    checkpoint = base_of(identity_data, kind)
    plain = paint(identity, steps=STEPS)
    there = paint(identity, person(**settings), steps=STEPS)
    asked = IdentityRequest(IdentitySettings(**settings), (Subject((load_picture(PHOTO),)),))
    here = without_the_webui(standalone, checkpoint, asked)
    apart = distance(plain, without_the_webui(standalone, checkpoint, None))
    assert distance(there, here) < max(2 * apart, 1.0)
    assert distance(there, here) < 0.2 * distance(there, plain)
