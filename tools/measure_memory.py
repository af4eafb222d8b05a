"""Measures the most memory that one training step takes: points for the memory model in training/planning/reckoning.py.

    python tools/measure_memory.py CHECKPOINT --family sd1 --px 512 --method lora --set batch_size=2 [--steps 2]

prints one JSON object: what was trained, and `load_gb`, `step_gb`, `picture_gb`, the peaks of resident memory (on a
card of torch's reserved memory) while the checkpoint is loaded, while steps and while pictures are made. Every point
wants a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "extension"))

PICTURES = 4


def main() -> int:
    args = arguments()
    from personal_avatar.domain import BaseModelFile, Family, Method
    from personal_avatar.params import pairs, validated
    from personal_avatar.training.planning.plan import PLANS

    method = Method(args.method)
    plan = validated(PLANS[method], {**pairs(args.pairs), "prior_from": "prediction", "vary_captions": False})
    base = BaseModelFile(args.checkpoint, args.checkpoint.stem, Family(args.family), native_px=args.native)
    found = {"family": args.family, "checkpoint": args.checkpoint.stem, "method": method.value, "px": args.px}
    found |= {"native_px": args.native, "plan": plan.dict(exclude_unset=True), **measured(base, method, plan, args)}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--family", default="sd1")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--px", type=int, default=512)
    parser.add_argument("--native", type=int, default=512)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--pictures", action="store_true", help="measure the making of pictures as well")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", dest="pairs", action="append", default=[])
    return parser.parse_args()


def measured(base: Any, method: Any, plan: Any, args: argparse.Namespace) -> dict[str, Any]:
    import torch
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry
    from personal_avatar.training.loop import Trainer
    from personal_avatar.training.memory import peak_gb
    from personal_avatar.training.methods.registry import attach

    torch.set_num_threads(args.threads)
    reset_peak()
    model = registry.load(base, compute.choose(plan.precision, base.native_px), args.px)
    loaded_gb = peak_gb()
    data = pictures(model, plan, args.px)
    found = attach(method, model, plan, trigger="sks man", class_noun="man")
    trainer = Trainer(model, found, data, plan, args.steps)
    model.park(text=data.text is not None, vae=True)
    compute.release()
    reset_peak()
    began_gb = now_gb()
    for _ in range(args.steps):
        trainer.step()
    step_gb = peak_gb()
    if args.pictures:
        model.unpark()
        reset_peak()
        make_picture(model, args.px)
    return {
        "device": model.compute.device.type, "autocast": str(model.compute.autocast), "torch": torch.__version__,
        "load_gb": loaded_gb, "begun_gb": began_gb, "step_gb": step_gb,
        "picture_gb": peak_gb() if args.pictures else None,
        "trained": sum(weight.numel() for group in found.parameter_groups() for weight in group["params"]),
    }


def make_picture(model: Any, px: int) -> None:
    """As checkpoints are judged: so many pictures at once, with guidance, then decoded."""
    from personal_avatar.training.evaluation.bench import batch_for
    from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures

    model.unet.eval()
    make_pictures(model, [Shot("a man", 1)] * batch_for(px), SampleSettings(px, steps=2, batch=batch_for(px)))


def pictures(model: Any, plan: Any, px: int) -> Any:
    """Random latents, since what they show does not matter."""
    import torch
    from personal_avatar.benchmarks.work import CAPTION
    from personal_avatar.training.data.cache import Latents
    from personal_avatar.training.data.reading import text_states
    from personal_avatar.training.data.training_set import TrainingSet

    side, captions = px // 8, [CAPTION.format(number=number) for number in range(PICTURES)]
    means = tuple(torch.randn(4, side, side) for _ in captions)
    latents = Latents(means, tuple(torch.full_like(mean, 0.1) for mean in means))
    text = None if plan.trains_text else text_states(model, ["", *captions])
    return TrainingSet(latents, captions, captions, text)


def reset_peak() -> None:
    """From now on the peak counts anew."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def now_gb() -> float:
    import psutil
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.memory_reserved() / 1e9, 3)
    return round(psutil.Process().memory_info().rss / 1e9, 3)


if __name__ == "__main__":
    sys.exit(main())
