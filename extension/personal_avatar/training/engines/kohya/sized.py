"""`python sized.py SIZES.json SCRIPT ...`: a script of sd-scripts as it is, on networks of another size than its own.

It is run by its path in sd-scripts' own process: nothing of this package is imported here. `sizes.py` writes the file.
"""

from __future__ import annotations

import json
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    sizes, script = sys.argv[1:3]
    sys.argv = [script, *sys.argv[3:]]
    sys.path[0] = str(Path(script).parent)
    resize(json.loads(Path(sizes).read_text(encoding="utf-8")))
    runpy.run_path(script, run_name="__main__")


def resize(sizes: dict[str, dict[str, Any]]) -> None:
    """Give its modules other sizes (see `sizes.Sizes`); its folder must be on the path of modules."""
    networks: Any = import_module("library.original_unet")
    loading: Any = import_module("library.model_util")
    unet, vae, text = sizes["unet"], sizes["vae"], sizes["text"]
    widths = tuple(unet["block_out_channels"])
    networks.BLOCK_OUT_CHANNELS = widths
    networks.TIMESTEP_INPUT_DIM = widths[0]
    networks.TIME_EMBED_DIM = 4 * widths[0]
    networks.DOWN_BLOCK_TYPES = list(unet["down_block_types"])
    networks.UP_BLOCK_TYPES = list(unet["up_block_types"])
    _register_downsamplers(networks)
    loading.create_unet_diffusers_config = lambda *_: dict(unet)
    loading.create_vae_diffusers_config = lambda: dict(vae)
    usual = loading.CLIPTextConfig
    loading.CLIPTextConfig = lambda **given: usual(**{**given, **text})


def _register_downsamplers(networks: Any) -> None:
    """It keeps those of a level without attention in a bare list, where their weights are not found: in its own size
    there are none."""
    build = networks.DownBlock2D.__init__

    def complete(block: Any, *arguments: Any, **named: Any) -> None:
        build(block, *arguments, **named)
        if block.downsamplers is not None:
            block.downsamplers = networks.nn.ModuleList(block.downsamplers)

    networks.DownBlock2D.__init__ = complete


if __name__ == "__main__":
    main()
