"""Pictures that the WebUI saves itself say that a model made them when we put a person in, and only then."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from personal_avatar.pictures import GENERATED, infotext_of, load_picture, source_of

from tests.webui.webui_families import choose
from tests.webui.webui_identity import SD1, TITLE, Settings, paint, person
from tests.webui.webui_server import Server


def saved(server: Server, identity: Settings | None) -> tuple[Path, np.ndarray]:
    """The file that the WebUI wrote of a picture, and what its API answered."""
    before = set(server.data.rglob("outputs/**/*.png"))
    made = paint(server, identity, save_images=True)
    (file,) = {path for path in server.data.rglob("outputs/**/*.png") if "grid" not in path.name} - before
    return file, made.pixels[0]


def test_a_saved_picture_with_a_person_is_marked_and_else_unchanged(identity: Server) -> None:
    choose(identity, SD1.name)
    file, pixels = saved(identity, person())
    assert source_of(file) == GENERATED
    assert f"{TITLE} identity: faceid" in infotext_of(file)
    assert np.array_equal(load_picture(file), pixels)


def test_a_saved_picture_without_our_part_stays_as_it_is(identity: Server) -> None:
    choose(identity, SD1.name)
    file, _ = saved(identity, None)
    assert source_of(file) == "" and "a portrait" in infotext_of(file)
