"""Customers: scores, tags, merges, erasures"""

import json
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DUE = sa.text("due_at IS NOT NULL")
_DAY_S = 86_400
_RECENT_DAYS = 30
_BATCH = 500


def upgrade() -> None:
    _customers()
    _days()
    _verdicts()
    _deals()
    _merges()
    _erasures()
    _fill()


def _customers() -> None:
    for column in (
        _filled("phone", sa.Text(), "''"),
        _filled("address", sa.Text(), "''"),
        _filled("tags", sa.Text(), "'[]'"),
        _filled("pinned", sa.String(), "''"),
        _filled("person_id", sa.String(), "''"),
        _filled("aliases", sa.Integer(), "0"),
        _filled("state_before", sa.String(), "''"),
        _filled("recent_messages", sa.Integer(), "0"),
        _filled("positive", sa.Integer(), "0"),
        _filled("judged", sa.Integer(), "0"),
        _filled("rated", sa.Integer(), "0"),
        _filled("rating_sum", sa.Integer(), "0"),
        _filled("paid", ROW_ID, "0"),
        _filled("deals", sa.Integer(), "0"),
        _filled("version", sa.Integer(), "1"),
        sa.Column("due_at", sa.Float(), nullable=True, server_default=sa.text("0")),
    ):
        op.add_column("customers", column)
    op.create_index("ix_customers_person_id", "customers", ["person_id"])
    op.create_index("ix_customers_last_active_at_id", "customers", ["last_active_at", "id"])
    op.create_index(
        "ix_customers_due", "customers", ["due_at"], sqlite_where=DUE, postgresql_where=DUE
    )


def _days() -> None:
    op.create_table(
        "customer_days",
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("contact_id", "day", name=op.f("pk_customer_days")),
    )


def _verdicts() -> None:
    op.create_table(
        "customer_verdicts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_verdicts")),
        sa.UniqueConstraint("key", name=op.f("uq_customer_verdicts_key")),
    )
    op.create_index("ix_customer_verdicts_contact_id_id", "customer_verdicts", ["contact_id", "id"])


def _deals() -> None:
    op.create_table(
        "deals",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("order_id", ROW_ID, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("cancelled_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals")),
        sa.UniqueConstraint("key", name=op.f("uq_deals_key")),
    )
    op.create_index("ix_deals_contact_id_id", "deals", ["contact_id", "id"])


def _merges() -> None:
    op.create_table(
        "customer_merges",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("other_id", sa.String(), nullable=False),
        sa.Column("moved", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("undone_by", sa.String(), nullable=False),
        sa.Column("undone_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_merges")),
    )
    op.create_index("ix_customer_merges_person_id_id", "customer_merges", ["person_id", "id"])
    op.create_index("ix_customer_merges_other_id", "customer_merges", ["other_id"])


def _erasures() -> None:
    op.create_table(
        "customer_erasures",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at_ts", sa.Float(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("done_ts", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_erasures")),
    )
    op.create_index("ix_customer_erasures_digest", "customer_erasures", ["digest"])


def _fill() -> None:
    """What was counted nowhere is counted once; the first sweep makes scores of it."""
    connection = op.get_bind()
    now = time.time()
    since = (now // _DAY_S - _RECENT_DAYS + 1) * _DAY_S
    # PostgreSQL's CAST rounds, and not every SQLite has FLOOR.
    postgres = connection.dialect.name == "postgresql"
    day = "FLOOR(received_ts / :day_s)" if postgres else "received_ts / :day_s"
    connection.execute(
        sa.text(
            "INSERT INTO customer_days (contact_id, day, messages)"  # noqa: S608
            " SELECT contact_id, day, COUNT(*) FROM"
            f" (SELECT contact_id, CAST({day} AS INTEGER) AS day FROM messages"
            " WHERE role = 'user' AND kind <> 'event' AND received_ts >= :since) m"
            " GROUP BY contact_id, day"
        ),
        {"day_s": float(_DAY_S), "since": since},
    )
    op.execute(
        "INSERT INTO customer_verdicts (key, contact_id, conversation_id, rating, outcome, by, at)"
        " SELECT 'handoff:' || id, contact_id, conversation_id, rating, COALESCE(outcome, ''),"
        " COALESCE(agent, ''), updated_at FROM handoffs WHERE status = 'closed'"
        " AND target = 'desk' AND (rating IS NOT NULL OR outcome IN ('solved', 'unsolved'))"
    )
    _fill_deals(connection)
    for column, found in (
        ("recent_messages", "COALESCE(SUM(messages), 0) FROM customer_days"),
        ("judged", "COUNT(*) FROM customer_verdicts"),
        ("rated", "COUNT(rating) FROM customer_verdicts"),
        ("rating_sum", "COALESCE(SUM(rating), 0) FROM customer_verdicts"),
        (
            "positive",
            "COUNT(*) FILTER (WHERE COALESCE(rating >= 4, outcome = 'solved'))"
            " FROM customer_verdicts",
        ),
        ("deals", "COUNT(*) FROM deals"),
        ("paid", "COALESCE(SUM(amount), 0) FROM deals"),
    ):
        op.execute(
            f"UPDATE customers SET {column} = (SELECT {found} f"  # noqa: S608
            " WHERE f.contact_id = customers.contact_id)"
        )
    op.execute(
        "INSERT INTO counters (name, value) SELECT 'deals', COUNT(*) FROM deals WHERE amount > 0"
        " UNION ALL SELECT 'deals_amount', COALESCE(SUM(amount), 0) FROM deals"
    )
    _fill_tags(connection)


def _fill_deals(connection: sa.Connection) -> None:
    add = sa.text(
        "INSERT INTO deals (key, contact_id, order_id, amount, note, by, at)"
        " VALUES (:key, :contact_id, :order_id, :amount, '', 'order', :at)"
    )
    last = 0
    while True:
        rows = connection.execute(
            sa.text(
                "SELECT id, contact_id, quote, updated_at FROM image_tasks WHERE id > :last"
                " AND status IN ('delivered', 'accepted', 'rework') ORDER BY id LIMIT :limit"
            ),
            {"last": last, "limit": _BATCH},
        ).all()
        for order_id, contact_id, quote, at in rows:
            values = {"key": f"order:{order_id}", "contact_id": contact_id, "order_id": order_id}
            total = json.loads(quote)["total"] if quote else 0
            connection.execute(add, values | {"amount": total, "at": at})
        if len(rows) < _BATCH:
            return
        last = rows[-1][0]


def _fill_tags(connection: sa.Connection) -> None:
    rows = connection.execute(
        sa.text("SELECT contact_id, tag FROM customer_tags ORDER BY contact_id")
    ).all()
    tags: dict[str, list[str]] = {}
    for contact_id, tag in rows:
        tags.setdefault(contact_id, []).append(tag)
    for contact_id, some in tags.items():
        connection.execute(
            sa.text("UPDATE customers SET tags = :tags WHERE contact_id = :contact_id"),
            {"tags": json.dumps(sorted(some), ensure_ascii=False), "contact_id": contact_id},
        )


def _filled(name: str, kind: Any, default: str) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text(default))
