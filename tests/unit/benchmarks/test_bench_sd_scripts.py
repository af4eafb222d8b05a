"""sd-scripts against the watch: its bar, its command line; a script that draws such a bar stands in for it."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from miniatures import make
from personal_avatar.benchmarks import sd_scripts
from personal_avatar.benchmarks.work import SpeedWork
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.environment.kohya import SdScripts
from personal_avatar.errors import Crashed
from personal_avatar.training.engines.kohya.sizes import LAUNCHER, STANDARD, UNET_TENSORS
from personal_avatar.training.families.detect import UNET
from safetensors.numpy import save_file

# Draws as tqdm does: every step twice, the second time with the loss.
DRAWS = """
import sys, time
steps = int(sys.argv[sys.argv.index("--max_train_steps") + 1])
sys.stderr.write(f"caching latents\\nsteps:   0%|          | 0/{steps} [00:00<?, ?it/s]")
for step in range(1, steps + 1):
    time.sleep(0.05 if step > 1 else 0.3)
    for words in ("", ", avr_loss=0.1"):
        bar = f"\\rsteps:  {100 * step // steps}%|###   | {step}/{steps} [00:01<00:02,  1.00s/it{words}]"
        sys.stderr.write(bar)
held = bytearray(50_000_000)
"""


@pytest.fixture
def work(tmp_path: Path) -> SpeedWork:
    path = tmp_path / "a.safetensors"
    shapes = {**STANDARD[Family.SD1], **{f"{UNET}{number}": (1,) for number in range(UNET_TENSORS[Family.SD1] - 1)}}
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)
    base = BaseModelFile(path, "a", Family.SD1)
    return SpeedWork(base, 64, batch=2, precision="bf16", steps=4, warmup=1)


def stand_in(folder: Path, script: str) -> SdScripts:
    folder.mkdir()
    (folder / "train_network.py").write_text(script, encoding="utf-8")
    return SdScripts(folder, folder / "packages")


def test_steps_are_timed_by_its_bar(work: SpeedWork, tmp_path: Path) -> None:
    timed = sd_scripts.measure(stand_in(tmp_path / "kohya", DRAWS), work, tmp_path)
    assert len(timed.seconds) == 4
    assert all(0.04 < seconds < 0.29 for seconds in timed.seconds)  # the slow first step is warm-up
    assert timed.peak_memory_gb > 0.05


def test_it_finds_pictures_captions_and_tokenizers(work: SpeedWork, tmp_path: Path) -> None:
    sd_scripts.measure(stand_in(tmp_path / "kohya", DRAWS), work, tmp_path)
    inputs = tmp_path / sd_scripts.NAME
    assert len(list(inputs.rglob("*.png"))) == len(list((inputs / "pictures").rglob("*.txt"))) == 8
    assert "batch_size = 2" in (inputs / "dataset.toml").read_text()
    assert (inputs / "tokenizers" / "openai_clip-vit-large-patch14" / "vocab.json").is_file()


def test_its_end_is_told_in_its_own_words(work: SpeedWork, tmp_path: Path) -> None:
    scripts = stand_in(tmp_path / "kohya", "raise SystemExit('the pictures are missing')")
    with pytest.raises(Crashed, match="the pictures are missing"):
        sd_scripts.measure(scripts, work, tmp_path)


def test_the_work_is_the_same(work: SpeedWork, tmp_path: Path) -> None:
    order = sd_scripts._order(work, tmp_path)
    words = sd_scripts._command(SdScripts(tmp_path, tmp_path), order, tmp_path / "result.json")
    for pair in (["--network_dim", "16"], ["--max_train_steps", "5"], ["--mixed_precision", "bf16"],
                 ["--train_batch_size", "2"], ["--lr_scheduler", "constant"], ["--optimizer_type", "AdamW"]):
        assert pair == words[words.index(pair[0]) :][:2]
    assert {"--cache_latents", "--network_train_unet_only"} <= set(words)
    assert not any(word.startswith(("--sample", "--save_every")) for word in words)


def test_steps_that_were_drawn_together_share_their_time() -> None:
    assert sd_scripts.between({0: 10.0, 1: 11.0, 3: 12.0}) == [1.0, 0.5, 0.5]


def test_a_small_checkpoint_is_trained_through_its_sizes(tmp_path: Path) -> None:
    small = SpeedWork(make(Family.SD1, tmp_path), 64)
    order = sd_scripts._order(small, tmp_path)
    words = sd_scripts._command(SdScripts(tmp_path, tmp_path), order, tmp_path / "result.json")
    place = words.index(str(LAUNCHER))
    assert words[place + 1 : place + 3] == [str(tmp_path / "sizes.json"), str(tmp_path / "train_network.py")]
