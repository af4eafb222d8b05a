"""Entry from scripts/personal_avatar.py: the script, the tab, the HTTP routes, the settings. Never raises.

"Reload UI" runs `register` again on the same module: the callbacks are new then, the studio with its jobs is not.
"""
from __future__ import annotations

import logging
import threading
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI
from modules import initialize_util, shared

from personal_avatar.webui import callbacks, copies, marking, origins, untold
from personal_avatar.webui.folders import SD_SCRIPTS, data_folder

if TYPE_CHECKING:
    from personal_avatar.api.guard import Accounts
    from personal_avatar.studio import Studio

log = logging.getLogger(__name__)
TITLE = "Personal Avatar"
ELEMENT_ID = "personal_avatar"
ADVICE = (
    "Run `python install.py` in the extension's folder with the WebUI's Python and a network connection, then restart "
    "the WebUI. The WebUI's console shows the whole error."
)


def register() -> None:
    """Tell the WebUI what to call; called once at start and again after every "Reload UI". Of a second copy of the
    extension, whose script finds this package, nothing is registered."""
    if copies.is_another():
        log.error("%s", copies.warning())
        return
    callbacks.add("ui_settings", add_settings)
    callbacks.add("ui_tabs", build_tab)
    callbacks.add("app_started", add_routes)
    untold.listen()
    marking.listen()


def script() -> type[Any] | None:
    """The AlwaysVisible script of txt2img and img2img; None, with the reason in the log, when it cannot work, and for a
    second copy of the extension."""
    if copies.is_another():
        return None
    try:
        from personal_avatar.webui.identity.script import PersonalAvatar

        return PersonalAvatar
    except Exception:  # the tab shall be there all the same
        log.exception("Personal Avatar cannot offer its accordion in txt2img and img2img")
        return None


def extras() -> type[Any] | None:
    """The script of the Extras tab; None as above."""
    if copies.is_another():
        return None
    try:
        from personal_avatar.webui.extras import PersonalAvatarExtras

        return PersonalAvatarExtras
    except Exception:  # as above
        log.exception("Personal Avatar cannot offer its panel in the Extras tab")
        return None


@lru_cache(maxsize=1)
def studio() -> Studio:
    """The one studio of this process. Raises when something that we need is missing; it is tried again next time."""
    from personal_avatar.studio import Studio
    from personal_avatar.webui.host import WebuiHost

    return Studio(WebuiHost())


def build_tab() -> list[tuple[gr.Blocks, str, str]]:
    """The tab, or in its place a page that says why there is none and what to do."""
    try:
        from personal_avatar.ui.tab import build
        from personal_avatar.webui import sending

        blocks = build(studio(), send_to=sending.bind, notice=copies.warning)
    except Exception as error:  # the WebUI would show no tab at all and no reason
        log.exception("The Personal Avatar tab could not be built")
        blocks = trouble_page(error)
    return [(blocks, TITLE, ELEMENT_ID)]


def trouble_page(error: Exception) -> gr.Blocks:
    """What a user sees when the tab cannot be built."""
    hint = getattr(error, "hint", "") or ADVICE
    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.Markdown(f"## {TITLE} could not start", elem_id="pa_trouble")
        gr.Markdown(f"```\n{type(error).__name__}: {error}\n```")
        gr.Markdown("\n".join(f"* {sentence}" for sentence in [*_recorded_problems(), hint]))
    return blocks


def _recorded_problems() -> list[str]:
    """What install.py could not do, each with its remedy."""
    from personal_avatar.environment import record

    return record.read(data_folder()).sentences()


def add_routes(demo: gr.Blocks | None, app: FastAPI) -> None:
    """The HTTP API, and the jobs of an earlier start; `demo` is None with --nowebui."""
    try:
        from personal_avatar.api.routes import build_router

        app.include_router(build_router(studio(), credentials, origins.allowed))
        if demo is not None:  # gradio would give out every file below the WebUI's data folder
            demo.blocked_paths = [*demo.blocked_paths, str(data_folder())]
        threading.Thread(target=studio().open, name="avatar-recover", daemon=True).start()
    except Exception:  # the WebUI goes on without our routes
        log.exception("The HTTP API of Personal Avatar could not be started")


def credentials() -> Accounts:
    """The accounts of --api-auth, which act for every user, and of --gradio-auth, each of which is a user of ours: who
    must log in to the page must log in here too."""
    from personal_avatar.api.guard import Accounts

    listed = [pair.split(":", 1) for pair in (shared.cmd_opts.api_auth or "").split(",") if ":" in pair]
    pages = [pair for pair in initialize_util.get_gradio_auth_creds() if len(pair) == 2]
    return Accounts(dict(listed), dict(pages))


def add_settings() -> None:
    """Our section of the WebUI's settings: where our data are, where the second engine for training is, and the rules
    about jobs and callers, which nobody changes over the WebUI's own API."""
    where = f"Photos, avatars and jobs are kept in <code>{escape(str(data_folder()))}</code>."
    note = shared.OptionHTML(f"{where} Start the WebUI with --avatar-data-dir to change it.")
    engine = shared.OptionInfo("", "Folder of kohya's sd-scripts, a second engine for training", restrict_api=True)
    engine.info("empty: the one that `doctor --install-kohya` made")
    options = {"personal_avatar_note": note}
    if not shared.cmd_opts.hide_ui_dir_config:  # programs in it are run
        options[SD_SCRIPTS] = engine
    options |= rule_options()
    for name, option in options.items():
        option.section = ("personal_avatar", TITLE)
        shared.opts.add_option(name, option)


def rule_options() -> dict[str, Any]:
    """A widget for each rule, in the language that was chosen for the WebUI."""
    from personal_avatar.rules import RuleSettings
    from personal_avatar.ui.texts import choose, text
    from personal_avatar.webui.folders import OPTION_PREFIX

    language, found = choose("", str(shared.opts.data.get("localization", "")).replace("_", "-").lower()), {}
    for name, field in RuleSettings.__fields__.items():
        info = field.field_info
        whole = field.outer_type_ is not bool and info.ge is not None
        widget: tuple[Any, Any] = (gr.Number, {"precision": 0}) if whole else (None, None)
        if choices := info.extra.get("choices"):
            widget = (gr.Radio, {"choices": list(choices)})
        label = text(info.title, language)
        found[OPTION_PREFIX + name] = shared.OptionInfo(field.default, label, *widget, restrict_api=True)
        found[OPTION_PREFIX + name].info(text(f"{info.title}.info", language))
    return found
