"""Too few photos are refused with how many there are, why not more, and what would mend it."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.domain import PhotoReport, PhotoVerdict, Reason
from personal_avatar.errors import TooFewPhotos
from personal_avatar.photos.enough import refuse_few

TAKEN = PhotoVerdict(Path("a.jpg"))
NONE, DARK, FACELESS = (
    PhotoVerdict(Path("b.jpg"), (reason,)) for reason in (Reason.UNREADABLE, Reason.DARK, Reason.NO_FACE)
)


def refused(*photos: PhotoVerdict, is_style: bool = False) -> TooFewPhotos:
    with pytest.raises(TooFewPhotos) as caught:
        refuse_few(PhotoReport(photos), 2, is_style)
    return caught.value


def test_enough_photos_pass() -> None:
    refuse_few(PhotoReport((TAKEN, PhotoVerdict(Path("c.jpg")), DARK)), 2, is_style=False)


def test_found_and_needed_are_counted_with_the_reasons() -> None:
    assert refused(TAKEN, DARK, DARK, NONE).message == "Found 1 usable photo, need 2 (2 dark, 1 unreadable)."
    assert refused().message == "Found 0 usable photos, need 2."


def test_what_would_mend_it_is_said() -> None:
    assert "not pictures" in refused(TAKEN, NONE, NONE).hint
    assert refused(TAKEN, NONE, DARK).hint == refused(TAKEN).hint == TooFewPhotos.default_hint
    assert "style" in refused(TAKEN, DARK, is_style=True).hint


def test_where_most_photos_have_no_face_it_is_said_how_an_animal_is_trained() -> None:
    assert "--photo-set faces=ignored" in refused(FACELESS, FACELESS).hint
    assert "faces" not in refused(FACELESS, DARK).hint
