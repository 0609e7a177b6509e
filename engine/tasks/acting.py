"""From a task to the call of its tool, and from what the tool did to rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from domain import message_fields
from domain.errors import TaskTaken
from domain.ids import contact_id, conversation_id
from domain.tasks import Match, Said
from graphs.context import FiredTask
from storage.database import Database
from storage.effects import Cause, apply
from storage.recipients import find_recipient
from storage.tasks import TOOL, TaskBook, TaskRow
from tools.perform import Act
from tools.registry import Caller, Recipient, Role, ToolCall, ToolRegistry

ACTOR = "tianwang"
CALLER = Caller(Role.TIANWANG, ACTOR)
MAX_CAUSE_CHARS = 200


@dataclass(frozen=True, slots=True)
class ActingPolicy:
    """``channel``, ``account``: for customers who have not written yet; empty: such a task fails.
    ``backoff_base_s`` doubles with each retry of an action, up to ``backoff_max_s``."""

    zone: tzinfo
    channels: frozenset[str]
    channel: str = ""
    account: str = ""
    backoff_base_s: float = 2.0
    backoff_max_s: float = 300.0

    def delay(self, retries: int) -> float:
        return float(min(self.backoff_base_s * 2 ** min(retries, 30), self.backoff_max_s))


class Acting:
    """Makes calls of tools out of tasks. ``registry`` is filled before the first one."""

    def __init__(
        self, database: Database, registry: ToolRegistry, book: TaskBook, policy: ActingPolicy
    ) -> None:
        self.database, self.registry = database, registry
        self.book, self.policy = book, policy

    def fired_by_message(
        self, row: TaskRow, match: Match, said: Said, message_id: str, to: Recipient, now: float
    ) -> FiredTask:
        """What ``said`` fires; ``to``: the conversation in which it was said."""
        cause = {
            "message_id": message_id,
            "conversation_id": to.conversation_id,
            "keyword": match.keyword,
            "text": said.text[:MAX_CAUSE_CHARS],
            "event": said.event,
        }
        return self._fired(row, cause, to, now, run_no=row.run_no + 1)

    def fired_by_time(self, row: TaskRow, to: Recipient | None, now: float) -> FiredTask:
        cause = {"time": row.due_at, "late_s": round(now - (row.due_at or now), 3)}
        return self._fired(row, cause, to, now, run_no=row.run_no + 1)

    def again(self, row: TaskRow, to: Recipient | None, now: float) -> FiredTask:
        """A further attempt of a firing; its cause stays."""
        return self._fired(row, row.cause or {}, to, now, run_no=row.run_no)

    async def recipient(self, row: TaskRow) -> Recipient | None:
        """Whom the action is for: where the message came from, else the task's customer."""
        body, cause = row.body, row.cause or {}
        if body.get("to"):
            return self._pushed(Recipient(**body["to"]))
        customer = body.get("customer", {})
        spoken_in = cause.get("to")
        if spoken_in:
            return self._pushed(Recipient(**spoken_in))
        wanted = customer.get("id") or row.customer_id or ""
        channel, account = customer.get("channel", ""), customer.get("account", "")
        found = await self.database.read(
            lambda c: find_recipient(c, wanted, channel=channel, account=account)
        )
        if found is not None:
            return self._pushed(Recipient(**asdict(found)))
        return self._unwritten(wanted, customer.get("name", ""), channel, account)

    def _unwritten(self, customer: str, name: str, channel: str, account: str) -> Recipient | None:
        """Somebody who has not written to us yet."""
        channel, account = channel or self.policy.channel, account or self.policy.account
        if not (channel and customer):
            return None
        conversation = conversation_id(channel, account, customer, customer)
        contact = contact_id(channel, account, customer)
        to = Recipient(conversation, channel, account, customer, customer, contact, name)
        return self._pushed(to)

    def _pushed(self, to: Recipient) -> Recipient:
        pushes = to.channel in self.policy.channels
        return Recipient(**(asdict(to) | {"pushes": pushes}))

    def _fired(
        self, row: TaskRow, cause: dict[str, Any], to: Recipient | None, now: float, *, run_no: int
    ) -> FiredTask:
        action = row.body["action"]
        tool = self.registry.get(action["tool"]) if action["tool"] in self.registry else None
        call = ToolCall(
            caller=CALLER,
            key=f"task:{row.task_id}:{run_no}",
            now=now,
            database=self.database,
            zone=self.policy.zone,
            recipient=to,
            channels=self.policy.channels,
        )
        arguments = action["arguments"]
        if row.source != TOOL:  # what a tool has scheduled is final
            values = self._values(row, cause, to, now)
            arguments = message_fields.fill(arguments, values)
        if to is not None and "keyword" in cause:
            cause = cause | {"to": asdict(to)}
        return FiredTask(
            task_id=row.task_id,
            tool=action["tool"],
            arguments=arguments,
            call=call,
            cause=cause,
            max_retry=row.max_retry,
            deferred=tool is not None and not tool.inline,
        )

    def _values(
        self, row: TaskRow, cause: Mapping[str, Any], to: Recipient | None, now: float
    ) -> dict[str, str]:
        at = datetime.fromtimestamp(now, self.policy.zone)
        # A task that anybody may fire acts for whoever did.
        own = to is None or row.customer_id in (to.sender_id, to.contact_id)
        return {
            "task.id": row.task_id,
            "customer.id": to.sender_id if to else row.customer_id or "",
            "customer.name": (row.customer_name or "") if own else to.name if to else "",
            "trigger.keyword": cause.get("keyword", ""),
            "trigger.text": cause.get("text", ""),
            "trigger.time": f"{at:%Y-%m-%d %H:%M:%S}",
        }

    # Rows ----------------------------------------------------------------------------------

    def commit_firing(
        self,
        connection: Connection,
        fired: FiredTask,
        act: Act,
        *,
        now: float,
        conversation: str = "",
        turn_id: str = "",
        shown_in: str = "",
    ) -> tuple[str, ...]:
        """pending → triggered, and what the action did. Raises TaskTaken if it was fired already.

        Returns queues to wake.
        """
        due_at = now if act.deferred else None
        row = self.book.fire(connection, fired.task_id, cause=fired.cause, now=now, due_at=due_at)
        if row is None:
            raise TaskTaken(fired.task_id, conversation)
        if act.deferred:
            return ()
        return self.commit_act(connection, row, act, now=now, turn_id=turn_id, shown_in=shown_in)

    def commit_act(
        self,
        connection: Connection,
        row: TaskRow,
        act: Act,
        *,
        now: float,
        turn_id: str = "",
        shown_in: str = "",
    ) -> tuple[str, ...]:
        """What an action did to a triggered task: done, under way, failed, or to be tried again."""
        if act.error:
            return self._commit_error(connection, row, act, now)
        to = (row.cause or {}).get("to") or row.body.get("to") or {}
        cause = Cause(
            actor=ACTOR,
            turn_id=turn_id,
            conversation_id=to.get("conversation_id", ""),
            contact_id=to.get("contact_id", ""),
            task_id=row.task_id,
            task_run=row.run_no,
            shown_in=shown_in,
            max_attempts=row.max_retry + 1,
        )
        applied = apply(
            connection,
            act.effects,
            key=row.key,
            cause=cause,
            now=now,
            book=self.book,
            channels=self.policy.channels,
        )
        if applied.deliveries:
            self.book.wait_for(connection, row, deliveries=applied.deliveries, result=act.output)
            return applied.queues
        ended = self.book.complete(connection, row, now=now, result=act.output)
        return applied.queues + (ended.queues if ended else ())

    def _commit_error(
        self, connection: Connection, row: TaskRow, act: Act, now: float
    ) -> tuple[str, ...]:
        if act.again and row.retry_count < row.max_retry:
            retry_at = now + self.policy.delay(row.retry_count)
            self.book.try_again(connection, row, error=act.error, retry_at=retry_at, now=now)
            return ()
        ended = self.book.fail(connection, row, error=act.error, now=now)
        return ended.queues if ended else ()
