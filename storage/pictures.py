"""What is known of stored pictures, and under which addresses they came."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection

from domain.pictures import PictureFacts, PictureKind
from storage.clock import iso
from storage.statements import Statement
from storage.task_tables import OPEN_ORDER

_MAX_SOURCE = 500
_NAMES = frozenset(field.name for field in fields(PictureFacts))

_GET = Statement("SELECT facts FROM pictures WHERE sha256 = :digest")
_PUT = Statement(
    "INSERT INTO pictures (sha256, size_bytes, format, facts, created_at, last_used_at)"
    " VALUES (:digest, :size_bytes, :format, :facts, :at, :at)"
    " ON CONFLICT (sha256) DO UPDATE SET facts = excluded.facts,"
    " last_used_at = excluded.last_used_at"
)
_TOUCH = Statement("UPDATE pictures SET last_used_at = :at WHERE sha256 = :digest")
_SOURCE = Statement(
    "SELECT sha256 FROM picture_sources WHERE source = :source AND fetched_at >= :since"
)
_KEEP_SOURCE = Statement(
    "INSERT INTO picture_sources (source, sha256, fetched_at) VALUES (:source, :digest, :at)"
    " ON CONFLICT (source) DO UPDATE SET sha256 = excluded.sha256, fetched_at = excluded.fetched_at"
)
_UNUSED = Statement(
    "SELECT last_used_at, sha256 FROM pictures WHERE last_used_at < :before"
    " AND (last_used_at, sha256) > (:used_at, :digest) ORDER BY last_used_at, sha256 LIMIT :limit"
)
_NEEDED = Statement(
    f"SELECT pictures, deliverables FROM image_tasks WHERE {OPEN_ORDER} OR updated_at >= :since"  # noqa: S608
)
_FORGET = Statement("DELETE FROM pictures WHERE sha256 = :digest AND last_used_at < :before")
_FORGET_SOURCES = Statement("DELETE FROM picture_sources WHERE sha256 = :digest")


def get_facts(connection: Connection, sha256: str) -> PictureFacts | None:
    row = _GET.first(connection, {"digest": sha256})
    return _parsed(json.loads(row[0])) if row else None


def put_facts(connection: Connection, facts: PictureFacts, *, now: float) -> PictureFacts:
    """What is kept: facts with text and description stay when later ones have none."""
    # A look that read no text must not take away what another one has read.
    kept = get_facts(connection, facts.sha256)
    if kept is not None and kept.text_read and not facts.text_read:
        facts = kept
    values = {
        "digest": facts.sha256,
        "size_bytes": facts.size_bytes,
        "format": facts.format,
        "facts": json.dumps(asdict(facts), ensure_ascii=False),
        "at": iso(now),
    }
    _PUT.run(connection, values)
    return facts


def touch(connection: Connection, sha256: str, *, now: float) -> None:
    _TOUCH.run(connection, {"digest": sha256, "at": iso(now)})


def find_source(connection: Connection, source: str, *, since: float) -> str | None:
    """The picture that ``source`` gave at ``since`` or later."""
    row = _SOURCE.first(connection, {"source": source_key(source), "since": iso(since)})
    return str(row[0]) if row else None


def keep_source(connection: Connection, source: str, sha256: str, *, now: float) -> None:
    _KEEP_SOURCE.run(connection, {"source": source_key(source), "digest": sha256, "at": iso(now)})


Place = tuple[str, str]
"""In the order in which pictures were used last."""


def forget_unused(
    connection: Connection,
    *,
    before: float,
    keep: Collection[str] = (),
    after: Place = ("", ""),
    limit: int = 500,
) -> tuple[list[str], Place | None]:
    """Of the next ``limit`` pictures that nobody has looked at since ``before``, those not to
    ``keep``: rows go, the caller removes the files. Also where to go on, None: no more."""
    at, (used_at, digest) = iso(before), after
    values = {"before": at, "used_at": used_at, "digest": digest, "limit": limit}
    rows = _UNUSED.all(connection, values)
    gone = [
        str(sha256)
        for _, sha256 in rows
        if sha256 not in keep and _FORGET.run(connection, {"digest": sha256, "before": at}) == 1
    ]
    for sha256 in gone:
        _FORGET_SOURCES.run(connection, {"digest": sha256})
    return gone, (str(rows[-1][0]), str(rows[-1][1])) if len(rows) == limit else None


def needed(connection: Connection, *, since: float) -> frozenset[str]:
    """What orders use that are open, or were changed ``since``: sent and delivered pictures."""
    found: set[str] = set()
    for pictures, deliverables in _NEEDED.all(connection, {"since": iso(since)}):
        found.update(json.loads(pictures), json.loads(deliverables))
    return frozenset(found)


def known(connection: Connection, sha256s: Sequence[str]) -> frozenset[str]:
    """Those of which there is a row."""
    return frozenset(one for one in sha256s if _GET.first(connection, {"digest": one}))


def source_key(source: str) -> str:
    """As an address is kept. PostgreSQL's index takes 2,700 bytes; signed addresses are longer."""
    if len(source) <= _MAX_SOURCE:
        return source
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"


def _parsed(found: Mapping[str, Any]) -> PictureFacts:
    # Rows outlive versions: a field that is gone is left out, a new one has its default.
    known = {name: value for name, value in found.items() if name in _NAMES}
    known["marks"] = tuple(known.get("marks", ()))
    known["kind"] = PictureKind(known.get("kind", PictureKind.PHOTO))
    return PictureFacts(**known)
