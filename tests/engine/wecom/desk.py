"""A process that serves customer service at the simulated WeCom; a test rings its bell."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import httpx

from domain.errors import KefuError
from domain.messages import InboundMessage
from engine.delivery import Channel
from engine.metrics import Metrics
from engine.policy import EnginePolicy
from engine.tokens import wecom_tokens
from engine.wecom.kf import Hooks, KfPuller
from engine.wecom.kf_channel import KfChannel
from engine.wecom.kf_hand_over import HandOvers, SessionMoves
from engine.wecom.kf_intake import KfIntake
from engine.wecom.kf_names import KfNames
from engine.wecom.kf_pictures import KfPictures
from storage.inbox import Receipt
from storage.kf import CHANNEL
from tests.databases import open_database
from tests.engine.processes import QUICK, Process, running_process, sandbox_channels
from tests.sandbox.wecom import CORP, KF, PNG, SECRET, Wecom
from tests.sandbox_server import SandboxServer
from tools.wecom.errors import WECOM_ERRORS
from tools.wecom.kf import KfClient
from tools.wecom.media import MediaClient, MediaUploads
from tools.wx.api import WxApi

KEEN = replace(QUICK, outbox_backoff_base_s=0.05, outbox_backoff_max_s=0.2, sweep_s=0.2)


class Deliverables:
    """A picture behind each address, unless a test says otherwise."""

    def __init__(self) -> None:
        self.pictures: dict[str, bytes | KefuError] = {}

    async def __call__(self, url: str) -> bytes:
        found = self.pictures.get(url, PNG)
        if isinstance(found, KefuError):
            raise found
        return found


@dataclass
class Desk:
    """One process with its puller; ``wecom`` plays the people. Hand-overs move when a test says
    `HandOvers.look`."""

    process: Process
    puller: KfPuller
    wecom: Wecom
    client: KfClient
    deliverables: Deliverables
    hand_overs: HandOvers
    names: KfNames

    async def ring(self, token: str = "", open_kfid: str = KF) -> None:
        await self.puller.heard(open_kfid, token, time.time())

    async def say(self, customer: str, text: str, /, **fields: object) -> str:
        msgid = await asyncio.to_thread(lambda: self.wecom.say(customer, text, **fields))
        await self.ring()
        return msgid

    async def seen(self, customer: str) -> list[str]:
        """What the customer's phone shows, both sides."""
        return await asyncio.to_thread(self.wecom.texts, customer)

    async def answered(self, customer: str, count: int) -> list[str]:
        """What the customer was answered, once that is ``count`` messages and all is quiet."""

        async def all_there() -> bool:
            return len(await self.answers(customer)) >= count

        await self.process.until(all_there)
        await self.quiet()
        return await self.answers(customer)

    async def answers(self, customer: str) -> list[str]:
        seen = await asyncio.to_thread(self.wecom.chat, f"kf/{KF}/{customer}")
        return [one["text"] for one in seen if one["who"] in ("service", "welcome")]

    async def pulled(self) -> None:
        async def nothing_wanted() -> bool:
            rows = await self.process.rows(
                "SELECT 1 FROM kf_accounts WHERE wanted_ts IS NOT NULL OR lease_until > 0"
            )
            return not rows

        await self.process.until(nothing_wanted)

    async def quiet(self) -> None:
        await self.pulled()
        await self.process.quiet()

        async def all_sent() -> bool:
            return not await self.process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

        await self.process.until(all_sent)

    async def refused(self, *rules: str) -> int:
        return len(await asyncio.to_thread(self.wecom.refused, *rules))


@contextlib.asynccontextmanager
async def serving(
    url: str,
    sandbox: SandboxServer,
    *,
    policy: EnginePolicy = KEEN,
    owner: str = "p1",
    lease_s: float = 30.0,
    alone: bool = False,
    clock: Callable[[], float] = time.time,
    servicers: tuple[str, ...] = (),
) -> AsyncIterator[Desk]:
    wecom = Wecom(sandbox)
    wecom.set("callback", urls=[])
    wecom.set("kf/settings", tokenless=0)
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        sandbox_channels(sandbox) as staff,
    ):
        base = f"{sandbox.url}/wecom/cgi-bin"
        with open_database(url) as kept:
            tokens = wecom_tokens(kept, http, base, CORP, SECRET)
            api = WxApi(http, base, tokens, peer="wecom", errors=WECOM_ERRORS)
            client, deliverables = KfClient(api), Deliverables()
            channel = KfChannel(
                client,
                kept,
                SessionMoves(client, kept, servicers=servicers, clock=clock),
                notices=True,
                pictures=KfPictures(client, MediaUploads(MediaClient(api)), deliverables),
                clock=clock,
            )
            channels: dict[str, Channel] = {CHANNEL: channel, "staff": staff["staff"]}
            names = KfNames(client, kept, share_s=0.0, clock=clock)
            async with running_process(
                url, channels=channels, policy=policy, owner=owner, alone=alone, clock=clock
            ) as process:

                def wake(queues: object) -> None:
                    for queue in queues:  # type: ignore[attr-defined]
                        process.deliverer.wake(queue)

                def taken(message: InboundMessage, receipt: Receipt) -> None:
                    process.engine.taken(message, receipt)
                    names.heard_of(message.sender_id)

                hand_overs = HandOvers(
                    process.database, on_queues=wake, unless_agents=True, clock=clock
                )
                puller = KfPuller(
                    client,
                    KfIntake(process.engine.intake, process.templates, notices=True),
                    process.database,
                    Metrics(),
                    Hooks(taken, wake),
                    owner=owner,
                    alone=alone,
                    lease_s=lease_s,
                    accounts=(KF,),
                    clock=clock,
                )
                await puller.start()
                names.start()
                try:
                    yield Desk(process, puller, wecom, client, deliverables, hand_overs, names)
                finally:
                    await puller.stop(grace_s=2.0)
                    await names.stop()
