"""The word that stands for the person: of rare ones, that which the checkpoint's text encoders tell the most of.

A network can draw somebody at a word as soon as it tells captions with the word from those without. What it reads of a
caption differs between the two several times more for one rare word than for another, and likeness comes that much
sooner (tools/avatar_tiny/README.md has the numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from personal_avatar.captions.wording import mentions, renamed
from personal_avatar.domain import Dataset, Sample
from personal_avatar.training.data.reading import TEXTS_AT_ONCE
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.planning.plan import AUTO, TextualInversionPlan, TrainPlan

if TYPE_CHECKING:
    import torch

# Each is one token of CLIP's, from the rarer fifth of its vocabulary, and none means anything to us.
_RARE = """
sks bgc bgs bln bpd brc cbp ccm cfd chd cls cmt csm csw cws dcs ddc dfc dsd dss dtm dwp fbs fhs fnc gbc ghc grc hsc
hts jfc knw lhp lls lmp lpc mdt mmc mnf mss mtc mvc mwf nbl ndc nhq nmd npt nrf nts pbb pbc pcm pdc phc pln psc ptc
rcb rdr rsl rtr sdc sff sgh shc skc slv smw smx spp sqn srp srs stx svc svt szn tbl tbr tdp thn tmw trc tsb tsm ttm
tvc tvn twc wdw wsw aboo achs acki aew aik aroo atos awp bbly bels bley bma cbe cki cius eper efcc enn eph ffo fler
gby hok icn ija inen iru kko koff ksu leth leur lias lse mbi mbu mley mmes mmit mmva mpi npa nuh nyrd oday ofi oga
ohwx olt onf ppel ptbo raq ront sels ssin stik styn sua swi tbi tlap tlot ttu uer uth vak waj wku wsoc yles ylor yoh
zek
"""
WORDS = tuple(_RARE.split())
FRAMES = ("a photo of {} {noun}", "a portrait of {} {noun}, blue background")
PLAIN = "a"  # stands where the word does in a caption that knows no such word; a token, too
WORDS_AT_ONCE = TEXTS_AT_ONCE // len(FRAMES)


def with_word(dataset: Dataset, plan: TrainPlan, model: DiffusionModel) -> Dataset:
    """With the plan's word in the place of the avatar's own, in all captions; `model` says which, for "auto". Captions
    that were written with the plan's word have it once, where they had it."""
    if not _has_word(plan):
        return dataset
    noun = dataset.trigger.partition(" ")[2]
    word = most_told(model, noun, plan.clip_skip) if plan.trigger_word == AUTO else plan.trigger_word
    trigger = f"{word} {noun}"

    def told_so(samples: Sequence[Sample]) -> tuple[Sample, ...]:
        return tuple(replace(one, caption=_told(one.caption, dataset.trigger, trigger)) for one in samples)

    return replace(
        dataset, trigger=trigger, samples=told_so(dataset.samples), held_out=told_so(dataset.held_out)
    )


def said_alone(dataset: Dataset, plan: TrainPlan) -> int:
    """How many captions, as they were written, hold the plan's word without the class noun behind it: wherever it
    stands it is taken for the person."""
    word, noun = plan.trigger_word, dataset.trigger.partition(" ")[2]
    if not _has_word(plan) or word == AUTO:
        return 0
    captions = [sample.caption for sample in (*dataset.samples, *dataset.held_out)]
    return sum(bool(mentions(word).search(renamed(one, f"{word} {noun}", ""))) for one in captions)


def _has_word(plan: TrainPlan) -> bool:
    """Whether another word than the avatar's own stands for the person."""
    return bool(plan.trigger_word) and not isinstance(plan, TextualInversionPlan)


def _told(caption: str, former: str, trigger: str) -> str:
    """With `trigger` in the place of `former`, and its word where that of `former` stands alone. What was put before a
    caption for want of `former` goes where `trigger` is not wanting."""
    written = caption.removeprefix(f"{former}, ")
    caption = written if mentions(trigger).search(written) else caption
    caption = renamed(renamed(caption, former, trigger), trigger, trigger)
    return renamed(caption, former.split()[0], trigger.split()[0])


def most_told(model: DiffusionModel, noun: str, clip_skip: int = 1) -> str:
    """The first of `WORDS` that changes most of what the UNet reads beside the class noun; see `told`."""
    found = told(model, WORDS, noun, clip_skip)
    return max(WORDS, key=lambda word: found[word])


def told(model: DiffusionModel, words: Sequence[str], noun: str, clip_skip: int = 1) -> dict[str, float]:
    """How far the text's states with each word are from those with an article in its place: Euclidean distance, the
    mean over all positions of two captions."""
    found: dict[str, float] = {}
    with model.reading():
        plain = _states(model, [PLAIN], noun, clip_skip)
        for at in range(0, len(words), WORDS_AT_ONCE):
            some = words[at : at + WORDS_AT_ONCE]
            apart = (_states(model, some, noun, clip_skip) - plain).norm(dim=-1).mean(dim=(1, 2))
            found |= dict(zip(some, apart.tolist(), strict=True))
    return found


def _states(model: DiffusionModel, words: Sequence[str], noun: str, clip_skip: int) -> torch.Tensor:
    """float32 (words, captions, positions, width)"""
    import torch

    captions = [frame.format(word, noun=noun) for word in words for frame in FRAMES]
    with torch.no_grad():
        states = model.encode_text(captions, clip_skip)["states"].float()
    return states.unflatten(0, (len(words), len(FRAMES)))
