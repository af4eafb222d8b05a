"""Where our own data lie in the WebUI, and what its settings say of us."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from modules import extensions, paths, shared

from personal_avatar.rules import RuleSettings

OPTION_PREFIX = "personal_avatar_"
SD_SCRIPTS = OPTION_PREFIX + "sd_scripts"
MODELS = (
    "ControlNet", "IpAdapter", "ip-adapter", "IPAdapter-FaceID", "InstantID", "instantid", "insightface", "antelopev2",
    "clip_vision",
)


def data_folder() -> Path:
    """Where avatars, jobs and the trainer's packages are."""
    chosen = getattr(shared.cmd_opts, "avatar_data_dir", None)
    return Path(chosen or Path(paths.data_path) / "personal-avatar").absolute()


def sd_scripts_folder() -> str:
    """Where kohya's sd-scripts lies, as the WebUI's settings say; "" without one."""
    return str(shared.opts.data.get(SD_SCRIPTS, "")).strip()


def kept_rules() -> dict[str, Any]:
    """What the WebUI's settings hold of the fields of RuleSettings."""
    return {
        name: shared.opts.data[OPTION_PREFIX + name] for name in RuleSettings.__fields__
        if OPTION_PREFIX + name in shared.opts.data
    }


def identity_folders() -> tuple[Path, ...]:
    """Where users of ControlNet and of other extensions keep adapters, IdentityNets, CLIP and face models."""
    models = Path(paths.models_path)
    named = (getattr(shared.cmd_opts, name, None) for name in ("controlnet_dir", "clip_models_path"))
    controlnet = Path(extensions.extensions_dir) / "sd-webui-controlnet"
    return tuple(folder.absolute() for folder in (
        *(Path(one) for one in named if one), *(models / name for name in MODELS),
        controlnet / "models", controlnet / "annotator" / "downloads",
    ))


def wildcard_folders() -> tuple[Path, ...]:
    """Where extensions for wildcards keep their lists."""
    root = Path(extensions.extensions_dir)
    found = [*sorted(root.glob("*/wildcards")), *sorted(root.glob("*/collections"))]
    return tuple(folder.absolute() for folder in found if folder.is_dir())


def only_local() -> bool:
    """Whether the WebUI serves this machine alone, and lets its users name folders."""
    doors = ("share", "listen", "server_name", "ngrok", "hide_ui_dir_config")
    return not any(getattr(shared.cmd_opts, door, None) for door in doors)
