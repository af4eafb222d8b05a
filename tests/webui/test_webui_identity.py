"""A person in the pictures of a running WebUI without training: InstantID and FaceID on miniature files."""
from __future__ import annotations

import base64
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from miniatures import SIZES
from PIL import Image

from tests.webui.webui_families import (
    PX,
    Kind,
    base_of,
    choose,
    loaded,
    weights,
    write_embedding,
    write_lora,
)
from tests.webui.webui_identity import (
    ERROR,
    NOBODY,
    ONE,
    OTHER,
    PLAIN_FACEID,
    SAME,
    SD1,
    SD2,
    SDXL,
    SECOND,
    TITLE,
    asked,
    distance,
    mend,
    paint,
    person,
    sabotage,
    state,
)
from tests.webui.webui_server import Server

Settings = dict[str, Any]
METHODS = {
    "instantid": (SDXL, {"method": "instantid"}),
    "faceid-sdxl": (SDXL, {"method": "faceid", "adapter": PLAIN_FACEID[SDXL.family]}),
    "faceid-plus-v2-sdxl": (SDXL, {"method": "faceid", "adapter": "ip-adapter-faceid-plusv2_sdxl"}),
    "faceid-sd1": (SD1, {"method": "faceid", "adapter": PLAIN_FACEID[SD1.family]}),
    "faceid-plus-v2-sd1": (SD1, {"method": "faceid", "adapter": "ip-adapter-faceid-plusv2_sd15"}),
}
every_method = pytest.mark.parametrize("kind, settings", METHODS.values(), ids=METHODS)
NONE = {"adapter_weight": 0.0, "identitynet_weight": 0.0}


@every_method
def test_the_picture_follows_the_reference(identity: Server, kind: Kind, settings: Settings) -> None:
    choose(identity, kind.name)
    plain, one, other = paint(identity), paint(identity, person(**settings)), paint(identity, person(OTHER, **settings))
    assert ERROR not in one.infotexts[0] + other.infotexts[0]
    assert len({*plain.digests, *one.digests, *other.digests}) == 3
    assert paint(identity, person(**settings)).digests == one.digests
    assert distance(plain, one) > 1.0


@every_method
def test_without_weight_the_picture_is_the_plain_one(identity: Server, kind: Kind, settings: Settings) -> None:
    choose(identity, kind.name)
    plain = paint(identity)
    found = paint(identity, person(**settings, **NONE))
    assert found.digests == plain.digests
    assert ERROR not in found.infotexts[0]
    assert paint(identity).digests == plain.digests


def test_auto_takes_what_fits_the_checkpoint(identity: Server) -> None:
    for kind, method in ((SDXL, "instantid"), (SD1, "faceid-plus-v2")):
        choose(identity, kind.name)
        assert f"{TITLE} identity: {method}" in paint(identity, person()).infotexts[0]


def test_both_halves_of_instantid_shape_the_picture(identity: Server) -> None:
    choose(identity, SDXL.name)
    wanted = ({}, {"adapter_weight": 0.0}, {"identitynet_weight": 0.0}, {"keypoints": "none"}, {"end": 0.5},
              {"start": 0.5}, {"identitynet_end": 0.4}, {"mid_weight": 0.0}, {"negative": "noise"})
    found = [paint(identity, person(**changes)).digests[0] for changes in wanted]
    assert len({*found, paint(identity).digests[0]}) == len(wanted)  # no keypoints is no IdentityNet


def test_several_photos_are_one_person(identity: Server) -> None:
    choose(identity, SDXL.name)
    both = paint(identity, {"references": [ONE, SAME]})
    assert ERROR not in both.infotexts[0]
    assert both.digests not in (paint(identity, person(ONE)).digests, paint(identity, person(SAME)).digests)


def test_a_list_of_arguments_means_the_same_as_an_object(identity: Server) -> None:
    choose(identity, SDXL.name)
    listed = paint(identity, [True, [ONE], "", "instantid", 0.6, 0.7])
    meant = paint(identity, person(method="instantid", adapter_weight=0.6, identitynet_weight=0.7))
    assert listed.digests == meant.digests
    assert paint(identity, [False, [ONE]]).digests == paint(identity).digests


def test_the_infotext_says_everything_but_the_photo(identity: Server) -> None:
    choose(identity, SDXL.name)
    said = paint(identity, person(adapter_weight=0.65, start=0.1, end=0.9, mid_weight=0.5)).infotexts[0]
    for word in ("identity: instantid", "adapter: ip-adapter_instant_id_sdxl.bin", "adapter weight: 0.65", "start: 0.1",
                 "end: 0.9", "identitynet weight: 0.8", "keypoints: auto", "mid weight: 0.5", "references: "):
        assert f"{TITLE} {word}" in said
    assert len(said) < 2000
    assert TITLE not in paint(identity).infotexts[0]


@pytest.mark.parametrize("given, word", [
    ({"references": [ONE], "weigth": 1.0}, "weigth"),
    ({"references": [ONE], "adapter_weight": 9.0}, "adapter_weight"),
    ({"references": [NOBODY]}, "face"),
    ({}, "photo"),
    ({"references": ["no picture"]}, ""),
    ({"references": [ONE], "adapter": "nowhere"}, "nowhere"),
])
def test_what_is_wrong_is_said_and_the_picture_is_the_plain_one(identity: Server, given: Settings, word: str) -> None:
    choose(identity, SDXL.name)
    found = paint(identity, given)
    assert ERROR in found.infotexts[0] and word in found.infotexts[0]
    assert found.digests == paint(identity).digests


def test_a_batch_goes_on_without_a_face(identity: Server) -> None:
    choose(identity, SDXL.name)
    assert len(paint(identity, person(NOBODY), n_iter=2).pixels) >= 2
    assert ERROR not in paint(identity, person()).infotexts[0]


def test_stable_diffusion_2_is_refused_by_name(identity: Server) -> None:
    choose(identity, SD2.name)
    found = paint(identity, person())
    assert "Stable Diffusion 2" in found.infotexts[0]
    assert found.digests == paint(identity).digests


def _picture(box: tuple[int, int, int, int] | None = None, size: int = PX) -> str:
    """A drawing as base64 PNG, or a mask that is white in `box`."""
    from tests.webui.webui_data import DRAWINGS

    image = Image.open(DRAWINGS[0]).convert("RGB").resize((size, size))
    if box is not None:
        image = Image.new("RGB", (size, size))
        image.paste((255, 255, 255), box)
    stream = BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
REPAINTED = {"route": "img2img", "init_images": [_picture()], "denoising_strength": 0.8}
COMPOSED: dict[str, Settings] = {
    "batch of two": {"batch_size": 2}, "two batches": {"n_iter": 2}, "both": {"batch_size": 2, "n_iter": 2},
    "hires fix": HIRES, "hires fix in batches": {**HIRES, "batch_size": 2},
    "refiner": {"refiner_checkpoint": SECOND.name, "refiner_switch_at": 0.5},
    "img2img": REPAINTED, "inpaint": {**REPAINTED, "mask": _picture((0, 0, 32, 64))},
    "inpaint a part": {**REPAINTED, "mask": _picture((16, 16, 48, 48)), "inpaint_full_res": True,
                       "inpaint_full_res_padding": 8},
    "and": {"prompt": "a portrait AND a blue hat :0.7"},
    "and with a batch": {"prompt": "a portrait AND a hat", "batch_size": 2},
    "prompt editing": {"prompt": "a [portrait:landscape:0.5] of [a|b]"},
    "long prompts": {"prompt": "a portrait, " * 60}, "long negative prompt": {"negative_prompt": "blurred, " * 60},
    "empty prompts": {"prompt": "", "negative_prompt": ""},
    "no guidance": {"cfg_scale": 1}, "negative guidance minimum": {"s_min_uncond": 9.0, "steps": 6},
    "skip early cfg": {"override_settings": {"skip_early_cond": 0.4}, "steps": 6},
    "no batched conds": {"override_settings": {"batch_cond_uncond": False}},
    "two model calls a step": {"sampler_name": "Heun"}, "stochastic": {"sampler_name": "DPM++ SDE"},
    "timesteps": {"sampler_name": "DDIM"}, "unipc": {"sampler_name": "UniPC"}, "plms": {"sampler_name": "PLMS"},
    "restart": {"sampler_name": "Restart"},
    "token merging": {"override_settings": {"token_merging_ratio": 0.5}, "width": 128, "height": 128},
    "token merging in the negative only": {"override_settings": {"token_merging_ratio_hr": 0.5}, **HIRES},
    "hypertile": {"override_settings": {"hypertile_enable_unet": True, "hypertile_max_depth_unet": 3,
                                        "hypertile_max_tile_unet": 32}, "width": 256, "height": 128},
    "tiling": {"tiling": True}, "another size": {"width": 96, "height": 128}, "odd size": {"width": 72, "height": 104},
    "clip skip": {"override_settings": {"CLIP_stop_at_last_layers": 2}},
    "variation": {"subseed": 8, "subseed_strength": 0.4}, "no negative": {"negative_prompt": ""},
}
composed = pytest.mark.parametrize("changes", COMPOSED.values(), ids=COMPOSED)
both_methods = pytest.mark.parametrize(
    "kind, settings", [METHODS["instantid"], METHODS["faceid-plus-v2-sd1"]], ids=["instantid", "faceid"]
)


@both_methods
@composed
def test_it_composes(identity: Server, kind: Kind, settings: Settings, changes: Settings) -> None:
    if kind is SD1 and "refiner_checkpoint" in changes:
        changes = {**changes, "refiner_checkpoint": "base"}
    choose(identity, kind.name)
    paint(identity, **changes)  # some things, as hypertile, change what comes after their first use
    plain, before = paint(identity, **changes), state(identity)
    found, none = paint(identity, person(**settings), **changes), paint(identity, person(**settings, **NONE), **changes)
    assert not any(ERROR in said for said in found.infotexts)
    assert all(one != other for one, other in zip(found.digests, plain.digests, strict=True))
    assert none.digests == plain.digests
    assert paint(identity, **changes).digests == plain.digests
    assert state(identity) == before


def test_the_pictures_of_a_batch_are_those_made_one_by_one(identity: Server) -> None:
    choose(identity, SDXL.name)
    alone = [paint(identity, person(), seed=seed) for seed in (3, 4)]
    counted, together = (paint(identity, person(), **{name: 2}) for name in ("n_iter", "batch_size"))
    assert counted.digests[-2:] == (alone[0].digests[0], alone[1].digests[0])
    for number in (0, 1):
        one = together.pixels[-2:][number].astype(float)
        assert abs(one - alone[number].pixels[0]).mean() < 1.0


OPTIMISERS = ("None", "Doggettx", "V1", "InvokeAI", "sub-quadratic", "sdp", "sdp-no-mem")


@both_methods
def test_every_way_to_compute_attention_gives_the_same(identity: Server, kind: Kind, settings: Settings) -> None:
    choose(identity, kind.name)
    found = {}
    for name in OPTIMISERS:
        assert identity.post("/sdapi/v1/options", {"cross_attention_optimization": name}).status_code == 200
        found[name] = paint(identity, person(**settings))
        assert ERROR not in found[name].infotexts[0]
        assert paint(identity, person(**settings, **NONE)).digests == paint(identity).digests
    identity.post("/sdapi/v1/options", {"cross_attention_optimization": "Automatic"})
    for made in found.values():
        assert distance(made, found["None"]) < 1.0


def test_a_lora_and_an_embedding_work_beside_it(identity: Server, identity_data: Path) -> None:
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v"
    base, width = base_of(identity_data, SDXL), SIZES[SDXL.family].context
    shape = weights(base)["model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_v.weight"].shape
    assert shape[1] == width
    write_lora(identity_data, base, "beside", {layer: shape})
    tables = {
        "clip_l": "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
        "clip_g": "conditioner.embedders.1.model.token_embedding.weight",
    }
    found = weights(base)
    write_embedding(identity_data, base, "besideword", {key: found[name][500:502] for key, name in tables.items()})
    choose(identity, SDXL.name)
    identity.post("/sdapi/v1/refresh-embeddings")
    for prompt in ("a portrait <lora:beside:1>", "a portrait of besideword"):
        plain, made = paint(identity, prompt=prompt), paint(identity, person(), prompt=prompt)
        assert plain.digests != paint(identity).digests
        assert len({*made.digests, *plain.digests, *paint(identity, person()).digests}) == 3
        assert paint(identity, person(**NONE), prompt=prompt).digests == plain.digests


def test_checkpoints_may_change_between_requests(identity: Server) -> None:
    found: dict[str, list[str]] = {}
    for kind in (SDXL, SD1, SECOND, SDXL, SD1, SECOND):
        choose(identity, kind.name)
        found.setdefault(kind.name, []).append(paint(identity, person()).digests[0])
    assert all(one == other for one, other in found.values())
    assert len({digests[0] for digests in found.values()}) == 3


def test_a_request_may_choose_the_checkpoint(identity: Server) -> None:
    choose(identity, SDXL.name)
    expected = paint(identity, person())
    choose(identity, SD1.name)
    own = paint(identity, person())
    made = paint(identity, person(), override_settings={"sd_model_checkpoint": SDXL.name})
    assert "identity: instantid" in made.infotexts[0]
    assert made.digests == expected.digests
    assert paint(identity, person()).digests == own.digests
    assert loaded(identity).startswith("sd1.")


def test_several_people_have_their_places(identity: Server) -> None:
    choose(identity, SDXL.name)
    left, right = ({"left": 0.0, "right": 0.5}, {"left": 0.5, "right": 1.0})

    def two(first: str, second: str, *places: Settings) -> tuple[str, ...]:
        pairs = zip((first, second), places, strict=True)
        made = paint(identity, {"people": [{"references": [photo], "region": place} for photo, place in pairs]})
        assert ERROR not in made.infotexts[0] and "people: " in made.infotexts[0]
        return made.digests

    both = two(ONE, OTHER, left, right)
    assert both != two(OTHER, ONE, left, right)
    assert both != two(ONE, ONE, left, right)
    assert both != paint(identity, person()).digests


def test_a_mask_wins_over_a_box_and_a_weight_is_a_persons_own(identity: Server) -> None:
    choose(identity, SD1.name)
    left = {"references": [ONE], "region": {"right": 0.5}}

    def made(**changes: Any) -> tuple[str, ...]:
        return paint(identity, {"people": [{**left, **changes}]}).digests

    assert made() == made(mask=_picture((0, 0, 32, 64))) == made(mask=_picture((0, 0, 32, 64)), region={"left": 0.5})
    assert made() != made(mask=_picture((32, 0, 64, 64)))
    assert made(weight=0.0) == paint(identity).digests


def test_an_interrupt_leaves_everything_as_it_was(identity: Server) -> None:
    choose(identity, SDXL.name)
    plain, before = paint(identity), state(identity)
    made: list[int] = []
    long = threading.Thread(target=lambda: made.append(len(paint(identity, person(), steps=150, n_iter=9).pixels)))
    long.start()
    end = time.monotonic() + 60
    while identity.get("/sdapi/v1/progress?skip_current_image=true").json()["state"]["sampling_step"] < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    identity.post("/sdapi/v1/interrupt")
    long.join(120)
    assert made and made[0] < 9
    assert state(identity) == before
    assert paint(identity).digests == plain.digests


@pytest.mark.parametrize("where", ["unet:0", "unet:40", "residuals", "keys", "prepare", "hint", "tokens"])
def test_an_exception_leaves_everything_as_it_was(identity: Server, where: str) -> None:
    choose(identity, SDXL.name)
    plain, before = paint(identity), state(identity)
    sabotage(identity, where, "error", 0 if where in ("prepare", "hint", "tokens") else 1)
    answer = identity.post("/sdapi/v1/txt2img", asked(person()))
    mend(identity)
    assert answer.status_code == 500 or ERROR in answer.json()["info"]
    assert state(identity) == before
    assert paint(identity).digests == plain.digests
    assert ERROR not in paint(identity, person()).infotexts[0]


def test_the_plot_has_our_axes_and_draws_them(identity: Server) -> None:
    labels = identity.get("/probe/identity/axes").json()
    ours = [label for label in labels if label.startswith(f"[{TITLE}]")]
    assert {label.split("] ")[1] for label in ours} == {
        "adapter weight", "IdentityNet weight", "start", "end", "method", "person",
    }
    assert len(ours) == len(set(ours))
    choose(identity, SDXL.name)
    nothing = [0, "", []]
    axis = [labels.index(f"[{TITLE}] adapter weight"), "0.2,1.2", []]
    legend_to_csv = [True, True, False, False, False, False, False, 0, False]
    arguments = [*axis, *nothing, *nothing, *legend_to_csv]
    made = paint(identity, person(), script_name="x/y/z plot", script_args=arguments)
    expected = [paint(identity, person(adapter_weight=weight)).digests[0] for weight in (0.2, 1.2)]
    assert expected[0] != expected[1]
    assert list(made.digests[1:3]) == expected
