"""Versions of the rules, and which rules acted, as rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, text

from storage.clock import iso
from storage.history import rows

OF_FILES = ("default", "file")
_COLUMNS = "version, source, author, note, fingerprint, at"


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """``content``: YAML; empty where it was not asked for."""

    version: int
    source: str
    author: str
    note: str
    fingerprint: str
    at: str
    content: str = ""

    def shown(self) -> dict[str, Any]:
        found = asdict(self)
        del found["content"]
        return found


@dataclass(frozen=True, slots=True)
class Firing:
    """``kind``: trigger or words."""

    rule_id: str
    kind: str
    error: str = ""


def newest_version(connection: Connection) -> int:
    """0 where there is none yet."""
    found = connection.execute(text("SELECT MAX(version) FROM rule_versions")).scalar()
    return int(found or 0)


def newest(connection: Connection, *, sources: Sequence[str] = ()) -> RuleVersion | None:
    """With its content; ``sources``: of one of these, at most two."""
    where = " WHERE source IN (:one, :other)" if sources else ""
    asked = {"one": sources[0], "other": sources[-1]} if sources else {}
    found = connection.execute(
        text(
            f"SELECT {_COLUMNS}, content FROM rule_versions{where}"  # noqa: S608
            " ORDER BY version DESC LIMIT 1"
        ),
        asked,
    ).first()
    return RuleVersion(*found) if found is not None else None


def find(connection: Connection, version: int) -> RuleVersion | None:
    found = connection.execute(
        text(f"SELECT {_COLUMNS}, content FROM rule_versions WHERE version = :version"),  # noqa: S608
        {"version": version},
    ).first()
    return RuleVersion(*found) if found is not None else None


def versions(connection: Connection, *, before: int, limit: int) -> list[RuleVersion]:
    """Newest first, without their content."""
    found = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM rule_versions WHERE version < :before"  # noqa: S608
            " ORDER BY version DESC LIMIT :limit"
        ),
        {"before": before, "limit": limit},
    )
    return [RuleVersion(*row) for row in found]


def add(connection: Connection, after: int, new: RuleVersion) -> RuleVersion | None:
    """As the version behind ``after``; None where another was quicker."""
    if newest_version(connection) != after:
        return None
    made = connection.execute(
        text(
            "INSERT INTO rule_versions (version, source, author, note, fingerprint, content, at)"
            " VALUES (:version, :source, :author, :note, :fingerprint, :content, :at)"
            " ON CONFLICT (version) DO NOTHING RETURNING version"
        ),
        asdict(new) | {"version": after + 1},
    ).scalar()
    return replace(new, version=after + 1) if made is not None else None


def note_firings(
    connection: Connection, firings: Sequence[Firing], *, turn_id: str, channel: str, now: float
) -> None:
    if firings:
        connection.execute(
            text(
                "INSERT INTO rule_firings (turn_id, rule_id, kind, channel, at_ts, error)"
                " VALUES (:turn_id, :rule_id, :kind, :channel, :now, :error)"
                " ON CONFLICT (turn_id, rule_id) DO NOTHING"
            ),
            [asdict(one) | {"turn_id": turn_id, "channel": channel, "now": now} for one in firings],
        )


def firing_counts(connection: Connection, *, since: float) -> dict[str, dict[str, Any]]:
    """By rule: how often it acted since then, when last, and how often an action failed."""
    found = rows(
        connection,
        "SELECT rule_id, COUNT(*) AS fired, MAX(at_ts) AS last_ts,"
        " SUM(CASE WHEN error = '' THEN 0 ELSE 1 END) AS failed"
        " FROM rule_firings WHERE at_ts >= :since GROUP BY rule_id",
        since=since,
    )
    return {
        row["rule_id"]: {
            "fired": row["fired"],
            "failed": int(row["failed"]),
            "last_at": iso(row["last_ts"]),
        }
        for row in found
    }


def forget_firings(connection: Connection, *, before: float, limit: int = 5_000) -> int:
    """How many were forgotten."""
    return connection.execute(
        text(
            "DELETE FROM rule_firings WHERE turn_id IN (SELECT turn_id FROM rule_firings"
            " WHERE at_ts < :before ORDER BY at_ts LIMIT :limit) AND at_ts < :before"
        ),
        {"before": before, "limit": limit},
    ).rowcount


@dataclass(frozen=True, slots=True)
class PastMessage:
    """What a customer said; ``turn_id``: messages that were answered together have the same."""

    id: int
    turn_id: str
    conversation_id: str
    contact_id: str
    channel: str
    account: str
    content: str
    at_ts: float


@dataclass(frozen=True, slots=True)
class PastWanted:
    since: float
    until: float
    channel: str = ""
    account: str = ""


def count_past(connection: Connection, wanted: PastWanted) -> int:
    found = connection.execute(
        text(f"SELECT COUNT(*) {_PAST_FROM} {_narrowed(wanted)}"),
        _asked(wanted) | {"after": 0},
    ).scalar()
    return int(found or 0)


def past(
    connection: Connection, wanted: PastWanted, *, after: int, limit: int
) -> list[PastMessage]:
    """By their numbers, from the first behind ``after``."""
    found = connection.execute(
        text(
            "SELECT m.id, COALESCE(m.turn_id, ''), m.conversation_id, m.contact_id, m.channel,"
            f" m.account, m.content, m.received_ts {_PAST_FROM} {_narrowed(wanted)}"
            " ORDER BY m.id LIMIT :limit"
        ),
        _asked(wanted) | {"after": after, "limit": limit},
    )
    return [PastMessage(*row) for row in found]


_PAST_FROM = (
    "FROM messages m WHERE m.id > :after AND m.role = 'user' AND m.content <> ''"
    " AND m.kind <> 'event' AND m.received_at >= :since AND m.received_at < :until"
)


def _narrowed(wanted: PastWanted) -> str:
    channel = " AND m.channel = :channel" if wanted.channel else ""
    return channel + (" AND m.account = :account" if wanted.account else "")


def _asked(wanted: PastWanted) -> dict[str, Any]:
    asked: dict[str, Any] = {"since": iso(wanted.since), "until": iso(wanted.until)}
    if wanted.channel:
        asked["channel"] = wanted.channel
    if wanted.account:
        asked["account"] = wanted.account
    return asked


def people(connection: Connection, contacts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Level, score, state, number of messages and tags of those that are known."""
    asked = {"contacts": list(contacts)}
    known = connection.execute(_PEOPLE, asked).mappings()
    found = {row["contact_id"]: dict(row) for row in known}
    tags: dict[str, list[str]] = {}
    for contact, tag in connection.execute(_THEIR_TAGS, asked):
        tags.setdefault(contact, []).append(tag)
    for contact, row in found.items():
        del row["contact_id"]
        row["tags"] = tuple(tags.get(contact, ()))
    return found


_PEOPLE = text(
    "SELECT contact_id, level, score, state, total_messages FROM customers"
    " WHERE contact_id IN :contacts"
).bindparams(bindparam("contacts", expanding=True))
_THEIR_TAGS = text(
    "SELECT contact_id, tag FROM customer_tags WHERE contact_id IN :contacts ORDER BY tag"
).bindparams(bindparam("contacts", expanding=True))
