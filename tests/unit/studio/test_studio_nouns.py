"""What a noun says of the photos."""
from __future__ import annotations

import pytest
from personal_avatar.studio import photos_meant


@pytest.mark.parametrize("noun", ["dog", "old cat", "Red Fox", "style", "ink style"])
def test_of_an_animal_and_of_a_style_no_face_is_looked_for(noun: str) -> None:
    assert photos_meant(noun, {}) == {"faces": "ignored"}


@pytest.mark.parametrize("noun", ["person", "woman with a cat", "hot dog vendor", "catwoman", "cat girl", ""])
def test_of_whoever_has_a_face_it_is(noun: str) -> None:
    assert photos_meant(noun, {}) == {}


@pytest.mark.parametrize("own", [{"faces": "needed"}, {"look": "drawn"}])
def test_what_the_user_says_of_an_animal_counts(own: dict[str, str]) -> None:
    assert photos_meant("cat", own) == own
