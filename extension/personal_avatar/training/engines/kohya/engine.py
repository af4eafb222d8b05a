"""A training done by sd-scripts in place of our own loop: the same pictures and plan in, the same kind of files out."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from personal_avatar.domain import Family
from personal_avatar.environment import kohya as installed
from personal_avatar.environment.kohya import SdScripts
from personal_avatar.errors import AvatarError, Cancelled, Crashed, NanLoss
from personal_avatar.jobs.control import DISCARD
from personal_avatar.jobs.events import Log, Progress, SampleMade
from personal_avatar.problems import stated
from personal_avatar.shipped import TOKENIZER
from personal_avatar.storage import slug, write_json
from personal_avatar.training.compute import Compute, release
from personal_avatar.training.data.materials import pictures_of_the_class
from personal_avatar.training.engines.kohya.child import Child
from personal_avatar.training.engines.kohya.command import Order, command, prompts
from personal_avatar.training.engines.kohya.copies import copied, handed
from personal_avatar.training.engines.kohya.outputs import FOLDER_NAME, KEPT, Saved, keep, pictures
from personal_avatar.training.engines.kohya.pictures import class_items, dataset_toml, items_of, spoken, write_groups
from personal_avatar.training.engines.kohya.progress import Step, is_noise, step_of
from personal_avatar.training.engines.kohya.sizes import launcher
from personal_avatar.training.engines.pace import Judging, Pace
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.families.contents import beside_an_error
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.training.work import Training, Work, unscored
from personal_avatar.wording import text

logger = logging.getLogger(__name__)

SHOWN_WHILE_TRAINING = 2
MEMORY_NAME = "memory.json"
CLIP = "openai_clip-vit-large-patch14"
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")  # of a tokenizer, which say what it fills up with
SD2_PAD = "!"  # token 0
# Where sd-scripts looks for the tokenizers of a family before it asks the network.
TOKENIZERS = {
    Family.SD1: (CLIP,),
    Family.SD2: ("stabilityai_stable-diffusion-2",),
    Family.SDXL: (CLIP, "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k"),
}
Score = Callable[[int, Path], object]


def train(work: Work, training: Training, score: Score) -> None:
    """Train by sd-scripts, then load each file that it saved and call `score(step, path)`, in the order of steps.

    The files are `<slug>-<step>.safetensors` in the job's artifacts, as our own loop names them. Raises
    `TrainerMissing`, `OutOfVram`, `OutOfMemory`, `NanLoss`, `Crashed`, and `Cancelled`. Unless the user wants nothing
    kept, the complete files are in the artifacts then, too: after a `Cancelled` the last one is among `training.points`
    where nothing has been scored, other errors say where it is.
    """
    scripts = installed.handed(work.task.weights_folder.parent, work.task.sd_scripts)
    order = order_for(work, training)
    write_inputs(order, work, training)
    work.emit(Log(text("log.kohya", version=scripts.version)))
    if order.max_token_length:
        work.emit(Log(text("log.long_captions", most=order.max_token_length)))
    kept: list[Saved] = []
    try:
        _train(scripts, order, work, training)
        kept = _keep(work, order)
        if not kept:  # it returns so where it finds nothing to train on
            raise stated(Crashed, "failure.kohya_nothing")
        for saved in kept:
            training.method.load(training.method.read(saved.path))
            score(saved.step, saved.path)
            training.thin_out()
    except Exception as error:
        if not work.control.asked(DISCARD):
            _leave(kept or _keep(work, order), error, training)
        raise


def _leave(files: list[Saved], error: Exception, training: Training) -> None:
    """The last file is to be published where the user wanted the end; of another end `error` tells where it is."""
    if not files:
        return
    last = files[-1]
    if isinstance(error, Cancelled):
        training.points = training.points or [unscored(last.step, last.path)]
    elif isinstance(error, AvatarError):
        error.message += text(KEPT, step=last.step, place=last.path)


def _train(scripts: SdScripts, order: Order, work: Work, training: Training) -> None:
    teller, model = Teller(work, order, training.losses), training.bench.model
    try:
        with copied(model.base, order.folder), out_of_the_way(model), _measured(training, _start(scripts, order)) as it:
            _follow(it, work, teller)
    finally:
        shutil.rmtree(order.pictures, ignore_errors=True)  # the person's photos lie in one place only
    teller.pictures(final=True)


def order_for(work: Work, training: Training) -> Order:
    task, model, folder = work.task, training.bench.model, work.folder / FOLDER_NAME
    return Order(
        base=handed(model.base, folder),
        method=task.method,
        plan=work.plan,
        class_noun=task.avatar.class_noun,
        resolution_px=work.resolution_px,
        total_steps=training.total_steps,
        mixed_precision=mixed_precision(model.compute),
        name=slug(task.avatar.name),
        folder=folder,
        fused_attention=not model.compute.plain_attention(work.resolution_px),
        longest=max(model.lengths([sample.caption for sample in training.dataset.samples])),
    )


def mixed_precision(compute: Compute) -> str:
    """In accelerate's words."""
    import torch

    names = {torch.float16: "fp16", torch.bfloat16: "bf16"}
    return "no" if compute.autocast is None else names[compute.autocast]


def write_inputs(order: Order, work: Work, training: Training) -> None:
    """Pictures, captions, dataset file, prompts and tokenizers; of what an earlier attempt left, complete files go into
    the artifacts, and nothing else stays."""
    _keep(work, order)
    shutil.rmtree(order.folder, ignore_errors=True)
    order.output.mkdir(parents=True)
    plan, method, dataset = order.plan, order.method, training.dataset
    classes = class_items(dataset, plan, pictures_of_the_class(work, training.bench.model, dataset))
    groups = write_groups(order.pictures, items_of(dataset, plan, method), classes, plan)
    toml = dataset_toml(groups, plan, method, order.resolution_px, order.batches[0])
    order.dataset_file.write_text(toml, encoding="utf-8")
    shots = training.bench.choosing.subject[:SHOWN_WHILE_TRAINING]
    said = [Shot(spoken(shot.prompt, dataset.trigger, method), shot.seed) for shot in shots]
    order.prompts_file.write_text(prompts(said, order), encoding="utf-8")
    write_tokenizers(order)


def write_tokenizers(order: Order) -> None:
    """Where it looks for them before it would ask the network, without words that are trained here: our own files. For
    SDXL it sets itself what OpenCLIP is filled up with; for SD2 it takes the tokenizer's own, and so reads any "!"."""
    for name in TOKENIZERS[order.base.family]:
        folder = order.tokenizers / name
        folder.mkdir(parents=True, exist_ok=True)  # of an earlier round of a benchmark
        for path in TOKENIZER.iterdir():
            shutil.copyfile(path, folder / path.name)  # not who may write: an install may be read-only
        for settings in SETTINGS if order.base.family is Family.SD2 else ():
            said = json.loads((folder / settings).read_text(encoding="utf-8"))
            write_json(folder / settings, {**said, "pad_token": SD2_PAD})


@contextmanager
def out_of_the_way(model: DiffusionModel) -> Iterator[None]:
    """Within: nothing of the loaded checkpoint is on the graphics card, and its UNet, where it can be read again, takes
    no memory at all; after it even a trained UNet has the checkpoint's own weights. An error, a wish to cancel, comes
    out as it is: after it nothing goes back to the card, where there may be no room, and what is read again stays in
    main memory."""
    contents = model.contents.get(UNET_PREFIX)
    model.park(text=True)
    try:
        with contents.emptied() if contents else nullcontext():
            model.unet.to("cpu")
            release()
            yield
    except Exception:
        if not model.on_card:
            with beside_an_error("What was parked could not be read again"):
                model.unpark()
        raise
    model.unet.to(model.compute.device)
    model.unpark()


@contextmanager
def _measured(training: Training, child: Child) -> Iterator[Child]:
    """It runs no longer after the block; the training then knows what memory it took."""
    try:
        with child:
            yield child
    finally:
        training.memory = child.memory


def _start(scripts: SdScripts, order: Order) -> Child:
    """Its own process on the Python that runs us, with nothing to ask the network for."""
    script, *arguments = command(order)
    environment = installed.with_packages(os.environ, scripts.packages)
    environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    logger.info("sd-scripts in %s: %s %s", scripts.folder, script, " ".join(arguments))
    words = [*launcher(order.base, order.folder), str(scripts.folder / script), *arguments]
    return Child(words, scripts.folder, environment, order.folder / MEMORY_NAME, scripts.packages.parent)


def _follow(child: Child, work: Work, teller: Teller) -> None:
    """Read what it says until it ends. Raises what went wrong, `Cancelled` when the user wants the end."""
    for line in child.lines():
        work.control.check()
        teller.pictures()
        step = step_of(line)
        if step is not None:
            teller.step(step)
        elif line and not is_noise(line):
            logger.info("sd-scripts: %s", line)
    error = child.outcome()
    if error is not None:
        raise error


@dataclass
class Teller:
    """Turns what sd-scripts does into our events, not more often than a page can show. `losses`: its running mean,
    one number a step that was told."""

    work: Work
    order: Order
    losses: list[float]
    last_step: int = 0
    telling: Pace = field(default_factory=Pace)
    looking: Pace = field(default_factory=Pace)
    seen: set[Path] = field(default_factory=set)
    told: set[Path] = field(default_factory=set)

    def step(self, step: Step) -> None:
        """Raises `NanLoss`: what sd-scripts would save from here on is of no use."""
        if step.blew_up:
            raise stated(NanLoss, "ending.nan.kohya", step=step.step)
        if step.loss is not None:
            again = step.step == self.last_step  # the bar moves first, its loss follows
            self.losses[len(self.losses) - again :] = [step.loss]
            self.last_step = step.step
        if self.telling.is_due(step.step == step.total):
            seconds = None if step.seconds_per_step is None else round(step.seconds_per_step, 4)
            judging = Judging(self.work.plan, step.total).left_s(0, untrained=True, seconds_per_step=seconds)
            self.work.emit(Progress(step.step, step.total, step.loss, seconds, judging))

    def pictures(self, *, final: bool = False) -> None:
        """Tell of new samples; one is told of when it was there a look before, for by then it is complete."""
        if not self.looking.is_due(final):
            return
        for picture in pictures(self.order.samples, self.order.name):
            if (final or picture.path in self.seen) and picture.path not in self.told:
                self.told.add(picture.path)
                path = str(picture.path.relative_to(self.work.folder))
                self.work.emit(SampleMade(path, picture.step, self._prompt(picture.number)))
            self.seen.add(picture.path)

    def _prompt(self, number: int) -> str:
        lines = self.order.prompts_file.read_text(encoding="utf-8").splitlines()
        return lines[number].split(" --", 1)[0] if number < len(lines) else ""


def _keep(work: Work, order: Order) -> list[Saved]:
    return keep(order.output, work.artifacts, order.name, order.total_steps)
