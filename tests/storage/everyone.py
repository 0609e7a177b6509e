"""Customers of whom every table that holds anything holds something, and a look at all of it."""

import importlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, text
from sqlalchemy.types import Float, Integer, LargeBinary

import storage
from storage.holdings import HOLDINGS, Holding
from storage.tables import Row

for _file in sorted(Path(storage.__path__[0]).glob("*_tables.py")):
    importlib.import_module(f"storage.{_file.stem}")
TABLES: dict[str, Table] = dict(Row.metadata.tables)
HELD = {holding.table: holding for holding in HOLDINGS}
_ANY = Holding("", ())
_JSON = {
    ("image_tasks", "pictures"),
    ("image_tasks", "deliverables"),
    ("messages", "attachments"),
}
_OUR_WORDS = {
    *("provider", "model", "purpose", "outcome", "currency", "created_at", "at", "source", "state"),
    *("type", "answered_by", "reason", "reviewed_by", "busy", "busy_by", "flags"),
    *("route", "kind", "received_at"),
}
"""Columns that hold our own words and times, never a customer's."""
_AS_THEY_ARE = {
    ("customers", "state"): "new",
    ("customers", "state_before"): "",
    ("customers", "pinned"): "",
    ("customers", "person_id"): "",
    ("customers", "level"): "gray",
    ("customers", "tags"): "[]",
    ("customers", "aliases"): 0,
    ("customers", "last_active_at"): "2026-02-01T00:00:00.000+00:00",
    ("deals", "cancelled_at"): None,
    ("conversations", "lease_until"): 0.0,
    ("customer_merges", "moved"): "[]",
}


class Somebody:
    """``number`` tells one from another; ``marker`` is in every text of theirs."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.marker = f"暗号{number}号鲸鱼"
        self.sender = f"sender-00{number}"
        self.contact = f"web:shop:{self.sender}"
        self.name, self.phone = f"欧阳测试{number}", f"1990000000{number}"
        self.conversation = f"c_{number:024d}"
        self.turn = f"t_{number:024d}"
        self.session = f"{self.conversation}:0"
        self.task = f"task_{number}"
        self.order = 70 + number
        self.picture = f"{number}" * 64

    @property
    def needles(self) -> list[str]:
        found = [self.marker, self.sender, self.contact, self.name, self.phone]
        found += [self.conversation, self.turn, self.task, self.picture]
        return found + [json.dumps(one)[1:-1] for one in found]


def fill(connection: Connection, who: Somebody) -> None:
    """A row of theirs in every table that says whose it is, and what is said of them elsewhere."""
    for name in HELD:
        connection.execute(insert(TABLES[name]).values(_row(TABLES[name], who)))
    connection.execute(
        text("INSERT INTO picture_sources (source, sha256, fetched_at) VALUES (:source, :sha, '')"),
        {"source": f"https://img.example/{who.marker}", "sha": who.picture},
    )
    for name, values in (
        ("pictures", {"sha256": who.picture, "facts": json.dumps({"text": who.marker})}),
        ("reply_windows", {"channel": "web", "account": "shop", "sender_id": who.sender}),
        ("tool_calls", {"key": f"k{who.number}", "answer": json.dumps({"of": who.contact})}),
        ("audit", {"subject": who.conversation, "detail": json.dumps({"said": who.marker})}),
        ("audit", {"subject": "42", "detail": json.dumps({"contact": who.contact})}),
        ("effects", _seen_effect(who)),
        (
            "question_clusters",
            {
                "id": who.number,
                "representative": who.marker,
                "wordings": json.dumps([who.marker]),
                "count": 1,
                "customers": 1,
            },
        ),
        (
            "learned_knowledge",
            {
                "id": who.number,
                "question": who.marker,
                "source_session": who.session,
                "state": "pending",
                "question_key": who.marker,
                "wordings": json.dumps([who.marker]),
            },
        ),
    ):
        row = _row(TABLES[name], who, plain=True) | values
        connection.execute(insert(TABLES[name]).values(row))


def _seen_effect(who: Somebody) -> dict[str, Any]:
    return {
        "key": f"contact-seen:{who.contact}",
        "turn_id": "",
        "conversation_id": "",
        "payload": json.dumps({"remark": who.marker}),
    }


def found_in(connection: Connection, needles: list[str]) -> set[tuple[str, str]]:
    """Tables and columns of the whole database that hold any of ``needles``."""
    places: set[tuple[str, str]] = set()
    for name in TABLES:
        for row in connection.execute(text(f'SELECT * FROM "{name}"')).mappings():
            for column, value in row.items():
                shown = bytes(value) if isinstance(value, bytes | memoryview) else str(value)
                for needle in needles:
                    wanted = needle.encode() if isinstance(shown, bytes) else needle
                    if wanted in shown:  # type: ignore[operator]
                        places.add((name, column))
    return places


def orphans(connection: Connection) -> set[str]:
    """Columns that refer to a row which is not there: a query over all tables."""
    exists = {
        "contact_id": "SELECT contact_id FROM customers",
        "person_id": "SELECT contact_id FROM customers",
        "conversation_id": "SELECT id FROM conversations",
        "thread_id": "SELECT id FROM conversations",
        "turn_id": "SELECT turn_id FROM turns",
        "order_id": "SELECT id FROM image_tasks",
    }
    found = set()
    for name, table in TABLES.items():
        for column, known in exists.items():
            if column in table.columns:
                lost = connection.execute(
                    text(
                        f'SELECT COUNT(*) FROM "{name}" WHERE {column} IS NOT NULL'
                        f" AND CAST({column} AS TEXT) <> '' AND {column} NOT IN ({known})"
                    )
                ).scalar_one()
                found |= {f"{name}.{column}"} if lost else set()
    lost = connection.execute(
        text(
            "SELECT COUNT(*) FROM customers WHERE person_id IN"
            " (SELECT contact_id FROM customers WHERE person_id <> '')"
        )
    ).scalar_one()
    return found | ({"customers.person_id"} if lost else set())


def _row(table: Table, who: Somebody, *, plain: bool = False) -> dict[str, Any]:
    """``plain``: the texts of a table of nobody in particular are empty."""
    known: dict[str, Any] = {
        "contact_id": who.contact,
        "person_id": who.contact,
        "other_id": who.contact,
        "conversation_id": who.conversation,
        "thread_id": who.conversation,
        "session_key": who.session,
        "turn_id": who.turn,
        "task_id": who.task,
        "order_id": who.order,
        "sender_id": who.sender,
        "customer_id": who.sender,
        "customer_name": who.name,
        "name": who.name,
        "phone": who.phone,
        "channel": "web",
        "account": "shop",
        "suggestion_id": who.number,
        "cluster_id": who.number,
    }
    values: dict[str, Any] = {}
    for column in table.columns:
        place = (table.name, column.name)
        if place in _AS_THEY_ARE:
            values[column.name] = _AS_THEY_ARE[place]
        elif column.name in known and not (column.nullable and plain):
            values[column.name] = known[column.name]
        elif isinstance(column.type, Integer) and column.name == "id":
            values |= {"id": who.order} if table.name == "image_tasks" else {}
        elif not column.nullable:
            values[column.name] = _value(table, column, who, plain)
    if table.name == "reviews":
        values["regression"] = who.marker
    if table.name == "conversations":
        values["id"] = who.conversation
    if table.name == "messages":
        address = f"https://img.example/{who.marker}"
        values["attachments"] = json.dumps([{"kind": "image", "url": address}])
    return values


def _value(table: Table, column: Any, who: Somebody, plain: bool) -> Any:
    if (table.name, column.name) in _JSON:
        return json.dumps([who.picture])
    if column.type.python_type is bool:
        return False
    if isinstance(column.type, Integer | Float):
        return 0
    if isinstance(column.type, LargeBinary):
        return who.marker.encode()
    stays = table.name == "messages" or HELD.get(table.name, _ANY).erased
    ours = column.name in _OUR_WORDS and stays
    return "" if plain or ours else f"{who.marker} {table.name}.{column.name}"
