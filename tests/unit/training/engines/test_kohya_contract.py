"""sd-scripts' own parser and dataset reader take what we write. Runs where PERSONAL_AVATAR_SD_SCRIPTS names its folder
and the packages that it needs are there (environment/kohya.py lists them)."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kohya_orders import base_of, dataset_in, order_of
from ldm_layout import header_only, shapes_of
from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES
from personal_avatar.domain import Family, Method
from personal_avatar.environment import kohya as installed
from personal_avatar.errors import EngineMissing
from personal_avatar.training import compute
from personal_avatar.training.data.classes import ClassPictures
from personal_avatar.training.engines.kohya.command import command
from personal_avatar.training.engines.kohya.engine import write_tokenizers
from personal_avatar.training.engines.kohya.pictures import class_items, dataset_toml, items_of, write_groups
from personal_avatar.training.families.files import Shapes
from personal_avatar.training.families.loading import Source
from personal_avatar.training.families.registry import LOADERS
from personal_avatar.training.families.text import tokenizer
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.optimisers import BETAS
from personal_avatar.training.planning.plan import LoraPlan

FOLDER = os.environ.get(installed.VARIABLE, "")
OLD = bool(FOLDER) and installed.read_version(Path(FOLDER)).startswith("0.9.")
LACKING = [module for module in installed.MODULES if find_spec(module) is None]
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason=f"{installed.VARIABLE} is not set"),
    pytest.mark.skipif(bool(LACKING), reason=f"sd-scripts needs {', '.join(LACKING)}"),
]
# Answers, for each script and its words, what the script understood: arguments, optimiser, pictures of its dataset.
ANSWERS = """
import importlib, json, sys
sys.path.insert(0, ".")
import torch
from library import config_util, train_util
for line in sys.stdin:
    script, *words = json.loads(line)
    args = importlib.import_module(script.removesuffix(".py")).setup_parser().parse_args(words)
    train_util.verify_training_args(args)
    weight = torch.nn.Parameter(torch.zeros(2))
    try:
        name, settings, _ = train_util.get_optimizer(args, [{"params": [weight], "lr": args.learning_rate}])
    except ImportError as error:
        name, settings = "missing", str(error)
    takes = (True, "db" not in script, getattr(args, "masked_loss", False), "inversion" not in script)
    made = config_util.BlueprintGenerator(config_util.ConfigSanitizer(*takes)).generate(
        config_util.load_user_config(args.dataset_config), args)
    subsets = [vars(subset.params) for dataset in made.dataset_group.datasets for subset in dataset.subsets]
    told = {"arguments": vars(args), "optimiser": name, "settings": str(settings), "subsets": subsets}
    print("TOLD " + json.dumps(told, default=str), flush=True)
"""
# Answers, for each family, the shapes of the LoRA that it would train on a checkpoint of the standard size.
NETWORKS = """
import json, sys
sys.path.insert(0, ".")
import torch
from library import model_util, original_unet, sdxl_original_unet
from networks import lora
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

def tower(kind, width, layers, **more):
    return kind(CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                               num_attention_heads=width // 64, **more))

def unet(v2):
    return original_unet.UNet2DConditionModel(**model_util.create_unet_diffusers_config(v2))

with torch.device("meta"):
    small = tower(CLIPTextModel, 768, 12)
    built = {
        "sd1": (unet(False), small),
        "sd2": (unet(True), tower(CLIPTextModel, 1024, 23)),
        "sdxl": (sdxl_original_unet.SdxlUNet2DConditionModel(),
                 [small, tower(CLIPTextModelWithProjection, 1280, 32, projection_dim=1280)]),
    }
    for family, (network, text) in built.items():
        made = lora.create_network(1.0, 4, 2.0, None, text, network, conv_dim="4", conv_alpha="2.0")
        made.apply_to(text, network, True, True)
        print("TOLD " + json.dumps([family, {name: one.shape for name, one in made.state_dict().items()}]))
"""
# Answers the ids of a caption for each tokenizer: (windows, 77).
TOKENISED = """
import json, sys
from library import strategy_sd, strategy_sdxl
family, caption, length, folder = sys.argv[1:]
kind = strategy_sdxl.SdxlTokenizeStrategy if family == "sdxl" else (
    lambda *rest: strategy_sd.SdTokenizeStrategy(family == "sd2", *rest))
print("TOLD " + json.dumps([ids[0].tolist() for ids in kind(int(length), folder).tokenize(caption)]))
"""
FAMILIES = {
    "sd1": base_of(), "sd2": base_of(Family.SD2), "sd2-v": base_of(Family.SD2, "v_prediction"),
    "sdxl": base_of(Family.SDXL), "sdxl-v": base_of(Family.SDXL, "v_prediction", zero_terminal_snr=True),
}
FULL: dict[str, Any] = {
    "flip": True, "shuffle_captions": True, "unmasked_weight": 0.4, "warmup_steps": 5, "noise_offset": 0.05,
    "input_perturbation": 0.1, "gradient_checkpointing": True, "accumulate": 2, "scale_v_loss": True,
}
BY_PICTURES: dict[str, Any] = {"prior_weight": 1.0, "prior_from": "pictures"}  # new words hold nothing of a class
Ask = Callable[..., dict[str, Any]]
MEN = ClassPictures(Path("class"), [np.zeros((64, 64, 3), np.uint8)] * 3, ["a man"] * 3)


class SdScriptsAsked:
    """One process of sd-scripts that is asked what it understands."""

    def __init__(self) -> None:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", ANSWERS], cwd=FOLDER, env=environment, **pipes)

    def __call__(self, words: list[str]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        told = next((line for line in self.process.stdout if line.startswith("TOLD ")), "")
        assert told, f"sd-scripts refused {' '.join(words)}"
        answer: dict[str, Any] = json.loads(told.removeprefix("TOLD "))
        return answer


@pytest.fixture(scope="module")
def asked() -> Iterator[SdScriptsAsked]:
    started = SdScriptsAsked()
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture
def understood(tmp_path: Path, asked: SdScriptsAsked) -> Callable[..., dict[str, Any]]:
    def ask(method: Method, family: str = "sd1", longest: int = 0, **plan: Any) -> dict[str, Any]:
        order = replace(order_of(method, FAMILIES[family], tmp_path / "kohya", **plan), longest=longest)
        order.folder.mkdir()
        dataset = dataset_in(tmp_path / "data", masked=True)
        classes = class_items(dataset, order.plan, MEN)
        groups = write_groups(order.pictures, items_of(dataset, order.plan, method), classes, order.plan)
        toml = dataset_toml(groups, order.plan, method, 512, order.batches[0])
        order.dataset_file.write_text(toml, encoding="utf-8")
        return asked(command(order))

    return ask


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", Method)
def test_every_script_understands_a_full_plan(understood: Ask, method: Method, family: str) -> None:
    held = {} if method is Method.TEXTUAL_INVERSION else BY_PICTURES
    found = understood(method, family, **FULL, **held)
    person = found["subsets"][0]
    assert (person["alpha_mask"], person["flip_aug"], person["shuffle_caption"]) == (True, True, True)
    assert [subset["is_reg"] for subset in found["subsets"]] == [False, True][: 2 if held else 1]
    arguments = found["arguments"]
    assert arguments["v_parameterization"] == family.endswith("-v")
    assert arguments["zero_terminal_snr"] == (family == "sdxl-v")
    assert arguments["lr_scheduler_min_lr_ratio"] == 0.05


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("method", Method)
def test_every_script_takes_long_captions(understood: Ask, method: Method, family: str) -> None:
    assert understood(method, family, longest=120)["arguments"]["max_token_length"] == 150


def tokenised(family: str, caption: str, folder: Path, longest: int = 0) -> list[Any]:
    """By each tokenizer that it is given."""
    order = replace(order_of(base=FAMILIES[family], folder=folder), longest=longest)
    write_tokenizers(order)
    asked = [family, caption, str(order.max_token_length or 75), str(order.tokenizers)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), FOLDER])}
    variables |= {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", TOKENISED, *asked], cwd=FOLDER, env=variables, capture_output=True,
                          text=True)
    told = next((line for line in done.stdout.splitlines() if line.startswith("TOLD ")), "")
    assert told, done.stderr[-2000:]
    found: list[Any] = json.loads(told.removeprefix("TOLD "))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_it_reads_exclamation_marks_as_words(family: str, tmp_path: Path) -> None:
    for ids, filling in zip(tokenised(family, "hello!", tmp_path), (49407, 0), strict=False):
        assert ids[0][:5] == [49406, 3306, 256, 49407, filling]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_it_reads_long_captions_in_windows_without_a_look_at_commas(family: str, tmp_path: Path) -> None:
    caption = "sks man, " + ", ".join(f"tag number {number}" for number in range(45))
    ids = tokenizer(None)(caption, add_special_tokens=False, verbose=False).input_ids
    assert 150 < len(ids) < 225
    for windows in tokenised(family, caption, tmp_path, longest=200):
        assert [len(window) for window in windows] == [77] * 3
        assert windows[0][1:76] == ids[:75] and windows[1][1:76] == ids[75:150]


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["adamw", "prodigy", "adafactor", "lion", "schedulefree"])
def test_it_makes_the_optimiser_that_is_asked_for(understood: Ask, optimiser: str) -> None:
    if OLD and optimiser == "schedulefree":
        pytest.skip("came with release 0.10")
    found = understood(Method.LORA, optimiser=optimiser, weight_decay=0.02, learning_rate=1e-3)
    if found["optimiser"] == "missing":
        pytest.skip(found["settings"])
    assert found["optimiser"].lower().replace("adamwschedulefree", "schedulefree").endswith(optimiser)
    assert "weight_decay=0.02" in found["settings"]
    if optimiser != "adafactor":
        assert f"betas={BETAS}" in found["settings"]


def releases(*patterns: str) -> list[str]:
    """Tags of the copy, where it is one with its history."""
    told = subprocess.run(["git", "-C", FOLDER, "tag", "--list", *patterns], capture_output=True, text=True)
    return told.stdout.split()


def test_releases_before_the_oldest_are_refused_and_later_ones_are_not(tmp_path: Path) -> None:
    old, new = releases("v0.[678].*"), releases("v0.9.*", "v0.10.*")
    if not old:
        pytest.skip("no history in the folder of sd-scripts")
    for tag in (*old, *new):
        folder = tmp_path / tag
        for name in (*installed.NEEDED_FILES, "README.md"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shown = subprocess.run(["git", "-C", FOLDER, "show", f"{tag}:{name}"], capture_output=True)
            (folder / name).write_bytes(shown.stdout)
        with pytest.raises(EngineMissing) if tag in old else nullcontext():
            installed.find(tmp_path, str(folder), {})


def test_it_cannot_read_a_checkpoint_without_a_vae() -> None:
    program = (
        "from library import model_util\n"
        "model_util.convert_ldm_vae_checkpoint({}, model_util.create_vae_diffusers_config())"
    )
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), FOLDER])}
    done = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, env=variables, capture_output=True, text=True)
    assert "KeyError: 'encoder.conv_in.weight'" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(OLD, reason="release 0.9 knows no such pictures")
def test_it_takes_the_checkpoints_own_answers_for_the_class(understood: Ask) -> None:
    found = understood(Method.LORA, prior_weight=0.5, prior_from="prediction")
    assert found["subsets"][1]["custom_attributes"] == {"diff_output_preservation": True}


@pytest.fixture(scope="module")
def networks() -> dict[str, dict[str, tuple[int, ...]]]:
    """Family -> name of each tensor of the LoRA that sd-scripts trains -> shape."""
    done = subprocess.run([sys.executable, "-c", NETWORKS], cwd=FOLDER, capture_output=True, text=True)
    told = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert len(told) == len(Family), done.stderr[-2000:]
    return {family: {name: tuple(shape) for name, shape in shapes.items()} for family, shapes in told}


class OfStandardSize(Source):
    """A checkpoint of the standard size of its family, without its weights."""

    @property
    def shapes(self) -> Shapes:  # type: ignore[override]
        return shapes_of(STANDARD_SIZES[self.base.family])

    weights = shapes  # type: ignore[assignment]  # of which names are taken alone

    def _vae(self) -> None:
        """Nobody trains it."""

    def _filled(self, name: str, build: Callable[[], Any], read: Any, dtype: Any, device: Any = None) -> Any:
        with torch.device("meta"):
            module = build()
        read(module, {})
        return module


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_the_lora_that_it_trains_on_a_checkpoint_of_the_standard_size_is_read(
    networks: dict[str, dict[str, tuple[int, ...]]], family: Family, tmp_path: Path
) -> None:
    plan = LoraPlan(rank=4, alpha=2.0, conv_rank=4, text_encoder_learning_rate=1e-4)
    source = OfStandardSize(base_of(family), compute.choose("fp32"), 512)
    lora, theirs = Lora(import_module(LOADERS[family]).load(source), plan), networks[family.value]
    read = lora.read(header_only(tmp_path / "theirs.safetensors", theirs))
    products = {key for key in theirs if not key.endswith(".alpha")}
    assert read.keys() == products
    assert {key.removesuffix(".alpha") for key in theirs.keys() - products} == lora.places().keys()
    assert all(read[f"{key}.lora_down.weight"].dim() == weight.dim() for key, weight in lora.places().items())
