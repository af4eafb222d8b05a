from __future__ import annotations

import ast
import json
import re
import string
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar import caveats
from personal_avatar.albums.entries import PARTS, SORTS
from personal_avatar.albums.sizes import SIZES
from personal_avatar.captions.lint import Code
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import BLIP, TEMPLATE, WD14
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import ONE_PHOTO, Engine, Goal, Method, Reason
from personal_avatar.errors import AvatarError
from personal_avatar.identities import IdentityRestoreSettings, IdentitySettings, PersonSettings, RegionSettings
from personal_avatar.jobs.states import State
from personal_avatar.photos.advice import CODES
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.words import REMARKS
from personal_avatar.pictures import FORMATS
from personal_avatar.rules import RuleSettings
from personal_avatar.shipped import ASSETS
from personal_avatar.studio import Studio
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.studio.inventing import InventSettings
from personal_avatar.studio.works import TRAIN, WORKS
from personal_avatar.styles.library import categories, shipped
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.training.results import advice, report
from personal_avatar.ui import gallery_export, gallery_large, photos, tab
from personal_avatar.ui.caption_book import BY_ITSELF
from personal_avatar.ui.gallery_choice import ONLY, order_key
from personal_avatar.ui.one_photo import NEW, RESTYLE
from personal_avatar.ui.photo_report import COUNTED, GROUPS
from personal_avatar.ui.photo_settings import DEFAULTS
from personal_avatar.ui.photos import TAKES
from personal_avatar.ui.results import PANELS
from personal_avatar.ui.second import HALVES
from personal_avatar.ui.texts import LANGUAGE_NAMES, LANGUAGES, choose, code_of, has, table, text
from personal_avatar.wording import UNITS
from pydantic.fields import ModelField

from tests.unit.ui.sources import NAMED

ROOM = Path(tab.__file__).parent
PANELS_IN_TABS = (Path("identity") / "panel.py", Path("extras.py"), Path("copies.py"))  # of the WebUI
SOURCES = [*sorted(ROOM.glob("*.py")), *(ROOM.parent / "webui" / panel for panel in PANELS_IN_TABS),
           ROOM.parent / "reports" / "comparison.py"]
PROPS = {"label", "info", "value", "placeholder"}
IDENTITIES = (IdentitySettings, PersonSettings, RegionSettings, IdentityRestoreSettings)
# What a set of photos may show; see domain.Coverage.
WORDS = {
    *("front", "left", "right", "profile_left", "profile_right", "up", "down", "close", "portrait", "far"),
    *("dark", "medium", "bright", "warm", "cold", "side", "mouth_closed", "mouth_open", "eyes_closed"),
}
CHOICES: dict[str, type[Enum]] = {"method": Method, "goal": Goal, "engine": Engine}


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_text_is_there_in_every_language_with_the_same_places() -> None:
    assert len(table()) > 200
    for key, texts in table().items():
        assert len(texts) == len(LANGUAGES) and all(found.strip() for found in texts), key
        assert len({frozenset(places(found)) for found in texts}) == 1, key


def test_no_text_stands_in_the_place_of_another() -> None:
    """Of two with one key the last would be told where the first is meant."""
    pairs = json.loads((ASSETS / "texts.json").read_text(encoding="utf-8"), object_pairs_hook=list)
    keys = [key for key, _ in dict(pairs)["texts"]]
    assert [key for key, times in Counter(keys).items() if times > 1] == [] and len(keys) > 200


def _errors(kind: type[AvatarError] = AvatarError) -> Iterator[type[AvatarError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "personal_avatar.errors":
            yield child
            yield from _errors(child)


def made_keys() -> set[str]:
    """Keys that are put together from codes and names of other rooms."""
    keys = {f"reason.{reason.value}" for reason in Reason} | {f"reason.{reason.value}.hint" for reason in Reason}
    keys |= {f"state.{state.value}" for state in State} | {f"method.{ONE_PHOTO}"}
    keys |= {f"{kind}.{unit}" for kind in ("time", "span") for unit in UNITS} | {"chart.spoken"}
    keys |= {f"kind.{kind}" for kind in (TRAIN, ONE_PHOTO, CAPTION, *WORKS)}
    keys |= {f"error.{kind.code}.{part}" for kind in _errors() for part in ("title", "hint")}
    keys |= {f"style.{style.id}" for style in shipped()} | {f"category.{name}" for name in categories(shipped())}
    keys |= {f"train_advice.{code}" for code in (*advice.CODES, *caveats.CODES)}
    keys |= {f"choice.{code}" for code in report.CODES}
    keys |= {f"advice.{code}" for code in CODES} | {f"remark.{code}" for code in REMARKS}
    keys |= {f"reason.{reason.value}.detail" for reason in Reason}
    keys |= {f"photos.lacking.{what}" for what in ("name", "consent")}
    keys |= {f"tab.{name}" for name in PANELS} | {f"photos.tip.{number}" for number in (1, 2, 3, 4)}
    keys |= {f"{panel}.tip.{number}" for panel in ("one", "invent", "rank") for number in (1, 2, 3)}
    keys |= {f"one.do.{wish}" for wish in (NEW, RESTYLE)}
    keys |= {f"one.{who}.region" for who in HALVES}
    keys |= {f"{what}.{part}" for what in ("erase", "run", "picked") for part in ("title", "info", "sure")}
    keys |= {f"part.{part}" for part in PARTS} | {f"size.{size}" for size in SIZES}
    keys |= {f"what.{name}" for name in gallery_export.SOURCES}
    keys |= {f"format.{kind}" for kind in (gallery_export.OWN, *FORMATS)}
    keys |= {f"results.page.{word}" for word in ("previous", "next")}
    keys |= {f"large.{word}" for word in gallery_large.WORDS} | {order_key(sort) for sort in SORTS} | set(ONLY.values())
    keys |= {f"results.{word}{tail}" for word in ("none", "nothing", "nofavourites") for tail in ("", ".info")}
    keys |= {f"train.step.{number}" for number in (1, 2, 3)} | {f"estimate.{name}" for name in ("memory_gb", "file_mb")}
    keys |= {f"likeness.{part}" for part in ("floor", "after", "ceiling")}
    keys |= {f"{name}.{kind.value}" for name, kinds in CHOICES.items() for kind in kinds}
    keys |= {f"cover.{word}" for word in (*GROUPS, *COUNTED, *WORDS)}
    keys |= {f"tagger.{name}" for name in (TEMPLATE, *WD14, BLIP, "webui-blip", "deepdanbooru")}
    keys |= {f"photos.{do}" for do in (*TAKES, "remove")}
    keys |= {f"photos.part.{part}" for part in photos.PARTS}
    keys |= {f"caption.{name}" for name in ("undo", "redo", "search", "replacement")}
    keys |= {part.field_info.extra["group"] for kind in PLANS.values() for part in kind.__fields__.values()} - {""}
    told = set(Code) - BY_ITSELF
    keys |= {f"lint.{code.value}" for code in told} | {f"lint.{code.value}.why" for code in told}
    for kind in (*PLANS.values(), CreateSettings, CaptionSettings, InventSettings, RuleSettings, *IDENTITIES):
        keys |= {field.field_info.title for field in kind.__fields__.values()}
    keys |= {field.field_info.title for field in of_photos()}
    return keys | {
        f"{field.field_info.title}.{choice}"
        for field in (*IdentitySettings.__fields__.values(), *of_photos())
        for choice in field.field_info.extra["choices"] or ()
    }


def of_photos() -> list[ModelField]:
    """Settings of how photos are checked and cut, as the page shows them."""
    return [PhotoSettings.__fields__[name] for name in DEFAULTS]


def test_what_other_rooms_may_say_is_in_the_table() -> None:
    assert sorted(key for key in made_keys() if not has(key)) == []


def written_keys() -> set[str]:
    """String literals in the sources that name a key of the table, or ought to."""
    literals = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "say",
                "text",
            ):
                values = [*node.args[:2], *(word.value for word in node.keywords if word.arg in PROPS)]
                literals |= {value.value for value in values if isinstance(value, ast.Constant)}
    return {word for word in literals if isinstance(word, str) and re.fullmatch(r"[a-z]+(\.[A-Za-z0-9_-]+)+", word)}


def refusals() -> set[str]:
    """Keys of what the page itself refuses."""
    keys = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                if not isinstance(node.args[1], ast.Constant):
                    continue  # whose keys others name
                own = f"refusal.{node.args[1].value}"
                named = {word.arg: str(getattr(word.value, "value", "")) for word in node.keywords}
                keys |= {named.get("said", own), named.get("hint", f"{own}.hint")}
    return keys


def test_every_refusal_speaks_all_languages() -> None:
    assert sorted(key for key in refusals() if not has(key)) == []
    assert {key for key in table() if key.startswith("refusal.")} <= refusals()


def test_every_key_that_the_page_names_exists() -> None:
    assert sorted(key for key in written_keys() if not has(key)) == []


def test_no_text_is_left_over() -> None:
    sources = "".join(source.read_text(encoding="utf-8") for source in SOURCES)
    optional = {"category.other", "category.own"}
    used = written_keys() | made_keys() | optional | {f"{key}.info" for key in made_keys()}
    left = {key for key in table() if key not in used and f'"{key}"' not in sources}
    elsewhere = {*NAMED, "refusal"}  # kept by tests of their own
    assert sorted(key for key in left if key.partition(".")[0] not in elsewhere) == []


def test_building_the_page_shows_no_text_that_is_not_in_the_table(studio: Studio) -> None:
    english = {texts[0] for texts in table().values()} | set(LANGUAGE_NAMES.values()) | {"Personal Avatar"}
    data = {
        str(choice)
        for kind in (*PLANS.values(), IdentitySettings, PhotoSettings)
        for part in kind.__fields__.values()
        for choice in part.field_info.extra["choices"] or ()
    }
    data |= {value for value in DEFAULTS.values() if isinstance(value, str)}
    data |= {kind.value for kinds in CHOICES.values() for kind in kinds} | {"DPM++ 2M", "person", NEW, ""}
    data |= set(photos.PARTS)
    data |= {"own", "shown", "original", "best"}  # values of choices in words
    data.add("Run")  # what gradio calls a button, here of hidden ones only
    blocks = tab.build(studio, send_to=lambda *parts: None)
    strange = []
    for component in blocks.blocks.values():
        for prop in PROPS:
            found = getattr(component, prop, None)
            if isinstance(found, str) and found not in english | data and component is not blocks:
                strange.append((component.elem_id, prop, found))
    assert strange == []


def test_ids_are_ours_and_unique_and_nothing_is_frozen_in_the_hosts_defaults(studio: Studio) -> None:
    blocks = tab.build(studio, send_to=lambda *parts: None)
    parts = [part for part in blocks.blocks.values() if isinstance(part, gr.components.Component)]
    shown = [part for part in parts if not isinstance(part, gr.State)]
    ids = [part.elem_id for part in blocks.blocks.values() if part.elem_id]
    assert len(ids) == len(set(ids)) and all(found.startswith("personal_avatar_") for found in ids)
    assert [part for part in shown if part.elem_id is None] == []
    kept = (gr.Slider, gr.Number, gr.Checkbox, gr.Textbox, gr.Dropdown, gr.Radio, gr.CheckboxGroup)
    frozen = [
        part.elem_id for part in shown if isinstance(part, kept) and not getattr(part, "do_not_save_to_config", False)
    ]
    assert frozen == []


@pytest.mark.parametrize(
    ("remembered", "header", "spoken"),
    [
        ("", "", "en"),
        ("", "vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        ("", "fr-FR,fr;q=0.9,zh-TW;q=0.7,en;q=0.3", "zh"),
        ("", "en;q=0.2,zh;q=0.6", "zh"),
        ("", "de, vi;q=0", "en"),
        ("zh", "vi", "zh"),
        ("xx", "vi", "vi"),
    ],
)
def test_the_language_is_the_remembered_one_else_the_browsers(remembered: str, header: str, spoken: str) -> None:
    assert choose(remembered, header) == spoken


@given(st.text(), st.text())
def test_any_header_gives_a_language(remembered: str, header: str) -> None:
    assert choose(remembered, header) in LANGUAGES


def test_a_language_is_known_by_its_own_name() -> None:
    assert [code_of(name) for name in LANGUAGE_NAMES.values()] == list(LANGUAGES)
    assert code_of("Klingon", "") == ""


def test_places_are_filled() -> None:
    assert text("live.steps", "vi", n=3, total=9) == "3 trên 9 bước"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_panels_or_kinds_of_styles_are_called_the_same_or_nearly(language: str) -> None:
    names = [text(key, language) for key in table() if key.startswith(("tab.", "category."))]
    assert len(set(names)) == len(names)
    kinds = [text(key, language) for key in table() if key.startswith("category.")]
    assert not [(one, other) for one in kinds for other in kinds if one != other and other.startswith(one)]


def test_in_chinese_no_space_stands_before_a_span_of_time() -> None:
    assert not [key for key in table() if re.search(r"[\u4e00-\u9fff] \{time\}", text(key, "zh"))]
