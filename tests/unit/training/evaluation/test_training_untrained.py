"""Pictures of the untrained checkpoint: painted once for all trainings of a person, and never another one's."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.pictures import source_of
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.evaluation.untrained import UntrainedPictures
from personal_avatar.training.families.model import DiffusionModel

SETTINGS = SampleSettings(64, steps=1, guidance=2.0, batch=2)
SHOTS = [Shot(f"a portrait of sks man, number {number}", 50 + number) for number in range(3)]


@dataclass
class Painter:
    """Paints with the model, and notes for whom."""

    model: DiffusionModel
    asked: list[Shot] = field(default_factory=list)

    def __call__(self, shots: Sequence[Shot]) -> np.ndarray:
        self.asked += shots
        return make_pictures(self.model, shots, SETTINGS)


@pytest.fixture
def painter(load_miniature: Callable[[], Any]) -> Painter:
    return Painter(load_miniature())


def test_what_was_painted_before_is_not_painted_again_to_the_last_bit(painter: Painter, tmp_path: Path) -> None:
    first = UntrainedPictures(tmp_path, painter.model).of(SHOTS[:2], SETTINGS, painter)
    again = UntrainedPictures(tmp_path, painter.model).of(SHOTS, SETTINGS, painter)
    assert painter.asked == SHOTS
    assert np.array_equal(again[:2], first) and not np.array_equal(again[1], again[2])
    turned = UntrainedPictures(tmp_path, painter.model).of(SHOTS[::-1], SETTINGS, painter)
    assert painter.asked == SHOTS and np.array_equal(turned, again[::-1])


@pytest.mark.parametrize("change", [
    {"steps": 2}, {"guidance": 3.0}, {"clip_skip": 2}, {"negative_prompt": "blurred"}, {"resolution_px": 128},
])
def test_made_with_other_settings_they_are_others(painter: Painter, tmp_path: Path, change: dict[str, Any]) -> None:
    known = UntrainedPictures(tmp_path, painter.model)
    known.of(SHOTS[:1], SETTINGS, painter)
    known.of(SHOTS[:1], replace(SETTINGS, **change), painter)
    assert painter.asked == 2 * SHOTS[:1]


def test_a_checkpoint_that_changed_has_none_of_the_former_ones_pictures(
    painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = UntrainedPictures(tmp_path / "kept", painter.model)
    known.of(SHOTS[:1], SETTINGS, painter)
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(painter.model.base.path.read_bytes())
    monkeypatch.setattr(painter.model, "base", replace(painter.model.base, path=copied))
    known.of(SHOTS[:1], SETTINGS, painter)
    assert painter.asked == 2 * SHOTS[:1]


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:100]),
    lambda path: path.write_bytes(b""),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_a_damaged_one_is_painted_again(
    painter: Painter, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    known = UntrainedPictures(tmp_path, painter.model)
    first = known.of(SHOTS[:1], SETTINGS, painter)
    damage(next(tmp_path.iterdir()))
    assert np.array_equal(known.of(SHOTS[:1], SETTINGS, painter), first)
    assert painter.asked == 2 * SHOTS[:1]


def test_where_nothing_can_be_kept_the_pictures_come_all_the_same(painter: Painter, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("no folder")
    assert len(UntrainedPictures(tmp_path / "kept", painter.model).of(SHOTS, SETTINGS, painter)) == len(SHOTS)


def test_the_files_tell_no_prompt_and_carry_the_mark(painter: Painter, tmp_path: Path) -> None:
    UntrainedPictures(tmp_path, painter.model).of(SHOTS, SETTINGS, painter)
    files = list(tmp_path.iterdir())
    assert len(files) == len(SHOTS)
    for file in files:
        assert b"sks" not in file.read_bytes() and "sks" not in file.name and source_of(file)
