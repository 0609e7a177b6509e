"""One token for all callers and processes; nobody asks for another without need."""

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from engine.tokens import SharedTokens, TokenTiming, shared_tickets, wechat_tokens, wecom_tokens
from storage import tokens as rows
from storage.database import Database
from tests.engine.processes import Clock
from tests.engine.token_sender import CORP, SENDS, send, sender
from tests.tools.wx.platform import SECRET, Platform, running_platform
from tools.wechat.errors import WECHAT_ERRORS
from tools.wx.api import WxApi
from tools.wx.errors import WxRejected, WxUnavailable

ROOT = Path(__file__).resolve().parents[2]
CALL = "/kf/send_msg"
EARLY, LATE = 7_000.0, 7_300.0
"""Ahead by these, a token is about to expire, and has expired."""


class ReadClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return super().__call__()


@dataclass
class Party:
    """What one process has."""

    tokens: SharedTokens
    api: WxApi
    clock: ReadClock


@dataclass
class Scene:
    database: Database
    platform: Platform
    http: httpx.AsyncClient
    parties: list[Party]

    def party(self, secret: str = SECRET, timing: TokenTiming | None = None) -> Party:
        clock = ReadClock()
        tokens = wecom_tokens(
            self.database, self.http, self.platform.url, CORP, secret, timing=timing, clock=clock
        )
        self.parties.append(Party(tokens, sender(self.http, self.platform.url, tokens), clock))
        return self.parties[-1]

    async def row(self, party: Party) -> rows.TokenRow:
        return await self.database.read(lambda c: rows.find(c, party.tokens.key))


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with running_platform() as platform, httpx.AsyncClient() as http:
        scene = Scene(database, platform, http, [])
        yield scene
        for party in scene.parties:
            await party.tokens.stop()


async def behind_the_callers() -> None:
    """What goes on while they have what they wanted has ended."""
    flights = [task for task in asyncio.all_tasks() if task.get_name().startswith("token ")]
    await asyncio.gather(*flights)


async def until_stored(scene: Scene, party: Party, generation: int) -> None:
    """By another process."""
    async with asyncio.timeout(60):
        while (await scene.row(party)).generation < generation:  # noqa: ASYNC110
            await asyncio.sleep(0)


# Callers of one process --------------------------------------------------------------------


async def test_two_hundred_sends_without_a_token_fetch_one(scene: Scene) -> None:
    party = scene.party()
    assert len(await send(party.api, 200)) == 200
    assert scene.platform.fetches == 1
    assert scene.platform.refusals.total() == 0


async def test_two_hundred_sends_with_an_expiring_token_refresh_it_once_and_wait_for_nothing(
    scene: Scene,
) -> None:
    party, scene.platform.kills = scene.party(), False
    await send(party.api, 1)
    party.clock.ahead = EARLY
    scene.platform.unhanded.clear()
    assert len(await send(party.api, 200)) == 200
    scene.platform.unhanded.set()
    await behind_the_callers()
    assert len(await send(party.api, 200)) == 200
    assert scene.platform.fetches == 2
    assert scene.platform.refusals.total() == 0


async def test_two_hundred_sends_with_an_expired_token_refresh_it_once(scene: Scene) -> None:
    party = scene.party()
    await send(party.api, 1)
    party.clock.ahead = LATE
    assert len(await send(party.api, 200)) == 200
    assert scene.platform.fetches == 2
    assert scene.platform.refusals.total() == 0


@pytest.mark.parametrize("code", [40014, 42001])
async def test_two_hundred_sends_with_a_token_that_was_taken_back_refresh_it_once(
    scene: Scene, code: int
) -> None:
    party, scene.platform.bad_code = scene.party(), code
    await send(party.api, 1)
    scene.platform.take_back()
    assert len(await send(party.api, 200)) == 200
    assert scene.platform.fetches == 2


async def test_a_caller_that_gives_up_does_not_stop_the_fetch_for_the_others(scene: Scene) -> None:
    party = scene.party()
    scene.platform.unhanded.clear()
    first = asyncio.create_task(party.tokens.token())
    await scene.platform.asked.wait()
    second = asyncio.create_task(party.tokens.token())
    await asyncio.sleep(0)
    first.cancel()
    scene.platform.unhanded.set()
    assert await second == "token-1"
    assert scene.platform.fetches == 1


async def test_a_token_in_memory_costs_no_look_at_the_database(scene: Scene) -> None:
    party = scene.party()
    await send(party.api, 1)
    await scene.database.write(lambda c: c.exec_driver_sql("DELETE FROM platform_tokens") and None)
    assert len(await send(party.api, 10)) == 10
    assert scene.platform.fetches == 1


# Processes ---------------------------------------------------------------------------------


async def test_another_process_takes_the_token_that_is_stored(scene: Scene) -> None:
    one, other = scene.party(), scene.party()
    assert await one.tokens.token() == await other.tokens.token()
    assert scene.platform.fetches == 1


async def test_a_refused_token_is_replaced_by_the_one_that_another_process_has_got(
    scene: Scene,
) -> None:
    one, other = scene.party(), scene.party()
    await send(one.api, 1)
    await send(other.api, 1)
    scene.platform.take_back()
    await send(one.api, 1)
    assert len(await send(other.api, 200)) == 200
    assert scene.platform.fetches == 2


async def test_two_who_find_their_token_refused_at_once_fetch_one(scene: Scene) -> None:
    parties = [scene.party(), scene.party()]
    for party in parties:
        await send(party.api, 1)
    scene.platform.take_back()
    await asyncio.gather(*(send(party.api, 100) for party in parties))
    assert scene.platform.fetches == 2


@asynccontextmanager
async def sending_process(database_url: str, url: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.token_sender", database_url, url),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def told(process: Process, ahead: float) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{ahead}\n".encode())
    await process.stdin.drain()


async def taken(process: Process) -> int:
    assert process.stdout is not None
    return int(await asyncio.wait_for(process.stdout.readline(), 60))


async def test_two_processes_have_no_war_though_each_token_ends_the_one_before(
    scene: Scene, database_url: str
) -> None:
    url, party = scene.platform.url, scene.party()
    async with sending_process(database_url, url) as one, sending_process(database_url, url) as two:

        async def round_of_sends(ahead: float) -> None:
            for process in (one, two):
                await told(process, ahead)
            assert [await taken(one), await taken(two)] == [SENDS, SENDS]

        await round_of_sends(0.0)
        assert scene.platform.fetches == 1
        scene.platform.take_back()
        await round_of_sends(0.0)
        assert scene.platform.fetches == 2
        await round_of_sends(EARLY)
        await until_stored(scene, party, 3)
        await round_of_sends(EARLY)
        assert scene.platform.fetches == 3
        await round_of_sends(EARLY + LATE)
        assert scene.platform.fetches == 4


async def test_a_process_that_is_killed_while_it_fetches_stops_nobody_for_longer_than_its_lease(
    scene: Scene, database_url: str
) -> None:
    scene.platform.unhanded.clear()
    async with sending_process(database_url, scene.platform.url) as process:
        await told(process, 0.0)
        await scene.platform.asked.wait()
        process.kill()
        await process.wait()
    party = scene.party(timing=TokenTiming(poll=0.001))
    held_until = (await scene.row(party)).lease_until
    assert held_until > time.time()
    waiting = asyncio.create_task(party.tokens.token())
    scene.platform.unhanded.set()
    async with asyncio.timeout(60):
        while party.clock.reads < 30:  # noqa: ASYNC110  once a look at the row
            await asyncio.sleep(0)
    assert not waiting.done()
    assert scene.platform.fetches == 1
    party.clock.ahead = held_until - time.time() + 1
    assert await waiting == "token-2"
    assert scene.platform.fetches == 2


async def test_while_a_dead_process_holds_the_lease_the_old_token_is_used_on(
    scene: Scene,
) -> None:
    party = scene.party()
    await send(party.api, 1)
    party.clock.ahead, now, row = EARLY, time.time() + EARLY, await scene.row(party)
    await scene.database.write(
        lambda c: rows.lease(
            c, party.tokens.key, generation=row.generation, owner="dead", now=now, until=now + 15
        )
    )
    assert len(await send(party.api, 200)) == 200
    async with asyncio.timeout(60):
        await behind_the_callers()
    assert scene.platform.fetches == 1
    party.clock.ahead = EARLY + 16
    await send(party.api, 1)
    await behind_the_callers()
    assert scene.platform.fetches == 2


async def test_a_process_that_was_frozen_while_it_fetched_does_not_undo_what_came_since(
    scene: Scene,
) -> None:
    frozen, other = scene.party(), scene.party()
    scene.platform.unhanded.clear()
    waiting = asyncio.create_task(frozen.tokens.token())
    await scene.platform.asked.wait()
    other.clock.ahead = 16.0  # its lease is over
    scene.platform.asked.clear()
    newer = asyncio.create_task(other.tokens.token())
    await scene.platform.asked.wait()
    scene.platform.unhanded.set()
    assert await newer == "token-2"
    assert await waiting == "token-2"
    assert (await scene.row(other)).generation == 1


# A platform that gives none ----------------------------------------------------------------


async def test_while_no_token_is_to_be_had_the_old_one_is_used_and_the_platform_left_in_peace(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    party, scene.platform.kills = scene.party(), False
    await send(party.api, 1)
    party.clock.ahead, scene.platform.down = EARLY, True
    await send(party.api, 1)
    await behind_the_callers()
    assert "the old one is used on" in caplog.text
    assert len(await send(party.api, 200)) == 200
    await behind_the_callers()
    assert caplog.text.count("the old one is used on") == 1
    assert scene.platform.fetches == 2
    party.clock.ahead, scene.platform.down = EARLY + 4, False
    await send(party.api, 1)
    await behind_the_callers()
    assert scene.platform.fetches == 3


async def test_without_any_token_all_fail_after_one_fetch_and_later_try_again(scene: Scene) -> None:
    party, scene.platform.down = scene.party(), True
    found = await asyncio.gather(*(party.api.get(CALL) for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in found} == {PeerUnavailable}
    with pytest.raises(PeerUnavailable):
        await party.api.get(CALL)
    assert scene.platform.fetches == 1
    assert (await scene.row(party)).lease_until == 0.0
    party.clock.ahead, scene.platform.down = 4.0, False
    await send(party.api, 1)


async def test_a_failure_of_ours_does_not_keep_us_from_the_token_that_another_process_got(
    scene: Scene,
) -> None:
    one, other = scene.party(), scene.party()
    scene.platform.down = True
    with pytest.raises(PeerUnavailable):
        await one.tokens.token()
    scene.platform.down = False
    await other.tokens.token()
    assert await one.tokens.token() == "token-1"
    assert scene.platform.fetches == 2


async def test_a_wrong_secret_is_said_clearly_and_asked_for_once_a_minute(scene: Scene) -> None:
    party = scene.party("not-the-secret")
    found = await asyncio.gather(*(party.api.get(CALL) for _ in range(50)), return_exceptions=True)
    with pytest.raises(WxRejected, match="WECOM_AGENT_SECRET") as caught:
        await party.api.get(CALL)
    assert caught.value.errcode == 40001
    assert all(isinstance(one, PeerRejected) for one in found)
    assert scene.platform.calls == {"/gettoken": 1}
    party.clock.ahead = 61.0
    with pytest.raises(WxRejected):
        await party.api.get(CALL)
    assert scene.platform.calls == {"/gettoken": 2}


async def test_the_platform_may_repeat_our_secret_and_nobody_sees_it(scene: Scene) -> None:
    wrong = SECRET.removesuffix("p")  # what it repeats holds what we sent
    with pytest.raises(WxRejected) as caught:
        await scene.party(wrong).tokens.token()
    assert wrong not in str(caught.value)
    assert "***" in str(caught.value)


async def test_a_platform_that_never_answers_is_given_up_and_the_lease_with_it(
    scene: Scene,
) -> None:
    party = scene.party(timing=TokenTiming(fetch=0.05))
    scene.platform.unhanded.clear()
    with pytest.raises(PeerUnavailable, match="in time"):
        await party.tokens.token()
    assert (await scene.row(party)).lease_until == 0.0
    scene.platform.unhanded.set()


async def test_a_platform_that_hands_out_what_it_refuses_is_not_asked_in_a_loop(
    scene: Scene,
) -> None:
    party, scene.platform.same = scene.party(), True
    await send(party.api, 1)
    scene.platform.take_back()
    for _ in range(20):
        with pytest.raises(PeerUnavailable) as caught:
            await party.api.get(CALL)
        assert caught.value.retry_after == 10.0
    assert scene.platform.fetches == 2
    scene.platform.good.add("token-1")
    party.clock.ahead = 11.0
    assert len(await send(party.api, 20)) == 20
    assert scene.platform.fetches == 3


async def test_the_same_token_until_it_expires_is_fetched_a_few_times_only(scene: Scene) -> None:
    party, scene.platform.same = scene.party(), True
    await send(party.api, 1)
    for second in range(6_850, 7_200, 5):
        party.clock.ahead = float(second)
        await send(party.api, 5)
        await behind_the_callers()
    assert 2 < scene.platform.fetches < 12
    scene.platform.same, party.clock.ahead = False, LATE
    assert await party.tokens.token() == "token-2"


# What is stored ----------------------------------------------------------------------------


async def test_the_row_holds_no_token_and_no_secret_in_clear(scene: Scene) -> None:
    party = scene.party()
    token = await party.tokens.token()
    found = await scene.row(party)
    assert token not in found.token
    assert len(found.token) > 80
    assert SECRET not in party.tokens.key
    assert party.tokens.key.startswith(f"wecom:{CORP}:")
    assert found.expires_ts - found.fetched_ts == 7_200


async def test_another_secret_is_another_row(scene: Scene) -> None:
    assert scene.party().tokens.key != scene.party("other").tokens.key
    assert scene.party().tokens.key == scene.party().tokens.key


async def test_a_row_that_cannot_be_read_is_replaced(scene: Scene) -> None:
    await scene.party().tokens.token()
    party, found = scene.party(), "gAAAAABspoilt"
    await scene.database.write(
        lambda c: c.exec_driver_sql(f"UPDATE platform_tokens SET token = '{found}'") and None
    )
    assert await party.tokens.token() == "token-2"
    assert await scene.party().tokens.token() == "token-2"


# WeChat, tickets ---------------------------------------------------------------------------


async def test_an_official_account_forces_another_token_only_where_it_gets_the_refused_one(
    scene: Scene,
) -> None:
    platform = scene.platform
    platform.same, platform.bad_code = True, 40001
    tokens = wechat_tokens(scene.database, scene.http, platform.url, "wx12", SECRET)
    api = WxApi(scene.http, platform.url, tokens, peer="wechat", errors=WECHAT_ERRORS)
    assert len(await send(api, 50)) == 50
    assert platform.forced == [False]
    platform.take_back()
    assert len(await send(api, 50)) == 50
    assert platform.forced == [False, False, True]


async def test_a_wrong_app_secret_is_no_reason_for_another_token(scene: Scene) -> None:
    tokens = wechat_tokens(scene.database, scene.http, scene.platform.url, "wx12", "wrong")
    api = WxApi(scene.http, scene.platform.url, tokens, peer="wechat", errors=WECHAT_ERRORS)
    for _ in range(5):
        with pytest.raises(WxRejected, match="APPSECRET"):
            await api.get("/cgi-bin/message/custom/send")
    assert scene.platform.forced == [False]


async def test_tickets_are_shared_in_the_same_way(scene: Scene) -> None:
    def tickets(party: Party) -> SharedTokens:
        return shared_tickets(
            scene.database,
            party.api,
            "/ticket/get",
            peer="wecom",
            account=CORP,
            secret=SECRET,
            type="jsapi",
        )

    one, other = (tickets(scene.party()) for _ in range(2))
    found = await asyncio.gather(*(shared.token() for shared in (one, other) * 50))
    assert set(found) == {"ticket-1"}
    assert scene.platform.calls["/ticket/get"] == 1
    assert scene.platform.fetches == 1
    assert one.key != scene.parties[0].tokens.key


async def test_what_is_refused_with_a_new_token_too_is_kept_for_later(scene: Scene) -> None:
    party, scene.platform.deaf = scene.party(), True
    with pytest.raises(WxUnavailable) as caught:
        await party.api.get(CALL)
    assert caught.value.errcode == 40014
    assert caught.value.retry_after == 5.0
    assert scene.platform.fetches == 2
