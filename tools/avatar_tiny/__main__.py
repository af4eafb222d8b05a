"""`python -m tools.avatar_tiny <draw | samples | vae | decoder | encode | unet | reader | export | evaluate |
likeness>`, in this order; `restore` makes states of the shipped file instead, for trainings to go on from.

Each step continues where it was stopped. Training steps may be started by
`torchrun --nproc-per-node N -m tools.avatar_tiny ...` to use N processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

WORK = Path("build/avatar-tiny")


def parser() -> argparse.ArgumentParser:
    """The command line; defaults are what the shipped weights were made with, except for the minutes."""
    top = argparse.ArgumentParser(prog="python -m tools.avatar_tiny", description=__doc__)
    top.add_argument("step", choices=sorted(STEPS))
    top.add_argument("--work", type=Path, default=WORK, help="folder for drawings and training states")
    top.add_argument("--count", type=int, default=6000, help="drawings to make")
    top.add_argument("--pictures", type=int, default=60, help="pictures to evaluate")
    top.add_argument("--subjects", type=int, default=2, help="unseen characters to train on")
    top.add_argument("--method", default="lora", help="of training, for the step likeness")
    top.add_argument("--set", dest="settings", nargs="+", default=[], help="key=value: what differs from the preset")
    top.add_argument("--part", default="0/1", help="k/n: draw only every n-th shard from the k-th on")
    top.add_argument("--minutes", type=float, default=60, help="how long a training lasts")
    top.add_argument("--rate", type=float, default=0, help="peak learning rate (0: the step's own)")
    top.add_argument("--threads", type=int, default=1, help="threads of each process")
    top.add_argument("--sface", type=Path, help="face_recognition_sface_2021dec.onnx, for the VAE's identity loss")
    top.add_argument("--yunet", type=Path, help="face_detection_yunet_2023mar.onnx or its int8bq sibling")
    top.add_argument("--recogniser", type=Path, action="append", default=[], help="ONNX recogniser to measure with")
    return top


def run_draw(options: argparse.Namespace) -> None:
    from .draw_set import draw_set

    part, parts = (int(value) for value in options.part.split("/"))
    draw_set(options.work / "drawings", options.count, part, parts)


def run_samples(options: argparse.Namespace) -> None:
    from .samples import write_samples

    write_samples()


def run_vae(options: argparse.Namespace) -> None:
    """Encoder and decoder together."""
    _train_vae(options, decoder_only=False)


def run_decoder(options: argparse.Namespace) -> None:
    """The decoder alone, for latents that are in use already."""
    _train_vae(options, decoder_only=True)


def _train_vae(options: argparse.Namespace, decoder_only: bool) -> None:
    from .train_vae import VaePlan, VaeTraining

    plan = VaePlan(
        drawings=options.work / "drawings",
        state=options.work / "vae.pt",
        minutes=options.minutes,
        identity_model=options.sface,
        decoder_only=decoder_only,
        peak_rate=options.rate or 4e-4,
    )
    VaeTraining(plan).train()


def run_restore(options: argparse.Namespace) -> None:
    """States of the shipped checkpoint, so that `decoder` and `unet` go on from it, with latents as they are."""
    from .export import load_checkpoint
    from .runs import save_state

    networks = load_checkpoint()
    vae, unet, text = (part.state_dict() for part in (networks.vae, networks.unet, networks.text))
    options.work.mkdir(parents=True, exist_ok=True)
    save_state({"vae": vae, "steps": 0}, options.work / "vae.pt")
    save_state({"unet": unet, "text": text, "steps": 0, "samples": 0}, options.work / "unet.pt")


def run_encode(options: argparse.Namespace) -> None:
    """Give the latents unit covariance, unless a UNet knows them already, and write those of all drawings."""
    from . import codec, models, train_unet
    from .runs import save_state

    state, drawings = options.work / "vae.pt", options.work / "drawings"
    vae = models.build_vae()
    steps = codec.load_or_start(vae, state)
    if not any(drawings.glob("*.latents.npy")) and not (options.work / "unet.pt").exists():
        codec.whiten(vae, train_unet.picture_batches(drawings, 192))
        save_state({"vae": vae.state_dict(), "steps": steps}, state)
    train_unet.encode_shards(vae, drawings)


def run_unet(options: argparse.Namespace) -> None:
    from .train_unet import UnetPlan, UnetTraining

    plan = UnetPlan(options.work / "drawings", options.work / "unet.pt", options.minutes, options.rate or 1e-3)
    UnetTraining(plan).train()


def run_reader(options: argparse.Namespace) -> None:
    """The network that reads attributes, for `evaluate`."""
    from .reader import train_reader

    train_reader([options.work / "drawings"], options.work / "reader.pt", options.minutes)


def run_export(options: argparse.Namespace) -> None:
    from .export import export, load_networks

    export(load_networks(options.work / "vae.pt", options.work / "unet.average"))


def run_evaluate(options: argparse.Namespace) -> None:
    """Writes `evaluation.json` into the work folder and the document to standard output."""
    from .evaluate import evaluate
    from .export import load_networks
    from .judges import Judges
    from .reader import load_reader

    if options.yunet is None or not options.recogniser:
        raise SystemExit("evaluate needs --yunet FILE and at least one --recogniser FILE")
    judges = Judges.load(options.yunet, **{path.stem: path for path in options.recogniser})
    networks = load_networks(options.work / "vae.pt", options.work / "unet.average")
    document = evaluate(networks, judges, load_reader(options.work / "reader.pt"), options.pictures)
    text = json.dumps(document, indent=1)
    (options.work / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def run_likeness(options: argparse.Namespace) -> None:
    """Trainings on unseen characters with the exported checkpoint; the numbers go to standard output and
    `likeness.json`."""
    from .export import ASSET
    from .likeness import Wanted, measure

    wanted = Wanted(options.method, tuple(options.settings))
    found = measure(options.subjects, options.work / "likeness", ASSET / "avatar-tiny.safetensors", wanted)
    text = json.dumps(found, indent=1)
    (options.work / "likeness.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {
    "draw": run_draw,
    "samples": run_samples,
    "vae": run_vae,
    "decoder": run_decoder,
    "restore": run_restore,
    "encode": run_encode,
    "unet": run_unet,
    "reader": run_reader,
    "export": run_export,
    "evaluate": run_evaluate,
    "likeness": run_likeness,
}


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import torch

    torch.set_num_threads(options.threads)
    STEPS[options.step](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
