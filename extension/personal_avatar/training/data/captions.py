"""What happens to captions while a training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from personal_avatar.captions.wording import mentions, renamed, tidied

if TYPE_CHECKING:
    import torch

    from personal_avatar.domain import Dataset
    from personal_avatar.training.planning.plan import TrainPlan

LEADS = ("a photo of ", "a portrait of ", "a picture of ", "a close-up of ", "")


def leads(caption: str) -> tuple[str, ...]:
    """The caption as it is and, when it begins like a template ("a photo of ..."), with other beginnings.

    What is always said beside the trigger is learned with it; then "a portrait of" somebody would be somebody else.
    """
    began = next((lead for lead in LEADS if lead and caption.startswith(lead)), None)
    if began is None:
        return (caption,)
    return (caption, *(lead + caption[len(began) :] for lead in LEADS if lead != began))


def without_subject(caption: str, dataset: Dataset, is_style: bool) -> str:
    """What the untrained checkpoint would be asked: the class in place of the person, a style not at all."""
    names = _names(dataset)
    if is_style:
        for name in names:
            caption = renamed(caption, f"in {name}", "")
        caption = tidied(caption)
    for name in names:
        caption = renamed(caption, name, dataset.class_noun)
    return caption


def _names(dataset: Dataset) -> list[str]:
    """What captions call the person, the longest first: the trigger, and its own word with less of the noun behind it,
    down to the word alone, as captions that somebody wrote have it."""
    word, *nouns = dataset.trigger.split()
    return [dataset.trigger, *(" ".join([word, *nouns[left:]]) for left in range(1, len(nouns) + 1))]


def vary(captions: list[str], generator: torch.Generator) -> list[str]:
    """Each caption with one of its `leads`, drawn at random."""
    import torch

    drawn = torch.rand(len(captions), generator=generator).tolist()
    choices = [leads(caption) for caption in captions]
    return [choice[int(place * len(choice))] for choice, place in zip(choices, drawn, strict=True)]


def exchange(captions: list[str], others: Sequence[str], share: float, generator: torch.Generator) -> list[str]:
    """Some captions, `share` of them on average, become one of the `others`, drawn at random."""
    import torch

    gone = (torch.rand(len(captions), generator=generator) < share).tolist()
    drawn = torch.randint(len(others), (len(captions),), generator=generator).tolist()
    return [others[place] if other else caption for caption, other, place in zip(captions, gone, drawn, strict=True)]


def drop(captions: list[str], share: float, generator: torch.Generator) -> list[str]:
    """Some captions, `share` of them on average, become empty, so that the unconditional answer follows."""
    import torch

    dropped = torch.rand(len(captions), generator=generator) < share
    return ["" if gone else caption for caption, gone in zip(captions, dropped.tolist(), strict=True)]


def led_by_trigger(dataset: Dataset, plan: TrainPlan) -> Dataset:
    """Where captions are shuffled, with the part that has the trigger before all others, so that it is among those that
    stay in front; otherwise captions stay as they were written."""
    if not plan.shuffle_captions:
        return dataset
    samples = (replace(sample, caption=_led(sample.caption, dataset.trigger)) for sample in dataset.samples)
    return replace(dataset, samples=tuple(samples))


def _led(caption: str, trigger: str) -> str:
    tags = _tags(caption)
    first = next(filter(mentions(trigger).search, tags), tags[0])
    tags.remove(first)
    return ", ".join([first, *tags])


def shuffle_tags(caption: str, keep: int, generator: torch.Generator) -> str:
    """The parts between commas in random order, the first `keep` of them where they are."""
    import torch

    tags = _tags(caption)
    rest = tags[keep:]
    order = torch.randperm(len(rest), generator=generator).tolist()
    return ", ".join([*tags[:keep], *(rest[place] for place in order)])


def _tags(caption: str) -> list[str]:
    """The parts between commas, as sd-scripts takes them, too."""
    return [tag.strip() for tag in caption.split(",")]
