"""One process of a deployment, told what to do in plain values, so that it may be this process or
another one."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from domain.desk import Agent, Mode, Presence
from domain.desk_hours import Hours, parse_holidays, parse_hours
from domain.errors import InvalidInput
from domain.messages import Attachment, MessageKind
from engine.desk.desk import Desk, DeskPolicy
from engine.desk.watch import DeskWatch
from engine.desk_turns import TurnDesk
from storage.tasks import TaskBook
from tests.engine.processes import (
    QUICK,
    ZONE,
    Hold,
    Peers,
    Process,
    a_message,
    running_process,
    sandbox_channels,
)

Values = dict[str, Any]


class Post(Protocol):
    async def do(self, what: str, **values: Any) -> Values:
        """What came of it; ``refused``: why nothing did."""


def policy_of(settings: Values) -> DeskPolicy:
    """Of a situation: ``hours``, ``holidays`` and numbers as DeskPolicy has them."""
    settings = dict(settings)
    closed, worked = parse_holidays(settings.pop("holidays", []))
    hours = Hours(parse_hours(settings.pop("hours", "")), closed, worked)
    made = DeskPolicy(channels=frozenset({"webhook"}), zone=ZONE, hours=hours, assigns=False)
    return replace(made, **settings)


@dataclass
class StandingClock:
    now: float

    def __call__(self) -> float:
        return self.now


class LocalPost:
    """The engine and the desk's service over one database."""

    def __init__(self, process: Process, desk: Desk, watch: DeskWatch, clock: StandingClock):
        self.process, self.desk, self.watch, self._clock = process, desk, watch, clock
        self._holds: dict[str, Hold] = {}
        self._acts: dict[str, Callable[..., Any]] = {
            "receive": self._receive,
            "hold": self._hold,
            "reached": self._reached,
            "let_go": self._let_go,
            "watch": self._watch,
            "presence": self._presence,
            "heartbeat": self._heartbeat,
            "draft": self._draft,
            "mode": self._mode,
            "say": self._say,
        }

    async def do(self, what: str, **values: Any) -> Values:
        self._clock.now = values.pop("now")
        try:
            if what in self._acts:
                return await self._acts[what](**values) or {}
            await getattr(self.desk, what)(await self._who(values.pop("agent")), **values)
        except InvalidInput as error:
            return {"refused": error.reason}
        return {}

    async def _who(self, agent: str) -> Agent:
        found = await self.desk.agent(agent)
        assert found is not None, agent
        return found

    async def _receive(
        self, chat: str, text: str, message_id: str, picture: str = "", wait: bool = False
    ) -> Values | None:
        message = a_message("", whole=text, chat=chat, route="push", message_id=message_id)
        if picture:
            attachments = (Attachment("image", picture),)
            message = replace(message, kind=MessageKind.IMAGE, attachments=attachments)
        if wait:
            answer = await self.process.engine.ask(message)
            return {"answer": answer["content"], "action": answer["action"]}
        await self.process.engine.receive(message)
        return None

    async def _hold(self, marker: str) -> None:
        self._holds[marker] = self.process.knowledge.hold(marker)

    async def _reached(self, marker: str) -> None:
        await self._holds[marker].reached.wait()

    async def _let_go(self, marker: str) -> None:
        self._holds[marker].let_go.set()

    async def _watch(self) -> None:
        await self.watch.sweep()

    async def _presence(self, agent: str, status: str) -> None:
        await self.desk.presence(await self._who(agent), Presence(status))

    async def _heartbeat(self, agent: str) -> None:
        await self.desk.heartbeat(await self._who(agent))

    async def _mode(self, agent: str, conversation: str, mode: str) -> None:
        await self.desk.set_mode(await self._who(agent), conversation, Mode(mode))

    async def _draft(self, agent: str, draft: int, verdict: Any, text: str = "") -> None:
        await self.desk.decide_draft(await self._who(agent), draft, verdict, text)

    async def _say(self, agent: str, conversation: str, text: str, message_id: str) -> None:
        await self.desk.say(await self._who(agent), conversation, text, message_id=message_id)


@contextlib.asynccontextmanager
async def local_post(
    url: str, sandbox: Peers, policy: DeskPolicy, *, owner: str, now: float
) -> AsyncIterator[LocalPost]:
    clock = StandingClock(now)
    made: list[Desk] = []

    async def standing(conversation: str) -> Any:
        return await made[0].standing(conversation)

    async with (
        sandbox_channels(sandbox) as channels,
        running_process(
            url,
            channels=channels,
            policy=QUICK,
            clock=clock,
            owner=owner,
            desk=lambda database: TurnDesk(database, standing, policy.max_waiting, ZONE),
        ) as process,
    ):

        def wake(queues: Any) -> None:
            for queue in queues:
                process.deliverer.wake(queue)

        book = TaskBook(ZONE, callbacks=False)
        desk = Desk(
            process.database,
            process.templates,
            policy,
            book=book,
            on_queues=wake,
            on_conversations=process.engine.look,
            clock=clock,
        )
        made.append(desk)
        watch = DeskWatch(desk, owner=owner, alone=False)
        yield LocalPost(process, desk, watch, clock)
