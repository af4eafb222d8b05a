"""Stands in for a script of sd-scripts: takes its arguments, prints like it, saves like it. Copied into its folder.

`--output_dir`, `--output_name`, `--max_train_steps` and `--save_every_n_steps` do what they do there.
STAND_IN_TEMPLATE: the file that is saved; STAND_IN_ENDS: "", or how it fails: "nan", "memory", "hangs",
"breaks": after the first file, while it writes the next, "early": well, with nothing done, "killed": by a signal.
"""
from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path


def said(name: str) -> str:
    return sys.argv[sys.argv.index(f"--{name}") + 1]


def save(name: str) -> None:
    shutil.copyfile(os.environ["STAND_IN_TEMPLATE"], Path(said("output_dir"), f"{name}.safetensors"))


def bar(step: int, total: int, loss: float) -> None:
    sys.stderr.write(f"\rsteps: {100 * step // total}%|###| {step}/{total} [00:01<00:01, 0.10s/it, avr_loss={loss}]")
    sys.stderr.flush()


def refuse_pickles() -> None:
    """As it does where the program that wrote them is not installed."""
    for name in ("pretrained_model_name_or_path", "vae"):
        if f"--{name}" in sys.argv and (not said(name).endswith(".safetensors") or not Path(said(name)).is_file()):
            sys.exit(f"ModuleNotFoundError: No module named 'pytorch_lightning', by {said(name)}")


def main() -> None:
    refuse_pickles()
    total, every, ends = int(said("max_train_steps")), int(said("save_every_n_steps")), os.environ["STAND_IN_ENDS"]
    Path(said("output_dir"), "sample").mkdir()
    sys.stdout.write("prepare images.\n")
    if ends == "early":
        sys.stdout.write("No data found.\n")
        return
    sys.stderr.write("\r  0%|   | 0/3 [00:00<?, ?it/s]\rsteps:   0%|   | 0/4 [00:00<?, ?it/s]")
    for step in range(1, total + 1):
        if ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if ends == "memory":
            sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
        if step % every == 0:
            save(f"{said('output_name')}-step{step:08d}")
            Path(said("output_dir"), "sample", f"{said('output_name')}_{step:06d}_00_20261120092434_1.png").touch()
            if ends == "breaks" and step > every:
                with Path(said("output_dir"), f"{said('output_name')}-step{step:08d}.safetensors").open("r+b") as torn:
                    torn.truncate(1000)
                sys.exit("RuntimeError: it broke")
        if step > 1:  # tqdm moves the bar before it is told the loss of the step
            bar(step, total, 1 / (step - 1))
        bar(step, total, float("nan") if ends == "nan" else 1 / step)
        while ends == "hangs" and step == every:
            time.sleep(0.05)
    save(said("output_name"))


if __name__ == "__main__":
    main()
