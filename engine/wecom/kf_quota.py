"""What of a customer's quota a delivery gets. Where answers pile up (messages were read late, or
the platform was away), those that wait for the same customer leave as one message, and pictures
for which there is no room as their addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection

from domain.decisions import Action
from engine.wecom.kf_words import (
    Part,
    apart,
    as_words,
    part_msgid,
    picture_msgid,
    shows_picture,
)
from storage import kf, kf_windows
from storage.kf_windows import Whose, Window
from storage.outbox import Delivery

SPARE = 1
"""Kept for the word that a person takes over, and for people's own words."""
SCARCE = 2
PATIENCE_S = 60.0
"""How long the last message waits for what the customer is still being answered."""


class Outcome(Enum):
    SEND = "send"
    CARRIED = "carried"
    """It left as a part of an earlier one."""
    WAIT = "wait"
    """It is to leave together with what is being composed."""
    CLOSED = "closed"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Ration:
    """``parts`` to be sent; those whose msgids are ``fresh`` are reserved by this. ``needed``: how
    many parts there would be. ``state``: of the session, as last told."""

    outcome: Outcome
    parts: tuple[Part, ...] = ()
    fresh: frozenset[str] = field(default_factory=frozenset)
    needed: int = 0
    state: str = ""


def ration(connection: Connection, whose: Whose, delivery: Delivery, *, now: float) -> Ration:
    """Reserved in this unit, before anything is sent."""
    window = kf_windows.locked(connection, whose)
    if window is None:
        return Ration(Outcome.CLOSED)
    if _is_carried(connection, window, delivery):
        return Ration(Outcome.CARRIED)
    if now >= window.expires:
        return Ration(Outcome.CLOSED)
    found = _again(connection, window, delivery, now) or _anew(connection, window, delivery, now)
    kf_windows.save(connection, whose, window)
    return found


def give_up(connection: Connection, whose: Whose, delivery: Delivery, ids: frozenset[str]) -> None:
    """``ids`` were not sent, nor will be; nor was what was to leave with ``delivery``."""
    window = kf_windows.locked(connection, whose)
    if window is None:
        return
    _forget(window, ids)
    window.joined = {
        one: carrier for one, carrier in window.joined.items() if carrier != delivery.message_id
    }
    kf_windows.save(connection, whose, window)


def release(connection: Connection, whose: Whose, ids: frozenset[str]) -> None:
    """``ids`` were sent in an earlier window."""
    window = kf_windows.locked(connection, whose)
    if window is not None:
        _forget(window, ids)
        kf_windows.save(connection, whose, window)


def _forget(window: Window, ids: frozenset[str]) -> None:
    for one in ids:
        window.sent.pop(one, None)
        window.unsure.pop(one, None)


def part_with(connection: Connection, whose: Whose, carrier: str) -> frozenset[str]:
    """Message ids of what left as a part of ``carrier``, which has failed: each is on its own."""
    window = kf_windows.locked(connection, whose)
    if window is None:
        return frozenset()
    gone = frozenset(one for one, other in window.joined.items() if other == carrier)
    window.joined = {one: other for one, other in window.joined.items() if one not in gone}
    kf_windows.save(connection, whose, window)
    return gone


def exhaust(connection: Connection, whose: Whose, *, now: float) -> None:
    """The platform says that nothing more may be sent before the customer writes again."""
    window = kf_windows.locked(connection, whose)
    if window is not None:
        missing = range(len(window.sent), window.allowed)
        window.sent |= {f"unknown-{number}": now for number in missing}
        kf_windows.save(connection, whose, window)


def close(connection: Connection, whose: Whose, *, now: float) -> None:
    window = kf_windows.locked(connection, whose)
    if window is not None:
        window.expires = min(window.expires, now)
        kf_windows.save(connection, whose, window)


def _is_carried(connection: Connection, window: Window, delivery: Delivery) -> bool:
    carrier = window.joined.get(delivery.message_id)
    if carrier is None:
        return False
    if kf.was_delivered(connection, carrier):
        return True
    del window.joined[delivery.message_id]
    return False


def _again(connection: Connection, window: Window, delivery: Delivery, now: float) -> Ration | None:
    """As it was sent before, by an attempt whose end nobody knows; None where there was none."""
    tried = window.past | window.unsure | window.sent
    parts = _as_before(connection, window, delivery, tried)
    if parts is None:
        return None
    known = [one for one in parts if one.msgid in tried]
    ids = [one.msgid for one in known]
    fresh = [one for one in ids if one not in window.sent and one not in window.unsure]
    if len(window.sent) + len(fresh) > window.allowed:
        return Ration(Outcome.SPENT, state=window.state)
    # It may have been sent then, and may be sent only now: the later moment is the careful one.
    _forget(window, frozenset(ids))
    window.sent |= dict.fromkeys(ids, now)
    return Ration(Outcome.SEND, tuple(known), frozenset(fresh), len(parts), window.state)


def _as_before(
    connection: Connection, window: Window, delivery: Delivery, tried: Mapping[str, float]
) -> list[Part] | None:
    place = delivery.message_id, delivery.created_at
    if picture_msgid(*place) in tried:
        return apart(delivery.payload, *place)
    if part_msgid(*place, 0) not in tried:
        return None
    names = [one for one, carrier in window.joined.items() if carrier == delivery.message_id]
    payloads = [one.payload for one in kf.deliveries_named(connection, names)]
    return as_words([delivery.payload, *payloads], *place)


def _anew(connection: Connection, window: Window, delivery: Delivery, now: float) -> Ration:
    spare = 0 if _is_urgent(connection, delivery) else SPARE
    most = window.allowed - spare - len(window.sent)
    left = most - len(window.unsure)
    if most <= 0:
        return Ration(Outcome.SPENT, state=window.state)
    # An urgent word must not take the last place from the answers behind it: they leave together.
    unreserved = left - (SPARE - spare)
    waiting = kf.waiting_behind(connection, delivery)
    is_busy = kf.is_busy(connection, delivery.conversation_id, delivery.account, now=now)
    if is_busy and unreserved <= 1 and _age(delivery, now) < PATIENCE_S:
        return Ration(Outcome.WAIT, state=window.state)
    # Nothing but what may have been sent before is in the way: the platform knows whether it was.
    room = left if left > 0 else most
    payloads = [delivery.payload, *(one.payload for one in waiting)]
    more_to_come = is_busy and left <= SCARCE
    parts, taken = _chosen(delivery, payloads, room, 0 if more_to_come else unreserved)
    sent = parts[:room]
    ids = [one.msgid for one in sent]
    window.sent |= dict.fromkeys(ids, now)
    window.joined |= {one.message_id: delivery.message_id for one in waiting[: taken - 1]}
    return Ration(Outcome.SEND, tuple(sent), frozenset(ids), len(parts), window.state)


def _chosen(
    delivery: Delivery, payloads: Sequence[Mapping[str, Any]], room: int, unreserved: int
) -> tuple[list[Part], int]:
    """What leaves now, and how many of ``payloads`` (the delivery's first) that is. Each on its own
    where all of them fit into ``unreserved``."""
    place = delivery.message_id, delivery.created_at
    if sum(len(apart(one, *place)) for one in payloads) <= unreserved:
        return apart(delivery.payload, *place), 1
    first = _up_to_picture(payloads)
    if first:
        parts = apart(payloads[0], *place) if first == 1 else as_words(payloads[:first], *place)
        if len(parts) + len(as_words(payloads[first:], *place)) <= unreserved:
            return parts, first
    taken = _as_many_as_fit(payloads, room)
    return as_words(payloads[:taken], *place), taken


def _up_to_picture(payloads: Sequence[Mapping[str, Any]]) -> int:
    """How many leave now so that a picture among them can be one: itself, or what stands before
    it. 0: there is none."""
    at = next((at for at, one in enumerate(payloads) if shows_picture(one)), None)
    return 0 if at is None else max(at, 1)


def _as_many_as_fit(payloads: Sequence[Mapping[str, Any]], left: int) -> int:
    """How many, in order, leave together in ``left`` parts: one at least."""
    taken = 1
    while taken < len(payloads) and len(as_words(payloads[: taken + 1], "", "")) <= left:
        taken += 1
    return taken


def _age(delivery: Delivery, now: float) -> float:
    return now - datetime.fromisoformat(delivery.created_at).timestamp()


def _is_urgent(connection: Connection, delivery: Delivery) -> bool:
    """The word that a person takes over, or a person's word: what some of the quota is kept for."""
    if not delivery.turn_id:
        return delivery.task_id is None
    return kf.action_of(connection, delivery.turn_id) == Action.ESCALATE.value
