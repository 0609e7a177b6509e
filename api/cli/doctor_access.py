"""What `kefu doctor` says of access: what signs tokens, and which clients there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.findings import Finding, State

if TYPE_CHECKING:
    from engine.settings import Settings

PART = "access"
ENOUGH = 32
_REMEDY = "设置 SECRET_KEY(openssl rand -hex 32),所有进程用同一个"


def check_access(settings: "Settings") -> Iterator[Finding]:
    """Nothing is migrated or written."""
    yield _secret(settings)
    counted = _clients(settings)
    if counted is not None:
        able, every = counted
        yield Finding(PART, State.OK, f"{every} 个客户端,{able} 个可以登录")


def _secret(settings: "Settings") -> Finding:
    from engine.clients.secret import FILE, signing_secret
    from engine.settings import is_loopback

    given = settings.secret_key
    if given is not None:
        size = len(given.get_secret_value().encode())
        if size < ENOUGH:
            return Finding(PART, State.FAULT, f"SECRET_KEY 只有 {size} 字节,令牌不可用", _REMEDY)
        return Finding(PART, State.OK, "令牌用 SECRET_KEY 签名")
    if settings.database_dsn().startswith("sqlite") and is_loopback(settings.host):
        made = signing_secret(settings, make=False) is not None
        detail = f"令牌用数据目录中的 {FILE} 签名" if made else f"首次启动时生成 {FILE}"
        return Finding(PART, State.OK, detail)
    return Finding(PART, State.NOTE, "没有 SECRET_KEY:客户端不能登录,不接受令牌", _REMEDY)


def _clients(settings: "Settings") -> tuple[int, int] | None:
    """Enabled and all; None where there is no database of this version: other findings say so."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from storage.database import Database
    from storage.migrate import HEAD, current_revision

    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///") and not Path(dsn.removeprefix("sqlite:///")).exists():
        return None
    database = Database(dsn)
    counting = text("SELECT count(CASE WHEN enabled THEN 1 END), count(*) FROM clients")
    try:
        with database.engine.connect() as connection:
            if current_revision(connection) != HEAD:
                return None
            able, every = connection.execute(counting).one()
            return able, every
    except SQLAlchemyError:
        return None
    finally:
        database.close()
