"""What we ask of whoever runs us. Two implementations: webui/host.py and standalone/host.py."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from personal_avatar.domain import Advice, BaseModelFile, Face, Method, Style

if TYPE_CHECKING:
    import numpy as np

    from personal_avatar.identities import IdentityRequest

RAY_PACKAGES = "ray-packages"  # in the data folder; only the process that carries jobs to a cluster sees it


@dataclass(frozen=True)
class Folders:
    """Where results belong so that the host finds them, and where our own data live. `identity`: where else files for
    one-shot identity may lie, such as the folders of other extensions. `sd_scripts`: the folder of kohya's sd-scripts
    that the user named, "" when none was. `more_wildcards`: folders of wildcards besides ours. `more_loras`,
    `more_checkpoints`: where the host looks for such, too. `callers_name_folders`: whether those who call the API or
    see the page sit at this machine, and may name folders of it."""

    data: Path
    loras: Path
    embeddings: Path
    checkpoints: Path
    identity: tuple[Path, ...] = ()
    sd_scripts: str = ""
    more_wildcards: tuple[Path, ...] = ()
    more_loras: tuple[Path, ...] = ()
    more_checkpoints: tuple[Path, ...] = ()
    callers_name_folders: bool = False

    @property
    def wildcards(self) -> tuple[Path, ...]:
        """Where lists for `__name__` in prompts are looked for, ours first."""
        return (self.data / "wildcards", *self.more_wildcards)

    @property
    def identity_folders(self) -> tuple[Path, ...]:
        """Where adapters, IdentityNet, CLIP and face models are looked for, ours first."""
        return (self.data / "models" / "identity", self.data / "weights", *self.identity)

    def results_of(self, method: Method) -> Path:
        """The folder that the file of a training belongs into."""
        elsewhere = {Method.TEXTUAL_INVERSION: self.embeddings, Method.DREAMBOOTH: self.checkpoints}
        return elsewhere.get(method, self.loras)

    def looked_in(self, method: Method) -> tuple[Path, ...]:
        """All folders in which the host finds what the method makes, that for results first."""
        more = {Method.TEXTUAL_INVERSION: (), Method.DREAMBOOTH: self.more_checkpoints}
        return (self.results_of(method), *more.get(method, self.more_loras))


@dataclass(frozen=True)
class Rules:
    """What the owner of this installation has decided about jobs and callers.

    `waiting`, `waiting_of_one`: how many jobs may wait, of all users and of one. `upload_bytes`: of one request.
    `private_callbacks`: whether callbacks may go to addresses of private networks. `restarts`: how often a job whose
    process died is taken up again by itself. `executor`: "local" or "ray"; `ray_address`: of the cluster; `jobs_there`:
    how many of its jobs run at the same time.
    """

    waiting: int = 50
    waiting_of_one: int = 20
    upload_bytes: int = 512 * 2**20
    private_callbacks: bool = False
    restarts: int = 2
    executor: str = "local"
    ray_address: str = ""
    jobs_there: int = 1


@dataclass(frozen=True)
class TrainerPython:
    """How to start `python -m personal_avatar.worker`: interpreter, and environment variables to set. `packages`: the
    folder of packages that trainings alone see; None: they have those of the interpreter."""

    executable: Path
    environment: tuple[tuple[str, str], ...] = ()
    packages: Path | None = None


@dataclass(frozen=True)
class PictureRequest:
    """One batch: picture i uses `seeds[i]`; sizes are multiples of 8.

    Prompts may hold `<lora:name:weight>` and names of embeddings. `checkpoint`: the file to make the pictures with (a
    Dreambooth result); None: the one that is loaded. What the user has chosen is the same afterwards.
    `identity`: who shall be in the picture, without training. `image`: uint8 RGB, of which the last `strength` (0..1)
    of the steps is painted anew; None: from noise. `pose`: uint8 RGB of any size, whose people stand as those in the
    picture shall, where `Host.pose_problem` allows it. `keep`: False for what nobody shall find among the host's
    pictures. `clip_skip`: by which layer of the text encoder the prompts are read, as the WebUI counts; 0: as ever.
    """

    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    width_px: int
    height_px: int
    steps: int = 20
    guidance: float = 6.0
    sampler: str = "DPM++ 2M"
    infotext: tuple[tuple[str, str], ...] = ()
    checkpoint: Path | None = None
    identity: IdentityRequest | None = None
    image: np.ndarray | None = None
    strength: float = 0.6
    keep: bool = True
    pose: np.ndarray | None = None
    clip_skip: int = 0


@dataclass(frozen=True)
class Picture:
    """A generated picture: `image` uint8 RGB (height, width, 3); `infotext` as the host writes it into files."""

    image: np.ndarray
    seed: int
    infotext: str = ""
    path: Path | None = None


class Host(Protocol):
    """Everything that differs between the WebUI and the standalone app."""

    @property
    def name(self) -> str:
        """"webui" or "standalone"."""
        ...

    def folders(self) -> Folders: ...

    def rules(self) -> Rules: ...

    def checkpoint(self) -> BaseModelFile:
        """The checkpoint that is loaded now; raises `NoCheckpoint`."""
        ...

    def find_checkpoint(self, wanted: str) -> BaseModelFile:
        """A checkpoint by title, file name or path; raises `BaseNotFound`."""
        ...

    def install_checkpoint(self, source: Path) -> BaseModelFile:
        """Put the folder of a shipped checkpoint (avatar-tiny) where the host finds checkpoints."""
        ...

    def trainer(self) -> TrainerPython:
        """Raises `TrainerMissing` with the reason when the trainer environment is not usable."""
        ...

    def card_index(self) -> int:
        """Which graphics card trainings take first, as torch counts them in this process: that of the host."""
        ...

    def make_room(self, wanted_bytes: int, waiting: Callable[[str], None]) -> None:
        """A training that needs so much of the graphics card is about to begin: what of it is not free is given back,
        as far as it is ours, and fetched again when a picture needs it. Nothing happens without a card. `waiting` is
        called again and again, with what is waited for, while that cannot be; what it raises ends the waiting."""
        ...

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        """Yield pictures one by one, calling `on_step(step, total)` within each.

        Raises `GenerationFailed`, `NoCheckpoint`, `Cancelled`.
        """
        ...

    def refuse_unknown(self, sampler: str, prompt: str) -> None:
        """Raise what `generate` would raise of a sampler, and of LoRAs in a prompt, that are not there."""
        ...

    def clip_skip(self) -> int:
        """By which layer of the text encoder the user's own prompts are read now; 1 is the last."""
        ...

    def pose_problem(self) -> str:
        """Why no pose can be taken from a picture with the loaded checkpoint, one sentence; "" when it can."""
        ...

    def published(self, file: Path, method: Method) -> tuple[Advice, ...]:
        """What the method made was written into the host's folders: make it known. Answers what a person has to know
        besides, see `caveats`. Raises `SelfTestFailed` for a file that is of no use here."""
        ...

    def restorers(self) -> tuple[str, ...]:
        """Names of the face restorers that work here and now, best first; empty when there is none."""
        ...

    def restore(
        self, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        """Restore a uint8 RGB picture; `fidelity` 0 (free) .. 1 (faithful). Raises `RestorerMissing`.

        `prompt`: what the picture was made with, for restorers that paint anew. `face`: which one, in pixels of the
        picture; None: all that are found.
        """
        ...

    def upscalers(self) -> tuple[str, ...]:
        """Names of the upscalers that add detail and work here and now; plain resampling is none."""
        ...

    def upscale(self, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        """uint8 RGB (height, width, 3) -> the same, `factor` times as high and wide. Raises `UpscalerMissing`."""
        ...

    def interrogators(self) -> tuple[str, ...]:
        """Names of what the host itself has to describe pictures, whether their weights are there or not."""
        ...

    def interrogator_lacks(self, name: str) -> str:
        """What is missing before that one works, with size and licence, as one sentence; "" when nothing is."""
        ...

    def interrogate(self, image: np.ndarray, name: str) -> str:
        """What is to be seen in a uint8 RGB picture: a sentence or tags. Downloads nothing.

        Raises `WeightsMissing`, `NotFound` for a name that is none.
        """
        ...

    def forget(self) -> None:
        """Somebody was erased: keep nothing in memory that was read from photos of people."""
        ...

    def fall_back(self) -> str:
        """Files were erased: where the chosen checkpoint is among them and nobody chooses another, one is chosen; its
        title, "" when nothing changes."""
        ...

    def styles(self) -> tuple[Style, ...]:
        """The user's own styles in this host."""
        ...
