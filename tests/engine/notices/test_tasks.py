"""A task that notifies staff, where several places are told."""

from domain.errors import PeerUnavailable
from engine.notices import STAFF, NoticeChannel, NoticeFan
from storage.database import Database
from storage.effects import notice_channel
from tests.engine.notices.bench import Place
from tests.engine.processes import Tasks, running_process, sandbox_channels
from tests.engine.tasks.orders import becomes, receive
from tests.engine.tasks.test_actions import fire
from tests.sandbox_server import SandboxServer
from tools.notify.targets import parse_targets


async def test_a_task_is_done_when_its_notice_is_on_its_way_to_every_place(
    database_url: str, database: Database, sandbox_server: SandboxServer
) -> None:
    """So that a place that is away neither fails the task nor has it told everybody again."""
    away, read = Place(always=PeerUnavailable("feishu", "away")), Place()
    async with sandbox_channels(sandbox_server) as channels:
        channels[STAFF] = NoticeFan(parse_targets("feishu,mail:a@b.example"))
        for kind, name, place in (("feishu", "feishu", away), ("mail", "mail:a@b.example", read)):
            (target,) = parse_targets(name)
            channels[notice_channel(kind)] = NoticeChannel(
                target.kind, {name: place}, database, rates={"": ()}
            )
        async with running_process(database_url, channels=channels, tasks=Tasks()) as process:
            action = {"type": "notify_staff", "message": "到点了"}
            task = await receive(process, action=action)
            await fire(process)
            await becomes(process, task, "completed")

            async def told() -> bool:
                rows = await process.rows(
                    "SELECT account, task_id FROM outbox WHERE kind = 'notice' AND account > ''"
                    " AND status = 'pending'"
                )
                return rows == [{"account": "feishu", "task_id": None}]

            await process.until(told)
    assert away.calls > 0
    assert len(read.read) == 1
