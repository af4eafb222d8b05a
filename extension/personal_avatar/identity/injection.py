"""People put into a UNet for the time of a generation, by hooks alone: no parameter, buffer or module is touched."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from personal_avatar.errors import BaseUnsupported
from personal_avatar.identity import low_rank
from personal_avatar.identity.areas import areas_of
from personal_avatar.identity.attention import FaceAttention, FaceKeys, Voice
from personal_avatar.identity.beside import NetBeside
from personal_avatar.identity.calls import Call, Span
from personal_avatar.identity.entrances import Entrance, entrance
from personal_avatar.identity.layers import DOWN, MIDDLE, UP, attentions, cross_attentions, numbered, refuse_misfit
from personal_avatar.identity.nouns import AdapterWeights, RowsOf, Tokens
from personal_avatar.problems import stated

if TYPE_CHECKING:
    from personal_avatar.identity.net import IdentityNet


@dataclass(frozen=True, eq=False)
class Person:
    """`mask`: float 0..1, (height, width) of any size, 1 where the person is; None: everywhere. Where several
    are, they share the place."""

    tokens: Tokens
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Control:
    """The IdentityNet and its picture of keypoints. `hint`: (1, 3, height, width), 0..1, of the size of the generated
    picture; `start`, `end`: shares of the sampling."""

    net: IdentityNet
    hint: Tensor
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, eq=False)
class Injection:
    """Everything that one generation adds to a UNet. `weight` times a person's weight times `blocks` (down, middle, up)
    is what an attention to the face counts; `start`, `end`: shares of the sampling; `lora_weight`: of the LoRA that
    FaceID files hold, which is on whenever the adapter is."""

    adapter: AdapterWeights
    people: Sequence[Person]
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    blocks: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lora_weight: float = 1.0
    control: Control | None = None

    @property
    def speaks(self) -> bool:
        """Whether the adapter adds anything at all."""
        return self.weight != 0.0 and any(person.weight != 0.0 for person in self.people)


@contextmanager
def injected(unet: nn.Module, injection: Injection, rows_of: RowsOf) -> Iterator[None]:
    """Inside, `unet` (LDM's or SGM's `UNetModel`, diffusers' `UNet2DConditionModel`) draws the people of `injection`.

    `rows_of` is asked once at every call of the UNet. Weights of 0 and rows of None leave a call bit-equal. Outside,
    also after an exception, the UNet is as it was and nothing of this generation is kept. Contexts may be nested.
    Raises `BaseUnsupported` where the adapter is made for another family, or for another IdentityNet; then nothing
    stays hooked.
    """
    call, door = Call(), entrance(unet)
    with ExitStack() as stack:
        if injection.speaks:
            _enter_low_ranks(unet, injection, call, stack)
            _enter_attentions(unet, injection, call, stack)
        net = _net_beside(injection)
        if net is not None:
            door.enter(stack)
        asks = _Asking(door, rows_of, call, Span(injection.start, injection.end), net)
        stack.callback(unet.register_forward_pre_hook(asks, with_kwargs=True).remove)
        yield


class _Asking:
    """The pre-hook of the UNet: learns which rows come, and makes the other hooks ready for them."""

    def __init__(self, door: Entrance, rows_of: RowsOf, call: Call, span: Span, net: NetBeside | None) -> None:
        self._door = door
        self._rows_of = rows_of
        self._call = call
        self._span = span
        self._net = net

    def __call__(self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = self._door.read(args, kwargs)
        rows = self._rows_of(len(given.latents))
        if rows is not None and len(rows.conditional) != len(given.latents):
            raise ValueError(f"{len(rows.conditional)} rows were announced, {len(given.latents)} came")
        self._call.rows = self._span.of(rows)
        self._call.latent = (given.latents.shape[-2], given.latents.shape[-1])
        if self._net is None:
            return None
        return args, self._door.put(self._net.residuals(given, rows), kwargs)


def _enter_low_ranks(unet: nn.Module, injection: Injection, call: Call, stack: ExitStack) -> None:
    adapter = injection.adapter
    if not adapter.lora or injection.lora_weight == 0.0:
        return
    for layer, pairs in numbered(adapter.lora, attentions(unet), adapter.path.name):
        for name, (down, up) in pairs.items():
            refuse_misfit(layer, name, down.shape[1], up.shape[0], adapter.path.name)
        low_rank.enter(layer, pairs, injection.lora_weight, call, stack)


def _enter_attentions(unet: nn.Module, injection: Injection, call: Call, stack: ExitStack) -> None:
    adapter = injection.adapter
    people = [person for person in injection.people if person.weight != 0.0]
    areas = areas_of([person.mask for person in people])
    parts = dict(zip((DOWN, MIDDLE, UP), injection.blocks, strict=True))
    for layer, (to_k, to_v) in numbered(adapter.attention, cross_attentions(unet), adapter.path.name):
        refuse_misfit(layer, "to_q", None, to_k.shape[0], adapter.path.name)
        weight = injection.weight * parts[layer.part]
        if weight == 0.0:
            continue
        voices = [
            Voice(FaceKeys(person.tokens, to_k, to_v, layer.heads), weight * person.weight, area)
            for person, area in zip(people, areas, strict=True)
        ]
        FaceAttention(layer, voices, call).enter(stack)


def _net_beside(injection: Injection) -> NetBeside | None:
    control = injection.control
    people = [(person.tokens, person.mask) for person in injection.people if person.weight != 0.0]
    if control is None or control.weight == 0.0 or not people:
        return None
    _refuse_foreign_tokens(control.net, injection)
    return NetBeside(control.net, control.hint, control.weight, Span(control.start, control.end), people)


def _refuse_foreign_tokens(net: IdentityNet, injection: Injection) -> None:
    width = injection.people[0].tokens.cond.shape[-1]
    if width != net.token_width:
        raise stated(
            BaseUnsupported, "failure.other_tokens", "remedy.together", wanted=net.token_width,
            file=injection.adapter.path.name, found=width,
        )
