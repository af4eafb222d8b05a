"""Words that vary a picture of one character: distance, pose, expression, light, place.

What stands in such words may differ from picture to picture; who the character is must not. So the same words that go
into the prompt become the photo's caption, with the trigger in place of the description: whatever the words do not
name is learned with it.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

DISTANCES = ("portrait", "close-up portrait", "head and shoulders portrait", "half-length portrait")
POSES = (
    "looking at the camera", "head turned slightly to the left", "head turned slightly to the right",
    "three-quarter view", "head tilted a little",
)
EXPRESSIONS = ("neutral expression", "smiling", "serious look", "surprised", "laughing", "thoughtful look")
LIGHTS = ("soft daylight", "studio lighting", "warm evening light", "overcast daylight", "light from a window")
PLACES = (
    "plain grey background", "plain white background", "plain blue background", "in a park", "in a street",
    "in a living room",
)
# Once the character has been trained there is more to dare.
WIDER_DISTANCES = (*DISTANCES, "half-length picture", "picture from the knees up")
WIDER_POSES = (
    *POSES, "seen from the side", "looking up", "looking down", "sitting", "standing with crossed arms", "walking",
)
WIDER_PLACES = (
    *PLACES, "at the beach", "in the snow", "in a library", "in a café", "in a forest", "in a city at night",
    "on a mountain", "in a kitchen",
)


@dataclass(frozen=True)
class Shot:
    """One way to show somebody."""

    distance: str
    pose: str
    expression: str
    light: str
    place: str

    def of(self, subject: str) -> str:
        """A picture of `subject`: a prompt of a description, a caption of a trigger."""
        return f"{self.distance} of {subject}, {self.expression}, {self.pose}, {self.light}, {self.place}"


def shots(seed: int, wider: bool = False) -> Iterator[Shot]:
    """Ever new ones, the same for a seed; each word comes before any of its kind comes again."""
    chance = random.Random(seed)
    kinds = (WIDER_DISTANCES, WIDER_POSES, EXPRESSIONS, LIGHTS, WIDER_PLACES) if wider else (
        DISTANCES, POSES, EXPRESSIONS, LIGHTS, PLACES
    )
    yield from map(Shot, *(_in_turn(kind, random.Random(chance.random())) for kind in kinds))


def _in_turn(words: tuple[str, ...], chance: random.Random) -> Iterator[str]:
    while True:
        yield from chance.sample(words, len(words))
