"""Small checkpoints by sd-scripts: their sizes are found, set in its modules before a script of it starts, and, where
its folder is given, it then answers as our own network does and trains."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from kohya_orders import dataset_in, order_of
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.environment import kohya as installed
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.engines.kohya import engine
from personal_avatar.training.engines.kohya.outputs import saved_files
from personal_avatar.training.engines.kohya.pictures import dataset_toml, items_of, write_groups
from personal_avatar.training.engines.kohya.sizes import launcher, sizes_of
from personal_avatar.training.families.files import read_shapes

FOLDER = os.environ.get(installed.VARIABLE, "")
LACKING = [module for module in installed.MODULES if find_spec(module) is None]
by_sd_scripts = pytest.mark.skipif(not FOLDER or bool(LACKING), reason="sd-scripts or what it needs is not here")

# In place of sd-scripts: its networks, which tell how large they are.
NETWORKS = """
import types
class Listed(list): pass
nn = types.SimpleNamespace(ModuleList=Listed)
class DownBlock2D:
    def __init__(self, last=False):
        self.downsamplers = None if last else ["down"]
"""
LOADING = """
def CLIPTextConfig(**given): return given
"""
SCRIPT = """
import json, sys
from library import model_util, original_unet
print(json.dumps({
    "words": sys.argv[1:], "widths": original_unet.BLOCK_OUT_CHANNELS, "time": original_unet.TIME_EMBED_DIM,
    "down": original_unet.DOWN_BLOCK_TYPES, "unet": model_util.create_unet_diffusers_config(False, True),
    "vae": model_util.create_vae_diffusers_config(),
    "text": model_util.CLIPTextConfig(hidden_size=768, dropout=0.0), "lists": [
        type(original_unet.DownBlock2D(*last).downsamplers).__name__ for last in ((), (True,))]}))
"""
ANSWERS = """
import sys, torch
sys.path.insert(0, ".")
from library import model_util
text, vae, unet = model_util.load_models_from_stable_diffusion_checkpoint(
    False, sys.argv[1], unet_use_linear_projection_in_v2=False)
asked = torch.load(sys.argv[2])
with torch.no_grad():
    states = text.float().eval()(asked["tokens"])[0]
    told = {"states": states, "noise": unet.float().eval()(asked["noisy"], asked["times"], states).sample,
            "latents": vae.float().eval().encode(asked["picture"]).latent_dist.mean}
torch.save(told, sys.argv[2])
"""


def sizes(base: BaseModelFile) -> Any:
    return sizes_of(base, read_shapes(base.path))


def test_the_sizes_of_the_shipped_checkpoint_are_found(tiny: BaseModelFile) -> None:
    found = sizes(tiny)
    assert (found.unet["block_out_channels"], found.unet["attention_head_dim"]) == ((64, 128, 192), 4)
    assert found.unet["down_block_types"] == ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
    assert (found.vae["block_out_channels"], found.vae["layers_per_block"]) == ((64, 64, 64, 128), 1)
    assert (found.text["hidden_size"], found.text["num_hidden_layers"], found.text["num_attention_heads"]) == (64, 2, 4)


def test_a_standard_checkpoint_needs_no_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from personal_avatar.training.engines.kohya import sizes as module

    monkeypatch.setattr(module, "is_standard", lambda shapes, family: True)
    assert launcher(make(Family.SD1, tmp_path), tmp_path) == []
    assert not (tmp_path / "sizes.json").exists()


@pytest.mark.parametrize("family", [Family.SD2, Family.SDXL])
def test_small_checkpoints_of_later_families_have_no_network_there(tmp_path: Path, family: Family) -> None:
    with pytest.raises(BaseUnsupported, match="standard size"):
        sizes(make(family, tmp_path))


def test_a_vae_of_another_size_beside_it_is_refused(tmp_path: Path, tiny: BaseModelFile) -> None:
    other = make(Family.SD1, tmp_path)
    with pytest.raises(BaseUnsupported, match="avatar-tiny.*a VAE of another size"):
        sizes(replace(tiny, vae=other.path))
    assert sizes(replace(tiny, vae=tiny.path)) == sizes(tiny)


def test_its_modules_have_the_sizes_before_the_script_starts(tmp_path: Path, tiny: BaseModelFile) -> None:
    folder = tmp_path / "sd-scripts"
    (folder / "library").mkdir(parents=True)
    for name, text in {"original_unet": NETWORKS, "model_util": LOADING}.items():
        (folder / "library" / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, *launcher(tiny, tmp_path), str(folder / "train.py"), "--steps", "3"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = sizes(tiny)
    assert told["words"] == ["--steps", "3"]
    assert (told["widths"], told["time"], told["down"][1]) == ([64, 128, 192], 256, "CrossAttnDownBlock2D")
    assert (told["unet"], told["vae"]) == (json.loads(json.dumps(found.unet)), json.loads(json.dumps(found.vae)))
    assert told["text"] == {**found.text, "dropout": 0.0}
    assert told["lists"] == ["Listed", "NoneType"]  # weights in a bare list are not found


@by_sd_scripts
@pytest.mark.slow
def test_sd_scripts_answers_as_our_network_does(tmp_path: Path, tiny: BaseModelFile) -> None:
    import torch
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry

    torch.manual_seed(0)
    asked = {
        "tokens": torch.randint(0, 49000, (2, 77)), "noisy": torch.randn(2, 4, 24, 24),
        "times": torch.tensor([10, 700]), "picture": torch.rand(1, 3, 64, 64) * 2 - 1,
    }
    torch.save(asked, tmp_path / "asked.pt")
    (tmp_path / "ask.py").write_text(ANSWERS, encoding="utf-8")
    words = [*launcher(tiny, tmp_path), str(tmp_path / "ask.py"), str(tiny.path), str(tmp_path / "asked.pt")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), FOLDER])}
    subprocess.run([sys.executable, *words], cwd=FOLDER, env=variables, check=True, capture_output=True)
    told = torch.load(tmp_path / "asked.pt")
    model = registry.load(tiny, compute.choose("fp32"), 192)
    with torch.no_grad():
        text = model.encode_tokens([asked["tokens"]])
        noise = model.predict(asked["noisy"], asked["times"], text)
        latents = model.vae.encode(asked["picture"]).latent_dist.mean
    for name, ours in {"states": text["states"], "noise": noise, "latents": latents}.items():
        assert torch.allclose(ours, told[name], atol=1e-4), name


@pytest.fixture
def trained(tmp_path: Path, tiny: BaseModelFile) -> Callable[[Method], Path]:
    """Two steps by sd-scripts; the file that it saved."""

    def train(method: Method, **plan: Any) -> Path:
        order = order_of(method, tiny, tmp_path / "kohya", save_count=1, sample_steps=1, **plan)
        order = replace(order, total_steps=2, resolution_px=64)
        order.output.mkdir(parents=True)
        items = items_of(dataset_in(tmp_path / "data"), order.plan, method)
        groups = write_groups(order.pictures, items, [], order.plan)
        toml = dataset_toml(groups, order.plan, method, order.resolution_px, order.batches[0])
        order.dataset_file.write_text(toml, encoding="utf-8")
        order.prompts_file.write_text("a man --w 64 --h 64 --s 1\n", encoding="utf-8")
        engine.write_tokenizers(order)
        with engine._start(installed.SdScripts(Path(FOLDER), tmp_path), order) as child:
            said = list(child.lines())
            assert child.outcome() is None, "\n".join(said[-20:])
        (saved,) = saved_files(order.output, order.name, 2)
        return saved.path

    return train


@by_sd_scripts
@pytest.mark.slow
@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH, Method.TEXTUAL_INVERSION])
def test_our_code_reads_all_of_what_it_trained(
    trained: Callable[..., Path], tiny: BaseModelFile, method: Method
) -> None:
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry
    from personal_avatar.training.methods.registry import attach

    rates = {"rank": 4, "conv_rank": 4, "text_encoder_learning_rate": 1e-4} if method is Method.LORA else {}
    path = trained(method, batch_size=1, prior_weight=0.0, **rates)
    model = registry.load(tiny, compute.choose("fp32"), 64)
    order = order_of(method, tiny, **rates)
    attached = attach(method, model, order.plan, trigger="sks man", class_noun="man")
    attached.load(attached.read(path))
    assert attached.matched(path) > 0  # raises unless all of the file is used
