"""A customer who comes back: a new session, an empty window, and the last session's summary."""

from dataclasses import replace

from domain.sessions import EXPIRED_S, Life
from engine.sessions import SessionDesk, SessionLine
from storage.sessions import Wanted
from tests.engine.processes import Clock, Process, a_message, running_process

INSTALL, WARRANTY, PRICE = "充电桩怎么安装", "那质保多久", "那多少钱"


async def said(process: Process, text: str, clock: Clock) -> None:
    message = replace(a_message("", whole=text, route="push"), received_at=clock())
    await process.engine.receive(message)
    await process.quiet()


async def sessions(process: Process, clock: Clock) -> list[SessionLine]:
    desk = SessionDesk(process.engine.database, clock=clock)
    return (await desk.listed(Wanted())).items


async def test_who_comes_back_after_half_an_hour_begins_anew_and_is_still_known(
    database_url: str,
) -> None:
    clock = Clock()
    async with running_process(database_url, clock=clock) as process:
        await said(process, INSTALL, clock)
        await said(process, WARRANTY, clock)
        assert process.knowledge.contexts[-1] == [INSTALL]
        (one,) = await sessions(process, clock)
        assert (one.life, one.turn_count) == (Life.ACTIVE, 2)

        clock.ahead += EXPIRED_S + 60
        (one,) = await sessions(process, clock)
        assert one.life == Life.EXPIRED
        await said(process, PRICE, clock)
        assert process.knowledge.contexts[-1] == []
        last, first = await sessions(process, clock)
        assert (first.life, last.life, last.turn_count) == (Life.EXPIRED, Life.ACTIVE, 1)

        desk = SessionDesk(process.engine.database, clock=clock)
        state = (await desk.get(last.id)).state
        assert state is not None
        assert INSTALL in state.before
        assert INSTALL not in state.summary
        assert any("充电桩" in one.value for one in state.known)
        assert (await desk.get(first.id)).state is None
        told = [one.content for one in (await desk.get(first.id)).messages]
        assert told[0] == INSTALL
        assert PRICE not in told


async def test_a_session_lives_on_while_the_pauses_are_short(database_url: str) -> None:
    clock = Clock()
    lives = []
    async with running_process(database_url, clock=clock) as process:
        for pause in (0.0, 400.0, 1_000.0, 1_700.0):
            clock.ahead += pause
            lives += [one.life for one in await sessions(process, clock)]
            await said(process, INSTALL, clock)
        (one,) = await sessions(process, clock)
    assert lives == [Life.IDLE, Life.DORMANT, Life.DORMANT]
    assert one.turn_count == 4
