"""A trial tells what is wrong with a file from what is wrong with the WebUI: it paints without the file first."""
from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from personal_avatar import caveats
from personal_avatar.domain import Method
from personal_avatar.errors import Cancelled, GenerationFailed, NoCheckpoint, OutOfVram, SelfTestFailed
from personal_avatar.host import Folders
from personal_avatar.wording import LANGUAGES, text
from PIL import Image
from safetensors.numpy import save_file

from tests.unit.webui.conftest import Loaded

LORA = "lora_unet_mid_block"
WITHOUT, WITH = 0, 1  # in the order of the pictures
NANS = GenerationFailed("The WebUI made no picture (NansException: A tensor with NaNs was produced in Unet.).")
KINDS = (Method.LORA, Method.TEXTUAL_INVERSION, Method.DREAMBOOTH)
Announce = Callable[..., list[str]]


class Embeddings:
    """What the WebUI knows of the words of files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.skipped_embeddings = folder, {}
        self.load_textual_inversion_embeddings(force_reload=True)

    def load_textual_inversion_embeddings(self, force_reload: bool) -> None:
        self.word_embeddings = {path.stem: SimpleNamespace(filename=str(path)) for path in self.folder.iterdir()}

    def register_embedding_by_name(self, embedding: None, model: Any, name: str) -> None:
        del self.word_embeddings[name]


@pytest.fixture()
def file(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "an.safetensors"
    save_file({f"{LORA}.lora_up.weight": np.ones((1, 1), np.float32)}, path)
    return path


@pytest.fixture()
def announce(loaded: Loaded, stood_in: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch) -> Announce:
    """Codes of what is said of a file whose pictures raise `troubles`, if anything, by their order; the pictures know
    whether the file is used."""
    published, trial, kinds = loaded("published"), loaded("trial"), loaded("selftest_checkpoint")
    known, used = Embeddings(file.parent), [False]
    base = SimpleNamespace(path=Path("base.safetensors"), sha256="", native_px=512)
    texts = {"personal_avatar.base": base.path.name}
    networks: Any = ModuleType("networks")
    networks.list_available_networks = lambda: None
    networks.available_networks = {file.stem: SimpleNamespace(filename=str(file), metadata=texts)}
    networks.load_network = lambda name, entry: SimpleNamespace(modules={"part": SimpleNamespace(network_key=LORA)})
    monkeypatch.setitem(sys.modules, "networks", networks)
    stood_in.sd_hijack.model_hijack.embedding_db = known  # type: ignore[attr-defined]
    monkeypatch.setattr(trial.generation, "turn", nullcontext)
    monkeypatch.setattr(trial, "base", lambda: base)
    monkeypatch.setattr(trial, "metadata_of", lambda file: texts)
    monkeypatch.setattr(published.checkpoints, "enlist", lambda file: None)
    monkeypatch.setattr(kinds, "enlist", lambda file: None)
    monkeypatch.setattr(kinds, "_verify_whole", lambda file, base: used.append(True))
    monkeypatch.setattr(kinds.borrowed, "checkpoint", nullcontext)

    def asked(method: Method, troubles: dict[int, Exception], changes: bool = True) -> list[str]:
        made: list[bool] = []

        def picture(prompt: str, checkpoint: Any) -> Any:
            made.append({
                Method.LORA: f"<lora:{file.stem}:1>" in prompt,
                Method.TEXTUAL_INVERSION: file.stem in known.word_embeddings,
                Method.DREAMBOOTH: used[-1],
            }[method])
            trouble = troubles.get(WITH if made[-1] else WITHOUT)
            if trouble is not None:
                raise trouble
            return trial.Trial(np.full((8, 8, 3), made[-1] and changes, np.uint8))

        monkeypatch.setattr(trial, "picture", picture)
        told = published.announce(file, method, Folders(file.parent, file.parent, file.parent, file.parent))
        assert made == [False, True][: len(made)]
        return [one.code for one in told]

    return asked


@pytest.mark.parametrize("method", KINDS)
def test_a_file_that_changes_a_picture_works(announce: Announce, method: Method) -> None:
    assert announce(method, {}) == []


@pytest.mark.parametrize(("method", "said"), [
    (Method.LORA, ["NOT_TRIED_BASE"]), (Method.TEXTUAL_INVERSION, ["NOT_TRIED_BASE"]), (Method.DREAMBOOTH, []),
])
def test_that_another_checkpoint_is_loaded_than_the_trained_one_is_told_of_what_cannot_be_tried_without_it(
    announce: Announce, loaded: Loaded, monkeypatch: pytest.MonkeyPatch, method: Method, said: list[str]
) -> None:
    trial = loaded("trial")
    other = SimpleNamespace(path=Path("other.safetensors"), sha256="", native_px=512)
    monkeypatch.setattr(trial, "base", lambda: other)
    assert announce(method, {}, changes=False) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_told_of_another_checkpoint_names_the_one_to_load(language: str) -> None:
    told = caveats.said("NOT_TRIED_BASE", file="an.safetensors", base="base.safetensors")
    said = text("train_advice.NOT_TRIED_BASE", language, **told.values)
    assert said.count("base.safetensors") == 2 and "an.safetensors" in said


@pytest.mark.parametrize("method", KINDS)
def test_a_file_that_changes_nothing_fails(announce: Announce, method: Method) -> None:
    with pytest.raises(SelfTestFailed, match="changes nothing"):
        announce(method, {}, changes=False)


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("trouble", [NANS, RuntimeError("NansException")])
def test_a_file_with_which_alone_nothing_is_painted_fails_with_the_cause(
    announce: Announce, method: Method, trouble: Exception
) -> None:
    with pytest.raises(SelfTestFailed, match=r"Without an\.safetensors .* with it, it fails: .*NansException"):
        announce(method, {WITH: trouble})


@pytest.mark.parametrize("method", KINDS)
def test_where_nothing_is_painted_without_the_file_either_it_is_kept(announce: Announce, method: Method) -> None:
    assert announce(method, {WITHOUT: NANS, WITH: NANS}) == ["NOT_TRIED"]


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize(("trouble", "code"), [
    (OutOfVram("The graphics card ran out of memory."), "NOT_TRIED_MEMORY"), (MemoryError(), "NOT_TRIED_MEMORY"),
    (NoCheckpoint("The WebUI has found no checkpoint."), "NOT_TRIED"),
    (Cancelled("The work was interrupted in the WebUI."), "NOT_TRIED"),
])
def test_too_little_memory_or_the_user_who_stops_the_picture_with_the_file_is_no_fault_of_it(
    announce: Announce, method: Method, trouble: Exception, code: str
) -> None:
    assert announce(method, {WITH: trouble}) == [code]


@pytest.mark.parametrize("method", KINDS)
def test_what_the_webui_fails_at_while_the_user_stops_it_is_no_fault_of_the_file(
    announce: Announce, stood_in: Any, method: Method
) -> None:
    stood_in.shared.state.interrupted = True
    assert announce(method, {WITH: NANS}) == ["NOT_TRIED"]


@pytest.mark.parametrize("pressed", ["interrupted", "skipped", "stopping_generation"])
@pytest.mark.parametrize("images", [[], [Image.new("RGB", (8, 8))]])
def test_a_trial_that_the_user_stops_tells_nothing_of_a_file(
    loaded: Loaded, stood_in: Any, pressed: str, images: list[Image.Image]
) -> None:
    trial = painted(loaded, stood_in, images)
    setattr(stood_in.shared.state, pressed, True)
    with pytest.raises(Cancelled, match="interrupted in the WebUI"):
        trial.picture("portrait", SimpleNamespace(native_px=512))


def test_where_the_webui_paints_nothing_it_is_named(loaded: Loaded, stood_in: Any) -> None:
    with pytest.raises(GenerationFailed, match="made no picture"):
        painted(loaded, stood_in, []).picture("portrait", SimpleNamespace(native_px=512))


def painted(loaded: Loaded, stood_in: Any, images: list[Image.Image]) -> Any:
    """Our module for trials, over a WebUI that paints `images`."""
    stood_in.processing.StableDiffusionProcessingTxt2Img = lambda **_: SimpleNamespace(close=lambda: None)
    trial = loaded("trial")
    trial.generation.process = lambda p: SimpleNamespace(images=images, index_of_first_image=0, comments="")
    return trial
