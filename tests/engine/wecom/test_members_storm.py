"""Members write in bursts, callbacks come several times and in any order, WeCom loses answers, and
the process dies in between: each message is answered exactly once."""

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx

from engine.metrics import Metrics
from engine.wecom.callbacks import WecomCallbacks
from engine.wecom.member_channel import MemberChannel
from engine.wecom.members import Members
from tests.databases import open_database
from tests.engine.processes import Process, running_process
from tests.engine.wecom.desk import KEEN
from tests.sandbox.wecom import AES_KEY, CORP, SECRET, TOKEN, Wecom
from tests.sandbox_server import SandboxServer
from tools.wecom.app import AppClient
from tools.wecom.app_inbox import CHANNEL
from tools.wecom.errors import WECOM_ERRORS
from tools.wecom.media import MediaClient, MediaUploads
from tools.wecom.tokens import CorpTokens, DirectTokens
from tools.wx import xml
from tools.wx.api import WxApi, WxCalls
from tools.wx.crypto import CallbackKeys

AGENT = 1000002
KEYS = CallbackKeys(TOKEN, AES_KEY, CORP)
MEMBERS, EACH, COPIES = 12, 6, 3
ASKED = re.compile(r"第(\d+)问")


@contextlib.asynccontextmanager
async def serving(
    url: str, sandbox: SandboxServer, owner: str
) -> AsyncIterator[tuple[Process, WecomCallbacks]]:
    """One process with the application's callbacks; leases of a dead one are short."""
    policy = replace(KEEN, lease_s=2.0, outbox_max_attempts=200)
    async with httpx.AsyncClient(trust_env=False) as http:
        base = f"{sandbox.url}/wecom/cgi-bin"
        calls = WxCalls(http, base, peer="wecom", errors=WECOM_ERRORS)
        tokens = DirectTokens(CorpTokens(calls, CORP, SECRET))
        api = WxApi(http, base, tokens, peer="wecom", errors=WECOM_ERRORS)
        with open_database(url) as kept:
            uploads = MediaUploads(MediaClient(api))
            channel = MemberChannel(AppClient(api, AGENT), kept, uploads)
            async with running_process(
                url, channels={CHANNEL: channel}, policy=policy, owner=owner
            ) as process:
                callbacks = WecomCallbacks(KEYS, process.database, Metrics())
                Members(
                    AGENT,
                    process.database,
                    process.engine.receive,
                    process.templates,
                    on_queue=process.deliverer.wake,
                ).listen(callbacks)
                yield process, callbacks


def written(member: str, number: int) -> bytes:
    return xml.build(
        {
            "ToUserName": CORP,
            "FromUserName": member,
            "CreateTime": int(time.time()),
            "MsgType": "text",
            "Content": f"{member} 第{number}问",
            "MsgId": str(7_000_000_000 + number * 1_000 + int(member[1:])),
            "AgentID": str(AGENT),
        }
    )


async def take(callbacks: WecomCallbacks, plain: bytes, nonce: int) -> None:
    at = str(int(time.time()))
    sealed = KEYS.seal(plain, timestamp=at, nonce=str(nonce))
    body = xml.build({"Encrypt": sealed.encrypt})
    signed = {"msg_signature": sealed.msg_signature, "timestamp": at, "nonce": str(nonce)}
    await callbacks.take(body, **signed)


async def test_a_storm_of_members_is_answered_exactly_once(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    wecom = Wecom(sandbox_server)
    wecom.set("callback", urls=[])
    wecom.set("app/settings", per_minute=100_000)
    for kind in ("lost_answer", "refuse"):
        sandbox_server.fault("wecom", kind, rate=0.1, request_kind="message/send")
    chance = random.Random(6)
    everything = [(f"u{one}", number) for number in range(EACH) for one in range(MEMBERS)]
    arriving = everything * COPIES
    chance.shuffle(arriving)
    half = len(arriving) // 2

    async with serving(database_url, sandbox_server, "p1") as (_, callbacks):
        await asyncio.gather(
            *(take(callbacks, written(*one), nonce) for nonce, one in enumerate(arriving[:half]))
        )
        # Ends in the middle of turns and deliveries.
    async with serving(database_url, sandbox_server, "p2") as (process, callbacks):
        await asyncio.gather(
            *(take(callbacks, written(*one), nonce) for nonce, one in enumerate(arriving[half:]))
        )
        await process.quiet()

        async def all_sent() -> bool:
            return not await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

        await process.until(all_sent, seconds=60)
        assert await process.rows("SELECT 1 FROM outbox WHERE status = 'dead'") == []
        assert await process.rows("SELECT count(*) AS n FROM messages WHERE role = 'user'") == [
            {"n": len(everything)}
        ]
    answered: Counter[tuple[str, int]] = Counter()
    for member in {member for member, _ in everything}:
        for seen in await asyncio.to_thread(wecom.chat, f"app/{AGENT}/{member}"):
            answered.update((member, int(number)) for number in ASKED.findall(seen["text"]))
    assert answered == Counter(everything)
