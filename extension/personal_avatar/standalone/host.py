"""The host without a WebUI: our own folders, our own models, diffusers and torch on whatever device there is."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from personal_avatar import room
from personal_avatar.commandline import default_data_folder
from personal_avatar.domain import Advice, BaseModelFile, Face, Method, Style
from personal_avatar.environment import free
from personal_avatar.errors import DiskFull, NotFound, NotWritable
from personal_avatar.host import Folders, Picture, PictureRequest, Rules, TrainerPython
from personal_avatar.jobs.neighbours import Neighbourhood
from personal_avatar.jobs.sharing import ON_PROCESSOR_S, TIMEOUT_S, yielded
from personal_avatar.jobs.store import JobStore
from personal_avatar.naming import let_go, named
from personal_avatar.pictures import covering
from personal_avatar.problems import stated
from personal_avatar.prompts import split_networks
from personal_avatar.room import Peaks, Size
from personal_avatar.standalone.checkpoints import CheckpointShelf
from personal_avatar.standalone.denoise import Painting
from personal_avatar.standalone.infotext import infotext
from personal_avatar.standalone.networks import find_networks, present_networks
from personal_avatar.standalone.pipelines import Pipelines, batches
from personal_avatar.standalone.restorers import Restorers, redrawn
from personal_avatar.standalone.samplers import refuse_sampler
from personal_avatar.standalone.styles import read_styles
from personal_avatar.standalone.upscalers import Upscalers
from personal_avatar.studio.oneshot import posed
from personal_avatar.studio.works import neighbourhood_of
from personal_avatar.training.planning.fitness import refuse_unfit


class StandaloneHost:
    """Implements `host.Host`. `data`: our folder; models lie in `data/models/{checkpoints,loras,embeddings,...}`."""

    name = "standalone"

    def __init__(self, data: Path | None = None, local: bool = True, rules: Rules = Rules()) -> None:  # noqa: B008
        """`local`: only this machine can call."""
        self._rules = rules
        self._data = (data or default_data_folder()).resolve()
        models = self._data / "models"
        self._folders = Folders(
            self._data, models / "loras", models / "embeddings", models / "checkpoints", callers_name_folders=local
        )
        self._left: float | None = None  # bytes of the card for us beside the training that was begun last
        self._passing = ""  # path of the checkpoint that this process uses in place of the chosen one
        self._pipelines = Pipelines(self._folders)
        self._peaks = Peaks()
        self._restorers = Restorers(models / "face-restoration", self._data / "weights", self._redraw)
        self._upscalers = Upscalers(models / "upscalers")
        self.shelf = CheckpointShelf(
            self._folders.checkpoints, self._data / "settings.json", self._data / "cache" / "checkpoints.json"
        )

    def folders(self) -> Folders:
        """Our folders; they are made when they are missing. Raises `NotWritable`."""
        for folder in (self._folders.loras, self._folders.embeddings, self._folders.checkpoints):
            _make(folder)
        return self._folders

    def rules(self) -> Rules:
        return self._rules

    # -- checkpoints

    def checkpoint(self) -> BaseModelFile:
        return self.shelf.find(self._passing) if self._passing else self.shelf.current()

    def find_checkpoint(self, wanted: str) -> BaseModelFile:
        return self.shelf.find(wanted)

    def checkpoints(self) -> tuple[str, ...]:
        """Titles of all checkpoints that can be chosen."""
        return tuple(self.shelf.titles())

    def choose_checkpoint(self, wanted: str) -> BaseModelFile:
        """Use a checkpoint from now on. Raises what `try_checkpoint` raises, then it is not chosen."""
        base = self.try_checkpoint(wanted)
        self.keep_checkpoint()
        return base

    def try_checkpoint(self, wanted: str) -> BaseModelFile:
        """Use a checkpoint in this process alone, until `keep_checkpoint`. Raises `BaseNotFound`, `BaseUnsupported`,
        `NotWritable`."""
        self.folders()  # one of them keeps its hash
        base = self.shelf.find(wanted)
        refuse_unfit(base)
        self._passing = str(base.path)
        return base

    def keep_checkpoint(self) -> None:
        """The one that is used now is used from now on, also by others."""
        if self._passing:
            self.shelf.choose(self._passing)
            self._passing = ""

    def install_checkpoint(self, source: Path) -> BaseModelFile:
        return self.shelf.install(source)

    # -- training

    def trainer(self) -> TrainerPython:
        """This interpreter: what pictures are made with can train as well."""
        package_parent = str(Path(__file__).resolve().parents[2])
        paths = [package_parent, *filter(None, [os.environ.get("PYTHONPATH")])]
        return TrainerPython(Path(sys.executable), (("PYTHONPATH", os.pathsep.join(paths)),))

    def card_index(self) -> int:
        return 0

    def make_room(self, wanted_bytes: int, waiting: Callable[[str], None]) -> None:
        """Whatever of ours is on the card was put there by torch."""
        card = room.card() if "torch" in sys.modules else None
        if card is not None and card.free < wanted_bytes:
            self.unload()
        found = free.card(index=self.card_index())
        self._left = None if found is None else found.free_gb * free.GB - wanted_bytes

    def refuse_unknown(self, sampler: str, prompt: str) -> None:
        refuse_sampler(sampler)
        find_networks(split_networks(prompt)[1], self.folders().loras)

    def clip_skip(self) -> int:
        return 1

    def pose_problem(self) -> str:
        return "A pose can be taken from a picture only in the WebUI, with the extension sd-webui-controlnet."

    def published(self, file: Path, method: Method) -> tuple[Advice, ...]:
        """Nothing to do: folders are read whenever a name is looked up."""
        return ()

    # -- pictures

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        base = self.checkpoint() if request.checkpoint is None else self.shelf.find(str(request.checkpoint))
        prompt, tags = split_networks(request.prompt)
        networks = find_networks(tags, self.folders().loras)
        size = request.width_px, request.height_px
        people = request.identity if request.identity and request.identity.settings.enabled else None
        image = None if request.image is None else covering(request.image, *size)
        groups = tuple(batches(request.seeds, request.width_px, request.height_px))
        with self._room(base, size, max(map(len, groups), default=1)):
            for seeds in groups:
                painting = Painting(
                    prompt, request.negative_prompt, seeds, *size, request.steps,
                    request.guidance, request.sampler, self._folders.embeddings, image, request.strength,
                    max(1, request.clip_skip),
                )
                painted = self._pipelines.paint(base, networks, painting, on_step, people and posed(people, image))
                for made, seed, said in zip(painted.images, seeds, painted.infotexts, strict=True):
                    told = replace(request, infotext=(*request.infotext, *said))
                    yield Picture(made, seed, infotext(told, base, seed))

    @cached_property
    def _neighbourhood(self) -> Neighbourhood:
        return neighbourhood_of(JobStore(self._data / "jobs"))

    @contextmanager
    def _room(self, base: BaseModelFile, size: tuple[int, int], batch: int) -> Iterator[None]:
        """For the block, trainings in other processes are parked if there is no room beside them."""
        wanted, card = Size(str(base.path), size[0] * size[1], batch), room.card()
        timeout_s = ON_PROCESSOR_S if card is None else TIMEOUT_S
        with yielded(self._neighbourhood, timeout_s, lambda: self._peaks.crowded(wanted, card)):
            measured = self._peaks.begin(wanted, card.peak if card else 0)
            room.count_anew()
            try:
                yield
                if (after := room.card()) is not None:
                    self._peaks.end(measured, after.peak)
            except Exception as error:
                let_go(error)  # which would hold the checkpoint as long as it is told of
                raise
            finally:
                self._give_back()

    def _give_back(self) -> None:
        """What a picture fetched is there no longer than it lasts, where a training takes more than is left then."""
        card = room.card()
        takes_more = card is not None and self._left is not None and card.reserved > self._left
        if takes_more and self._neighbourhood.users():
            self.unload()

    def unload(self) -> None:
        """Give the memory of the loaded checkpoint back; the next picture loads it again."""
        self._pipelines.unload()

    def forget(self) -> None:
        self._pipelines.forget()
        self._restorers.forget()

    def fall_back(self) -> str:
        gone = bool(self._passing) and not Path(self._passing).is_file()
        chosen = self.shelf.fall_back()
        if gone:
            self._passing = ""
        if not (gone or chosen):
            return ""
        self.unload()  # what is in memory is of the one that is gone
        return self.checkpoint().title

    # -- restoration

    def restorers(self) -> tuple[str, ...]:
        return self._restorers.names()

    def restore(
        self, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        return self._restorers.restore(image, model, fidelity, prompt, face)

    def upscalers(self) -> tuple[str, ...]:
        return self._upscalers.names()

    def upscale(self, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        return self._upscalers.upscale(image, name, factor)

    def _redraw(self, image: np.ndarray, strength: float, prompt: str) -> np.ndarray:
        """Image to image with the loaded checkpoint and what is here of the LoRAs in `prompt` (default: "portrait")."""
        base = self.checkpoint()
        prompt, tags = split_networks(prompt or "portrait")
        networks = present_networks(tags, self.folders().loras)

        def repaint(fitted: np.ndarray, share: float) -> np.ndarray:
            size = fitted.shape[1], fitted.shape[0]
            painting = Painting(prompt, "", (0,), *size, 20, 4.0, "DPM++ 2M", self._folders.embeddings, fitted, share)
            with self._room(base, size, 1):
                return self._pipelines.paint(base, networks, painting, lambda step, total: None).images[0]

        return redrawn(image, strength, base.native_px, repaint)

    # -- describing

    def interrogators(self) -> tuple[str, ...]:
        """None: the WebUI has such; our own taggers work without it."""
        return ()

    def interrogator_lacks(self, name: str) -> str:
        return f"{name} is a part of the WebUI."

    def interrogate(self, image: np.ndarray, name: str) -> str:
        raise NotFound(f"{name} is a part of the WebUI.", "Use wd14 or blip, or run this in the WebUI.")

    # -- styles

    def styles(self) -> tuple[Style, ...]:
        """The user's own, from `styles.csv` in the data folder, in the WebUI's format."""
        return read_styles(self._data / "styles.csv")


def _make(folder: Path) -> None:
    """Unless it is there. Raises `NotWritable`; `OSError` where the disk is full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(named(error), DiskFull):
            raise
        said = {"folder": error.filename, "cause": error.strerror}
        raise stated(NotWritable, "failure.closed", "error.NOT_WRITABLE.data.hint", **said) from error
