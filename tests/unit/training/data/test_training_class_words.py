"""Captions of the class in the words of styles."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.data.class_words import COUNT, in_styles
from personal_avatar.training.evaluation.grid import class_prompts

TINY = BaseModelFile(Path("a.safetensors"), "a", Family.SD1, native_px=192)
USUAL = BaseModelFile(Path("a.safetensors"), "a", Family.SD1)


@pytest.mark.parametrize("base", [TINY, USUAL])
def test_they_are_of_the_class_and_differ(base: BaseModelFile) -> None:
    captions = in_styles(base, "old man", 0)
    assert len(captions) == COUNT
    assert len(set(captions)) > COUNT / 2
    assert all("an old man" in caption and "{" not in caption for caption in captions)


def test_a_small_checkpoint_is_asked_in_words_that_it_knows() -> None:
    tiny, usual = set(in_styles(TINY, "man", 0)), set(in_styles(USUAL, "man", 0))
    assert not tiny & usual
    known = ("a shaded portrait of", "a soft 3d portrait of", "a flat cartoon of")
    assert all(caption.startswith(known) for caption in tiny)


def test_a_seed_says_which() -> None:
    assert in_styles(TINY, "man", 3) == in_styles(TINY, "man", 3) != in_styles(TINY, "man", 4)


@pytest.mark.parametrize("base", [TINY, USUAL])
def test_none_is_a_prompt_that_checkpoints_are_judged_by(base: BaseModelFile) -> None:
    judged = {prompt.format(subject="a man") for prompt in class_prompts(base)}
    assert not judged & set(in_styles(base, "man", 0))
