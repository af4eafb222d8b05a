"""A finished training is what it was trained as, and lost by nothing but its own trial."""
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from personal_avatar.domain import Method
from personal_avatar.errors import NoCheckpoint, NotTaken, SelfTestFailed
from personal_avatar.host import Folders
from PIL import Image

from tests.unit.webui.conftest import Loaded

Announce = Callable[..., list[str]]
EVERY = pytest.mark.parametrize("method", Method)
KINDS = {Method.TEXTUAL_INVERSION: "embedding", Method.DREAMBOOTH: "checkpoint"}


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


@pytest.fixture()
def tried() -> list[str]:
    """What was tried, and what was put on the list of checkpoints."""
    return []


@pytest.fixture()
def announce(loaded: Loaded, tried: list[str], monkeypatch: pytest.MonkeyPatch) -> Announce:
    """Codes of what is said of a file; `outcome`: what its trial raises; `enlisted`: what puts it on the list of
    checkpoints."""
    published = loaded("published")
    networks = ModuleType("networks")
    networks.list_available_networks = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "networks", networks)

    def asked(
        file: Path, method: Method, folders: Folders, outcome: Exception | None = None,
        enlisted: Callable[[Path], Any] = lambda file: tried.append("enlisted"),
    ) -> list[str]:
        def verify(kind: str) -> Callable[[Path], bool]:
            def found(file: Path) -> bool:
                tried.append(kind)
                if outcome is not None:
                    raise outcome
                return True
            return found

        for kind in ("lora", "embedding", "checkpoint"):
            monkeypatch.setattr(getattr(published, f"selftest_{kind}"), "verify", verify(kind))
        monkeypatch.setattr(published.checkpoints, "enlist", enlisted)
        return [told.code for told in published.announce(file, method, folders)]

    return asked


@pytest.fixture()
def file(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "an.safetensors"
    path.touch()
    return path


def folders(*places: Path) -> Folders:
    """For data, LoRAs, embeddings, checkpoints."""
    return Folders(places[0], *(places * 3)[:3])


@EVERY
def test_one_folder_for_all_models_makes_no_file_another_kind(
    announce: Announce, tried: list[str], file: Path, method: Method
) -> None:
    assert announce(file, method, folders(file.parent)) == []
    kind = KINDS.get(method, "lora")
    assert tried == (["enlisted"] if kind == "checkpoint" else []) + [kind]


@EVERY
def test_a_folder_is_the_same_by_whatever_link_it_is_named(
    announce: Announce, tried: list[str], file: Path, tmp_path: Path, method: Method
) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert announce(file, method, folders(tmp_path / "link" / "models")) == []
    assert announce(tmp_path / "link" / "models" / file.name, method, folders(file.parent)) == []
    assert "checkpoint" in tried or method is not Method.DREAMBOOTH


@EVERY
def test_a_file_where_the_webui_looks_no_more_is_told_of_and_not_taken_for_another(
    announce: Announce, tried: list[str], file: Path, tmp_path: Path, method: Method
) -> None:
    assert announce(file, method, folders(tmp_path / "other models")) == ["ELSEWHERE"]
    assert tried == []


@pytest.mark.parametrize(("trouble", "code"), [
    (OutOfMemoryError("CUDA out of memory."), "NOT_TRIED_MEMORY"), (MemoryError(), "NOT_TRIED_MEMORY"),
    (AttributeError("'NoneType' object has no attribute 'alwayson_scripts'"), "NOT_TRIED"),
    (NoCheckpoint("The WebUI has found no checkpoint."), "NOT_TRIED"),
])
@EVERY
def test_whatever_keeps_the_webui_from_painting_is_no_fault_of_the_file(
    announce: Announce, file: Path, method: Method, trouble: Exception, code: str
) -> None:
    assert announce(file, method, folders(file.parent), trouble) == [code]


@pytest.mark.parametrize("trouble", [TypeError("unhashable type: 'dict'"), OSError("Input/output error")])
@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH])
def test_a_list_that_the_webui_cannot_make_is_no_fault_of_the_file(
    announce: Announce, tried: list[str], file: Path, method: Method, trouble: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: Any) -> None:
        raise trouble

    assert announce(file, method, folders(file.parent)) == []
    tried.clear()
    monkeypatch.setattr(sys.modules["networks"], "list_available_networks", failing)
    assert announce(file, method, folders(file.parent), enlisted=failing) == ["NOT_TRIED"]
    assert tried == []


@EVERY
def test_a_file_that_its_trial_shows_to_be_of_no_use_fails(announce: Announce, file: Path, method: Method) -> None:
    with pytest.raises(SelfTestFailed, match="changes nothing"):
        announce(file, method, folders(file.parent), SelfTestFailed("an.safetensors changes nothing."))
    file.unlink()
    with pytest.raises(NotTaken, match="any more"):
        announce(file, method, folders(file.parent))


def test_without_the_extension_for_loras_a_lora_is_kept_and_told_of(
    announce: Announce, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "networks")
    assert announce(file, Method.LORA, folders(file.parent)) == ["NOT_TRIED_OFF"]


def test_other_extensions_find_an_empty_list_of_scripts_in_trials(loaded: Loaded, stood_in: ModuleType) -> None:
    trial, seen = loaded("trial"), []

    class Processing(SimpleNamespace):
        def close(self) -> None:
            """Nothing is held."""

    def process(p: Any) -> Any:
        seen.append((type(p.scripts).__name__, p.script_args))
        return SimpleNamespace(images=[Image.new("RGB", (8, 8))], index_of_first_image=0, comments="")

    stood_in.processing.StableDiffusionProcessingTxt2Img = Processing  # type: ignore[attr-defined]
    trial.generation.process = process
    made = trial.picture("portrait", SimpleNamespace(native_px=512))
    assert seen == [("ScriptRunner", ())] and np.array_equal(made.pixels, np.zeros((8, 8, 3)))
