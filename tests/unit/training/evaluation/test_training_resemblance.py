"""Resemblance of pictures to a style: equal pictures, other contents, other colours and textures."""
from __future__ import annotations

import numpy as np
import pytest
from painted_motifs import hatched, motif
from personal_avatar.training.evaluation.resemblance import StyleMeter, description


@pytest.fixture(scope="module")
def meter() -> StyleMeter:
    return StyleMeter(hatched(motif(seed)) for seed in range(4))


def test_the_references_themselves_resemble_most() -> None:
    alone = StyleMeter([hatched(motif(1))])
    assert alone.measure([hatched(motif(1))]).mean == pytest.approx(1.0)
    assert alone.ceiling([hatched(motif(1))]) == pytest.approx(1.0)


def test_other_motifs_in_the_style_resemble_more_than_the_same_motifs_in_another(meter: StyleMeter) -> None:
    others = meter.measure(hatched(motif(seed)) for seed in range(10, 16))
    plain = meter.measure(motif(seed) for seed in range(4))
    assert min(others.each) > max(plain.each) and others.mean > plain.mean + 0.15  # type: ignore[type-var]
    assert others.faces_found == 1.0


def test_less_of_the_style_resembles_less(meter: StyleMeter) -> None:
    half = [(0.5 * hatched(motif(seed)) + 0.5 * motif(seed)).astype(np.uint8) for seed in range(10, 16)]
    full, some, none = (
        meter.measure(images).mean
        for images in ([hatched(motif(seed)) for seed in range(10, 16)], half, [motif(seed) for seed in range(10, 16)])
    )
    assert full > some > none


def test_the_ceiling_is_measured_against_the_others(meter: StyleMeter) -> None:
    assert 0.3 < meter.ceiling([hatched(motif(seed)) for seed in range(4)]) < 1.0


def test_further_pictures_tell_the_ceiling_as_well(meter: StyleMeter) -> None:
    references, further = [hatched(motif(seed)) for seed in range(4)], [hatched(motif(seed)) for seed in range(10, 13)]
    expected = (4 * meter.ceiling(references) + sum(meter.measure(further).each)) / 7  # type: ignore[arg-type]
    assert meter.ceiling([*references, *further]) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(8, 8, 3), (192, 64, 3), (1, 300, 3)])
def test_pictures_of_any_size_are_described_by_finite_numbers(shape: tuple[int, int, int]) -> None:
    found = description(np.full(shape, 128, np.uint8))
    assert found.shape == (18,) and np.isfinite(found).all()
