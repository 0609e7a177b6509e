"""A tool called from outside reaches the customer, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, running_service
from tests.api.tools.callers import AGENT, SECRET, bearer
from tests.sandbox_server import SandboxServer

WEBHOOK_SECRET = "the webhook's secret"


@pytest.fixture
def connected(tmp_path: Path, sandbox_server: SandboxServer) -> Iterator[Service]:
    """A service whose webhook channel is the sandbox."""
    with running_service(
        tmp_path,
        secret_key=SECRET,
        webhook_url=sandbox_server.webhook_url,
        webhook_secret=WEBHOOK_SECRET,
    ) as running:
        sandbox_server.set_target(running.url)
        sandbox_server.set_webhook_secret(WEBHOOK_SECRET)
        yield running


def test_a_message_sent_again_and_again_under_one_key_arrives_once(
    connected: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.say("ming", "你好", wait=20)
    before = len(sandbox_server.chat("ming", at_least=1, wait=10))
    agent = bearer(AGENT)
    headers = agent | {"Idempotency-Key": "send-1"}
    sent = {"message": "您的桌布好了", "customer_id": "ming"}
    answers = [
        connected.client.post("/api/tools/send_message", json=sent, headers=headers)
        for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200] * 3, answers[0].text
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    last = {"message": "请查收", "customer_id": "ming"}
    connected.client.post("/api/tools/send_message", json=last, headers=agent)
    said = sandbox_server.chat("ming", at_least=before + 2, wait=10)
    assert [line["text"] for line in said[before:]] == ["您的桌布好了", "请查收"]
