"""Debian's chromium under Playwright: pages that remember what the browser complained of."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.api.browser import _FLAGS

PATIENCE_MS = 60_000
_OWN = ("--headless", "--remote-debugging-port")
FLAGS = [flag for flag in _FLAGS if not flag.startswith(_OWN)]
DESKTOP = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 844}
_GRAVE = ("serious", "critical")


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "these tests need a browser: apt-get install --no-install-recommends chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting(
    browser: Browser,
    url: str,
    *,
    scheme: Literal["light", "dark"] = "light",
    phone: bool = False,
    language: str = "zh-CN",
) -> Iterator[BrowserContext]:
    """A visitor with storage of their own; the block fails if one of its pages had a problem."""
    context = browser.new_context(
        base_url=url,
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        is_mobile=phone,
        has_touch=phone,
        color_scheme=scheme,
        locale=language,
    )
    context.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    context.on("console", lambda message: _note(problems, message.type, message.text))
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    try:
        yield context
        assert not problems, problems
    finally:
        context.close()


def _note(problems: list[str], kind: str, text: str) -> None:
    # A refusal that the page shows is no fault of it: the browser names every status over 399.
    if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
        problems.append(f"{kind}: {text}")


def ready(page: Page) -> Page:
    """Its scripts have begun."""
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def listening(page: Page) -> Page:
    """It hears events."""
    page.wait_for_selector("main[data-listening]", state="attached")
    return page


def grave_findings(page: Page) -> list[str]:
    """What axe holds for serious or critical: rule, and where."""
    found: Any = Axe().run(page).response
    return [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']][:4]}"
        for one in found["violations"]
        if one["impact"] in _GRAVE
    ]
