"""Which avatars a prompt names."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import Avatar, Checkpoint, Family, Method
from personal_avatar.studio.mentions import mentioned


def avatar(avatar_id: str, method: Method, file: str, trigger: str, reference: tuple[float, ...] = (1.0,)) -> Avatar:
    point = Checkpoint(Path("/models") / file, "0" * 64, 100, method, Family.SD1, trigger)
    plain = Avatar(id=avatar_id, name=avatar_id.title(), user_id="local", class_noun="man", trigger=trigger,
                   created_at="2026-01-01T00:00:00+00:00")
    return replace(plain, checkpoints=(point,), reference=reference, recogniser="sface")


ANNA = avatar("anna", Method.LORA, "pa-anna-0100.safetensors", "sks woman")
BERTA = avatar("berta", Method.TEXTUAL_INVERSION, "pa-berta.safetensors", "pa-berta")
CARLA = avatar("carla", Method.DREAMBOOTH, "pa-carla.safetensors", "sks lady")
STYLE = avatar("style", Method.LORA, "pa-style.safetensors", "sks style", reference=())
ALL = (ANNA, BERTA, CARLA, STYLE)


@pytest.mark.parametrize(("prompt", "wanted"), [
    ("<lora:pa-anna-0100:0.8> sks woman in a garden", [ANNA]),
    ("<lora:pa-anna-0100:0:1> sks woman", [ANNA]),
    ("<lora:pa-anna-0100:te=0:unet=1> sks woman", [ANNA]),
    ("<lora:pa-anna-0100:1:0> sks woman", [ANNA]),
    ("<lora:pa-anna-0100> and (pa-berta:1.2)", [ANNA, BERTA]),
    ("a portrait of PA-Berta", [BERTA]),
    ("<lora:pa-anna-0100:0> sks woman", []),
    ("<lora:anna:1>, pa-bertas, sks lady", []),
    ("<lora:pa-style:1> sks style", []),
    ("", []),
])
def test_networks_and_words_of_a_prompt_name_avatars_with_a_face(prompt: str, wanted: list[Avatar]) -> None:
    assert mentioned(prompt, ALL) == wanted


def test_a_checkpoint_of_somebodys_own_paints_them_by_their_trigger() -> None:
    path = Path("/models/pa-carla.safetensors")
    assert mentioned("photo of (SKS lady:1.1)", ALL, path) == [CARLA]
    assert mentioned("photo of a lady", ALL, path) == []
    assert mentioned("photo of sks lady", ALL, Path("/models/other.safetensors")) == []


def test_of_two_embeddings_whose_words_begin_alike_the_longer_one_is_named() -> None:
    anna, second = (
        avatar(name, Method.TEXTUAL_INVERSION, f"{name}.safetensors", name) for name in ("pa-anna", "pa-anna-2")
    )
    assert mentioned("photo of pa-anna-2 woman", [anna, second]) == [second]
    assert mentioned("photo of pa-anna, pa-anna-2", [anna, second]) == [anna, second]


@pytest.mark.parametrize("prompt", ["<lora:pa-anna:-1>", "<lora:pa-anna:0>", "<lora:pa-anna:te=0>"])
def test_what_is_taken_out_or_without_effect_is_named_where_that_counts(prompt: str) -> None:
    anna = avatar("anna", Method.LORA, "pa-anna.safetensors", "sks woman")
    assert mentioned(prompt, [anna]) == [] and mentioned(prompt, [anna], any_weight=True) == [anna]
