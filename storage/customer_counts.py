"""Counters of customers, kept where things happen, and the standing that follows from them.

Nothing here reads history: a message, a verdict and a deal each add to counters of one row, from
which the person's score, level and state are made anew in the same transaction.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.customers import (
    DAY_S,
    Counters,
    Happening,
    Stage,
    State,
    after,
    average_of,
    day_of,
    dealt,
    is_interested,
    is_positive,
    standing,
    undealt,
)
from storage.clock import iso
from storage.sealed import name_index, seal
from storage.statements import Statement

_COLUMNS = (
    "contact_id, person_id, aliases, level, score, state, state_before, pinned, total_messages,"
    " recent_messages, positive, judged, paid, deals, rated, rating_sum, satisfaction_avg,"
    " last_active_at"
)
FAMILY = """(
        SELECT CAST(:contact_id AS TEXT)
        UNION ALL SELECT person_id FROM customers WHERE contact_id = :contact_id AND person_id <> ''
        UNION ALL SELECT contact_id FROM customers WHERE person_id = :contact_id
        UNION ALL SELECT m.contact_id FROM customers f JOIN customers m
            ON m.person_id = f.person_id WHERE f.contact_id = :contact_id AND f.person_id <> '')"""
"""Every contact of the person whom ``:contact_id`` is one of, itself included: for IN."""
_WROTE = Statement(
    f"""
    INSERT INTO customers (contact_id, name, name_index, level, score, state, state_before,
        total_messages, recent_messages, last_active_at, remark, due_at)
    VALUES (:contact_id, :name, :name_index, 'gray', 60, 'new', 'new', :n, :n, :at, '', :due)
    ON CONFLICT (contact_id) DO UPDATE SET
        name = CASE WHEN excluded.name = '' THEN customers.name ELSE excluded.name END,
        name_index = CASE WHEN excluded.name = '' THEN customers.name_index
                          ELSE excluded.name_index END,
        total_messages = customers.total_messages + excluded.total_messages,
        recent_messages = customers.recent_messages + excluded.recent_messages,
        last_active_at = CASE WHEN excluded.total_messages = 0 THEN customers.last_active_at
                              ELSE excluded.last_active_at END,
        version = customers.version + 1,
        due_at = CASE WHEN customers.due_at <= excluded.due_at THEN customers.due_at
                      ELSE excluded.due_at END
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_DAY = Statement(
    """
    INSERT INTO customer_days (contact_id, day, messages) VALUES (:contact_id, :day, :n)
    ON CONFLICT (contact_id, day) DO UPDATE SET
        messages = customer_days.messages + excluded.messages
    """
)
_KNOWN = Statement(
    "INSERT INTO customers (contact_id, name, level, score, state, total_messages, last_active_at,"
    " remark) VALUES (:contact_id, '', 'gray', 60, 'new', 0, :at, '')"
    " ON CONFLICT (contact_id) DO NOTHING"
)
_PERSON_OF = Statement("SELECT contact_id, person_id FROM customers WHERE contact_id = :contact_id")
_OWN = Statement(
    f"SELECT {_COLUMNS} FROM customers WHERE contact_id = :person_id"  # noqa: S608
    f" UNION ALL SELECT {_COLUMNS} FROM customers WHERE person_id = :person_id"
)
_STAND = Statement(
    """
    UPDATE customers SET score = :score, level = :level, state = :state,
        state_before = :state_before, satisfaction_avg = :average, version = version + 1
    WHERE contact_id = :contact_id OR person_id = :contact_id
    """
)
_ADD = Statement(
    """
    UPDATE customers SET positive = positive + :positive, judged = judged + :judged,
        rated = rated + :rated, rating_sum = rating_sum + :rating_sum, paid = paid + :paid,
        deals = deals + :deals, version = version + 1,
        due_at = COALESCE(due_at, :due)
    WHERE contact_id = :contact_id
    """
)
_AVERAGE = Statement(
    "SELECT (SELECT value FROM counters WHERE name = 'deals_amount'),"
    " (SELECT value FROM counters WHERE name = 'deals')"
)
_COUNT = Statement(
    "INSERT INTO counters (name, value) VALUES (:name, :by)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value"
)
_NEW_VERDICT = Statement(
    """
    INSERT INTO customer_verdicts (key, contact_id, conversation_id, rating, outcome, by, at)
    VALUES (:key, :contact_id, :conversation_id, NULL, '', :by, :at)
    ON CONFLICT (key) DO NOTHING
    """
)
# Changes nothing, and holds the row: two who judge at once are one after another.
_HOLD_VERDICT = Statement(
    "UPDATE customer_verdicts SET key = key WHERE key = :key RETURNING contact_id, rating, outcome"
)
_VERDICT = Statement(
    "UPDATE customer_verdicts SET rating = :rating, outcome = :outcome, by = :by, at = :at"
    " WHERE key = :key"
)
_NEW_DEAL = Statement(
    """
    INSERT INTO deals (key, contact_id, order_id, amount, note, by, at, cancelled_at)
    VALUES (:key, :contact_id, :order_id, 0, :note, :by, :at, :at)
    ON CONFLICT (key) DO NOTHING
    """
)
_HOLD_DEAL = Statement(
    "UPDATE deals SET key = key WHERE key = :key RETURNING contact_id, amount, cancelled_at"
)
_DEAL = Statement("UPDATE deals SET amount = :amount, cancelled_at = :cancelled WHERE key = :key")


@dataclass(frozen=True, slots=True)
class Own:
    """A contact's row, as far as its person's standing follows from it."""

    contact_id: str
    person_id: str
    aliases: int
    level: str
    score: int
    state: str
    state_before: str
    pinned: str
    total_messages: int
    recent_messages: int
    positive: int
    judged: int
    paid: int
    deals: int
    rated: int
    rating_sum: int
    satisfaction_avg: float | None
    last_active_at: str

    @property
    def counters(self) -> Counters:
        return Counters(
            self.total_messages,
            self.recent_messages,
            self.positive,
            self.judged,
            self.paid,
            self.deals,
        )

    @property
    def stage(self) -> Stage:
        """A state that only a channel knows (unsubscribed) is none of ours: the one before is."""
        before = State(self.state_before) if self.state_before else State.NEW
        if self.state not in _STATES:
            return Stage(before, before)
        state = State(self.state)
        return Stage(state, before if state is State.CHURN else state)


_STATES = frozenset(State)
Move = Callable[[Stage, Counters], Stage]


def wrote(
    connection: Connection, contact_id: str, *, name: str, messages: int, intent: str, now: float
) -> None:
    """``messages`` of a contact are handled. ``intent``: what the last of them was about."""
    today = day_of(now)
    values: dict[str, Any] = {"contact_id": contact_id, "n": messages, "at": iso(now)}
    values |= {"name": seal(connection, name), "name_index": name_index(connection, name)}
    row = _WROTE.first(connection, values | {"due": _midnight(now)})
    assert row is not None
    if messages:
        _DAY.run(connection, {"contact_id": contact_id, "day": today, "n": messages})

    def moved(stage: Stage, counted: Counters) -> Stage:
        stage = after(stage, Happening.RETURN) if messages else stage
        interested = is_interested(intent, counted.messages)
        return after(stage, Happening.INTEREST) if interested else stage

    _settle(connection, _whole(connection, Own(*row)), moved)


def known(connection: Connection, contact_id: str, *, now: float) -> None:
    """There is a row of the contact from now on."""
    _KNOWN.run(connection, {"contact_id": contact_id, "at": iso(now)})


def judged(
    connection: Connection,
    key: str,
    contact_id: str,
    *,
    conversation_id: str = "",
    rating: int | None = None,
    outcome: str | None = None,
    by: str = "",
    now: float,
) -> None:
    """What is said of a talk counts once under its ``key``; said again, the later word counts.
    None: as before. ``outcome`` empty: it is open again."""
    said = {"key": key, "by": by, "at": iso(now)}
    if rating is not None or outcome:
        known(connection, contact_id, now=now)
        place = {"contact_id": contact_id, "conversation_id": conversation_id}
        _NEW_VERDICT.run(connection, said | place)
    held = _HOLD_VERDICT.first(connection, {"key": key})
    if held is None:
        return
    whose, rating_before, outcome_before = held
    rating = rating_before if rating is None else rating
    outcome = outcome_before if outcome is None else outcome
    _VERDICT.run(connection, said | {"rating": rating, "outcome": outcome})
    before, now_is = _verdict(rating_before, outcome_before), _verdict(rating, outcome)
    if before != now_is:
        _add(connection, whose, now, {n: now_is[n] - before[n] for n in now_is})
        refresh(connection, whose)


def bought(
    connection: Connection,
    key: str,
    contact_id: str,
    amount: int,
    *,
    order_id: int | None = None,
    note: str = "",
    by: str = "",
    now: float,
) -> bool:
    """A deal of ``amount`` fen counts once under its ``key``; another amount takes the place of the
    one before. False: nothing is new."""
    known(connection, contact_id, now=now)
    place = {"contact_id": contact_id, "order_id": order_id, "note": note, "by": by}
    _NEW_DEAL.run(connection, place | {"key": key, "at": iso(now)})
    return _redeal(connection, key, amount, None, now)


def called_off(connection: Connection, key: str, *, now: float) -> bool:
    """The deal does not count any more. False where there is none."""
    return _redeal(connection, key, None, iso(now), now)


def refresh(connection: Connection, contact_id: str, move: Move | None = None) -> None:
    """Make the standing of the person behind ``contact_id`` anew."""
    whole = person(connection, contact_id)
    if whole:
        _settle(connection, whole, move)


def person(connection: Connection, contact_id: str) -> list[Own]:
    """Every contact of the person, the one that speaks for all first; empty: nobody is known."""
    row = _PERSON_OF.first(connection, {"contact_id": contact_id})
    if row is None:
        return []
    found = (Own(*one) for one in _OWN.all(connection, {"person_id": row[1] or row[0]}))
    return sorted(found, key=lambda own: (own.person_id, own.contact_id))


def average_deal(connection: Connection) -> int:
    """In fen, 0 while too few have paid anything."""
    row = _AVERAGE.first(connection, {})
    amount, number = row if row is not None else (0, 0)
    return average_of(int(amount or 0), int(number or 0))


def _midnight(now: float) -> float:
    """When a day of messages grows old next."""
    return (day_of(now) + 1) * DAY_S


def _whole(connection: Connection, own: Own) -> list[Own]:
    if not own.person_id and not own.aliases:
        return [own]
    return person(connection, own.contact_id)


def _settle(connection: Connection, whole: Sequence[Own], move: Move | None = None) -> None:
    """Write what follows from the counters, where it differs from what the rows say."""
    first = whole[0]
    counted = first.counters if len(whole) == 1 else _sum(own.counters for own in whole)
    average = average_deal(connection) if counted.paid else 0
    found = standing(counted, average, first.pinned)
    stage = move(first.stage, counted) if move is not None else first.stage
    shown = stage.state.value if first.state in _STATES else first.state
    rated = sum(own.rated for own in whole)
    mean = sum(own.rating_sum for own in whole) / rated if rated else None
    after_it = (found.score, found.level.value, shown, stage.before.value, mean)
    if any(after_it != _shown(own) for own in whole):
        names = ("score", "level", "state", "state_before", "average")
        values: dict[str, Any] = dict(zip(names, after_it, strict=True))
        _STAND.run(connection, values | {"contact_id": first.contact_id})


def _shown(own: Own) -> tuple[int, str, str, str, float | None]:
    return own.score, own.level, own.state, own.state_before, own.satisfaction_avg


def _sum(counters: Iterable[Counters]) -> Counters:
    total = Counters()
    for one in counters:
        total += one
    return total


def _verdict(rating: int | None, outcome: str) -> dict[str, int]:
    positive = is_positive(rating, outcome)
    return {
        "positive": int(positive is True),
        "judged": int(positive is not None),
        "rated": int(rating is not None),
        "rating_sum": rating or 0,
    }


def _add(connection: Connection, contact_id: str, now: float, by: dict[str, int]) -> None:
    nothing = dict.fromkeys(("positive", "judged", "rated", "rating_sum", "paid", "deals"), 0)
    _ADD.run(connection, nothing | by | {"contact_id": contact_id, "due": _midnight(now)})


def _redeal(
    connection: Connection, key: str, amount: int | None, cancelled: str | None, now: float
) -> bool:
    """``amount`` None: as before."""
    held = _HOLD_DEAL.first(connection, {"key": key})
    if held is None:
        return False
    whose, had, off_since = held
    amount = had if amount is None else amount
    if (amount, cancelled is None) == (had, off_since is None) or (cancelled and off_since):
        return False
    _DEAL.run(connection, {"key": key, "amount": amount, "cancelled": cancelled})
    paid = ((0 if off_since else had), (0 if cancelled else amount))
    more = int(cancelled is None) - int(off_since is None)
    _add(connection, whose, now, {"paid": paid[1] - paid[0], "deals": more})
    for name, by in (
        ("deals_amount", paid[1] - paid[0]),
        ("deals", int(paid[1] > 0) - int(paid[0] > 0)),
    ):
        if by:
            _COUNT.run(connection, {"name": name, "by": by})
    refresh(connection, whose, _by_deals(more))
    return True


def _by_deals(more: int) -> Move | None:
    if not more:
        return None
    return lambda stage, counted: (dealt if more > 0 else undealt)(stage, counted.deals)
