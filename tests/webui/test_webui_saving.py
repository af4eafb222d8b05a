"""Pictures that our host makes, under settings of the WebUI by which files replace each other and prompts are read."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.webui.webui_data import make_data_folder
from tests.webui.webui_server import NATIVE_PX, REPOSITORY, Server

PROBE = Path(__file__).parent / "probe"
PROMPT = "a portrait of a woman, blue background"


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_data_folder(tmp_path_factory.mktemp("saving") / "data", extension=REPOSITORY)
    (made / "extensions" / "zz-probe").symlink_to(PROBE)
    with Server(made, flags=("--nowebui",)) as running:
        yield running


def generated(server: Server, seeds: list[int], **changes: Any) -> list[list[str]]:
    """Digest and infotext of each picture."""
    request = {
        "prompt": PROMPT, "negative_prompt": "", "seeds": seeds, "width_px": NATIVE_PX, "height_px": NATIVE_PX,
        "steps": 2, **changes,
    }
    return list(server.post("/probe/generate", {"request": request, "stop_after": -1}).json()["answer"])


@pytest.mark.parametrize("action", ["Replace", "Add number suffix"])
def test_every_picture_has_a_file_of_its_own_where_names_come_again(
    probed: Server, tmp_path: Path, action: str
) -> None:
    before = probed.get("/sdapi/v1/options").json()
    wanted = {
        "save_images_add_number": False, "samples_filename_pattern": "[model_name]", "save_to_dirs": False,
        "save_images_replace_action": action, "outdir_samples": str(tmp_path),
    }
    assert probed.post("/sdapi/v1/options", wanted).status_code == 200
    try:
        made = [*generated(probed, [1, 2]), *generated(probed, [2])]
    finally:
        probed.post("/sdapi/v1/options", {name: before[name] for name in wanted})
    files = [tmp_path / f"base{number}.png" for number in ("", "-2", "-3")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert [Image.open(file).info["parameters"] for file in files] == [infotext for _, infotext in made]


def test_prompts_are_read_by_the_layer_that_is_asked_for_whatever_is_set(probed: Server) -> None:
    """As the WebUI itself does it, and its setting is the same afterwards."""
    plain, skipped = (generated(probed, [3], clip_skip=n)[0] for n in (1, 2))
    assert "Clip skip: 2" in skipped[1] and "Clip skip" not in plain[1] and plain[0] != skipped[0]
    assert probed.post("/sdapi/v1/options", {"CLIP_stop_at_last_layers": 2}).status_code == 200
    try:
        assert generated(probed, [3]) == [skipped] and generated(probed, [3], clip_skip=1) == [plain]
        assert probed.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 2
    finally:
        probed.post("/sdapi/v1/options", {"CLIP_stop_at_last_layers": 1})
