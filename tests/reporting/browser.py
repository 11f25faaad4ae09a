"""Headless Chromium, driven by selenium, and what tests ask of a page in it.

Tests that import it are skipped where selenium is not installed.
"""

from __future__ import annotations

import shutil

import pytest

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed"
)
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

__all__ = [
    "By",
    "Keys",
    "Select",
    "click",
    "find",
    "in_view",
    "luminance",
    "resize",
    "start_browser",
    "visible",
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --window-size=1280,900"
)


def executables() -> tuple[str, str]:
    """Return the paths of the browser and its driver; skip where there are none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    return browser, driver


def start_browser(profile, **preferences):
    """Start a browser whose profile is a folder."""
    browser, driver = executables()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(driver))


def resize(browser, width):
    """Set the width of the screen in pixels."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def find(browser, selector):
    """Return the first element that a selector matches."""
    return browser.find_element(By.CSS_SELECTOR, selector)


def click(node):
    """Click on an element, where the page's header does not cover it."""
    node.parent.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
    node.click()


def visible(browser, selector):
    """Return the elements that a selector matches and that can be seen."""
    nodes = browser.find_elements(By.CSS_SELECTOR, selector)
    return [node for node in nodes if node.is_displayed()]


def in_view(browser, selector):
    """Return whether an element's top is on the screen, below the header."""
    return browser.execute_async_script(
        "const [selector, done] = arguments; requestAnimationFrame(() =>"
        "requestAnimationFrame(() => { const node = document.querySelector(selector);"
        "const box = node.getBoundingClientRect();"
        "done(box.height > 0 && box.top >= 0 && box.top < innerHeight); }))",
        selector,
    )


def luminance(colour):
    """Relative luminance of a colour, as WCAG 2 defines it."""
    if colour.startswith("#"):
        values = bytes.fromhex(colour[1:])
    else:
        values = [int(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    shares = [v / 255 for v in values]
    linear = [
        s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
