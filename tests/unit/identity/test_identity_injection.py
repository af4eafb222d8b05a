from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_unets import LdmUNet, adapter, always, call, diffusers_unet, ldm_call
from miniature_adapters import make_identitynet
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.identity.injection import Control, Injection, Person, injected
from personal_avatar.identity.net import IdentityNet, load_net
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights, Rows, RowsOf, Tokens
from personal_avatar.identity.projection import build
from torch import Tensor, nn

ROWS = (True, False)
LAYOUTS = ["diffusers", "ldm"]
FACEID, INSTANTID = (AdapterKind.FACEID, Family.SD1), (AdapterKind.INSTANTID, Family.SDXL)


@lru_cache
def weights(kind: AdapterKind, family: Family) -> AdapterWeights:
    return adapter(kind, family)


@lru_cache
def tokens(kind: AdapterKind, family: Family, seed: int = 0) -> Tokens:
    face = torch.randn((1, 512), generator=torch.Generator().manual_seed(seed))
    return build(weights(kind, family)).tokens(face, None)


def injection(kind: AdapterKind = FACEID[0], family: Family = FACEID[1], seed: int = 0, **changes: Any) -> Injection:
    whole = Injection(weights(kind, family), [Person(tokens(kind, family, seed))], 0.8)
    return replace(whole, **changes)


class Drawing:
    """A UNet of one of the layouts, and how it is called."""

    def __init__(self, layout: str, family: Family, channels: int = 4) -> None:
        inner = diffusers_unet(family, channels=channels)
        self.family, self.channels = family, channels
        self.unet: nn.Module = LdmUNet(inner) if layout == "ldm" else inner
        self._words: Callable[[dict[str, Any]], dict[str, Any]] = (
            (lambda given: ldm_call(inner, given)) if layout == "ldm" else (lambda given: given)
        )

    @torch.no_grad()
    def output(self, rows: int = 2, **how: Any) -> Tensor:
        made = self.unet(**self._words(call(self.family, rows, channels=self.channels, **how)))
        return made if isinstance(made, Tensor) else made.sample

    def under(self, wanted: Injection, rows_of: RowsOf | None = None, **how: Any) -> Tensor:
        with injected(self.unet, wanted, rows_of or always(*ROWS)):
            return self.output(**how)

    def hooks(self) -> list[tuple[Any, ...]]:
        """Every hook of every module, and every tensor's place and version."""
        attributes = ("_forward_hooks", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs")
        found = [
            (name, attribute, tuple(getattr(module, attribute).values()))
            for name, module in self.unet.named_modules()
            for attribute in attributes
        ]
        kept = [
            (name, id(one), one.data_ptr(), one._version)
            for name, one in (*self.unet.named_parameters(), *self.unet.named_buffers())
        ]
        return [*found, *kept]


@lru_cache
def drawing(layout: str, family: Family = Family.SD1, channels: int = 4) -> Drawing:
    return Drawing(layout, family, channels)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> IdentityNet:
    path: Path = make_identitynet(tmp_path_factory.mktemp("net"))
    return load_net(path, torch.device("cpu"), torch.float32)


HINT = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))

SILENT = {
    "weight 0": {"weight": 0.0},
    "nobody": {"people": ()},
    "all persons' weight 0": {"people": [Person(tokens(*FACEID), 0.0)]},
    "before its start": {"start": 0.5},
    "after its end": {"end": 0.0},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("why", SILENT)
def test_what_adds_nothing_is_bit_equal_to_plain_drawing(layout: str, why: str) -> None:
    drawn = drawing(layout)
    assert torch.equal(drawn.under(injection(**SILENT[why])), drawn.output())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_call_that_nobody_counts_is_bit_equal_to_plain_drawing(layout: str) -> None:
    drawn = drawing(layout)
    assert torch.equal(drawn.under(injection(), lambda rows: None), drawn.output())


def test_without_its_lora_and_weight_in_the_blocks_an_adapter_says_nothing() -> None:
    drawn = drawing("ldm")
    assert torch.equal(drawn.under(injection(lora_weight=0.0, blocks=(0.0, 0.0, 0.0))), drawn.output())
    assert not torch.equal(drawn.under(injection(lora_weight=1.0, blocks=(0.0, 0.0, 0.0))), drawn.output())


@pytest.mark.parametrize(
    ("start", "end", "share", "heard"),
    [
        (0.0, 1.0, 0.0, True), (0.0, 1.0, 1.0, True), (0.2, 0.6, 0.2, True), (0.2, 0.6, 0.59, True),
        (0.2, 0.6, 0.19, False), (0.2, 0.6, 0.6, False), (0.5, 0.5, 0.5, False), (1.0, 1.0, 1.0, True),
        (1.0, 1.0, 0.95, False),
    ],
)
def test_it_is_heard_from_its_start_until_before_its_end(start: float, end: float, share: float, heard: bool) -> None:
    drawn = drawing("ldm")
    found = drawn.under(injection(start=start, end=end), always(*ROWS, share=share))
    assert torch.equal(found, drawn.output()) is not heard


def test_every_part_of_the_unet_has_its_own_weight() -> None:
    drawn, silent = drawing("ldm"), injection(lora_weight=0.0)
    outputs = [drawn.under(replace(silent, blocks=blocks)) for blocks in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1))]
    assert len({tuple(one.flatten().tolist()) for one in (*outputs, drawn.output())}) == 5


def test_a_person_s_weight_multiplies_the_adapter_s() -> None:
    drawn = drawing("diffusers")
    half = [Person(tokens(*FACEID), 0.5)]
    torch.testing.assert_close(drawn.under(injection(people=half, weight=0.8)), drawn.under(injection(weight=0.4)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_row_of_the_negative_prompt_knows_nothing_of_the_prompt_s_tokens(layout: str) -> None:
    drawn = drawing(layout)
    other = replace(injection(), people=[Person(Tokens(tokens(*FACEID, 1).cond, tokens(*FACEID).uncond))])
    one, changed = drawn.under(injection()), drawn.under(other)
    assert not torch.allclose(one[0], changed[0])
    assert torch.equal(one[1], changed[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (13, 6)])
def test_two_halves_of_the_same_person_are_the_whole_person(layout: str, size: tuple[int, int]) -> None:
    """Odd sizes too: LDM's decoder cannot join them without its host's help."""
    if layout == "ldm" and size != (8, 8):
        size = (16, 6)
    drawn, mask = drawing(layout), torch.zeros(48, 64)
    mask[:, :20] = 1.0
    halves = [Person(tokens(*FACEID), 1.0, one) for one in (mask, 1.0 - mask)]
    whole = drawn.under(injection(), size=size)
    torch.testing.assert_close(drawn.under(injection(people=halves), size=size), whole, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(drawn.under(injection(people=halves[:1]), size=size), whole, atol=1e-3)


@pytest.mark.parametrize("others", [None, torch.ones(8, 8)])
def test_the_same_person_twice_in_one_place_is_that_person(others: Tensor | None) -> None:
    """People share a place: together they are no louder than one."""
    drawn, face = drawing("ldm"), tokens(*FACEID)
    twice = [Person(face, 1.0, torch.ones(8, 8)), Person(face, 1.0, others)]
    torch.testing.assert_close(drawn.under(injection(people=twice)), drawn.under(injection()), atol=1e-5, rtol=1e-4)
    silent = [Person(face), Person(face, 0.0, others)]
    assert torch.equal(drawn.under(injection(people=silent)), drawn.under(injection()))


def test_rows_that_were_not_announced_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows were announced, 2 came"):
        drawing("ldm").under(injection(), always(True, True, False))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_rows_of_every_call_are_asked_for_once(layout: str, net: IdentityNet) -> None:
    asked: list[int] = []

    def rows_of(rows: int) -> Rows:
        asked.append(rows)
        return Rows((True,) * rows, 0.0)

    drawn = drawing(layout, Family.SDXL)
    with injected(drawn.unet, injection(*INSTANTID, control=Control(net, HINT)), rows_of):
        drawn.output(2)
        drawn.output(1)
    assert asked == [2, 1]


def test_an_adapter_of_another_family_is_refused_and_nothing_is_hooked() -> None:
    drawn = drawing("ldm")
    before = drawn.hooks()
    with pytest.raises(BaseUnsupported, match="17 attentions of that kind"), injected(
        drawn.unet, injection(*INSTANTID), always(*ROWS)
    ):
        pass
    assert drawn.hooks() == before


@pytest.mark.parametrize("part", ["attention", "lora"])
def test_an_adapter_for_layers_of_other_widths_is_refused_and_nothing_is_hooked(part: str) -> None:
    drawn, whole = drawing("ldm"), injection()
    before = drawn.hooks()
    number = max(whole.adapter.attention)
    if part == "attention":
        to_k, to_v = whole.adapter.attention[number]
        changes: dict[str, Any] = {"attention": {**whole.adapter.attention, number: (to_k[1:], to_v[1:])}}
    else:
        down, up = whole.adapter.lora[number]["to_k"]
        changes = {"lora": {**whole.adapter.lora, number: {"to_k": (down[:, 1:], up)}}}
    other = replace(whole, adapter=replace(whole.adapter, **changes))
    with pytest.raises(BaseUnsupported, match="other widths"), injected(drawn.unet, other, always(*ROWS)):
        pass
    assert drawn.hooks() == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_at_a_time_add_up_and_leave_in_any_order(layout: str) -> None:
    drawn, left = drawing(layout), torch.zeros(8, 8)
    left[:, :4] = 1.0
    people = [Person(tokens(*FACEID, seed), 1.0, mask) for seed, mask in enumerate((left, 1.0 - left))]
    first, second = (injection(lora_weight=0.0, people=[one]) for one in people)
    as_one = drawn.under(replace(first, people=people))
    plain, alone = drawn.output(), drawn.under(second)
    one, other = (injected(drawn.unet, wanted, always(*ROWS)) for wanted in (first, second))
    one.__enter__()
    other.__enter__()
    torch.testing.assert_close(drawn.output(), as_one)
    one.__exit__(None, None, None)
    assert torch.equal(drawn.output(), alone)
    other.__exit__(None, None, None)
    assert torch.equal(drawn.output(), plain)


def test_the_lora_of_the_second_is_in_the_query_of_the_first() -> None:
    """As if both were one network, whoever entered first."""
    drawn = drawing("ldm")
    loud, only_lora = injection(lora_weight=0.0), injection(blocks=(0.0, 0.0, 0.0))
    outputs = []
    for outer, inner in ((loud, only_lora), (only_lora, loud)):
        with injected(drawn.unet, outer, always(*ROWS)):
            outputs.append(drawn.under(inner))
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], drawn.under(injection()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_leaving_a_unet_that_moved_away_does_not_raise(layout: str) -> None:
    drawn = Drawing(layout, Family.SD1)
    before = [one[2] for one in drawn.hooks() if len(one) == 3]
    with injected(drawn.unet, injection(), always(*ROWS)):
        drawn.output()
        drawn.unet.to("meta")
    assert [one[2] for one in drawn.hooks() if len(one) == 3] == before


def test_nothing_of_a_generation_is_kept() -> None:
    drawn = drawing("diffusers")
    mine = replace(injection(), people=[Person(replace(tokens(*FACEID), cond=tokens(*FACEID).cond.clone()), 1.0)])
    alive = [weakref.ref(mine), weakref.ref(mine.people[0].tokens.cond)]
    drawn.under(mine)
    del mine
    gc.collect()
    assert [one() for one in alive] == [None, None]


def test_an_injection_is_not_changed_by_its_use() -> None:
    """The adapter's tensors stay where they are, for the next generation."""
    drawn, held = drawing("ldm"), weights(*FACEID)
    before = [(one.data_ptr(), one._version) for pair in held.attention.values() for one in pair]
    first = drawn.under(injection())
    assert [(one.data_ptr(), one._version) for pair in held.attention.values() for one in pair] == before
    assert torch.equal(drawn.under(injection()), first)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision_is_close_to_full(layout: str) -> None:
    drawn = Drawing(layout, Family.SD1)
    full = drawn.under(injection())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = drawn.under(injection())
    assert (full - rounded.float()).abs().mean() < 0.05 * full.abs().mean()


# The IdentityNet


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("changes", [{"weight": 0.0}, {"start": 0.5}, {"end": 0.0}])
def test_a_silent_identity_net_is_bit_equal_to_none(layout: str, changes: dict[str, float], net: IdentityNet) -> None:
    drawn, wanted = drawing(layout, Family.SDXL), injection(*INSTANTID, weight=0.0)
    silent = replace(Control(net, HINT), **changes)
    assert torch.equal(drawn.under(replace(wanted, control=silent)), drawn.output())
    assert not torch.allclose(drawn.under(replace(wanted, control=Control(net, HINT))), drawn.output(), atol=0.01)


def test_an_inpainting_unet_shows_the_identity_net_its_latents_only(net: IdentityNet) -> None:
    outputs = []
    for layout in LAYOUTS:
        drawn = drawing(layout, Family.SDXL, 9)
        outputs.append(drawn.under(injection(*INSTANTID, control=Control(net, HINT))))
        assert not torch.allclose(outputs[-1], drawn.output(), atol=0.01)
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_hint_of_another_size_is_brought_to_that_of_the_latents(net: IdentityNet) -> None:
    drawn, flat = drawing("ldm", Family.SDXL), torch.full((1, 3, 64, 64), 0.5)
    sized = [drawn.under(injection(*INSTANTID, control=Control(net, one))) for one in (flat, flat[..., :32, :32])]
    torch.testing.assert_close(*sized)


def test_a_unet_without_sizes_is_refused_by_the_identity_net(net: IdentityNet) -> None:
    with pytest.raises(BaseUnsupported, match="SDXL"):
        drawing("ldm").under(injection(*INSTANTID, weight=0.0, control=Control(net, HINT)))


def test_tokens_of_another_width_than_the_identity_net_reads_are_refused_and_nothing_is_hooked(
    net: IdentityNet
) -> None:
    drawn, face = drawing("ldm", Family.SDXL), tokens(*INSTANTID)
    before = drawn.hooks()
    narrower = [Person(Tokens(face.cond[..., :-8], face.uncond[..., :-8]))]
    wanted = injection(*INSTANTID, weight=0.0, people=narrower, control=Control(net, HINT))
    with pytest.raises(BaseUnsupported, match="IdentityNet reads tokens"), injected(
        drawn.unet, wanted, always(*ROWS)
    ):
        pass
    assert drawn.hooks() == before


def test_residuals_of_another_control_net_are_kept(net: IdentityNet) -> None:
    drawn = drawing("diffusers", Family.SDXL)
    wanted, control = injection(*INSTANTID, weight=0.0), Control(net, HINT, 0.5)
    twice = replace(wanted, control=replace(control, weight=1.0))
    with injected(drawn.unet, replace(wanted, control=control), always(*ROWS)):
        both = drawn.under(replace(wanted, control=control))
    torch.testing.assert_close(both, drawn.under(twice))


def test_what_stays_the_same_is_computed_once(net: IdentityNet, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"hint": 0, "context": 0, "residuals": 0}
    for name in counts:
        real = getattr(net, name)

        def counting(*given: Any, _name: str = name, _real: Any = real) -> Any:
            counts[_name] += 1
            return _real(*given)

        monkeypatch.setattr(net, name, counting)
    drawn = drawing("ldm", Family.SDXL)
    with injected(drawn.unet, injection(*INSTANTID, control=Control(net, HINT)), always(*ROWS)):
        for _ in range(3):
            drawn.output()
    assert counts == {"hint": 1, "context": 1, "residuals": 3}


# Whatever happens, it leaves

ACTIONS = st.lists(st.sampled_from(["enter", "leave first", "leave last", "draw", "fail inside"]), max_size=8)


class Trouble(Exception):
    """Raised while drawing."""


@contextmanager
def failing(module: nn.Module) -> Iterator[None]:
    def fail(*_: Any) -> None:
        raise Trouble

    handle = module.register_forward_hook(fail)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=12)
@given(actions=ACTIONS)
def test_entering_failing_and_leaving_in_any_order_leaves_the_unet_as_it_was(layout: str, actions: list[str]) -> None:
    drawn = drawing(layout)
    plain, before, inside = drawn.output(), drawn.hooks(), []
    for number, action in enumerate(actions):
        _act(action, drawn, inside, number)
        assert inside or drawn.hooks() == before
    while inside:
        inside.pop().__exit__(None, None, None)
    assert drawn.hooks() == before
    assert torch.equal(drawn.output(), plain)


def _act(action: str, drawn: Drawing, inside: list[AbstractContextManager[None]], number: int) -> None:
    if action == "enter":
        inside.append(injected(drawn.unet, injection(seed=number % 2), always(*ROWS)))
        inside[-1].__enter__()
    elif action == "draw":
        drawn.output()
    elif action == "fail inside":
        layer = next(module for name, module in drawn.unet.named_modules() if name.endswith("attn2.to_k"))
        with pytest.raises(Trouble), failing(layer), injected(drawn.unet, injection(), always(*ROWS)):
            drawn.output()
    elif inside:
        inside.pop(0 if action == "leave first" else -1).__exit__(None, None, None)
