"""Figures, added up in the transaction that writes what they count, so that they are never wrong
and never cost a look at history. Fresh ones are kept by the minute, and put together into hours and
days as they age."""

import os
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, text

from domain.decisions import as_dict
from domain.figures import DAY_S, HOUR_S, SLOT_S, SLOW_MS, ModelSums, Sums, slot_of
from domain.messages import MessageKind
from storage.inbox import Claim
from storage.statements import Statement

Grouped = Literal["channel", "tier", "intent"]
SUMS = tuple(one.name for one in fields(Sums))
MODEL_SUMS = tuple(one.name for one in fields(ModelSums))
KEYS = ("span", "slot", "channel", "tier", "intent", "shard")
MODEL_KEYS = ("span", "slot", "provider", "currency", "shard")
_SHARDS = 64


@dataclass(frozen=True, slots=True)
class _Book:
    """A table of sums: what a row is found by, and what it adds up."""

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    add: Statement


def _book(table: str, keys: tuple[str, ...], sums: tuple[str, ...]) -> _Book:
    names = (*keys, *sums)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)
    adding = Statement(
        f"INSERT INTO {table} ({', '.join(names)})"  # noqa: S608
        f" VALUES ({', '.join(f':{name}' for name in names)})"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}"
    )
    return _Book(table, keys, sums, adding)


_TURNS = _book("figures", KEYS, SUMS)
_CALLS = _book("model_figures", MODEL_KEYS, MODEL_SUMS)
_WHOSE = Statement(
    "SELECT c.channel, COALESCE(u.level, 'gray') FROM conversations c"
    " LEFT JOIN customers u ON u.contact_id = c.contact_id WHERE c.id = :id"
)


def add(
    connection: Connection, sums: Sums, *, at: float, channel: str, tier: str, intent: str = ""
) -> None:
    key = {"span": SLOT_S, "slot": slot_of(at), "channel": channel, "tier": tier, "intent": intent}
    _TURNS.add.run(connection, key | {"shard": _shard(connection)} | as_dict(sums))


def add_call(connection: Connection, call: Mapping[str, Any], *, at: float) -> None:
    """``call``: a row of model_calls."""
    sums = ModelSums(
        calls=1,
        failed=0 if call["outcome"] == "ok" else 1,
        latency_ms=call["latency_ms"],
        tokens_in=call["tokens_in"],
        tokens_out=call["tokens_out"],
        cost=call["cost"] or 0.0,
    )
    currency = call["currency"] if call["cost"] is not None else ""
    key = {"span": SLOT_S, "slot": slot_of(at), "provider": call["provider"], "currency": currency}
    _CALLS.add.run(connection, key | {"shard": _shard(connection)} | as_dict(sums))


def response_ms(claim: Claim, ended: float) -> int:
    """How long the customer waited since their last word."""
    return max(0, round((ended - claim.messages[-1].received_ts) * 1_000))


def of_turn(
    claim: Claim,
    *,
    ended: float,
    status: str,
    outcome: str,
    sentiment: str,
    confidence: float | None,
    handed: bool,
    tokens: tuple[int, int],
) -> Sums:
    """``confidence``: of the answer, None where there was none."""
    # A word of the desk or of an approval begins a turn too: the customer did not wait for that.
    answered = confidence is not None and claim.messages[-1].kind != MessageKind.EVENT
    waited = response_ms(claim, ended) if answered else 0
    spoken = [one for one in claim.messages if one.kind != MessageKind.EVENT]
    return Sums(
        messages=len(spoken),
        turns=1,
        failed=0 if status == "done" else 1,
        answers=1 if answered else 0,
        response_ms=waited,
        slow=1 if waited > SLOW_MS else 0,
        confidence=(confidence or 0.0) if answered else 0.0,
        solved=1 if answered and outcome == "solved" else 0,
        unsolved=1 if answered and outcome == "unsolved" else 0,
        transferred=1 if answered and outcome == "transferred" else 0,
        handoffs=1 if handed else 0,
        positive=1 if sentiment == "positive" else 0,
        negative=1 if sentiment == "negative" else 0,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
    )


def add_of(connection: Connection, conversation: str, sums: Sums, *, at: float) -> None:
    """What happened in ``conversation`` beside its turns."""
    row = _WHOSE.first(connection, {"id": conversation})
    if row is not None:
        add(connection, sums, at=at, channel=row[0], tier=row[1])


def _shard(connection: Connection) -> int:
    """Two writers may share one: then they wait for each other, and count right all the same."""
    if connection.dialect.name == "sqlite":
        return 0
    return zlib.crc32(f"{os.getpid()}:{threading.get_ident()}".encode()) % _SHARDS


def total(connection: Connection, *, since: float, until: float) -> Sums:
    """Of every stretch that begins from ``since`` on and before ``until``."""
    row = connection.execute(_totals("", ""), {"since": since, "until": until}).one()
    return _sums(row)


def by_name(
    connection: Connection, dimension: Grouped, *, since: float, until: float
) -> dict[str, Sums]:
    statement = _totals(f"{dimension}, ", f" GROUP BY {dimension} ORDER BY {dimension}")
    found = connection.execute(statement, {"since": since, "until": until})
    return {str(row[0]): _sums(row[1:]) for row in found}


def by_day(
    connection: Connection, *, since: float, until: float, day: Callable[[int], str]
) -> dict[str, Sums]:
    statement = _totals("slot, ", " GROUP BY slot ORDER BY slot")
    found: dict[str, Sums] = {}
    for row in connection.execute(statement, {"since": since, "until": until}):
        name = day(int(row[0]))
        found[name] = found.get(name, Sums()) + _sums(row[1:])
    return found


def calls(
    connection: Connection, *, since: float, until: float
) -> dict[tuple[str, str], ModelSums]:
    """By provider and currency."""
    added = ", ".join(f"SUM({name})" for name in MODEL_SUMS)
    found = connection.execute(
        text(
            f"SELECT provider, currency, {added} FROM model_figures"  # noqa: S608
            " WHERE slot >= :since AND slot < :until"
            " GROUP BY provider, currency ORDER BY provider, currency"
        ),
        {"since": since, "until": until},
    )
    return {(row[0], row[1]): _model_sums(row[2:]) for row in found}


def _totals(first: str, last: str) -> Any:
    added = ", ".join(f"COALESCE(SUM({name}), 0)" for name in SUMS)
    return text(
        f"SELECT {first}{added} FROM figures"  # noqa: S608
        f" WHERE slot >= :since AND slot < :until{last}"
    )


def _sums(row: Iterable[Any]) -> Sums:
    values = dict(zip(SUMS, row, strict=True))
    whole = {name: int(value) for name, value in values.items() if name != "confidence"}
    return Sums(**whole, confidence=float(values["confidence"]))


def _model_sums(row: Iterable[Any]) -> ModelSums:
    values = dict(zip(MODEL_SUMS, row, strict=True))
    whole = {name: int(value) for name, value in values.items() if name != "cost"}
    return ModelSums(**whole, cost=float(values["cost"]))


def fold(
    connection: Connection, *, now: float, day_start: Callable[[float], int], limit: int = 50
) -> int:
    """Put stretches together that nobody needs so fine any more; returns how many there were.

    Sums stay what they are, whoever reads meanwhile and however many processes do this.
    """
    yesterday = day_start(day_start(now) - 1)
    hour = slot_of(now, HOUR_S)
    steps: tuple[tuple[int, int, int, Callable[[float], int]], ...] = (
        (SLOT_S, HOUR_S, hour - HOUR_S, lambda slot: slot_of(slot, HOUR_S)),
        (HOUR_S, DAY_S, yesterday, day_start),
    )
    return sum(
        _fold(connection, book, span, into, before, start, limit)
        for span, into, before, start in steps
        for book in (_TURNS, _CALLS)
    )


def _fold(
    connection: Connection,
    book: _Book,
    span: int,
    into: int,
    before: int,
    start: Callable[[float], int],
    limit: int,
) -> int:
    slots = connection.scalars(
        text(
            f"SELECT DISTINCT slot FROM {book.table}"  # noqa: S608
            " WHERE span = :span AND slot < :before ORDER BY slot LIMIT :limit"
        ),
        {"span": span, "before": before, "limit": limit},
    ).all()
    names = (*book.keys, *book.sums)
    for slot in slots:
        # Who deletes a row has its sums: a second process finds none.
        gone = connection.execute(
            text(
                f"DELETE FROM {book.table} WHERE span = :span AND slot = :slot"  # noqa: S608
                f" RETURNING {', '.join(names)}"
            ),
            {"span": span, "slot": slot},
        ).all()
        for row in gone:
            values = dict(zip(names, row, strict=True))
            book.add.run(connection, values | {"span": into, "slot": start(slot), "shard": 0})
    return len(slots)
