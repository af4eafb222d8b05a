"""A person in the pictures of a running WebUI, together with all that its pictures are made with."""
from __future__ import annotations

import threading
from pathlib import Path

import pytest
from miniatures import SIZES

from tests.webui.webui_compositions import COMPOSED
from tests.webui.webui_families import (
    Kind,
    base_of,
    choose,
    loaded,
    wait_for_sampling,
    weights,
    write_embedding,
    write_lora,
)
from tests.webui.webui_identity import (
    ERROR,
    METHODS,
    NONE,
    SD1,
    SDXL,
    SECOND,
    TITLE,
    Settings,
    asked,
    distance,
    mend,
    paint,
    person,
    sabotage,
    state,
)
from tests.webui.webui_server import Server

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


def test_an_interrupt_leaves_everything_as_it_was(identity: Server) -> None:
    choose(identity, SDXL.name)
    plain, before = paint(identity), state(identity)
    made: list[int] = []
    long = threading.Thread(target=lambda: made.append(len(paint(identity, person(), steps=150, n_iter=9).pixels)))
    long.start()
    wait_for_sampling(identity, 3)
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
        "adapter weight", "IdentityNet weight", "start", "end", "method", "person", "restorer", "restoration fidelity",
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
