"""The fixed prompts and seeds by which every checkpoint is judged: short, long and stylised ones."""

from __future__ import annotations

from dataclasses import dataclass

from personal_avatar.captions.english import with_article
from personal_avatar.captions.features import PEOPLE
from personal_avatar.captions.wording import words_of
from personal_avatar.domain import CLASS_NOUNS, BaseModelFile
from personal_avatar.training.data.captions import LEADS
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.planning.presets import is_tiny

PHOTO_PROMPTS = (
    "a photo of {subject}",
    "a close portrait photo of {subject}, soft light, looking at the camera, blurred street behind",
    "a photo of {subject} in a garden, wearing a blue shirt, natural light",
    "an oil painting portrait of {subject}, visible brush strokes",
)
DRAWING_PROMPTS = (
    "a portrait of {subject}",
    "a shaded portrait of {subject}, blue background, smiling",
    "a soft 3d portrait of {subject}, green shirt, red background, neutral expression",
    "a 3d portrait of {subject}, white background",
)
PHOTO_MOTIFS = (
    "a woman in a garden",
    "a house by a lake, trees, clouds",
    "a cat on a chair",
    "a city street at night, lights, people walking",
)
DRAWING_MOTIFS = (
    "a portrait of a woman",
    "a shaded portrait of a man, blue background, smiling",
    "a soft 3d portrait of a woman, green shirt, red background, neutral expression",
    "a 3d portrait of a man, white background",
)
ANOTHER = "another"
CHOOSING_SEED = 1000
FINAL_SEED = 5000


@dataclass(frozen=True)
class Grid:
    """`subject` shows the person, `other` somebody else of the same class: same seeds, same prompts. `asked`: the
    prompts of `subject` in words that the untrained checkpoint knows. For a style `other` asks for none."""

    subject: tuple[Shot, ...]
    other: tuple[Shot, ...]
    asked: tuple[str, ...]


def class_prompts(base: BaseModelFile) -> tuple[str, ...]:
    """Prompts with a place for a `{subject}`, as the checkpoint can draw them."""
    return DRAWING_PROMPTS if is_tiny(base) else PHOTO_PROMPTS


def taken_words(base: BaseModelFile, class_noun: str) -> frozenset[str]:
    """In small letters: with these words captions begin, a training is judged, or others are called, whatever class
    was chosen, so that none of them can stand for the person."""
    spoken = (*class_prompts(base), *LEADS, ANOTHER, with_article(class_noun), PEOPLE, *CLASS_NOUNS)
    return frozenset(words_of(" ".join(spoken)))


def grid_for(base: BaseModelFile, trigger: str, class_noun: str, pictures: int, first_seed: int) -> Grid:
    """`pictures` shots that go through the prompts in turn. `trigger` is a phrase with the class noun ("sks man")."""
    prompts = class_prompts(base)

    def shots(subject: str) -> tuple[Shot, ...]:
        return tuple(Shot(prompts[i % len(prompts)].format(subject=subject), first_seed + i) for i in range(pictures))

    in_class_words = tuple(shot.prompt for shot in shots(with_article(class_noun)))
    return Grid(shots(trigger), shots(f"{ANOTHER} {class_noun}"), in_class_words)


def style_grid_for(base: BaseModelFile, trigger: str, pictures: int, first_seed: int) -> Grid:
    """`pictures` shots of several motifs in the style of `trigger` ("sks style"), and the same without it."""
    motifs = DRAWING_MOTIFS if is_tiny(base) else PHOTO_MOTIFS
    asked = tuple(motifs[number % len(motifs)] for number in range(pictures))
    other = tuple(Shot(motif, first_seed + number) for number, motif in enumerate(asked))
    return Grid(tuple(Shot(f"{shot.prompt}, in {trigger}", shot.seed) for shot in other), other, asked)
