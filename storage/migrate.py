"""Schema migrations, run at start. Alembic is imported only when there is something to do."""

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

log = logging.getLogger(__name__)
HEAD = "0016"
_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_106_338  # any constant: two processes starting at once must not both migrate


def current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else None


def migrate(engine: Engine) -> bool:
    """Bring the schema to HEAD; returns whether anything was done."""
    with engine.connect() as connection:
        if current_revision(connection) == HEAD:
            return False
    import alembic.command  # noqa: F401 - it takes long: not within the transaction

    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # On a busy machine more than the usual seconds may pass between two steps.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if current_revision(connection) == HEAD:
            return False
        upgrade_to(connection, "head")
    log.info("database schema is at revision %s", HEAD)
    return True


def upgrade_to(connection: Connection, revision: str) -> None:
    """In the transaction that ``connection`` is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
