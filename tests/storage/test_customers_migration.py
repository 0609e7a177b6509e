"""Customers who were there before they were counted."""

import json
import time
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import storage.customer_tables  # noqa: F401  registers its tables with Row.metadata
from storage.database import Database
from storage.history import rows
from storage.tables import Row
from tests.storage.test_desk import upgrade

OURS = (
    "customers",
    "customer_days",
    "customer_verdicts",
    "deals",
    "customer_merges",
    "customer_erasures",
)


async def test_the_tables_are_those_of_the_migrations(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, Row.metadata)
        return [one for one in found if any(f"'{name}'" in repr(one) for name in OURS)]

    assert await database.read(differences) == []


def test_what_was_said_rated_and_bought_before_is_counted_once(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    upgrade(database, "0010")
    now = time.time()
    with database.engine.begin() as connection:
        _fill(connection, now)
    upgrade(database, "0011")
    with database.engine.begin() as connection:
        found = rows(
            connection,
            "SELECT recent_messages, positive, judged, rated, rating_sum, deals, paid, tags, due_at"
            " FROM customers",
        )
        counted = rows(connection, "SELECT name, value FROM counters WHERE name LIKE 'deals%'")
    database.close()
    # Of four messages one is old and one an event; of two deals one order has no price.
    assert found == [
        {
            "recent_messages": 2,
            "positive": 1,
            "judged": 2,
            "rated": 1,
            "rating_sum": 5,
            "deals": 2,
            "paid": 2_800,
            "tags": json.dumps(["老客户", "装修"], ensure_ascii=False),
            "due_at": 0.0,
        }
    ]
    assert {row["name"]: row["value"] for row in counted} == {"deals": 1, "deals_amount": 2_800}


def _fill(connection: Connection, now: float) -> None:
    add = text(
        "INSERT INTO messages (contact_id, content, role, received_at, channel, account,"
        " channel_message_id, conversation_id, kind, event, sent_ts, received_ts, route, status)"
        " VALUES ('web:a:u', 'x', 'user', '', 'web', 'a', :id, 'c', :kind, '', 0, :at, 'poll',"
        " 'handled')"
    )
    for number, (kind, at) in enumerate(
        [("text", now), ("image", now), ("text", now - 40 * 86_400), ("event", now)]
    ):
        connection.execute(add, {"id": str(number), "kind": kind, "at": at})
    connection.execute(
        text(
            "INSERT INTO customers (contact_id, name, level, score, state, total_messages,"
            " last_active_at, remark) VALUES ('web:a:u', '', 'gray', 60, 'new', 4, '', '')"
        )
    )
    for rating, outcome in ((5, "unsolved"), (None, "unsolved"), (None, "")):
        connection.execute(
            text(
                "INSERT INTO handoffs (conversation_id, contact_id, turn_id, reason, priority,"
                " target, question, status, created_at, updated_at, rating, outcome)"
                " VALUES ('c', 'web:a:u', '', '', 'normal', 'desk', '', 'closed', '', '',"
                " :rating, :outcome)"
            ),
            {"rating": rating, "outcome": outcome},
        )
    for number, (status, quote) in enumerate(
        [("accepted", '{"total": 2800}'), ("delivered", None), ("quoted", '{"total": 999}')]
    ):
        connection.execute(
            text(
                "INSERT INTO image_tasks (key, contact_id, conversation_id, title, requirement,"
                " images, pictures, tried, deliverables, workflow, service, priority, version,"
                " attempts, lease_until, status, quote, created_at, updated_at)"
                " VALUES (:key, 'web:a:u', 'c', '', '', '[]', '[]', '[]', '[]', 'design', '',"
                " 'normal', 1, 0, 0, :status, :quote, '', '')"
            ),
            {"key": str(number), "status": status, "quote": quote},
        )
    for tag in ("装修", "老客户"):
        connection.execute(
            text("INSERT INTO customer_tags VALUES ('web:a:u', :tag, 'desk', '')"), {"tag": tag}
        )
