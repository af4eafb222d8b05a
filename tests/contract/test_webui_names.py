"""Every name that webui/ takes from the WebUI exists in the WebUI at hand; sources are read, nothing is imported."""
from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOM = REPOSITORY / "extension/personal_avatar/webui"
SOURCES = [*sorted(ROOM.rglob("*.py")), REPOSITORY / "scripts/personal_avatar.py"]
WEBUI = Path(os.environ.get("WEBUI_DIR") or Path.home() / "stable-diffusion-webui")
TXT2IMG, IMG2IMG = "StableDiffusionProcessingTxt2Img", "StableDiffusionProcessingImg2Img"
LORA = "extensions-builtin/Lora/networks.py"
# Objects that a module holds: where their class is.
OBJECTS = {
    "modules.shared.state": ("modules/shared_state.py", "State"),
    "modules.shared.prompt_styles": ("modules/styles.py", "StyleDatabase"),
    "modules.shared.total_tqdm": ("modules/shared_total_tqdm.py", "TotalTQDM"),
    "modules.sd_models.model_data": ("modules/sd_models.py", "SdModelData"),
    "modules.codeformer_model.codeformer": ("modules/codeformer_model.py", "FaceRestorerCodeFormer"),
    "modules.sd_hijack.model_hijack": ("modules/sd_hijack.py", "StableDiffusionModelHijack"),
    "modules.shared.sd_model": ("modules/sd_models_types.py", "WebuiSdModel"),
    f"modules.processing.{TXT2IMG}": ("modules/processing.py", TXT2IMG),
    f"modules.processing.{IMG2IMG}": ("modules/processing.py", IMG2IMG),
}
pytestmark = pytest.mark.skipif(not (WEBUI / "modules").is_dir(), reason=f"no WebUI at {WEBUI}; set WEBUI_DIR")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> dict[str, str]:
    """Name in our file -> dotted name in the WebUI."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "modules":
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name == "networks"}
    return names


def chain(node: ast.expr) -> list[str]:
    """`a.b.c` as ["a", "b", "c"]; empty when it does not begin with a name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = chain(node.value)
        return [*before, node.attr] if before else []
    return []


def used(path: Path) -> set[str]:
    """Dotted names of the WebUI that a file of ours takes, and `name(keyword` for the keywords of calls."""
    tree = parsed(path)
    known = imported(tree)
    found = set(known.values())
    for node in ast.walk(tree):
        target = node.func if isinstance(node, ast.Call) else node
        parts = chain(target) if isinstance(target, ast.expr) else []
        if not parts or parts[0] not in known:
            continue
        dotted = ".".join([known[parts[0]], *parts[1:]])
        found.add(dotted)
        if isinstance(node, ast.Call):
            found |= {f"{dotted}({keyword.arg}" for keyword in node.keywords if keyword.arg}
    return found


def module_file(dotted: str) -> Path | None:
    path = WEBUI / LORA if dotted == "networks" else WEBUI / (dotted.replace(".", "/") + ".py")
    package = path.with_suffix("") / "__init__.py"
    return path if path.is_file() else package if package.is_file() else None


@cache
def names_in(path: Path) -> frozenset[str]:
    """What a module defines at its top level, also within `if` and `try`."""
    return frozenset(_names(parsed(path).body))


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _names(node.body)


@cache
def members(file: str, name: str) -> frozenset[str]:
    """Methods, fields and `self.x` of a class, and those of its bases in the same file."""
    tree = parsed(WEBUI / file)
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    own = set(_names(kind.body))
    for node in ast.walk(kind):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            own.add(node.attr)
    local = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    bases = [base.id for base in kind.bases if isinstance(base, ast.Name) and base.id in local]
    return frozenset(own.union(*(members(file, base) for base in bases)))


@cache
def flags() -> frozenset[str]:
    sources = ["modules/cmd_args.py", "extensions-builtin/Lora/preload.py"]
    text = "".join((WEBUI / source).read_text(encoding="utf-8") for source in sources)
    return frozenset(flag.replace("-", "_") for flag in re.findall(r'"--([\w-]+)"', text))


@cache
def options() -> frozenset[str]:
    text = (WEBUI / "modules/shared_options.py").read_text(encoding="utf-8")
    return frozenset(re.findall(r'["\'](\w+)["\']: OptionInfo', text))


def problem(dotted: str) -> str | None:
    """What is wrong with one name, or None."""
    name, _, keyword = dotted.partition("(")
    if keyword:
        return _keyword_problem(name, keyword)
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = module_file(".".join(parts[:length]))
        if path is not None and parts[:length] != ["modules"]:
            return _attribute_problem(".".join(parts[:length]), parts[length:], path)
    return f"{name}: there is no such module"


def _attribute_problem(module: str, attributes: list[str], path: Path) -> str | None:
    if not attributes:
        return None
    if attributes[0] not in names_in(path):
        return f"{module} has no {attributes[0]}"
    if len(attributes) == 1:
        return None
    holder, wanted = f"{module}.{attributes[0]}", attributes[1]
    if holder == "modules.shared.cmd_opts":
        known = flags()
    elif holder == "modules.shared.opts":
        known = options() | members("modules/options.py", "Options")
    elif holder in OBJECTS:
        known = members(*OBJECTS[holder])
    else:
        return None
    return None if wanted in known else f"{holder} has no {wanted}"


def _keyword_problem(name: str, keyword: str) -> str | None:
    if name in OBJECTS:
        return None if keyword in members(*OBJECTS[name]) else f"{name} takes no {keyword}"
    module, _, function = name.rpartition(".")
    path = module_file(module)
    if path is None:
        return None
    kinds = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef) and node.name == function]
    accepted = {arg.arg for kind in kinds for arg in [*kind.args.args, *kind.args.kwonlyargs]}
    return None if not kinds or keyword in accepted else f"{name} takes no {keyword}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_we_take_from_the_webui_is_there(path: Path) -> None:
    assert [found for found in map(problem, sorted(used(path))) if found] == []


def test_the_check_sees_what_we_use() -> None:
    everything = set().union(*(used(path) for path in SOURCES))
    assert {"modules.processing.process_images", "modules.call_queue.queue_lock", "networks.load_network"} <= everything
    assert "modules.processing.StableDiffusionProcessingTxt2Img(cfg_scale" in everything


@pytest.mark.parametrize(("file", "kind", "taken"), [
    ("modules/textual_inversion/textual_inversion.py", "EmbeddingDatabase", {
        "skipped_embeddings", "word_embeddings", "expected_shape", "register_embedding_by_name",
        "load_textual_inversion_embeddings",
    }),
    ("modules/textual_inversion/textual_inversion.py", "Embedding", {"filename", "shape"}),
    ("modules/processing.py", TXT2IMG, {"cached_c", "cached_uc", "scripts"}),
    ("modules/processing.py", IMG2IMG, {
        "init_images", "resize_mode", "paste_to", "scripts", "script_args", "sampler", "iteration", "batch_size",
        "all_prompts", "all_negative_prompts", "all_seeds", "extra_generation_params", "get_token_merging_ratio",
        "comment",
    }),
    ("modules/sd_samplers_common.py", "Sampler", {"launch_sampling"}),
    ("modules/sd_samplers_cfg_denoiser.py", "CFGDenoiser", {"step", "total_steps"}),
    ("modules/script_callbacks.py", "CFGDenoiserParams", {"text_cond", "x", "denoiser"}),
    ("modules/scripts.py", "Script", {
        "before_process", "process", "process_before_every_sampling", "post_sample",
        "postprocess_image_after_composite", "elem_id",
        "infotext_fields", "paste_field_names", "args_from", "args_to", "filename",
    }),
    ("modules/scripts.py", "ScriptRunner", {"alwayson_scripts", "scripts"}),
    ("modules/processing.py", "Processed", {"images", "infotexts", "index_of_first_image", "comments"}),
    ("modules/sd_models_types.py", "WebuiSdModel", {"sd_checkpoint_info", "is_sd1", "is_sd2", "is_sdxl"}),
    ("modules/sd_models.py", "CheckpointInfo", {
        "filename", "title", "sha256", "register", "calculate_shorthash",
    }),
    ("extensions-builtin/Lora/network.py", "Network", {"modules"}),
    ("extensions-builtin/Lora/network.py", "NetworkModule", {"network_key"}),
    ("extensions-builtin/Lora/network.py", "NetworkOnDisk", {"filename", "metadata"}),
], ids=lambda value: value if isinstance(value, str) and "/" not in value else "")
def test_what_we_take_from_its_objects_is_there(file: str, kind: str, taken: set[str]) -> None:
    assert taken - members(file, kind) == set()


def test_the_options_that_we_borrow_are_there() -> None:
    assert {"sd_model_checkpoint", "sd_noise_schedule", "live_previews_enable"} <= options()
    assert '"Zero Terminal SNR"' in (WEBUI / "modules/shared_options.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", [
    "modules.no_such_module", "modules.shared.no_such_name", "modules.shared.opts.no_such_option", "networks.no_such",
    "modules.shared.state.no_such", "modules.shared.cmd_opts.no_such", f"modules.processing.{TXT2IMG}(no_such",
])
def test_a_name_that_is_gone_would_be_found(wrong: str) -> None:
    assert problem(wrong) is not None


def test_only_webui_and_the_script_import_the_webui() -> None:
    others = [path for path in (REPOSITORY / "extension").rglob("*.py") if ROOM not in path.parents]
    assert [path.name for path in others if imported(parsed(path))] == []
