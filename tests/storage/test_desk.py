"""The desk's tables, and what becomes of who waits when they arrive."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import storage.desk_tables  # noqa: F401  registers its tables with Row.metadata
from storage import desk_talks
from storage.database import Database
from storage.migrate import migrate
from storage.tables import Row

OURS = (
    "agents",
    "agent_sessions",
    "desk_notes",
    "canned_replies",
    "desk_drafts",
    "desk_events",
    "desk_watch",
    "handoffs",
)
SCRIPTS = Path(desk_talks.__file__).parent / "migrations"


def upgrade(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


async def test_the_tables_are_those_of_the_migrations(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, Row.metadata)
        return [one for one in found if any(f"'{name}" in repr(one) for name in OURS)]

    assert await database.read(differences) == []


def test_who_waits_when_the_desk_arrives_keeps_their_place_and_is_queued(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    upgrade(database, "0007")
    with database.engine.begin() as connection:
        for user, mode, status, target in (
            ("waits", "bot", "open", "desk"),
            ("drawn", "bot", "open", "designer"),
            ("taken", "human", "taken", "desk"),
            ("pool", "human", "open", "desk"),
            ("done", "bot", "closed", "desk"),
        ):
            connection.execute(
                text(
                    "INSERT INTO conversations (id, channel, account, chat_id, sender_id,"
                    " contact_id, customer_name, mode, session_no, session_last_ts, received,"
                    " lease_until, fence, attempts, failures, created_at, last_active_at)"
                    " VALUES (:id, 'web', 'w', :id, :id, :id, '', :mode, 0, 0, 0, 0, 0, 0, 0,"
                    " '', '')"
                ),
                {"id": user, "mode": mode},
            )
            connection.execute(
                text(
                    "INSERT INTO handoffs (conversation_id, contact_id, turn_id, reason, priority,"
                    " target, question, status, created_at, updated_at) VALUES (:id, :id, '',"
                    " 'human_request', 'normal', :target, '', :status,"
                    " '2026-11-18T04:00:00.000+00:00', '2026-11-18T04:01:00.000+00:00')"
                ),
                {"id": user, "status": status, "target": target},
            )
    migrate(database.engine)
    with database.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT c.id, c.mode, h.waiting_since_ts, h.active_ts, h.moves FROM conversations c"
                " JOIN handoffs h ON h.conversation_id = c.id ORDER BY c.id"
            )
        ).all()
    database.close()
    modes = {row[0]: row[1] for row in found}
    assert modes == {
        "waits": "queued",
        "drawn": "bot",
        "taken": "human",
        "pool": "human",
        "done": "bot",
    }
    places = {row[0]: tuple(row[2:]) for row in found}
    assert places.pop("done") == (0.0, 0.0, 0)
    began = datetime(2026, 11, 18, 4, 0, tzinfo=UTC).timestamp()
    assert set(places.values()) == {(began, began + 60.0, 0)}
