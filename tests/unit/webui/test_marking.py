"""Which of the WebUI's pictures are marked: those that show a person whom we put in."""
from __future__ import annotations

import pytest
from personal_avatar.webui.ours import is_ours


@pytest.mark.parametrize(("infotext", "ours"), [
    ("a castle\nSteps: 20, Seed: 3", False),
    ("sks woman <lora:anna:0.8> at sea\nSteps: 20", True),
    ("sks woman <lora:bob:1>\nSteps: 20", False),
    ("a woman\nSteps: 20, Personal Avatar identity: faceid", True),
    ("", False),
])
def test_pictures_of_a_person_that_we_put_in_are_ours(infotext: str, ours: bool) -> None:
    assert is_ours(infotext, {"anna"}) is ours
