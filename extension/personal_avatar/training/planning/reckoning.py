"""The memory that a training holds, reckoned from the shapes of its checkpoint. No torch.

The constants are measured on processors: by tools/measure_memory.py, into assets/measured-memory.json; tests compare
them. Those of a card's steps are from a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from personal_avatar.domain import BaseModelFile
from personal_avatar.environment.free import GB
from personal_avatar.training.compute import attends_plainly, is_half_on_cpu
from personal_avatar.training.families.contents import WORTH_DROPPING_BYTES
from personal_avatar.training.families.model import CODED_AT_ONCE
from personal_avatar.training.planning.counts import FP32, HALF, Extent, low_ranks, trained_numbers
from personal_avatar.training.planning.network import Network, network_in
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import DreamboothPlan, LoraPlan, TrainPlan, resolution_of
from personal_avatar.training.planning.presets import batch_for

RUNTIME_GB = {False: 0.75, True: 0.6}  # interpreter, libraries and face models; on a card its context
BESIDE_CARD_GB = 2.0  # the same and what CUDA keeps in main memory: thought, not measured
SCORE, SCORE_HALF = 1.0, 0.65  # for each attention score, where attention is explicit
DECODER = 3.5
# Of the text encoders' own size in fp32, where captions are encoded at every step: for three windows of 75
# tokens. How long captions are, and whether commas cut 225 tokens into four windows, is not known here; what a longer
# one takes of the UNet is less than a hundredth of a step.
TEXT_WORK = 0.2


@dataclass(frozen=True)
class Kept:
    """What a step keeps for the way back, in units of four bytes: for each number that a layer makes (`whole`; `half`
    where products are made in two bytes); with gradient checkpointing, in fp32, for each number `between` two blocks
    and of the block that is made `anew`. `workspace`: bytes besides."""

    whole: float
    half: float
    between: float
    anew: float
    workspace: int


ON_PROCESSOR = Kept(1.7, 0.9, 3.5, 4.0, 60 * 10**6)
# Not measured on a card: simulated by tests/simulated_card.py, and held higher than that. Norms answer in fp32 there.
ON_CARD = Kept(1.7, 1.05, 1.8, 1.8, 200 * 10**6)


def is_half(plan: TrainPlan, native_px: int, on_card: bool) -> bool:
    """Whether products are made in two bytes."""
    if plan.precision != "auto":
        return plan.precision != "fp32"
    return on_card or is_half_on_cpu(native_px)


def kept_of_each(plan: TrainPlan) -> float:
    """Bytes from step to step for each trained number: itself, its average, the optimiser's state."""
    return FP32 + (FP32 if plan.ema_decay > 0 else 0) + OPTIMISERS[plan.optimiser].state_bytes


@dataclass(frozen=True)
class Machine:
    """Where a training runs: on an NVIDIA card, or on the processor."""

    on_card: bool


def memory_of(plan: TrainPlan, base: BaseModelFile, machine: Machine) -> float:
    """The most that a training holds at once, 10^9 bytes: while it loads, in a step, or while it makes pictures.
    Raises `BaseNotFound`, `BaseUnsupported`."""
    found = Reckoned(plan, network_in(base.path), resolution_of(plan, base), machine.on_card, base.native_px)
    return RUNTIME_GB[machine.on_card] + max(found.loading, found.step, found.pictures) / GB


def main_memory_of(plan: TrainPlan, base: BaseModelFile) -> float:
    """The most that a training on a card holds of main memory at once, 10^9 bytes; less sure than `memory_of`. Raises
    `BaseNotFound`, `BaseUnsupported`."""
    reckoned = Reckoned(plan, network_in(base.path), resolution_of(plan, base), True, base.native_px)
    return BESIDE_CARD_GB + reckoned.beside_card / GB


@dataclass(frozen=True)
class Reckoned:
    """Bytes, without those of the interpreter and its libraries."""

    plan: TrainPlan
    network: Network
    side_px: int
    on_card: bool
    native_px: int

    @cached_property
    def half(self) -> bool:
        return is_half(self.plan, self.native_px, self.on_card)

    @property
    def unet(self) -> int:
        """Numbers."""
        return self.network.unet

    @property
    def vae(self) -> int:
        """In fp32 always."""
        return self.network.vae * FP32

    @property
    def text(self) -> int:
        """On a card as they are stored, as run.py asks for, else in fp32."""
        return self.network.text_stored if self.on_card else self.network.text * FP32

    @property
    def text_apart(self) -> bool:
        """Whether the text encoders and the UNet take turns, as run.py asks for."""
        return self.on_card and not self.plan.reads_anew

    @property
    def frozen(self) -> int:
        """The UNet as it was loaded; for Dreambooth what it began with, which waits in main memory."""
        if not isinstance(self.plan, DreamboothPlan):
            return self._loaded
        return 0 if self.on_card else self._begun_with

    @property
    def _loaded(self) -> int:
        return self.unet * (HALF if self.half else FP32)

    @property
    def _begun_with(self) -> int:
        return self._loaded + (self.text if self.plan.trains_text else 0)

    @cached_property
    def trained(self) -> int:
        if isinstance(self.plan, LoraPlan):
            return _of_lora(self.network, Extent.of(self.plan))
        return trained_numbers(self.plan, self.network.shapes)

    @property
    def weights(self) -> int:
        """What is there from the first step to the last: the UNet, trained weights, the optimiser, averages."""
        return self.frozen + round(self.trained * kept_of_each(self.plan))

    @property
    def loading(self) -> int:
        """All parts of the checkpoint at once, where the text encoders do not take turns; Dreambooth reads the file
        again for what half precision rounded."""
        again = self.half and isinstance(self.plan, DreamboothPlan) and not self.on_card
        exact = self.unet * HALF + (self.text + self.vae) // 2 if again else 0
        unet = self.frozen + (self.unet * FP32 if isinstance(self.plan, DreamboothPlan) else 0)
        return self.vae + exact + (max(unet, self.text) if self.text_apart else unet + self.text)

    @property
    def step(self) -> int:
        """Gradients, what the way back needs, and `copies`; parts of the checkpoint that the steps do not need are put
        away, small ones on a processor excepted."""
        text = self.text if self.plan.reads_anew or (not self.on_card and self.text < WORTH_DROPPING_BYTES) else 0
        vae = self.vae if not self.on_card and self.vae < WORTH_DROPPING_BYTES else 0
        of_text = TEXT_WORK * self.network.text * FP32 if self.plan.reads_anew else 0
        gradients = self.trained * FP32 + self.copies
        return round(self.weights + gradients + text + vae + of_text + self.activations)

    @property
    def copies(self) -> int:
        """Bytes of trained weights in half precision beside their gradients. With gradient checkpointing those of the
        way through the network are gone when the way back begins; gradients are there already where another went
        before it in the same step, of a batch or of what holds the class."""
        plan = self.plan
        once = plan.gradient_checkpointing and plan.accumulate == 1 and plan.prior_weight <= 0
        return self.trained * HALF if self.half and isinstance(plan, DreamboothPlan) and not once else 0

    @property
    def activations(self) -> float:
        """Of one batch, and of the pictures that hold the class where both go through the network together."""
        work = self.network.work(self.side_px)
        beside = 0 if self.plan.gradient_checkpointing else self.plan.prior_rows  # as objective.parts decides
        rows = self.plan.batch_size + beside
        scores, largest = (work.scores, work.largest_scores) if self._explicit_attention() else (0, 0)
        known = ON_CARD if self.on_card else ON_PROCESSOR
        kept = known.half if self.half else known.whole
        each = SCORE_HALF if self.half else SCORE
        if self.plan.gradient_checkpointing:
            numbers = kept / known.whole * (known.between * work.between + known.anew * work.largest)
            return rows * FP32 * (numbers + 2 * each * largest) + known.workspace
        return rows * FP32 * (kept * work.inside + each * (scores + largest)) + known.workspace

    def _explicit_attention(self) -> bool:
        return not self.on_card and attends_plainly(self.side_px, self.half)

    @property
    def pictures(self) -> float:
        """Judging a checkpoint: pictures are painted, then decoded together. On a card the text encoders are put away
        when the prompts are read, and the UNet, with what is trained, when all is painted, or while text encoders that
        take turns with it read; Dreambooth's trained weights stay beside those of the untrained checkpoint while that
        paints."""
        together = batch_for(self.side_px)
        decoded_px = min(together * self.side_px**2, max(CODED_AT_ONCE, self.side_px**2))
        decoding = DECODER * FP32 * decoded_px * self.network.decoding
        work = self.network.work(self.side_px)
        scores = work.largest_scores if self._explicit_attention() else 0
        painting = 2 * together * FP32 * (2 * work.largest + 2 * (SCORE_HALF if self.half else SCORE) * scores)
        if not self.on_card:
            return self.weights + self.text + self.vae + max(decoding, painting)
        twice = self.trained * FP32 if isinstance(self.plan, DreamboothPlan) else 0
        reading = self.text - (self._put_away if self.text_apart else 0)
        return self.weights + twice + self.vae + max(reading, painting, decoding - self._put_away)

    @property
    def _put_away(self) -> int:
        """From a card while pictures are decoded."""
        return self.frozen + self.trained * FP32

    @property
    def beside_card(self) -> int:
        """What a training on a card keeps in main memory while the UNet is put away, too: the text encoders, and of
        Dreambooth what it began with."""
        begun_with = self._begun_with if isinstance(self.plan, DreamboothPlan) else 0
        return self.text + begun_with + self._put_away


@lru_cache(maxsize=64)
def _of_lora(network: Network, extent: Extent) -> int:
    return low_ranks(network.shapes, extent)
