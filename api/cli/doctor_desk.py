"""What `kefu doctor` says of the human desk: whether it is open, and who could be there."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.findings import Finding, State

if TYPE_CHECKING:
    from domain.desk import Agent
    from engine.settings import Settings

PART = "desk"
ADD = "kefu agent add 账号 --role admin"


def check_desk(settings: "Settings") -> Iterator[Finding]:
    """Nothing is migrated or written."""
    yield _hours(settings)
    found = _agents(settings)
    if found is None:
        return
    able = [one for one in found if one.enabled and one.acts]
    if not able:
        yield Finding(PART, State.NOTE, "还没有坐席,转人工的会话没有人接待", ADD)
        return
    online = sum(one.status == "online" for one in able)
    yield Finding(PART, State.OK, f"{len(able)} 位坐席,{online} 位在线")
    if not any(one.rules for one in able):
        yield Finding(PART, State.NOTE, "没有管理员,坐席和快捷回复只能用命令管理", ADD)


def _hours(settings: "Settings") -> Finding:
    from domain.desk_talk import opening_words
    from engine.desk.build import desk_policy

    policy = desk_policy(settings, ())
    now = datetime.now(settings.zone())
    if not policy.online:
        detail = "SERVICE_STATUS 为 offline:现在没有人工客服"
        return Finding(PART, State.NOTE, detail, "有人值守时设为 online")
    opens = policy.hours.next_opening(now)
    if opens is None:
        detail = "DESK_HOURS 与 DESK_HOLIDAYS 一年之内没有上班时间"
        return Finding(PART, State.FAULT, detail, "改正这两项设置")
    if opens == now:
        return Finding(
            PART, State.OK, "人工客服在上班时间" if policy.hours.week else "全天有人值守"
        )
    return Finding(PART, State.OK, f"人工客服已下班,{opening_words(opens, now)} 上班")


def _agents(settings: "Settings") -> "list[Agent] | None":
    """None where there is no database of this version: other findings say so."""
    from sqlalchemy.exc import SQLAlchemyError

    from storage import agents
    from storage.database import Database
    from storage.migrate import HEAD, current_revision

    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///") and not Path(dsn.removeprefix("sqlite:///")).exists():
        return None
    database = Database(dsn)
    try:
        with database.engine.connect() as connection:
            return agents.listed(connection) if current_revision(connection) == HEAD else None
    except SQLAlchemyError:
        return None
    finally:
        database.close()
