"""What `kefu doctor` says of several processes on one PostgreSQL."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.cli.findings import Finding, State
from domain.errors import StorageError

if TYPE_CHECKING:
    from engine.settings import Settings

PART = "processes"
PATIENCE_S = 3.0


def check_processes(settings: "Settings") -> Iterator[Finding]:
    """Nothing where one process is all there can be, or the database is away, which is said of the
    database."""
    if settings.database_dsn().startswith("sqlite"):
        return
    try:
        workers = asyncio.run(_workers(settings))
    except StorageError:
        return
    if workers is None:
        remedy = "检查是否经过事务模式的 PgBouncer;给各进程会话模式的连接池,或直连数据库"
        detail = "收不到别的进程的唤醒(LISTEN/NOTIFY),工作靠轮询发现,会慢一些"
        yield Finding(PART, State.NOTE, detail, remedy)
    elif not workers and settings.role == "api":
        detail = "KEFU_ROLE 为 api,但现在没有处理消息的进程"
        yield Finding(PART, State.NOTE, detail, "启动至少一个 kefu worker")
    else:
        yield Finding(PART, State.OK, f"唤醒正常,正在处理消息的进程 {len(workers)} 个")


async def _workers(settings: "Settings") -> list[str] | None:
    """Who answers the question of who works; None where nobody can be heard, not even we. Raises
    StorageError where there is no connection."""
    from engine.wakeups import Wakeups
    from storage.database import normalise_url
    from storage.line import Line

    hints = Wakeups(Line(normalise_url(settings.database_dsn())), owner="doctor", works=False)
    heard = asyncio.Event()
    hints.on_answered = lambda _key: heard.set()
    hints.on_connected = lambda: hints.answered(("doctor", "doctor", "doctor"))
    hints.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
            await asyncio.sleep(PATIENCE_S / 6)  # they answer at once
        return hints.workers()
    except TimeoutError:
        if not hints.connected:
            raise StorageError("the database is away") from None
        return None
    finally:
        await hints.stop()
