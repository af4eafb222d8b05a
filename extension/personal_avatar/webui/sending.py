"""Pictures and their parameters handed to the WebUI's own tabs, as the WebUI's buttons "Send to" do it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules import infotext_utils


def bind(buttons: Mapping[str, Any], infotext: Any, image: Any) -> None:
    """Bind each button, by the name of its tab, to a text and a picture; to be called while the tab is built.

    The WebUI connects them when all tabs are there: fields are filled, the picture is set where the tab takes one, and
    the tab comes to the front.
    """
    for name, button in buttons.items():
        infotext_utils.register_paste_params_button(infotext_utils.ParamBinding(
            paste_button=button, tabname=name, source_text_component=infotext, source_image_component=image,
        ))
