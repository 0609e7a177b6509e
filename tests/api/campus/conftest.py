"""A service of the campus surface's own, on each database: its queue is what the tests count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import Service, running_service, settings_for
from tests.databases import fresh_postgres_database
from tests.filling import fill_with_samples
from tests.sandbox_server import SandboxServer

WEBHOOK_SECRET = "campus-tests-secret"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def campus_service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    knowledge_folder: Path,
    shared_sandbox: SandboxServer,
) -> Iterator[Service]:
    """Three may wait; notices to staff and the webhook channel go to the sandbox."""
    folder = tmp_path_factory.mktemp("campus")
    chosen: dict[str, Any] = {
        "max_queue_length": 3,
        "staff_notice_url": f"{shared_sandbox.url}/staff/notice",
        "webhook_url": f"{shared_sandbox.url}/webhook/deliver",
        "webhook_secret": WEBHOOK_SECRET,
    }
    if request.param == "sqlite":
        with running_service(folder, knowledge=knowledge_folder, **chosen) as running:
            yield running
        return
    with fresh_postgres_database(request.getfixturevalue("postgres_url")) as url:
        fill_with_samples(settings_for(folder, database_url=url))
        with running_service(folder, database_url=url, **chosen) as running:
            yield running


@pytest.fixture
def campus(campus_service: Service) -> Service:
    """Nobody waits yet."""
    client = campus_service.client
    for status in ("open", "taken"):
        listed = client.get("/api/ops/handoffs", params={"status": status, "limit": 200})
        for row in listed.json()["items"]:
            closed = client.post(f"/api/ops/handoffs/{row['id']}", json={"status": "closed"})
            assert closed.status_code == 200
    return campus_service
