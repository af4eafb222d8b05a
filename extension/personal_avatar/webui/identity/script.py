"""The AlwaysVisible script: one accordion in txt2img and img2img, one entry in `alwayson_scripts`.

It keeps no state: one object of it serves all requests of a tab.
"""
from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from modules import scripts

from personal_avatar.identities import IdentityRequest
from personal_avatar.identity.infotext import hashes
from personal_avatar.naming import named
from personal_avatar.webui import sharing
from personal_avatar.webui.identity import axes, finishing, networks, notes, session
from personal_avatar.webui.identity.arguments import pasted_photos, settings_of
from personal_avatar.webui.identity.people import request_of

log = logging.getLogger(__name__)
TITLE = "Personal Avatar"


class Identity(scripts.Script):
    """The hooks alone, for pictures whose request is known; `strict`: no picture rather than one without the person."""

    def __init__(self, request: IdentityRequest | None = None, strict: bool = False) -> None:
        self._request, self._strict = request, strict
        self.filename = __file__
        self.args_from = self.args_to = 0

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def before_process(self, p: Any, *args: Any) -> None:
        session.begin(p, lambda: self.wanted(p, args), self._strict)

    def wanted(self, p: Any, args: tuple[Any, ...]) -> IdentityRequest | None:
        """Who shall be in the picture; raises what is wrong with the request."""
        return self._request

    def process(self, p: Any, *args: Any) -> None:
        session.check(p)

    def process_before_every_sampling(self, p: Any, *args: Any, x: Any, **kwargs: Any) -> None:
        session.before_sampling(p, x)

    def post_sample(self, p: Any, ps: Any, *args: Any) -> None:
        session.after_sampling(p)

    def postprocess_image_after_composite(self, p: Any, pp: Any, *args: Any) -> None:
        finishing.finish(p, pp)


class PersonalAvatar(Identity):
    """The script of the two tabs.

    All scripts are made before the first one's `ui` is called, with and without a page: in time for the plot's axes.
    """

    def __init__(self) -> None:
        super().__init__()
        axes.add()

    def ui(self, is_img2img: bool) -> list[Any]:
        """Three calls a tab; an exception here would end the WebUI."""
        try:
            from personal_avatar.webui.identity.panel import Panel

            panel = Panel(self.elem_id)
            self.infotext_fields, self.paste_field_names = panel.infotext_fields, panel.paste_field_names
            return panel.components
        except Exception as error:
            log.exception("The Personal Avatar panel could not be built")
            gr.Markdown(f"**{TITLE}** could not start: {named(error)}")
            return []

    def before_process(self, p: Any, *args: Any) -> None:
        sharing.before_picture(p)
        super().before_process(p, *args)

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        sharing.after_picture(p)

    def wanted(self, p: Any, args: tuple[Any, ...]) -> IdentityRequest | None:
        finishing.wish(p, None)
        settings = axes.changed(p, settings_of(args))
        if settings.enabled and finishing.is_all(settings):
            finishing.wish(p, settings)
        if not settings.enabled or finishing.is_all(settings):
            return None
        request, pasted = request_of(settings, networks.photos_of), pasted_photos(args)
        if pasted and pasted != hashes(request.people):
            notes.warn(p, ["The photos are not those that the pasted picture was made from; add the same ones again."])
        return request


def runner(request: IdentityRequest, strict: bool) -> Any:
    """A `ScriptRunner` with our hooks alone, for pictures of our own."""
    made = scripts.ScriptRunner()
    made.alwayson_scripts = [Identity(request, strict)]
    made.scripts = list(made.alwayson_scripts)
    return made
