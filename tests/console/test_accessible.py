"""Every page without a grave finding of axe, in light and dark, on a phone and in English; each is
photographed for whoever wants to see it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.api.service import Service
from tests.console.chromium import grave_findings, ready, visiting
from tests.console.conftest import ADMIN, SHOTS
from tests.console.filled import Filled, filled

SignedIn = Callable[..., Page]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"phone": True},
    "english": {"language": "en-GB"},
}


MAIN = ("queue", "conversation", "order", "knowledge-tried")
"""Looked at by axe in each look; the others in light and dark, which differ in contrast."""


@pytest.fixture(scope="module")
def stage(console: Service) -> Filled:
    return filled(console)


def pages_of(stage: Filled) -> dict[str, str]:
    talk = f"/desk/conversations/{stage.conversation}"
    return {
        "queue": "/desk",
        "queue-all": "/desk?view=all",
        "queue-nothing": "/desk?q=zzzzzz",
        "conversation": talk,
        "conversation-closed": f"/desk/conversations/{stage.bot_conversation}",
        "turn": f"/desk/turns/{stage.turn}",
        "orders": "/desk/orders?group=all",
        "order": f"/desk/orders/{stage.order}",
        "approvals": "/desk/approvals",
        "tasks": "/desk/tasks",
        "task": f"/desk/tasks/one?id={stage.task}",
        "deliveries": "/desk/deliveries",
        "parked": "/desk/deliveries?state=parked",
        "knowledge": "/desk/knowledge",
        "knowledge-tried": "/desk/knowledge?q=充电桩怎么安装",
        "imports": "/desk/knowledge/imports",
        "suggestions": "/desk/knowledge/suggestions",
        "unknown": "/desk/knowledge/unknown",
        "reviews": "/desk/reviews",
        "tests": "/desk/reviews/tests",
        "search": "/desk/search?q=充电桩",
        "search-nothing": "/desk/search?q=zzzzzz",
        "canned": "/desk/canned",
        "campaigns": "/desk/campaigns",
        "clients": "/desk/clients",
        "customers": "/desk/customers",
        "customer": "/desk/customers/1",
        "overview": "/desk/overview?days=14",
        "rules": "/desk/rules",
        "agents": "/desk/agents",
        "missing": "/desk/no-such-page",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_grave_finding_or_is_wider_than_its_window(
    look: str, stage: Filled, signed_in: SignedIn
) -> None:
    page = signed_in(ADMIN, **LOOKS[look])
    SHOTS.mkdir(parents=True, exist_ok=True)
    findings: dict[str, Any] = {}
    for name, path in pages_of(stage).items():
        page.goto(path)
        ready(page)
        page.screenshot(path=SHOTS / f"{name}-{look}.png")
        looked_at = look in ("light", "dark") or name in MAIN
        found = grave_findings(page) if looked_at else []
        if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
            found.append("wider than the window")
        if found:
            findings[name] = found
    assert not findings


def test_neither_the_form_to_sign_in_nor_the_help_has_a_grave_finding(
    chromium: Browser, console: Service, signed_in: SignedIn
) -> None:
    for look, how in LOOKS.items():
        with visiting(chromium, console.url, **how) as context:
            page = context.new_page()
            page.goto("/desk/sign-in")
            page.screenshot(path=SHOTS / f"sign-in-{look}.png")
            assert grave_findings(page) == []
    page = signed_in(ADMIN)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.screenshot(path=SHOTS / "help-light.png")
    assert grave_findings(page) == []
