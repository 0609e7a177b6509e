"""One browser for these tests, and a service with a key whose agents sign in.

The browser's fixture is of the package: Playwright's loop must not outlive these tests, which are
all synchronous, since other tests of the process run loops of their own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.api.desk.seats import KEY, PASSWORD, WITH_KEY, employ
from tests.api.service import Service, running_service
from tests.console.chromium import ready, running_chromium, visiting
from tests.service import sample_data

SHOTS = Path(__file__).resolve().parents[2] / "build" / "console"
"""Ignored by git; CI keeps it."""
AGENT, ADMIN, VIEWER, NARROW = "lin", "chen", "zhou", "narrow"
SignedIn = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With the sample knowledge, a key, and agents of each kind."""
    folder = tmp_path_factory.mktemp("console")
    with running_service(
        folder, knowledge=sample_data(), api_key=KEY, desk_assign=False, desk_rating=False
    ) as service:
        service.client.headers.update(WITH_KEY)
        employ(service, AGENT, name="林小雨", role="agent", skills=["refund"])
        employ(service, ADMIN, name="陈静", role="admin")
        employ(service, VIEWER, name="周明", role="viewer")
        employ(service, NARROW, name="何叶", role="agent", scopes=["nowhere:else"])
        yield service


@pytest.fixture
def signed_in(chromium: Browser, console: Service) -> Iterator[SignedIn]:
    """``signed_in("lin", phone=True)``: a page of a browser in which that agent has signed in."""
    with ExitStack() as stack:

        def enter(login: str = AGENT, **how: Any) -> Page:
            context = stack.enter_context(visiting(chromium, console.url, **how))
            page = context.new_page()
            page.goto("/desk/sign-in")
            page.fill("#login", login)
            page.fill("#password", PASSWORD)
            page.click("button.main")
            page.wait_for_url("**/desk")
            return ready(page)

        yield enter
