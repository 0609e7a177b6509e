"""Calls of tools from outside: permitted, run, applied, audited and remembered as one.

A tool says what is to happen; here it happens, in one commit with the audit record and with the
answer under the caller's idempotency key. The same key again gets the same answer and does nothing.
"""

import asyncio
import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import tzinfo
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from domain.decisions import Effect
from domain.errors import InvalidInput, KefuError, PeerUnavailable, StorageError
from domain.text import one_line
from engine.refusals import RefusalLimit
from storage import audit, effects, tool_calls
from storage.clock import iso
from storage.database import Database
from storage.recipients import find_recipient
from storage.tasks import TaskBook
from tools.registry import (
    Caller,
    NotAllowed,
    Recipient,
    Role,
    Tool,
    ToolCall,
    ToolOutcome,
    ToolRegistry,
)

TIMEOUT_S = 30.0
REMEMBERED_S = 7 * 86_400.0
FORGET_EVERY_S = 3_600.0
KEY_FIELD = "Idempotency-Key"
_SHOWN_CHARS = 128


@dataclass(frozen=True, slots=True)
class _Request:
    """``id``: of this call for good; two requests of one caller's key have the same."""

    id: str
    tool: str
    caller: Caller
    arguments_hash: str
    key: str | None
    recipient: Recipient | None

    @property
    def contact_id(self) -> str:
        return self.recipient.contact_id if self.recipient else self.caller.contact_id

    def audited(self) -> dict[str, Any]:
        about = {"key": self.key, "contact_id": self.contact_id}
        if self.recipient is not None:
            about["conversation_id"] = self.recipient.conversation_id
        return {"role": self.caller.role.value} | {k: v for k, v in about.items() if v}


@dataclass(frozen=True, slots=True)
class _Written:
    answer: dict[str, Any]
    queues: tuple[str, ...] = ()


class ToolDesk:
    """``on_queues`` is told which queues of the outbox have something new."""

    def __init__(
        self,
        registry: ToolRegistry,
        database: Database,
        *,
        book: TaskBook,
        zone: tzinfo,
        channels: frozenset[str],
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.registry = registry
        self._database, self._book = database, book
        self._zone, self._channels = zone, channels
        self._on_queues, self._clock, self._timeout_s = on_queues, clock, timeout_s
        self._running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refusals = RefusalLimit()
        self._forget_at = 0.0

    def find(self, name: str, caller: Caller) -> Tool[Any]:
        """Raises NotFound or NotAllowed."""
        tool = self.registry.get(name)
        if caller.role not in tool.roles:
            raise NotAllowed("tool", f"{caller.role} 无权使用 {name}")
        return tool

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        caller: Caller,
        *,
        key: str | None = None,
        recipient: Recipient | None = None,
    ) -> dict[str, Any]:
        """``{"tool", "result", "effects": [{"kind", "name"}], "duplicate"}``.

        Raises NotFound, NotAllowed, InvalidInput (409 for a key that was used with other
        arguments), or another KefuError where the tool or a peer failed: the same key may be sent
        again then. A customer's call is for the conversation in which that customer wrote last.
        """
        try:
            self.find(name, caller)
            whom = recipient or await self._own_conversation(caller)
            request = _request(name, arguments, caller, key, whom)
            if key is None:
                return await self._run(request, arguments)
            # A caller that lost patience sends again while the first call still runs.
            async with self._running.setdefault(request.id, asyncio.Lock()):
                known = await self._database.read(lambda c: tool_calls.find(c, request.id))
                return _again(known, request) if known else await self._run(request, arguments)
        except StorageError:
            raise
        except KefuError as error:
            await self._note(name, caller, error)
            raise

    async def _own_conversation(self, caller: Caller) -> Recipient | None:
        contact = caller.contact_id
        if caller.role is not Role.CUSTOMER or not contact:
            return None
        row = await self._database.read(lambda connection: find_recipient(connection, contact))
        if row is None or row.contact_id != contact:
            return None
        return Recipient(**asdict(row), pushes=row.channel in self._channels)

    async def _run(self, request: _Request, arguments: dict[str, Any]) -> dict[str, Any]:
        call = ToolCall(
            caller=request.caller,
            key=f"tool:{request.id}",
            now=self._clock(),
            database=self._database,
            zone=self._zone,
            recipient=request.recipient,
            channels=self._channels,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                outcome = await self.registry.call(request.tool, arguments, call)
        except TimeoutError:
            raise PeerUnavailable(request.tool, "gave no answer in time") from None
        _check_reach(outcome.effects, request.caller)
        written = await self._database.write(lambda c: self._write(c, request, outcome, call.key))
        if written.queues:
            self._on_queues(written.queues)
        return written.answer

    def _write(
        self, connection: Connection, request: _Request, outcome: ToolOutcome, key: str
    ) -> _Written:
        now, answer = self._clock(), _answer(request.tool, outcome)
        if request.key and not self._remember(connection, request, answer, now):
            known = tool_calls.find(connection, request.id)
            assert known is not None
            return _Written(_again(known, request))  # another process was quicker
        applied = effects.apply(
            connection,
            outcome.effects,
            key=key,
            cause=effects.Cause(request.caller.name, contact_id=request.contact_id),
            now=now,
            book=self._book,
            channels=self._channels,
        )
        audit.record(
            connection,
            at=iso(now),
            actor=request.caller.name,
            action="tool.call",
            subject=request.tool,
            detail=request.audited() | {"effects": answer["effects"]},
        )
        return _Written(answer | {"duplicate": False}, applied.queues)

    def _remember(
        self, connection: Connection, request: _Request, answer: dict[str, Any], now: float
    ) -> bool:
        if now >= self._forget_at:
            tool_calls.forget(connection, before=now - REMEMBERED_S)
            self._forget_at = now + FORGET_EVERY_S
        return tool_calls.remember(
            connection,
            request.id,
            tool=request.tool,
            caller=request.caller.name,
            arguments_hash=request.arguments_hash,
            answer=json.dumps(answer, ensure_ascii=False),
            now=now,
        )

    async def _note(self, name: str, caller: Caller, error: KefuError) -> None:
        """A refusal leaves a record, unless there are so many that they would fill the disk."""
        now = self._clock()
        unwritten = self._refusals.take(f"{caller.role} {caller.name}", now)
        if unwritten is None:
            return
        detail: dict[str, Any] = {"role": caller.role.value}
        if caller.contact_id:
            detail["contact_id"] = caller.contact_id
        if isinstance(error, InvalidInput):
            detail |= {"status": error.status, "field": _shown(error.field)}
        else:
            detail["error"] = type(error).__name__
        if unwritten:
            detail["unwritten"] = unwritten
        action = "tool.refused" if isinstance(error, InvalidInput) else "tool.failed"
        with contextlib.suppress(StorageError):  # the caller is to learn of the refusal itself
            await self._database.write(
                lambda connection: audit.record(
                    connection,
                    at=iso(now),
                    actor=caller.name,
                    action=action,
                    subject=_shown(name),
                    detail=detail,
                )
            )


def _request(
    name: str,
    arguments: dict[str, Any],
    caller: Caller,
    key: str | None,
    recipient: Recipient | None,
) -> _Request:
    """Raises InvalidInput for arguments that no database would take."""
    try:
        spelt = json.dumps(arguments, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
    except (ValueError, RecursionError):
        raise InvalidInput("arguments", "含有无法保存的字符或数字，或嵌套过深") from None
    if b"\\u0000" in spelt.replace(b"\\\\", b""):
        raise InvalidInput("arguments", "不能含有空字符")
    whose = [caller.role.value, caller.name, caller.contact_id, name, key]
    named = hashlib.sha256(json.dumps(whose).encode()).hexdigest()
    return _Request(
        id=uuid.uuid4().hex if key is None else named,
        tool=name,
        caller=caller,
        arguments_hash=hashlib.sha256(spelt).hexdigest(),
        key=key,
        recipient=recipient,
    )


def _again(known: tool_calls.Remembered, request: _Request) -> dict[str, Any]:
    if known.arguments_hash != request.arguments_hash:
        raise InvalidInput(KEY_FIELD, "这个键已用于参数不同的另一次调用", status=409)
    answer: dict[str, Any] = json.loads(known.answer)
    return answer | {"duplicate": True}


def _answer(tool: str, outcome: ToolOutcome) -> dict[str, Any]:
    made = [{"kind": effect.kind.value, "name": effect.name} for effect in outcome.effects]
    return {"tool": tool, "result": outcome.output, "effects": made}


def _check_reach(made: tuple[Effect, ...], caller: Caller) -> None:
    """Whatever a tool makes of its arguments: a customer's call is about that customer."""
    if caller.role is not Role.CUSTOMER:
        return
    for effect in made:
        touched = (effect.payload, effect.payload.get("to") or {})
        if any(part.get("contact_id", caller.contact_id) != caller.contact_id for part in touched):
            raise NotAllowed("customer_id", "只能操作本人的会话")


def _shown(text: str) -> str:
    return one_line(text[:_SHOWN_CHARS])
