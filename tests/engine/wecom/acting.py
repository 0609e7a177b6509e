"""What the tests of customer service do again and again."""

import asyncio
from typing import Any

from sqlalchemy import text

from storage import outbox
from storage.outbox import NewDelivery
from tests.engine.wecom.desk import Desk
from tests.sandbox.wecom import KF
from tests.sandbox_server import SandboxServer


def question(about: object) -> str:
    return f"充电桩{about}怎么安装"


async def put(
    desk: Desk,
    customer: str,
    texts: list[str],
    *,
    turn: str = "t1",
    at: str = "2026-01-01T00:00:00+00:00",
    **payload: Any,
) -> None:
    """What a turn's commit does: rows first, then the wake-up."""
    await put_all(desk, customer, [{"text": one, **payload} for one in texts], turn=turn, at=at)


async def put_all(
    desk: Desk,
    customer: str,
    payloads: list[dict[str, Any]],
    *,
    turn: str = "t1",
    at: str = "2026-01-01T00:00:00+00:00",
) -> None:
    rows = await desk.process.rows("SELECT id FROM conversations WHERE sender_id = :w", w=customer)
    queue = rows[0]["id"]
    new = [
        NewDelivery(
            f"{customer}-{(one['text'] or one['url'])[:40]}",
            queue,
            "message",
            "wecom_kf",
            KF,
            queue,
            turn,
            {"chat_id": customer, "to": customer, "created_at": 1.0, **one},
        )
        for one in payloads
    ]
    await desk.process.write(lambda c: outbox.add(c, new, at))
    desk.process.deliverer.wake(queue)


async def met(desk: Desk, customer: str = "wmOne") -> None:
    """The customer has been answered once: three are left, and one in reserve."""
    await desk.say(customer, question("甲"))
    await desk.answered(customer, 1)


async def due(desk: Desk, at: float | None) -> None:
    values = {"at": at}
    await desk.process.write(
        lambda c: c.execute(text("UPDATE conversations SET due_at = :at"), values).close()
    )


async def dead(desk: Desk) -> list[str]:
    rows = await desk.process.rows(
        "SELECT last_error FROM outbox WHERE status = 'dead' ORDER BY id"
    )
    return [row["last_error"] for row in rows]


async def notices(sandbox: SandboxServer, count: int) -> list[Any]:
    found = await asyncio.to_thread(lambda: sandbox.notices(at_least=count, wait=10.0))
    return list(found)
