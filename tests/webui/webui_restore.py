"""A data folder with a face restorer, small and with random weights, and with somebody whom prompts can name."""
from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
from personal_avatar.avatars import AvatarStore
from personal_avatar.domain import Checkpoint, Family, Method
from personal_avatar.faces.registry import default_analyser
from personal_avatar.pictures import load_picture

from tests.webui.webui_data import CONSENT, DRAWINGS, make_data_folder
from tests.webui.webui_families import NO_DOWNLOADS
from tests.webui.webui_server import REPOSITORY, webui_folder, webui_python

PROBE = Path(__file__).parent / "probe_restore"
LORA = "pa-anna-0200"
# Only the WebUI's Python has the architecture.
SMALL_RESTOREFORMER = """
import sys, torch
from spandrel.architectures.RestoreFormer import RestoreFormer
torch.manual_seed(3)
network = RestoreFormer(
    n_embed=64, embed_dim=32, ch=32, out_ch=3, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(16,),
    dropout=0.0, in_channels=3, resolution=512, z_channels=32, double_z=False, enable_mid=True, head_size=8,
)
torch.save(network.state_dict(), sys.argv[1])
"""


def make_restore_folder(folder: Path, weights: Path) -> Path:
    """`weights`: where the face detector and the recogniser lie."""
    made = make_data_folder(folder, extension=REPOSITORY)
    (made / "extensions" / "zz-probe-restore").symlink_to(PROBE)
    (made / "config.json").write_text(json.dumps(NO_DOWNLOADS), encoding="utf-8")
    file = made / "models" / "RestoreFormer" / "RestoreFormer.pth"
    file.parent.mkdir(parents=True)
    subprocess.run([webui_python(webui_folder()), "-c", SMALL_RESTOREFORMER, file], check=True, timeout=120)
    shutil.copytree(weights, made / "personal-avatar" / "weights")
    _somebody(made / "personal-avatar", weights)
    return made


def _somebody(data: Path, weights: Path) -> None:
    """An avatar as a training leaves it, but for the file."""
    reader, photo = default_analyser(weights), load_picture(DRAWINGS[0])
    vector = np.asarray(reader.embed(photo, reader.detect(photo)[0]))
    store = AvatarStore(data / "avatars")
    anna = store.open("Anna", user_id="local", class_noun="woman", statement=CONSENT)
    point = Checkpoint(Path(f"/nowhere/{LORA}.safetensors"), "0" * 64, 200, Method.LORA, Family.SD1, anna.trigger)
    anna = replace(anna, checkpoints=(point,), reference=tuple(vector.tolist()), recogniser=reader.name)
    store.save(anna)
    store.add_photos(anna, DRAWINGS[:2])
