"""The WebUI's whole page in headless Chromium, with our tab in it."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.browser import chrome


class WebuiPage(chrome.Page):
    """What `chrome.Page` knows of our tab, and the WebUI around it, by CSS selectors."""

    def open(self, query: str = "") -> None:
        self.driver.get(self._url + query)
        self.wait(lambda: self.all("#txt2img_generate"), 90)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.wait(lambda: self.all(selector))[0]

    def webui_tabs(self) -> list[str]:
        return [button.text.strip() for button in self.all("#tabs > .tab-nav > button")]

    def show_ours(self) -> None:
        """Our tab, once the texts of its header have come."""
        button = next(button for button in self.all("#tabs > .tab-nav > button") if button.text == "Personal Avatar")
        button.click()
        self.wait(lambda: self.text("header"))

    def press(self, selector: str) -> None:
        """A click that also reaches what is not scrolled into view."""
        self.driver.execute_script("arguments[0].click()", self.one(selector))

    def in_sight(self, found: Any) -> bool:
        """Whether a part of the page is inside the window."""
        script = "const {top, bottom} = arguments[0].getBoundingClientRect(); return bottom > 0 && top < innerHeight"
        return bool(self.driver.execute_script(script, found))

    def shot(self, name: str) -> None:
        """A screenshot into the folder SCREENSHOTS, when that is set."""
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))
