"""LoRAs in prompts mean to us what they mean to the WebUI at hand, whose own code reads them here."""
from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from foreign import WEBUI, with_webui
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from personal_avatar.prompts import split_networks

Read = tuple[str, list[tuple[Any, ...]] | None]  # text, then name, weights and rank of each; None: none is applied
FORMS = (
    "<lora:a:1>", "<lora:a>", "<lora:a:>", "<lora:a:0.5>", "<lora:a:-0.5>", "<lora:a:.5>", "<lora:a: 0.5 >",
    "<lora:a:1e-1>", "<lora:a:0:1>", "<lora:a:0.5:1>", "<lora:a:1:0>", "<lora:a:0:0>", "<lora:a:1:>",
    "<lora:a:0.7:0.3:4>", "<lora:a:1:1:4:9>", "<lora:a:te=0:unet=1>", "<lora:a:unet=0.3:te=0.7>", "<lora:a:te=0>",
    "<lora:a:unet=0.2>", "<lora:a:0.4:unet=1>", "<lora:a:0.4:te=1>", "<lora:a:heavy:te=1>", "<lora:a:te=>",
    "<lora:a:te=1:te=0>", "<lora:a:TE=0>", "<lora:a:te =0>", "<lora:a:dyn=4>", "<lora:a:1:dyn=4>",
    "<lora:a:1:1:8:dyn=4>", "<lora:a:dyn=4.5>", "<lora:a:dyn=-1>", "<lora:a:1:1:x>", "<lora:te=0:a:0.3>",
    "<lora:te=1>", "<lora:x=y>", "<lora:a=b=c:0.5>", "<lora:a=b=c=d:0.5>", "<lora:a:=1>", "<lora::1>",
    "<lora: a :1>", "<lora:a:heavy>", "<lora:a:nan>", "<lora:a:inf>", "<lora:a:1e999>", "<lora:a:1_0>",
    "<lyco:a:0.5>", "<LORA:a:1>", "<hypernet:a:1>", "<lora:a<b:1>", "<lora:a:1", "lora:a:1>", "<lora>", "<lora:>",
    "<lora:a,b:1>", "<lora:a:0.5><lora:a:0.25>", "<lora:a:1> <lora:b:0:1> <lora:a:0>", "<lora:a:1><lora:b:heavy>",
    "<lyco:a:1><lora:b:0.5>", "<lora:a:heavy><lora:a:0.5>", "<lora:a:0.5><lora:a:heavy>", "<lora:a:nan><lora:a:0.5>",
    "<lora:te=1><lora::1>", "<lora:a:1><lyco:a:0.5><lora:a:0.3>", "<lyco:a:1><lora:a:0.5><lyco:a:0.3>",
    "red<lora:a:1>dish", "a, <lora:a:1> b", "<lora:a\n:1>",
)
KINDS = st.sampled_from(["lora", "lyco", "hypernet"])
PARTS = ("a", "b", "0", "1", "0.5", "-1", "te=0", "unet=1", "dyn=2", "dyn=x", "x=1", "")


@dataclass
class Webui:
    """The WebUI's reading of prompts, up to what it would load."""

    parse: Any
    lora: Any
    loaded: list[tuple[Any, ...]] = field(default_factory=list)

    def read(self, prompt: str) -> Read:
        """A LoRA whose tags cannot be read raises, and then it calls itself without any."""
        text, found = self.parse(prompt)
        tags = [params for kind in found if kind in ("lora", "lyco") for params in found[kind]]
        try:
            self.lora.activate(SimpleNamespace(), tags)
        except (ValueError, IndexError):
            return text, None
        by_name = {entry[0]: entry for entry in self.loaded}  # of one name there is one network, set anew by each tag
        return text, [by_name[entry[0]] for entry in self.loaded]


@pytest.fixture(scope="module")
def webui() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield _imported(patch)


def _imported(patch: pytest.MonkeyPatch) -> Webui:
    networks, modules = ModuleType("networks"), ModuleType("modules")
    options = SimpleNamespace(sd_lora="None", lora_add_hashes_to_infotext=False)
    modules.errors = SimpleNamespace()  # type: ignore[attr-defined]
    modules.shared = SimpleNamespace(opts=options)  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "modules", modules)
    patch.setitem(sys.modules, "networks", networks)
    modules.extra_networks = _executed(WEBUI / "modules/extra_networks.py")  # type: ignore[attr-defined]
    lora = _executed(WEBUI / "extensions-builtin/Lora/extra_networks_lora.py").ExtraNetworkLora()
    made = Webui(modules.extra_networks.parse_prompt, lora)
    networks.available_networks = {}  # type: ignore[attr-defined]
    networks.load_networks = lambda *told: made.__setattr__(  # type: ignore[attr-defined]
        "loaded", list(zip(*told, strict=True))
    )
    return made


def _executed(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"webuis_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(prompt: str) -> Read:
    text, tags = split_networks(prompt)
    if not all(tag.is_read for tag in tags):
        return text, None
    return text, [(tag.name, tag.text_weight, tag.unet_weight, tag.rank) for tag in tags]


def compare(prompt: str, webui: Webui) -> None:
    """Spaces count for nothing in a prompt."""
    (text, tags), (wanted_text, wanted) = ours(prompt), webui.read(prompt)
    assert text.replace(" ", "") == "".join(wanted_text.split()), prompt
    assert repr(tags) == repr(wanted), prompt  # NaN is not equal to itself


@with_webui
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_as_the_webui_reads_it(form: str, webui: Webui) -> None:
    compare(f"a portrait, {form} of somebody", webui)


@with_webui
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tags=st.lists(st.tuples(KINDS, st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)), max_size=4))
def test_several_tags_are_read_together_as_the_webui_reads_them(
    tags: list[tuple[str, list[str]]], webui: Webui
) -> None:
    compare(f"x {' '.join(f'<{kind}:' + ':'.join(parts) + '>' for kind, parts in tags)}", webui)


@with_webui
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inside=st.lists(st.sampled_from(PARTS)))
def test_any_order_of_parts_is_read_as_the_webui_reads_it(inside: list[str], webui: Webui) -> None:
    compare(f"x <lora:{':'.join(inside)}>", webui)
