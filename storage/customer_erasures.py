"""Erasing a customer: every table, in one transaction; files follow.

What is only theirs goes. Sums stay without a name: what was paid, what models cost. The audit log
keeps that something was done, by whom and when, and of whom only a digest.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from domain.errors import InvalidInput, NotFound
from storage.audit import record
from storage.clock import iso
from storage.clusters import take_revision
from storage.history import rows
from storage.holdings import HOLDINGS, Holding, Trail, chunks, trail_of
from storage.pictures import source_key
from storage.sealed import digest, keys_of
from storage.statements import Statement

ERASED = "erased:"
"""Before what stands for a person who was erased."""
BLANK = "(已删除)"
_SHORT = 6
"""Identifiers that are shorter are looked for in whole columns only, not in texts: they would be
found in everything."""
_ORDERS_PICTURES = text(
    "SELECT pictures, deliverables FROM image_tasks WHERE id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_ATTACHED = text(
    "SELECT attachments FROM messages WHERE conversation_id IN :ids AND attachments IS NOT NULL"
).bindparams(bindparam("ids", expanding=True))
_KEEP = Statement(
    "INSERT INTO customer_erasures (digest, by, at_ts, counts, files)"
    " VALUES (:digest, :by, :at_ts, '{}', '[]') RETURNING id"
)
_TOLD = Statement("UPDATE customer_erasures SET counts = :counts, files = :files WHERE id = :id")
_OPEN = Statement(
    "SELECT id, digest, at_ts, files FROM customer_erasures WHERE done_ts IS NULL ORDER BY id"
)
_DONE = Statement("UPDATE customer_erasures SET done_ts = :now, files = '[]' WHERE id = :id")
_NAMELESS_DEALS = Statement(
    "UPDATE deals SET key = 'erased:' || id"
    " WHERE contact_id = '' AND substr(key, 1, 7) <> 'erased:'"
)
_LAST_MESSAGE = text(
    "UPDATE messages SET contact_id = '', content = '', conversation_id = '', session_key = NULL,"
    " turn_id = NULL, attachments = NULL, rag_evidence_ids = NULL, event = '', status = 'sent',"
    " role = 'staff', channel = 'erased', account = '', channel_message_id = 'erased:' || id"
    " WHERE id = (SELECT MAX(id) FROM messages) AND conversation_id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_WINDOW = Statement(
    "DELETE FROM reply_windows WHERE channel = :channel AND account = :account"
    " AND sender_id = :sender"
)


@dataclass(frozen=True, slots=True)
class Files:
    """What is to be removed beside the rows: stored pictures by digest, kept conversations by
    name."""

    pictures: tuple[str, ...] = ()
    regressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Erasure:
    """``digest``: what stands for the person in the audit log; ``counts``: rows by table."""

    id: int
    digest: str
    counts: dict[str, int]
    files: Files
    at_ts: float


def erase(
    connection: Connection,
    contact_id: str,
    *,
    actor: str,
    now: float,
    wording_of: Callable[[str], str],
) -> Erasure:
    """Forget the person behind ``contact_id`` under every contact. ``wording_of``: how a question
    was worded in what was learned from it. Raises NotFound, and InvalidInput (409) while a turn of
    theirs is worked on."""
    trail = trail_of(connection, contact_id)
    if trail is None:
        raise NotFound("customer", contact_id)
    _hold(connection, trail, now)
    stands_for = ERASED + _digest(connection, trail.contact[0])
    row = _KEEP.first(connection, {"digest": stands_for, "by": actor, "at_ts": now})
    assert row is not None
    files = Files(_own_pictures(connection, trail), _regressions(connection, trail))
    counts = Counter[str]()
    _forget_lessons(connection, trail, counts, wording_of)
    counts["messages"] += _blank_last_message(connection, trail)
    for holding in reversed(HOLDINGS):
        counts[holding.table] += _forget(connection, holding, trail)
    _NAMELESS_DEALS.run(connection, {})
    _forget_texts(connection, trail, counts)
    _blank_segments(connection, trail, stands_for)
    _forget_pictures(connection, files.pictures, trail, counts)
    counts["audit"] += _blank_audit(connection, trail, stands_for)
    told = {name: count for name, count in sorted(counts.items()) if count}
    detail = {"rows": told, "files": len(files.pictures) + len(files.regressions)}
    record(
        connection,
        at=iso(now),
        actor=actor,
        action="customer.erase",
        subject=stands_for,
        detail=detail,
    )
    kept = {"pictures": files.pictures, "regressions": files.regressions}
    _TOLD.run(connection, {"counts": _json(told), "files": _json(kept), "id": row[0]})
    return Erasure(row[0], stands_for, told, files, now)


def unfinished(connection: Connection) -> list[Erasure]:
    """Those of which files may still be there."""
    found = []
    for number, stands_for, at_ts, files in _OPEN.all(connection, {}):
        named = {name: tuple(some) for name, some in (json.loads(files) or {}).items()}
        found.append(Erasure(number, stands_for, {}, Files(**named), at_ts))
    return found


def finish(connection: Connection, erasure: int, *, now: float) -> None:
    _DONE.run(connection, {"id": erasure, "now": now})


def _digest(connection: Connection, contact: str) -> str:
    """Under a key nobody can try contacts out; without one, nothing that comes of the contact."""
    return digest(connection, contact) if keys_of(connection).ids else secrets.token_hex(16)


def _hold(connection: Connection, trail: Trail, now: float) -> None:
    """A turn under way would write what it knows into rows that are gone."""
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    for some in chunks(sorted(trail.conversation)):
        statement = text(
            f"SELECT lease_until FROM conversations WHERE id IN :ids ORDER BY id{lock}"  # noqa: S608
        ).bindparams(bindparam("ids", expanding=True))
        if any(until > now for (until,) in connection.execute(statement, {"ids": some})):
            raise InvalidInput("customer", "这位客户的消息正在处理,请稍后再试", status=409)


def _blank_last_message(connection: Connection, trail: Trail) -> int:
    """SQLite gives the highest number again once its row is gone, and turns, whose messages peers
    know by their ids, are named after the numbers of messages."""
    if connection.dialect.name != "sqlite":
        return 0
    return sum(
        connection.execute(_LAST_MESSAGE, {"ids": some}).rowcount
        for some in chunks(trail.conversation)
    )


def _forget(connection: Connection, holding: Holding, trail: Trail) -> int:
    return sum(
        _change(connection, holding.table, column, some, holding.erased)
        for column, of in holding.by
        for some in chunks(trail.ids(of))
    )


def _change(
    connection: Connection, table: str, column: str, ids: Sequence[Any], erased: Any = None
) -> int:
    """Rows whose ``column`` is one of ``ids`` go, or get ``erased`` written over them."""
    sets = ", ".join(f"{name} = :{name}_is" for name in erased or ())
    deed = f"UPDATE {table} SET {sets}" if sets else f"DELETE FROM {table}"  # noqa: S608
    statement = text(f"{deed} WHERE {column} IN :ids").bindparams(bindparam("ids", expanding=True))
    values = {f"{name}_is": value for name, value in (erased or {}).items()}
    return connection.execute(statement, values | {"ids": list(ids)}).rowcount


# What stands in texts -------------------------------------------------------------------------


def _needles(trail: Trail) -> list[str]:
    found = {*trail.contact, *trail.conversation}
    found |= {sender for _, _, sender in trail.senders if len(sender) >= _SHORT}
    return sorted(found)


def _within(column: str, needles: Iterable[str]) -> tuple[str, dict[str, str]]:
    """A condition that any of ``needles`` is in a text, JSON's way of writing it included."""
    params: dict[str, str] = {}
    for needle in needles:
        for written in {needle, json.dumps(needle)[1:-1], _json(needle)[1:-1]}:
            plain = written.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            params[f"{column}_{len(params)}"] = f"%{plain}%"
    condition = " OR ".join(f"{column} LIKE :{name} ESCAPE '!'" for name in params)
    return f"({condition or '1 = 0'})", params


def _forget_texts(connection: Connection, trail: Trail, counts: Counter[str]) -> None:
    """Calls and effects that name the person in their arguments only."""
    for channel, account, sender in trail.senders:
        values = {"channel": channel, "account": account, "sender": sender}
        counts["reply_windows"] += _WINDOW.run(connection, values)
    needles = _needles(trail)
    for table, columns, only in (
        ("effects", ("key", "payload"), "turn_id = '' AND "),
        ("tool_calls", ("key", "answer"), ""),
        ("outbox", ("payload",), "conversation_id = '' AND "),
    ):
        found = [_within(column, needles) for column in columns]
        where = " OR ".join(condition for condition, _ in found)
        params = {name: value for _, some in found for name, value in some.items()}
        done = connection.execute(
            text(f"DELETE FROM {table} WHERE {only}({where})"),  # noqa: S608
            params,
        )
        counts[table] += done.rowcount


def _blank_segments(connection: Connection, trail: Trail, stands_for: str) -> None:
    """Somebody stays in the place of who was chosen by name: without any, a campaign would be for
    everybody."""
    named, params = _within("segment", trail.contact)
    found = connection.execute(
        text(f"SELECT id, segment FROM campaigns WHERE {named}"),  # noqa: S608
        params,
    ).all()
    for number, segment in found:
        kept = json.loads(segment)
        kept["contacts"] = [
            stands_for if one in trail.contact else one for one in kept.get("contacts", ())
        ]
        _change(connection, "campaigns", "id", [number], {"segment": _json(kept)})


def _blank_audit(connection: Connection, trail: Trail, stands_for: str) -> int:
    """That something was done stays; to whom, and with what words, does not."""
    subjects = {*trail.contact, *trail.conversation, *trail.task, *map(str, trail.order)}
    erased = {"subject": stands_for, "detail": "{}"}
    counted = 0
    for some in chunks(sorted(subjects)):
        counted += _change(connection, "audit", "subject", some, erased)
    named, params = _within("detail", _needles(trail))
    actors, actor_params = _within("actor", _needles(trail))
    done = connection.execute(
        text(
            "UPDATE audit SET subject = :subject, detail = '{}',"  # noqa: S608
            f" actor = CASE WHEN {actors} THEN :subject ELSE actor END WHERE {named} OR {actors}"
        ),
        params | actor_params | {"subject": stands_for},
    )
    return counted + done.rowcount


# What was learned -----------------------------------------------------------------------------


def _forget_lessons(
    connection: Connection,
    trail: Trail,
    counts: Counter[str],
    wording_of: Callable[[str], str],
) -> None:
    sources = [*trail.sessions, *trail.conversation]
    suggestions = _learned_from(connection, trail, sources)
    for some in chunks(sources):
        counts["learned_knowledge"] += _change(
            connection, "learned_knowledge", "source_session", some, {"source_session": ""}
        )
    for some in chunks(trail.conversation):
        _change(connection, "learned_sightings", "conversation_id", some)
    counts["learned_knowledge"] += _drop_suggestions(connection, suggestions)
    clusters, asked = _clusters(connection, trail)
    for some in chunks(trail.conversation):
        counts["unknown_questions"] += _change(
            connection, "unknown_questions", "conversation_id", some
        )
    revision = take_revision(connection) if clusters else 0
    for cluster in clusters:
        _reword(connection, cluster, asked, wording_of, revision)
        counts["question_clusters"] += 1


def _learned_from(connection: Connection, trail: Trail, sources: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for column, table, ids, key in (
        ("source_session", "learned_knowledge", sources, "id"),
        ("conversation_id", "learned_sightings", trail.conversation, "suggestion_id"),
    ):
        statement = text(f"SELECT {key} FROM {table} WHERE {column} IN :ids").bindparams(  # noqa: S608
            bindparam("ids", expanding=True)
        )
        for some in chunks(ids):
            found |= {row[0] for row in connection.execute(statement, {"ids": some})}
    return found


def _drop_suggestions(connection: Connection, ids: Collection[int]) -> int:
    """What nobody has accepted and nobody else has said; knowledge that was accepted is the
    shop's, and loses its wordings and where they came from."""
    counted = 0
    for some in chunks(sorted(ids)):
        statement = text(
            "DELETE FROM learned_knowledge WHERE id IN :ids AND state IN ('pending', 'rejected',"
            " 'dropped', 'undone') AND NOT EXISTS (SELECT 1 FROM learned_sightings s"
            " WHERE s.suggestion_id = learned_knowledge.id)"
        ).bindparams(bindparam("ids", expanding=True))
        counted += connection.execute(statement, {"ids": some}).rowcount
        _change(connection, "learned_knowledge", "id", some, {"wordings": "[]"})
    return counted


def _clusters(connection: Connection, trail: Trail) -> tuple[list[int], set[str]]:
    """Where the person's unknown questions are, and how they were asked."""
    clusters: set[int] = set()
    asked: set[str] = set()
    statement = text(
        "SELECT cluster_id, moved_from, content FROM unknown_questions"
        " WHERE conversation_id IN :ids"
    ).bindparams(bindparam("ids", expanding=True))
    for some in chunks(trail.conversation):
        for cluster, moved_from, content in connection.execute(statement, {"ids": some}):
            clusters |= {one for one in (cluster, moved_from) if one is not None}
            asked.add(content)
    return sorted(clusters), asked


def _reword(
    connection: Connection,
    cluster: int,
    asked: Collection[str],
    wording_of: Callable[[str], str],
    revision: int,
) -> None:
    """A cluster says what others asked; one in which nobody else did says nothing."""
    left = rows(
        connection,
        "SELECT content, contact_id FROM unknown_questions WHERE cluster_id = :id OR"
        " moved_from = :id ORDER BY id",
        id=cluster,
    )
    theirs = {wording_of(one) for one in asked}
    others = list(dict.fromkeys(filter(None, (wording_of(row["content"]) for row in left))))
    before = rows(
        connection,
        "SELECT wordings, representative FROM question_clusters WHERE id = :id",
        id=cluster,
    )
    if not before:
        return
    said = set(others)
    kept = [one for one in json.loads(before[0]["wordings"]) if one in said or one not in theirs]
    kept = (kept or others[:1]) if others else []
    central = before[0]["representative"]
    if central not in kept:
        central = kept[0] if kept else BLANK
    gone = "" if kept else ", state = 'dismissed', reason = 'expired'"
    connection.execute(
        text(
            "UPDATE question_clusters SET wordings = :wordings, representative = :central,"  # noqa: S608
            f" count = :count, customers = :customers, revision = :revision{gone} WHERE id = :id"
        ),
        {
            "wordings": _json(kept),
            "central": central,
            "count": len(left),
            "customers": len({row["contact_id"] for row in left}),
            "revision": revision,
            "id": cluster,
        },
    )


# Pictures and kept conversations --------------------------------------------------------------


def _own_pictures(connection: Connection, trail: Trail) -> tuple[str, ...]:
    """Stored pictures that came from this person and are in nobody else's order or message."""
    found: set[str] = set()
    for some in chunks(trail.order):
        for row in connection.execute(_ORDERS_PICTURES, {"ids": some}):
            found.update(one for part in row for one in json.loads(part) if _is_digest(one))
    sources = _sources(connection, trail)
    for source in sources:
        named = rows(
            connection, "SELECT sha256 FROM picture_sources WHERE source = :source", source=source
        )
        found.update(row["sha256"] for row in named)
        _, _, digest_of = source.rpartition("picture:")
        found.update({digest_of} if _is_digest(digest_of) else ())
    return tuple(sorted(one for one in found if not _is_shared(connection, one, trail, sources)))


def _sources(connection: Connection, trail: Trail) -> set[str]:
    sources: set[str] = set()
    for some in chunks(trail.conversation):
        for (attached,) in connection.execute(_ATTACHED, {"ids": some}):
            sources.update(source_key(one["url"]) for one in json.loads(attached))
    return sources


def _is_shared(connection: Connection, sha256: str, trail: Trail, sources: Collection[str]) -> bool:
    """Somebody else's order has it, or it came from an address that is none of theirs."""
    ordered = rows(
        connection,
        "SELECT id FROM image_tasks WHERE pictures LIKE :it OR deliverables LIKE :it",
        it=f"%{sha256}%",
    )
    if any(row["id"] not in set(trail.order) for row in ordered):
        return True
    came = rows(connection, "SELECT source FROM picture_sources WHERE sha256 = :it", it=sha256)
    return any(row["source"] not in sources for row in came)


def _is_digest(value: str) -> bool:
    return len(value) == 64 and set(value) <= set("0123456789abcdef")


def _forget_pictures(
    connection: Connection, sha256s: Sequence[str], trail: Trail, counts: Counter[str]
) -> None:
    for some in chunks(sha256s):
        counts["picture_sources"] += _change(connection, "picture_sources", "sha256", some)
        counts["pictures"] += _change(connection, "pictures", "sha256", some)


def _regressions(connection: Connection, trail: Trail) -> tuple[str, ...]:
    statement = text(
        "SELECT regression FROM reviews WHERE conversation_id IN :ids AND regression <> ''"
    ).bindparams(bindparam("ids", expanding=True))
    return tuple(
        sorted(
            {
                row[0]
                for some in chunks(trail.conversation)
                for row in connection.execute(statement, {"ids": some})
            }
        )
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
