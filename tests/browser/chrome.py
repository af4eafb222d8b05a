"""A headless Chromium that talks to nothing but this machine, and the page in it."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--proxy-server=direct://",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# Windows: of a desk, of a phone.
WIDE_PX, NARROW_PX = (1280, 900), (390, 800)
TABS = ("photos", "train", "create", "one_photo", "invent", "results", "rank", "jobs")


def missing() -> str:
    """Why there is no browser to test with; empty when there is one."""
    if not any(shutil.which(name) for name in BROWSERS):
        return f"none of {', '.join(BROWSERS)} is installed"
    return "" if shutil.which("chromedriver") else "chromedriver is not installed"


@contextmanager
def chrome(profile: Path, language: str, size_px: tuple[int, int]) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile in the folder `profile`."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(path for name in BROWSERS if (path := shutil.which(name)))
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--lang={language}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        resize(driver, size_px)
        yield driver
    finally:
        driver.quit()


def resize(driver: webdriver.Chrome, size_px: tuple[int, int]) -> None:
    size = {"width": size_px[0], "height": size_px[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


class Page:
    """The tab "Personal Avatar". Parts are named by their element ids, without the prefix."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self._url = driver, url

    def open(self, query: str = "") -> None:
        self.driver.get(self._url + query)
        self.wait(lambda: self.text("header"))

    # -- looking

    def part(self, name: str, inner: str = "") -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, f"#personal_avatar_{name} {inner}".strip())

    def parts(self, name: str, inner: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, f"#personal_avatar_{name} {inner}")

    def text(self, name: str) -> str:
        return " ".join(self.part(name).text.split())

    def wait(self, seen: Callable[[], T], timeout_s: float = 30.0) -> T:
        """The first answer of `seen` that counts as true; fails when none comes in time."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                found = seen()
            except (WebDriverException, StaleElementReferenceException, LookupError):
                found = None
            if found:
                return found
            assert time.monotonic() < end, f"not seen within {timeout_s} s: {self.text('root')}"
            time.sleep(0.2)

    def fits(self, name: str, size_px: tuple[int, int]) -> bool:
        """Whether nothing reaches beyond a window of that size sideways, with a `picture` of that name."""
        resize(self.driver, size_px)
        self.picture(f"{name}-{size_px[0]}")
        return bool(self.driver.execute_script("return document.documentElement.scrollWidth") <= size_px[0])

    def picture(self, name: str) -> None:
        """The whole page as a picture in the folder SCREENSHOTS, when that is set."""
        if folder := os.environ.get("SCREENSHOTS"):
            found = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """What the browser's console holds against the page."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    # -- acting

    def offline(self, away: bool) -> None:
        """Cut the browser off, or connect it again; either way the page looks at once."""
        self.network(away=away)
        self.driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")

    def network(self, *, away: bool = False, latency_ms: int = 0) -> None:
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": away, "latency": latency_ms, "downloadThroughput": -1, "uploadThroughput": -1},
        )

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def tabs(self) -> list[WebElement]:
        return self.parts("panels", "> .tab-nav > button")

    def go(self, name: str) -> None:
        places = [part.get_attribute("id") for part in self.parts("panels", "> .tabitem")]
        self.tabs()[places.index(f"personal_avatar_panel_{name}")].click()

    def click(self, name: str, inner: str = "") -> None:
        found = self.part(name, inner)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def type(self, name: str, text: str, inner: str = "input, textarea") -> None:
        """Replace what stands in a text or number field, and leave it."""
        found = self.part(name).find_element(By.CSS_SELECTOR, inner)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].select()", found)
        found.send_keys(text + "\t")

    def number(self, name: str, value: int) -> None:
        self.type(name, str(value), "input[type=number]")

    def tick(self, name: str, ticked: bool) -> None:
        box = self.part(name, "input")
        if box.is_selected() != ticked:
            self.click(name, "input")

    def unfold(self, name: str) -> None:
        header = self.part(name, ".label-wrap")
        if "open" not in (header.get_attribute("class") or "").split():
            self.click(name, ".label-wrap")

    def upload(self, photos: Sequence[Path], into: str = "files") -> None:
        self.part(into, "input[type=file]").send_keys("\n".join(str(photo) for photo in photos))
