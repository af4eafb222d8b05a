"""A tokenizer is taken apart once, and belongs to whoever gets it."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.shipped import TOKENIZER
from personal_avatar.training.families.text import tokenizer
from personal_avatar.training.methods.new_words import ExpandingTokenizer

CAPTION = "a photo of <personal-avatar-0>!"


def ids(known: Any, caption: str = CAPTION) -> list[int]:
    return list(known(caption).input_ids)


def test_words_added_to_one_are_in_no_other() -> None:
    earlier, size = tokenizer(None), len(tokenizer(None))
    before = ids(earlier)
    changed = ExpandingTokenizer(tokenizer(None), "sks", 2)
    later = tokenizer(None)
    assert len(changed) == size + 2 and ids(changed) != before
    assert (len(earlier), len(later)) == (size, size)
    assert ids(earlier) == ids(later) == before
    assert "<personal-avatar-0>" not in later.get_vocab()


def test_each_has_its_own_filling() -> None:
    first, open_clip, last = tokenizer(None), tokenizer(None, open_clip=True), tokenizer(None)
    assert (first.pad_token_id, open_clip.pad_token_id, last.pad_token_id) == (49407, 0, 49407)
    assert ids(first) == ids(open_clip) == ids(last)  # "!" fills up, and stays a sign


def test_its_files_are_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer(None)
    monkeypatch.setattr("transformers.CLIPTokenizer.from_pretrained", lambda *_, **__: pytest.fail("read again"))
    assert tokenizer(None, open_clip=True).encoder is tokenizer(None).encoder


def test_one_of_the_user_that_was_changed_is_read_again(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TOKENIZER, tmp_path / "tokenizer"))
    assert len(ids(tokenizer(folder), "sks")) == 3
    words = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    words["sks</w>"], words["man</w>"] = words["man</w>"], words["sks</w>"]
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    assert ids(tokenizer(folder), "sks") == ids(tokenizer(None), "man")
