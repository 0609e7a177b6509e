"""Campaigns, whom they are for, and what became of each: rows that a runner works through."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from sqlalchemy import Connection, bindparam, text

from domain.campaigns import FOLLOWS, OPTED_OUT, CampaignStatus, Facts, Segment, Skip
from storage import customers
from storage.audit import record
from storage.clock import iso
from storage.leases import LeasedRows
from storage.recipients import RecipientRow, recipient
from storage.statements import Statement

S = CampaignStatus
MAX_LISTED = 200
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """Instants ending in ``_ts`` and ``due_at`` in seconds since the epoch. ``cursor``: None: all
    its people are noted."""

    id: int
    name: str
    text: str
    segment: Segment
    status: CampaignStatus
    per_minute: int
    starts_ts: float
    ends_ts: float | None
    cursor: int | None
    version: int
    created_by: str
    created_at: str
    updated_at: str
    started_at: str | None
    ended_at: str | None
    due_at: float | None


@dataclass(frozen=True, slots=True)
class NewCampaign:
    name: str
    text: str
    segment: Segment
    per_minute: int
    ends_ts: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A row of a campaign's people."""

    id: int
    contact_id: str
    status: str
    reason: str
    message_id: str
    sent_ts: float | None


_COLUMNS = (
    "id, name, text, segment, status, per_minute, starts_ts, ends_ts, cursor, version, created_by,"
    " created_at, updated_at, started_at, ended_at, due_at"
)
_PERSON = "id, contact_id, status, reason, message_id, sent_ts"


def _campaign(row: Sequence[Any]) -> Campaign:
    found = Campaign(*row)
    stored: Any = json.loads(str(found.segment))
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return replace(found, segment=Segment(**values), status=S(found.status))


def _json(segment: Segment) -> str:
    return json.dumps(asdict(segment), ensure_ascii=False)


class CampaignBook(LeasedRows[int]):
    """Every change names the version it is of; None or False: it was another one by then."""

    _table: ClassVar[str] = "campaigns"
    _columns: ClassVar[str] = _COLUMNS

    # Reading -------------------------------------------------------------------------------

    def get(self, connection: Connection, campaign_id: int) -> Campaign | None:
        row = connection.execute(
            text(f"SELECT {_COLUMNS} FROM campaigns WHERE id = :id"),  # noqa: S608
            {"id": campaign_id},
        ).first()
        return _campaign(tuple(row)) if row else None

    def listed(
        self,
        connection: Connection,
        *,
        status: CampaignStatus | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Campaign]:
        """The newest first; ``before``: older than that id."""
        rows = connection.execute(
            text(
                f"SELECT {_COLUMNS} FROM campaigns"  # noqa: S608
                " WHERE (:status = '' OR status = :status) AND id < :before"
                " ORDER BY id DESC LIMIT :limit"
            ),
            {"status": status or "", "before": before or 1 << 62, "limit": limit},
        )
        return [_campaign(tuple(row)) for row in rows]

    def counts(self, connection: Connection, campaign_id: int) -> dict[str, int]:
        """People by status, those who got nothing by ``skipped:reason``."""
        rows = connection.execute(
            text(
                "SELECT status, reason, COUNT(*) FROM campaign_people WHERE campaign_id = :id"
                " GROUP BY status, reason"
            ),
            {"id": campaign_id},
        )
        return {f"{status}:{reason}" if reason else status: n for status, reason, n in rows}

    def deliveries(self, connection: Connection, campaign_id: int) -> dict[str, int]:
        """What became of the messages that were sent: pending, delivered, dead, dropped."""
        rows = connection.execute(
            text(
                "SELECT o.status, COUNT(*) FROM campaign_people p"
                " JOIN outbox o ON o.message_id = p.message_id"
                " WHERE p.campaign_id = :id AND p.status = 'sent' GROUP BY o.status"
            ),
            {"id": campaign_id},
        )
        return {str(status): int(number) for status, number in rows}

    def people(
        self,
        connection: Connection,
        campaign_id: int,
        *,
        status: str = "",
        after: int = 0,
        limit: int = 50,
    ) -> list[Person]:
        rows = connection.execute(
            text(
                f"SELECT {_PERSON} FROM campaign_people WHERE campaign_id = :id"  # noqa: S608
                " AND (:status = '' OR status = :status) AND id > :after ORDER BY id LIMIT :limit"
            ),
            {"id": campaign_id, "status": status, "after": after, "limit": limit},
        )
        return [Person(*row) for row in rows]

    # Changing ------------------------------------------------------------------------------

    def create(self, connection: Connection, new: NewCampaign, *, actor: str, now: float) -> int:
        found = connection.execute(
            text(
                "INSERT INTO campaigns (name, text, segment, status, per_minute, starts_ts,"
                " ends_ts, cursor, version, created_by, created_at, updated_at, lease_until)"
                " VALUES (:name, :text, :segment, 'draft', :per_minute, 0, :ends_ts, 0, 1, :actor,"
                " :at, :at, 0) RETURNING id"
            ),
            {**_values(new), "actor": actor, "at": iso(now)},
        ).scalar_one()
        self._note(connection, int(found), "campaign.created", actor, now, {"name": new.name})
        return int(found)

    def edit(
        self,
        connection: Connection,
        campaign: Campaign,
        new: NewCampaign,
        *,
        actor: str,
        now: float,
    ) -> bool:
        """Only a draft: what has begun stays what it was."""
        if campaign.status is not S.DRAFT:
            return False
        changes = _values(new)
        done = self._update(connection, campaign, changes, now)
        if done:
            self._note(connection, campaign.id, "campaign.edited", actor, now, {"name": new.name})
        return done

    def move(
        self,
        connection: Connection,
        campaign: Campaign,
        status: CampaignStatus,
        *,
        actor: str,
        now: float,
        starts_ts: float | None = None,
    ) -> bool:
        """To a status that may follow, else False; a campaign runs because it is claimed."""
        if status is S.RUNNING or status not in FOLLOWS[campaign.status]:
            return False
        changes: dict[str, Any] = {"status": status.value, "lease_owner": None, "lease_until": 0.0}
        starts = campaign.starts_ts if starts_ts is None else starts_ts
        if status is S.SCHEDULED:
            changes |= {"starts_ts": starts, "due_at": max(starts, now)}
        else:
            changes["due_at"] = None
        if status in (S.DONE, S.CANCELLED):
            changes["ended_at"] = iso(now)
        done = self._update(connection, campaign, changes, now)
        if done:
            detail = {"from": campaign.status.value, "starts_ts": starts}
            self._note(connection, campaign.id, f"campaign.{status.value}", actor, now, detail)
        return done

    def _update(
        self, connection: Connection, campaign: Campaign, changes: Mapping[str, Any], now: float
    ) -> bool:
        columns = ", ".join(f"{name} = :{name}" for name in changes)
        done = connection.execute(
            text(
                f"UPDATE campaigns SET {columns}, version = version + 1,"  # noqa: S608
                " updated_at = :at WHERE id = :id AND version = :version"
            ),
            {**changes, "at": iso(now), "id": campaign.id, "version": campaign.version},
        )
        return done.rowcount > 0

    def _note(
        self,
        connection: Connection,
        campaign_id: int,
        action: str,
        actor: str,
        now: float,
        detail: dict[str, Any],
    ) -> None:
        subject = f"campaign:{campaign_id}"
        record(connection, at=iso(now), actor=actor, action=action, subject=subject, detail=detail)

    # Working through -----------------------------------------------------------------------

    def claim_due(
        self, connection: Connection, *, owner: str, now: float, lease_s: float, limit: int
    ) -> list[Campaign]:
        rows = self._claim(
            connection, owner=owner, now=now, lease_s=lease_s, limit=limit, order="due_at, id"
        )
        return [_campaign(row) for row in rows]

    def held(self, connection: Connection, campaign: Campaign, owner: str) -> bool:
        """Whether it is still ours and as it was claimed, checked for the rest of the unit."""
        done = connection.execute(
            text(
                "UPDATE campaigns SET lease_owner = lease_owner"
                " WHERE id = :id AND version = :version AND lease_owner = :owner"
            ),
            {"id": campaign.id, "version": campaign.version, "owner": owner},
        )
        return done.rowcount > 0

    def begin(self, connection: Connection, campaign: Campaign, *, now: float) -> None:
        connection.execute(
            text(
                "UPDATE campaigns SET status = 'running', started_at = COALESCE(started_at, :at)"
                " WHERE id = :id"
            ),
            {"id": campaign.id, "at": iso(now)},
        )

    def look_again(
        self, connection: Connection, campaign: Campaign, owner: str, *, due_at: float
    ) -> None:
        connection.execute(
            text(
                "UPDATE campaigns SET due_at = :due_at, lease_owner = NULL, lease_until = 0"
                " WHERE id = :id AND lease_owner = :owner"
            ),
            {"id": campaign.id, "owner": owner, "due_at": due_at},
        )

    def end(self, connection: Connection, campaign: Campaign, owner: str, *, now: float) -> None:
        """Nobody is left, or its time is over: who is left gets nothing."""
        connection.execute(
            text(
                "UPDATE campaign_people SET status = 'skipped', reason = :reason"
                " WHERE campaign_id = :id AND status = 'planned'"
            ),
            {"id": campaign.id, "reason": Skip.ENDED.value},
        )
        connection.execute(
            text(
                "UPDATE campaigns SET status = 'done', due_at = NULL, lease_owner = NULL,"
                " lease_until = 0, ended_at = :at, updated_at = :at, version = version + 1"
                " WHERE id = :id AND lease_owner = :owner"
            ),
            {"id": campaign.id, "owner": owner, "at": iso(now)},
        )
        self._note(connection, campaign.id, "campaign.done", "campaigns", now, {})

    def plan(
        self, connection: Connection, campaign: Campaign, *, now: float, limit: int
    ) -> int | None:
        """Note the next ``limit`` customers of the segment; the new cursor, None: all are noted."""
        assert campaign.cursor is not None
        found = matching(connection, campaign.segment, now=now, after=campaign.cursor, limit=limit)
        for _, contact_id in found:
            connection.execute(
                text(
                    "INSERT INTO campaign_people (campaign_id, contact_id, status, reason,"
                    " message_id) VALUES (:id, :contact_id, 'planned', '', '')"
                    " ON CONFLICT (campaign_id, contact_id) DO NOTHING"
                ),
                {"id": campaign.id, "contact_id": contact_id},
            )
        cursor = found[-1][0] if len(found) == limit else None
        connection.execute(
            text("UPDATE campaigns SET cursor = :cursor WHERE id = :id"),
            {"id": campaign.id, "cursor": cursor},
        )
        return cursor

    def planned(self, connection: Connection, campaign_id: int, *, limit: int) -> list[Person]:
        return self.people(connection, campaign_id, status="planned", limit=limit)

    def settle(
        self,
        connection: Connection,
        person: Person,
        *,
        now: float,
        message_id: str = "",
        skip: Skip | None = None,
    ) -> None:
        connection.execute(
            text(
                "UPDATE campaign_people SET status = :status, reason = :reason,"
                " message_id = :message_id, sent_ts = :sent_ts"
                " WHERE id = :id AND status = 'planned'"
            ),
            {
                "id": person.id,
                "status": "skipped" if skip else "sent",
                "reason": skip.value if skip else "",
                "message_id": message_id,
                "sent_ts": None if skip else now,
            },
        )


_FAMILY = "m.contact_id = c.contact_id OR m.person_id = c.contact_id"


def matching(
    connection: Connection, segment: Segment, *, now: float, after: int, limit: int
) -> list[tuple[int, str]]:
    """Persons of the segment in the order of their rows: row id, and the contact that speaks for
    the person."""
    conditions, values = _conditions(segment, now)
    lists = [name for name, value in values.items() if isinstance(value, list)]
    statement = text(
        "SELECT c.id, c.contact_id FROM customers c"  # noqa: S608
        f" WHERE c.id > :after AND c.person_id = ''{conditions} ORDER BY c.id LIMIT :limit"
    ).bindparams(*(bindparam(name, expanding=True) for name in lists))
    rows = connection.execute(statement, {"after": after, "limit": limit, **values})
    return [(int(row[0]), str(row[1])) for row in rows]


def _conditions(segment: Segment, now: float) -> tuple[str, dict[str, Any]]:
    parts: list[str] = []
    values: dict[str, Any] = {}

    def among(column: str, name: str, wanted: Sequence[str]) -> None:
        if wanted:
            parts.append(f"{column} IN :{name}")
            values[name] = list(wanted)

    def any_contact(condition: str) -> None:
        parts.append(
            f"EXISTS (SELECT 1 FROM customers m WHERE ({_FAMILY}) AND ({condition}))"  # noqa: S608
        )

    among("c.level", "levels", segment.levels)
    among("c.state", "states", segment.states)
    if segment.contacts:
        values["contacts"] = list(segment.contacts)
        any_contact("m.contact_id IN :contacts")
    if segment.channels:
        values |= {f"channel{at}": f"{_plain(one)}:%" for at, one in enumerate(segment.channels)}
        ways = (f"m.contact_id LIKE :channel{at} ESCAPE '!'" for at in range(len(segment.channels)))
        any_contact(" OR ".join(ways))
    for prefix, tags, word in (("with", segment.tags_all, ""), ("no", segment.tags_none, "NOT ")):
        for at, tag in enumerate(tags):
            parts.append(f"c.tags {word}LIKE :{prefix}{at} ESCAPE '!'")
            values[f"{prefix}{at}"] = f"%{_plain(json.dumps(tag, ensure_ascii=False))}%"
    if segment.active_within_days is not None:
        parts.append("c.last_active_at >= :active")
        values["active"] = iso(now - segment.active_within_days * _DAY_S)
    if segment.quiet_for_days is not None:
        parts.append("c.last_active_at < :quiet")
        values["quiet"] = iso(now - segment.quiet_for_days * _DAY_S)
    if segment.min_score is not None:
        parts.append("c.score >= :min_score")
        values["min_score"] = segment.min_score
    if segment.min_messages:
        parts.append("c.total_messages >= :min_messages")
        values["min_messages"] = segment.min_messages
    return "".join(f" AND {part}" for part in parts), values


def _plain(part: str) -> str:
    """Signs that mean nothing to LIKE."""
    return part.replace("!", "!!").replace("%", "!%").replace("_", "!_")


_PERSON_NOW = Statement(
    """
    SELECT c.level, c.tags,
        (SELECT MAX(p.sent_ts) FROM campaign_people p WHERE p.contact_id IN
            (SELECT m.contact_id FROM customers m
             WHERE m.contact_id = c.contact_id OR m.person_id = c.contact_id))
    FROM customers c WHERE c.contact_id = :contact_id
    """
)
_TALKS_OF = Statement(
    """
    SELECT id, channel, account, chat_id, sender_id, contact_id, customer_name, mode,
        session_last_ts
    FROM conversations WHERE contact_id IN
        (SELECT m.contact_id FROM customers m
         WHERE m.contact_id = :contact_id OR m.person_id = :contact_id)
    ORDER BY last_active_at DESC, id LIMIT 100
    """
)
_MODE, _ACTIVE = 7, 8


def person_now(
    connection: Connection, contact_id: str, channels: Container[str]
) -> tuple[Facts, RecipientRow | None]:
    """How the person stands, and the conversation in which they wrote last of those that can be
    written to: of ``channels``. ``contact_id``: the one that speaks for the person."""
    values = {"contact_id": contact_id}
    row = _PERSON_NOW.first(connection, values)
    level, tags, written = row if row is not None else ("gray", "[]", None)
    talks = _TALKS_OF.all(connection, values)
    to = next((one for one in talks if one[1] in channels), None)
    facts = Facts(
        level=str(level),
        tags=frozenset(json.loads(tags)),
        mode=next((str(one[_MODE]) for one in talks if one[_MODE] != "bot"), "bot"),
        pushes=to is not None,
        written_ts=written,
        active_ts=max((float(one[_ACTIVE]) for one in talks), default=None),
    )
    return facts, recipient(connection, to[:_MODE]) if to is not None else None


def note_opted(connection: Connection, contact_id: str, word: str, *, now: float) -> None:
    """``word``: out or in, as the customer said it."""
    add, remove = ((OPTED_OUT,), ()) if word == "out" else ((), (OPTED_OUT,))
    customers.tag(connection, contact_id, add=add, remove=remove, actor="customer", now=now)
    record(
        connection,
        at=iso(now),
        actor="customer",
        action=f"campaign.opted_{word}",
        subject=contact_id,
        detail={},
    )


def _values(new: NewCampaign) -> dict[str, Any]:
    return {
        "name": new.name,
        "text": new.text,
        "segment": _json(new.segment),
        "per_minute": new.per_minute,
        "ends_ts": new.ends_ts,
    }
