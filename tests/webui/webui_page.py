"""The WebUI's page in headless Chromium."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

READY = "#txt2img_generate"


@contextmanager
def chromium() -> Iterator[Any]:
    """A driver that reaches this machine only; the test is skipped where Chromium or selenium is missing."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, helper = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if browser is None or helper is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    with tempfile.TemporaryDirectory() as profile:
        for flag in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--proxy-server=direct://",
            f"--user-data-dir={profile}", "--window-size=1400,1300",
        ):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(helper))
        try:
            yield driver
        finally:
            driver.quit()


class Page:
    """The opened page. `tab(title)` shows one of the WebUI's tabs."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.wait(lambda: self.all(READY))

    def wait(self, condition: Callable[[], Any], wait_s: float = 60.0) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, wait_s).until(lambda _: condition())

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.wait(lambda: self.all(selector))[0]

    def tabs(self) -> list[str]:
        return [button.text.strip() for button in self.all("#tabs > .tab-nav > button")]

    def tab(self, title: str) -> None:
        button = next(button for button in self.all("#tabs > .tab-nav > button") if button.text.strip() == title)
        button.click()

    def press(self, selector: str) -> None:
        """A click that also reaches what is not scrolled into view."""
        self.driver.execute_script("arguments[0].click()", self.one(selector))

    def errors(self) -> list[str]:
        """What the page's scripts complained about; what cannot be fetched from elsewhere does not count."""
        severe = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in severe if "ERR_NAME_NOT_RESOLVED" not in message]

    def shot(self, name: str) -> None:
        """A screenshot into the folder SCREENSHOTS, when that is set."""
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))
