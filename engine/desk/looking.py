"""What agents see: lists, one conversation, events, and how the queue stands."""

import asyncio
import base64
import binascii
import json
import time
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from domain.desk import EVERYTHING, Agent, Presence, Waiting, in_scope, next_deadline, place_key
from domain.errors import InvalidInput, NotFound
from engine.desk.parts import DeskParts, Page
from engine.desk.views import (
    ConversationView,
    CustomerView,
    DraftView,
    HandoffView,
    MessageView,
    NoteView,
    QueueItem,
    QueuePage,
    Standing,
    TurnView,
    View,
)
from storage import agents, desk_texts, desk_views, desk_watch
from storage.desk_events import DeskEventRow
from storage.desk_views import Wanted
from storage.effects import SAID_BY

MAX_PAGE = 200
MAX_SEARCH_CHARS = 100
LAST_CHARS = 120
CROWD, CROWD_S = 50, 1.0
"""From so many in the queue on, places are looked up so often only: to count all who wait for each
message would cost the more the more wait."""
_NOT_ACTING: tuple[str, ...] = ()


class Looking(DeskParts):
    async def queue(
        self,
        who: Agent,
        *,
        view: View = "waiting",
        search: str = "",
        channel: str = "",
        limit: int = 50,
        before: str | None = None,
    ) -> QueuePage:
        """``search``: in the customer's name and id, the conversation's id and the questions that
        were handed over. Raises InvalidInput for a ``before`` that no page gave."""
        limit = max(1, min(limit, MAX_PAGE))
        wanted = Wanted(
            view,
            who.id,
            who.scopes,
            search.strip()[:MAX_SEARCH_CHARS],
            channel,
            limit,
            _keys(before, view) if before else None,
        )

        # A console reads its page anew whenever something happens, and so do all of them at once.
        whose = wanted if view == "mine" else replace(wanted, agent="")
        (items, further), counts = await asyncio.gather(
            self.pages.get(whose, lambda: self._page(whose)),
            self.database.read(lambda c: desk_views.counts(c, who.id, who.scopes)),
        )
        return QueuePage(items, further, counts)

    async def _page(self, wanted: Wanted) -> Page:
        def unit(connection: Connection) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
            found = desk_views.page(connection, wanted)
            ids = [row["conversation_id"] for row in found[: wanted.limit]]
            return found, desk_views.last_words(connection, ids)

        found, words = await self.database.read(unit)
        now, shown = self.clock(), found[: wanted.limit]
        items = (self._item(row, words.get(row["conversation_id"], {}), now) for row in shown)
        further = _cursor(shown[-1]["keys"]) if len(found) > wanted.limit else None
        return tuple(items), further

    def _item(self, row: dict[str, Any], last: dict[str, Any], now: float) -> QueueItem:
        due = self._due(row, now)
        waits = row["status"] == "open"
        return QueueItem(
            conversation_id=row["conversation_id"],
            handoff=row["handoff"],
            customer=row["customer_name"] or row["sender_id"],
            contact_id=row["contact_id"],
            level=row["level"],
            channel=row["channel"],
            account=row["account"],
            mode=row["mode"],
            status=row["status"],
            priority=row["priority"],
            reason=row["reason"],
            skill=row["skill"],
            question=row["question"],
            last_message=(last.get("content") or "")[:LAST_CHARS],
            last_role=last.get("role", ""),
            last_at=last.get("received_at", ""),
            unread=int(last.get("unread", 0)),
            agent=row["agent"],
            agent_name=row["agent_name"],
            waiting_s=round(now - row["waiting_since_ts"], 1) if waits else None,
            due_in_s=round(due - now, 1) if due is not None else None,
            outcome=row["outcome"],
            rating=row["rating"],
            mood=row["mood"],
        )

    def _due(self, row: dict[str, Any], now: float) -> float | None:
        """What the watch has written, or will."""
        if row["due_ts"] is not None or row["asked_ts"] is None:
            return float(row["due_ts"]) if row["due_ts"] is not None else None
        if row["status"] == "open" and not self.policy.is_open(now):
            return None
        return next_deadline(row["asked_ts"], self.policy.limit(row["first_reply_ts"]))

    async def conversation(
        self, who: Agent, conversation: str, *, before: int | None = None, limit: int = 50
    ) -> ConversationView:
        """Raises NotFound, also for what is out of scope."""
        limit = max(1, min(limit, MAX_PAGE))

        def unit(connection: Connection) -> ConversationView:
            head = desk_views.head(connection, conversation)
            if head is None or not in_scope(who.scopes, head["channel"], head["account"]):
                raise NotFound("conversation_id", conversation)
            return self._view(connection, who, head, before, limit)

        return await self.database.read(unit)

    def _view(
        self,
        connection: Connection,
        who: Agent,
        head: dict[str, Any],
        before: int | None,
        limit: int,
    ) -> ConversationView:
        conversation = head["id"]
        found = desk_views.messages(connection, conversation, before=before, limit=limit)
        shown = found[-limit:]
        handed = [_handoff(row) for row in desk_views.handoffs(connection, conversation)]
        draft = desk_views.pending_draft(connection, conversation)
        turn_ids = {row["turn_id"] for row in shown if row["turn_id"]}
        mine = bool(handed) and handed[0].status == "taken" and handed[0].agent == who.id
        return ConversationView(
            conversation_id=conversation,
            channel=head["channel"],
            account=head["account"],
            mode=head["mode"],
            customer=_customer(head, desk_views.tags(connection, head["contact_id"])),
            messages=tuple(_message(row) for row in shown),
            before=shown[0]["id"] if len(found) > limit else None,
            handoff=handed[0] if handed else None,
            earlier=tuple(handed[1:]),
            notes=tuple(_note(row) for row in desk_texts.notes(connection, conversation)),
            draft=_draft(draft) if draft is not None else None,
            orders=tuple(_order(row) for row in desk_views.orders(connection, head["contact_id"])),
            turns=tuple(_turn(row) for row in desk_views.turns(connection, turn_ids)),
            mine=mine,
            may=_may(who, handed[0] if handed else None, mine, draft is not None),
        )

    async def events(self, who: Agent, after: int, limit: int = 200) -> list[DeskEventRow]:
        """What ``who`` may see, after number ``after``, oldest first. From memory where the feed
        runs and still has it."""
        return await self.feed.after(who, after, max(1, min(limit, 500)))

    async def newest_event(self) -> int:
        """Where a live view starts: to be asked before its page is read."""
        return await self.feed.head()

    async def news(self, after: int, timeout_s: float) -> int:
        """Wait until there is an event after number ``after``, at most ``timeout_s``; returns the
        newest number. All listeners of a process share one look at the rows."""
        return await self.feed.news(after, timeout_s)

    async def standing(self, conversation: str = "") -> Standing:
        """For a customer's words: the place of ``conversation`` among those who wait for the same
        agents, of a newcomer without one. In a crowd the places may be `CROWD_S` old."""
        now = self.clock()
        crowd = self._crowd_at(time.monotonic())

        def unit(
            connection: Connection,
        ) -> tuple[list[Waiting], list[Agent], dict[str, Any] | None]:
            head = desk_views.head(connection, conversation) if conversation else None
            queue = crowd or sorted(desk_watch.waiting(connection), key=place_key)
            return queue, agents.listed(connection), head

        queue, people, head = await self.database.read(unit)
        if crowd is None:
            self._crowd = queue if len(queue) >= CROWD else None
        people = [one for one in people if one.enabled and one.acts]
        if head is not None:
            queue, people = _rivals(queue, people, head["channel"], head["account"])
        at = (i for i, one in enumerate(queue) if one.conversation == conversation)
        is_open = self.policy.is_open(now)
        return Standing(
            ahead=next(at, len(queue)),
            waiting=len(queue),
            open=is_open,
            opens_ts=None if is_open else self.policy.opens_at(now),
            online=sum(one.status is Presence.ONLINE for one in people),
        )

    def _crowd_at(self, now: float) -> list[Waiting] | None:
        """Whoever finds it too old reads it anew; the others go on with it meanwhile."""
        if now < self._crowd_until:
            return self._crowd
        self._crowd_until = now + CROWD_S
        return None

    async def stats(self) -> dict[str, float]:
        """Waiting and taken conversations, the longest wait (s), and agents by presence."""
        now = self.clock()

        def unit(connection: Connection) -> dict[str, float]:
            queue = desk_watch.waiting(connection)
            people = agents.listed(connection)
            by = {f"agents_{p}": sum(a.status is p for a in people) for p in Presence}
            oldest = min((one.since_ts for one in queue), default=now)
            taken = sum(a.load for a in people)
            return {"waiting": len(queue), "taken": taken, "oldest_wait_s": now - oldest} | by

        return await self.database.read(unit)


def _rivals(
    queue: list[Waiting], people: list[Agent], channel: str, account: str
) -> tuple[list[Waiting], list[Agent]]:
    """The agents who may have a conversation of that account, and who waits for any of them;
    everybody where there is no such agent."""
    able = [one for one in people if in_scope(one.scopes, channel, account)]
    if not able:
        return queue, []
    scopes = {scope for one in able for scope in one.scopes}
    if EVERYTHING in scopes:
        return queue, able
    return [one for one in queue if in_scope(scopes, one.channel, one.account)], able


def _cursor(keys: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode()


def _keys(cursor: str, view: View) -> tuple[Any, ...]:
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error):
        keys = None
    kind = str if view == "all" else (int, float)
    usable = isinstance(keys, list) and len(keys) == desk_views.KEYS[view]
    if not usable or not all(isinstance(key, kind) for key in keys):
        raise InvalidInput("before", "分页参数不正确，请重新打开列表")
    return tuple(keys)


def _customer(head: dict[str, Any], tags: list[str]) -> CustomerView:
    return CustomerView(
        contact_id=head["contact_id"],
        sender_id=head["sender_id"],
        name=head["customer_name"] or head["known_name"] or head["sender_id"],
        level=head["level"],
        score=head["score"],
        state=head["state"],
        total_messages=head["total_messages"],
        remark=head["remark"],
        tags=tuple(tags),
    )


def _message(row: dict[str, Any]) -> MessageView:
    attachments = json.loads(row["attachments"]) if row["attachments"] else []
    evidence = json.loads(row["rag_evidence_ids"]) if row["rag_evidence_ids"] else []
    by = row["event"].removeprefix(SAID_BY) if row["event"].startswith(SAID_BY) else ""
    return MessageView(
        id=row["id"],
        role=row["role"],
        text=row["content"],
        kind=row["kind"],
        at=row["received_at"],
        status=row["status"],
        agent=by if row["role"] == "staff" else "",
        turn_id=row["turn_id"] or "",
        confidence=row["confidence"],
        attachments=tuple(attachments),
        evidence_ids=tuple(evidence),
        delivery=row["delivery"] if row["role"] != "user" else "",
        message_id=row["channel_message_id"],
    )


def _handoff(row: dict[str, Any]) -> HandoffView:
    values = {name: row[name] for name in HandoffView.__slots__ if name in row}
    return HandoffView(**values | {"agent": row["agent"] or ""})


def _note(row: dict[str, Any]) -> NoteView:
    return NoteView(row["id"], row["agent"], row["agent_name"], row["text"], row["created_at"])


def _draft(row: dict[str, Any]) -> DraftView:
    return DraftView(
        id=row["id"],
        turn_id=row["turn_id"],
        text=row["text"],
        evidence=tuple(json.loads(row["evidence"])),
        status=row["status"],
        agent=row["agent"] or "",
        created_at=row["created_at"],
        decided_at=row["decided_at"],
    )


def _turn(row: dict[str, Any]) -> TurnView:
    answer: dict[str, Any] = json.loads(row["result"])
    return TurnView(
        turn_id=row["turn_id"],
        at_ts=row["started_ts"],
        status=row["status"],
        action=row["action"],
        decision=answer.get("decision", ""),
        intent=row["intent"],
        confidence=answer.get("confidence", 0.0),
        content=answer.get("content", ""),
        nodes=tuple(answer.get("nodes") or ()),
        evidence=tuple(answer.get("evidence") or ()),
        quote=answer.get("quote"),
        error=row["error"],
        answer=answer,
    )


def _order(row: dict[str, Any]) -> dict[str, Any]:
    quote = json.loads(row["quote"]) if row["quote"] else None
    return row | {"quote": None, "total": quote["total"] / 100 if quote else None}


def _may(who: Agent, handoff: HandoffView | None, mine: bool, has_draft: bool) -> tuple[str, ...]:
    if not who.acts:
        return ()
    status = handoff.status if handoff is not None else ""
    holds = mine or (who.rules and status == "taken")
    acts = ["note"]
    if not mine and (status != "taken" or who.rules):
        acts.append("take")
    if mine or status != "taken":
        acts.append("say")
    if holds:
        acts += ["transfer", "resolve", "mode"]
    elif status == "open":
        acts.append("transfer")
    if status == "closed":
        acts.append("reopen")
    if mine and has_draft:
        acts.append("draft")
    return tuple(acts)
