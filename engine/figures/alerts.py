"""Alerts: the figures judged by the rules. One process tells staff, once when a rule fires and once
when it is over; what was told is committed together with how the rule stands."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from domain.alerts import AlertName, AlertRule, Standing, Turn, judge
from domain.decisions import Effect, EffectKind
from domain.figures import ModelSums, Sums
from engine.figures import words
from engine.figures.parts import Outside
from engine.figures.stats import last_day
from storage import alerts, effects, figures, processes, standing
from storage.clock import iso
from storage.database import Database
from storage.effects import Cause
from storage.processes import Process
from storage.tasks import TaskBook
from tools.models.ledger import start_of_day

log = logging.getLogger(__name__)
WINDOW_S = 600.0
FEW_ANSWERS = 5
"""Fewer answers than these within ten minutes say little about a share of them."""
FRESH_S = 60.0
"""A process says how it is every few seconds; after this it is lost."""
FORGET_S = 900.0


@dataclass(frozen=True, slots=True)
class Measure:
    """``value`` None: not known."""

    value: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What rows say, read at one moment. ``calls``: of 24 hours; ``today``: tokens of the budget's
    day, by provider."""

    now: standing.Standing
    window: Sums
    calls: Mapping[tuple[str, str], ModelSums]
    today: Mapping[str, int]
    processes: Sequence[Process]


def read(connection: Connection, now: float) -> Found:
    today: dict[str, int] = {}
    since = start_of_day(now)
    for (provider, _), sums in figures.calls(connection, since=since, until=now + 1).items():
        today[provider] = today.get(provider, 0) + sums.tokens
    return Found(
        standing.read(connection, now=now),
        figures.total(connection, since=now - WINDOW_S, until=now + 1),
        last_day(connection, now),
        today,
        processes.known(connection),
    )


def measures(found: Found, budgets: Mapping[str, int], now: float) -> dict[AlertName, Measure]:
    """``budgets``: tokens a day of the providers that have one."""
    fresh = [one for one in found.processes if now - one.seen <= FRESH_S]
    lost = [one for one in found.processes if now - one.seen > FRESH_S]
    window, letters = found.window, found.now
    enough = window.answers >= FEW_ANSWERS
    share = (window.slow_rate or 0.0) * 100 if enough else 0.0
    answers = words.ANSWERS.format(answers=window.answers)
    return {
        AlertName.CPU_HIGH: _worst(fresh, "cpu_percent"),
        AlertName.MEMORY_HIGH: _worst(fresh, "memory_percent"),
        AlertName.DISK_HIGH: _worst(fresh, "disk_percent"),
        AlertName.RESPONSE_SLOW: Measure(window.response_avg_ms or 0.0, answers),
        AlertName.ANSWERS_LATE: Measure(share, answers),
        AlertName.TOKEN_HIGH: Measure(float(sum(one.tokens for one in found.calls.values()))),
        AlertName.QUEUE_AGE: Measure(found.now.queue_age),
        AlertName.OUTBOX_AGE: Measure(found.now.outbox_age),
        AlertName.DEAD_LETTERS: Measure(
            float(letters.letters), words.LETTERS.format(parked=letters.parked, dead=letters.dead)
        ),
        AlertName.PROVIDER_OPEN: _open_providers(fresh),
        AlertName.QUOTA_LOW: _most_used(found.today, budgets),
        AlertName.CLIENT_OFFLINE: Measure(float(found.now.clients_offline)),
        AlertName.PROCESS_LOST: Measure(
            float(len(lost)), _named(words.PROCESSES, [f"{one.host}:{one.pid}" for one in lost])
        ),
    }


def _worst(fresh: Sequence[Process], reading: str) -> Measure:
    known = [one for one in fresh if reading in one.readings]
    if not known:
        return Measure(None)
    worst = max(known, key=lambda one: float(one.readings[reading]))
    return Measure(float(worst.readings[reading]), _named(words.HOSTS, [worst.host]))


def _open_providers(fresh: Sequence[Process]) -> Measure:
    names = {name for one in fresh for name in one.readings.get("providers_open", ())}
    return Measure(float(len(names)), _named(words.PROVIDERS, sorted(names)))


def _most_used(today: Mapping[str, int], budgets: Mapping[str, int]) -> Measure:
    used = {name: 100 * today.get(name, 0) / budget for name, budget in budgets.items()}
    if not used:
        return Measure(0.0)
    worst = max(used, key=lambda name: used[name])
    return Measure(used[worst], _named(words.PROVIDERS, [worst]))


def _named(sentence: str, names: Sequence[str]) -> str:
    return sentence.format(names="、".join(names)) if names else ""


class Alerts:
    """``channels``: those that deliver; ``silent``: rules whose firing staff is told of by another
    part. ``on_queues`` is told of queues of the outbox that got something."""

    def __init__(
        self,
        database: Database,
        rules: Sequence[AlertRule],
        outside: Outside,
        *,
        book: TaskBook,
        channels: Collection[str],
        silent: Collection[AlertName] = (AlertName.CLIENT_OFFLINE,),
        on_queues: Callable[[Sequence[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.on_queues = on_queues
        self._database, self._outside, self._clock = database, outside, clock
        self._book, self._channels = book, frozenset(channels)
        self._silent = frozenset(silent)

    async def check(self) -> list[tuple[AlertName, Turn]]:
        """Judge every rule now; what there was to tell, and was."""
        now = self._clock()
        budgets = {
            one.name: one.daily_token_budget
            for one in self._outside.providers()
            if one.daily_token_budget
        }
        found = await self._database.read(lambda c: read(c, now))
        measured = measures(found, budgets, now)
        told, queues = await self._database.write(lambda c: self._judge(c, measured, now))
        for name, turn in told:
            log.warning("alert %s: %s, at %s", name, turn, words.amount(name, measured[name].value))
        if queues:
            self.on_queues(queues)
        return told

    def _judge(
        self, connection: Connection, measured: Mapping[AlertName, Measure], now: float
    ) -> tuple[list[tuple[AlertName, Turn]], list[str]]:
        before = alerts.standings(connection)
        told: list[tuple[AlertName, Turn]] = []
        queues: list[str] = []
        for name, rule in self.rules.items():
            found = measured[name]
            was = before.get(name, Standing(since=now))
            stands, turn = judge(rule, was, found.value, now, found.detail)
            saved = alerts.save(connection, name, stands, was=was.state, now=now)
            if not saved or turn is None:
                continue
            told.append((name, turn))
            queues += self._tell(connection, rule, stands, turn, now)
        for left in before.keys() - {str(name) for name in self.rules}:
            alerts.drop(connection, left)
        return told, queues

    def _tell(
        self, connection: Connection, rule: AlertRule, stands: Standing, turn: Turn, now: float
    ) -> Sequence[str]:
        alerts.tell(
            connection,
            rule.name,
            turn,
            now=now,
            value=stands.value,
            threshold=rule.threshold,
            detail=stands.detail,
        )
        if rule.name in self._silent:
            return ()
        return effects.apply(
            connection,
            [Effect(EffectKind.NOTICE, "notice", _notice(rule, stands, turn, now))],
            key=f"alert:{rule.name}:{stands.fires}:{turn}:{round((stands.fired or now) * 1_000)}",
            cause=Cause("alerts"),
            now=now,
            book=self._book,
            channels=self._channels,
        ).queues

    async def standing(self) -> list[dict[str, Any]]:
        """Every rule as it stands, what fires first."""
        found = await self._database.read(alerts.standings)
        shown = [_shown(rule, found.get(name)) for name, rule in self.rules.items()]
        order = {"firing": 0, "pending": 1}
        return sorted(shown, key=lambda one: order.get(one["state"], 2))

    async def events(self, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        found = await self._database.read(lambda c: alerts.events(c, limit=limit, before=before))
        return [_event_shown(row) for row in found]


def _notice(rule: AlertRule, stands: Standing, turn: Turn, now: float) -> dict[str, Any]:
    told = {
        "title": words.TITLES[rule.name],
        "value": words.amount(rule.name, stands.value),
        "threshold": words.amount(rule.name, rule.threshold),
        "detail": stands.detail,
        "minutes": str(max(1, round((now - (stands.fired or now)) / 60))),
    }
    fires = turn == "firing"
    title, text = (
        (words.FIRING_TITLE, words.FIRING) if fires else (words.RESOLVED_TITLE, words.RESOLVED)
    )
    return {
        "title": title.format_map(told),
        "text": text.format_map(told),
        "priority": "high" if fires else "normal",
        "reason": f"alert_{rule.name}",
        "conversation_id": "",
    }


def _shown(rule: AlertRule, stands: Standing | None) -> dict[str, Any]:
    stands = stands or Standing()
    return {
        "name": rule.name.value,
        "title": words.TITLES[rule.name],
        "state": stands.state.value,
        "value": stands.value,
        "threshold": rule.threshold,
        "unit": words.UNITS[rule.name].strip(),
        "detail": stands.detail,
        "since": _at(stands.since or None),
        "fired_at": _at(stands.fired),
        "resolved_at": _at(stands.resolved),
        "fires": stands.fires,
    }


def _event_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    name = str(row["name"])
    known = name in set(AlertName)
    return {
        "id": row["id"],
        "name": name,
        "title": words.TITLES[AlertName(name)] if known else name,
        "event": row["event"],
        "at": iso(row["at_ts"]),
        "value": row["value"],
        "threshold": row["threshold"],
        "detail": row["detail"],
    }


def _at(seconds: float | None) -> str | None:
    return iso(seconds) if seconds is not None else None
