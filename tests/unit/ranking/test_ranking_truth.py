"""Ranking against what is known: drawn characters, pictures spoilt on purpose, others beside. Of many more:
ranking.overall."""
from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from insightface_models import models
from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.many import ManyFaces
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.nouns import Ranked, Second
from personal_avatar.ranking.overall import ordered
from personal_avatar.ranking.person import person_of
from PIL import Image, ImageFilter

from tools.avatar_tiny.characters import random_character, random_shot
from tools.avatar_tiny.drawing import draw

PEOPLE, PHOTOS, PICTURES, SIZE_PX = 3, 3, 3, 160
FLOORS = {"likeness": 0.88, "second": 0.88, "quality": 0.55, "overall": 0.95}


@dataclass(frozen=True)
class Truth:
    """`good`, `bad`: scores by part of pictures that should be kept, and of the others."""

    good: list[dict[str, float]]
    bad: list[dict[str, float]]

    def auc(self, part: str) -> float:
        good, bad = (np.array([one.get(part, 0.0) for one in rows]) for rows in (self.good, self.bad))
        return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


def drawn(person: int, number: int) -> np.ndarray:
    shot = random_shot(1000 * person + number, style=("shaded", "soft3d")[number % 2])
    return draw(random_character(700 + person), shot, SIZE_PX).picture


def spoilt(image: np.ndarray) -> list[np.ndarray]:
    """Blurred, noisy, with far too much contrast, packed too much."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=6)
    return [
        np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(3))),
        np.clip(image + np.random.default_rng(1).normal(0, 30, image.shape), 0, 255).astype(np.uint8),
        np.clip((image.astype(float) - 128) * 4 + 128, 0, 255).astype(np.uint8),
        np.asarray(Image.open(data).convert("RGB")),
    ]


@pytest.fixture(scope="module")
def truth(analyser: FaceAnalyser) -> list[Truth]:
    """Of each character: SFace first, an ArcFace that never saw anything of it second."""
    cache = Path(__file__).resolve().parents[3] / ".cache" / "insightface" / "buffalo_s"
    assert isinstance(analyser, Analyser)
    first, second = ManyFaces(analyser), ManyFaces(Analyser(analyser.detector, arcface(models(cache)[1])))
    pictures = {person: [drawn(person, number) for number in range(PHOTOS + PICTURES)] for person in range(PEOPLE)}
    found = {person: first.detect(images) for person, images in pictures.items()}
    return [_judged(person, pictures, found, first, second) for person in range(PEOPLE)]


def _judged(person: int, pictures: dict, found: dict, first: ManyFaces, second: ManyFaces) -> Truth:  # type: ignore[type-arg]
    pairs = [(image, faces[0]) for image, faces in zip(pictures[person], found[person], strict=True) if faces][:PHOTOS]
    own, other = (person_of(reader.embed(pairs)) for reader in (first, second))
    threshold = second.analyser.same_person_above
    asked = own.opinions(first.analyser.same_person_above)
    opinions = type(asked)(
        Second("other", other.fairly_from(threshold), second, other.reference), fairly_from=asked.fairly_from
    )
    scorer = Scorer(first.analyser, own.reference, lambda: opinions, many=first)
    good = pictures[person][PHOTOS:]
    strangers = [image for who, images in pictures.items() if who != person for image in images[PHOTOS:]]
    bad = [*strangers, *spoilt(good[0]), *(np.concatenate([image, strangers[0]], axis=1) for image in good)]
    scored = scorer.score_many([*good, *bad])
    items = [Ranked(Path(str(number)), one.likeness, one.scores, one.faces) for number, one in enumerate(scored)]
    told = {
        int(item.path.name): {"likeness": item.likeness or 0.0, **item.scores}
        for item in ordered(items, [None] * len(items), scorer.scale)
    }
    return Truth([told[n] for n in range(len(good))], [told[n] for n in range(len(good), len(items))])


@pytest.mark.slow
@pytest.mark.parametrize("part", FLOORS)
def test_good_pictures_of_the_person_come_before_all_others(truth: list[Truth], part: str) -> None:
    assert np.mean([one.auc(part) for one in truth]) >= FLOORS[part]


@pytest.mark.slow
def test_the_whole_tells_more_than_likeness_alone(truth: list[Truth]) -> None:
    likeness, overall = (np.mean([one.auc(part) for one in truth]) for part in ("likeness", "overall"))
    assert overall > likeness
