"""sd-scripts, which unpickles plainly, is handed no pickle: it reads a copy of the tensors alone."""
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning_files
import pytest
import torch
from kohya_orders import base_of
from numpy.testing._private.utils import runstring
from personal_avatar.domain import BaseModelFile
from personal_avatar.environment import kohya as installed
from personal_avatar.training.engines.kohya.copies import copied, handed
from personal_avatar.training.engines.kohya.sizes import launcher
from personal_avatar.training.families.detect import VAE
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.families.sidecar import read_params

FOLDER = os.environ.get(installed.VARIABLE, "")
LACKING = [module for module in installed.MODULES if find_spec(module) is None]
by_sd_scripts = pytest.mark.skipif(not FOLDER or bool(LACKING), reason="sd-scripts or what it needs is not here")
READS = """
import sys
sys.path.insert(0, ".")
from library import model_util
if sys.argv[1] == "checkpoint":
    model_util.load_models_from_stable_diffusion_checkpoint(False, sys.argv[2], unet_use_linear_projection_in_v2=False)
else:
    model_util.load_vae(sys.argv[2], None)
"""


@pytest.fixture
def pickled(tmp_path: Path, tiny: BaseModelFile) -> BaseModelFile:
    """The shipped checkpoint and its VAE as others pickle them, its yaml beside it."""
    weights = read_weights(tiny.path)
    whole, vae = lightning_files.save(tmp_path / "model.ckpt", weights), {n: t for n, t in weights.items() if VAE in n}
    alone = lightning_files.save(tmp_path / "model.vae.pt", {name.removeprefix(VAE): one for name, one in vae.items()})
    assert tiny.config is not None
    (tmp_path / "model.yaml").write_bytes(tiny.config.read_bytes())
    return replace(tiny, path=whole, vae=alone, config=None)


def test_pickles_are_there_as_safetensors_until_it_has_ended(tmp_path: Path, pickled: BaseModelFile) -> None:
    base, folder = handed(pickled, tmp_path / "kohya"), tmp_path / "kohya"
    assert base.vae is not None and pickled.vae is not None
    with copied(pickled, folder):
        for copy, pickle in ((base.path, pickled.path), (base.vae, pickled.vae)):
            assert copy.suffix == ".safetensors" and folder in copy.parents
            found, wanted = read_weights(copy), read_weights(pickle)
            assert found.keys() == wanted.keys()
            assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert read_params(base) == read_params(pickled) != {}
    assert not list(folder.rglob("*.safetensors"))


def test_the_copies_go_also_when_something_breaks(tmp_path: Path, pickled: BaseModelFile) -> None:
    with pytest.raises(RuntimeError, match="broke"), copied(pickled, tmp_path / "kohya"):
        raise RuntimeError("it broke")
    assert not list((tmp_path / "kohya").rglob("*.safetensors"))


def test_safetensors_are_read_where_they_lie(tmp_path: Path, tiny: BaseModelFile) -> None:
    base = handed(replace(tiny, vae=tiny.path), tmp_path)
    assert (base.path, base.vae) == (tiny.path, tiny.path)
    with copied(base, tmp_path):
        assert not list(tmp_path.iterdir())
    assert tiny.path.is_file()


def test_views_of_one_memory_are_told_apart_and_averaged_weights_left_out(tmp_path: Path) -> None:
    numbers = torch.arange(12.0).reshape(3, 4)
    tensors = {"whole": numbers, "row": numbers[1], "turned": numbers.T, "model_ema.whole": numbers.clone()}
    pickled = replace(base_of(), path=lightning_files.save(tmp_path / "a.ckpt", tensors))
    with copied(pickled, tmp_path):
        found = read_weights(handed(pickled, tmp_path).path)
    assert found.keys() == {"whole", "row", "turned"}
    assert all(torch.equal(found[name], tensors[name]) for name in found)


class Runs:
    """Writes a file wherever it is unpickled plainly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return runstring, (f"open({str(self.marker)!r}, 'w').close()", {})


def test_what_a_pickle_would_run_is_not_handed_over(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    torch.save({"callbacks": Runs(marker), "state_dict": {"a": torch.ones(2)}}, tmp_path / "a.ckpt")
    pickled = replace(base_of(), path=tmp_path / "a.ckpt")
    with copied(pickled, tmp_path):
        assert list(read_weights(handed(pickled, tmp_path).path)) == ["a"]
    assert not marker.exists()
    torch.load(pickled.path, weights_only=False)  # as sd-scripts does
    assert marker.exists()


@by_sd_scripts
@pytest.mark.slow
@pytest.mark.parametrize("part", ["checkpoint", "vae"])
def test_sd_scripts_reads_the_copy_of_what_it_cannot_unpickle(
    tmp_path: Path, pickled: BaseModelFile, tiny: BaseModelFile, part: str
) -> None:
    base = handed(pickled, tmp_path / "kohya")
    (tmp_path / "read.py").write_text(READS, encoding="utf-8")
    words = [sys.executable, *launcher(tiny, tmp_path), str(tmp_path / "read.py"), part]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), FOLDER])}

    def read(path: Path | None) -> str:
        done = subprocess.run([*words, str(path)], cwd=FOLDER, env=variables, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stderr

    with copied(pickled, tmp_path / "kohya"):
        assert read(base.path if part == "checkpoint" else base.vae) == ""
    assert "pytorch_lightning" in read(pickled.path if part == "checkpoint" else pickled.vae)
