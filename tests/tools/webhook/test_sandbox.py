"""Our channel and the sandbox's understand each other."""

from dataclasses import replace

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tests.tools.webhook.test_client import MESSAGE, SECRET
from tools.webhook.client import WebhookClient


async def test_a_signed_answer_is_shown_to_the_customer_once(sandbox_server: SandboxServer) -> None:
    sandbox_server.set_webhook_secret(SECRET)
    async with httpx.AsyncClient() as http:
        client = WebhookClient(sandbox_server.webhook_url, SECRET, http)
        await client.deliver(MESSAGE)
        await client.deliver(MESSAGE)
        stranger = WebhookClient(sandbox_server.webhook_url, "another", http)
        with pytest.raises(PeerRejected) as caught:
            await stranger.deliver(replace(MESSAGE, message_id="forged"))
    sandbox_server.set_webhook_secret(None)
    (shown,) = sandbox_server.chat(MESSAGE.chat_id)
    assert (shown["message_id"], shown["text"]) == (MESSAGE.message_id, MESSAGE.text)
    assert caught.value.status == 401


async def test_a_sandbox_without_a_secret_takes_unsigned_answers(
    sandbox_server: SandboxServer,
) -> None:
    async with httpx.AsyncClient() as http:
        await WebhookClient(sandbox_server.webhook_url, None, http).deliver(MESSAGE)
    assert len(sandbox_server.chat(MESSAGE.chat_id)) == 1


@pytest.mark.parametrize("fault", ["refuse", "lost_answer"])
async def test_after_a_failure_the_next_attempt_shows_the_message_once(
    sandbox_server: SandboxServer, fault: str
) -> None:
    sandbox_server.fault("webhook", fault, count=1)
    async with httpx.AsyncClient() as http:
        client = WebhookClient(sandbox_server.webhook_url, None, http)
        with pytest.raises(PeerUnavailable):
            await client.deliver(MESSAGE)
        await client.deliver(MESSAGE)
    assert len(sandbox_server.chat(MESSAGE.chat_id)) == 1
