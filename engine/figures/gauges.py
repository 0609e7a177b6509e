"""Prometheus gauges that every process shows alike, for they are of the whole deployment: over
several processes take the maximum, not the sum. Their help says so. Those of the process and its
machine are its own."""

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Connection

from domain.alerts import AlertName, AlertState
from domain.figures import HOUR_S, ModelSums, Sums
from engine.figures.alerts import FRESH_S
from engine.figures.machine import Machine
from engine.figures.parts import Outside
from engine.figures.stats import cost_of, last_day
from storage import alerts, figures, processes, standing
from storage.database import Database

MIN_S = 5.0
"""However often it is scraped, rows are not read more often."""
WHOLE = " (whole deployment)"


class Gauges:
    def __init__(
        self,
        registry: CollectorRegistry,
        database: Database,
        machine: Machine,
        outside: Outside,
        rates: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry, self._database = registry, database
        self._machine, self._outside, self._rates = machine, outside, dict(rates)
        self._clock, self._read = clock, 0.0
        self._own()
        self._waiting()
        self._going_on()
        self._recent()

    def _gauge(self, name: str, about: str, *labels: str, whole: bool = True) -> Gauge:
        return Gauge(name, about + (WHOLE if whole else ""), labels, registry=self._registry)

    def _own(self) -> None:
        one = self._gauge
        self.machine = one(
            "kefu_machine_used_ratio",
            "Use of the machine that the process runs on, 0 to 1: cpu, memory, disk",
            "resource",
            whole=False,
        )
        self.provider_open = one(
            "kefu_provider_open",
            "1 while this process does not ask a model provider that keeps failing",
            "provider",
            whole=False,
        )
        self.provider_tokens_left = one(
            "kefu_provider_tokens_left_ratio",
            "What this process knows to be left of a model provider's daily tokens, 0 to 1",
            "provider",
            whole=False,
        )

    def _waiting(self) -> None:
        one = self._gauge
        self.queue = one("kefu_queue_conversations", "Conversations that wait for a turn")
        self.queue_age = one("kefu_queue_age_seconds", "Age of the oldest message without a turn")
        self.outbox = one("kefu_outbox_pending", "Deliveries that are to be sent")
        self.outbox_age = one("kefu_outbox_age_seconds", "Age of the oldest of them")
        self.dead = one(
            "kefu_dead_letters",
            "Given up: messages whose turn kept failing (parked), deliveries (dead)",
            "kind",
        )
        self.handoffs = one(
            "kefu_handoffs_open", "Hand-overs by status: waiting for a person, taken", "status"
        )
        self.wait_age = one(
            "kefu_handoff_age_seconds", "How long the customer waits who waits longest for a person"
        )

    def _going_on(self) -> None:
        one = self._gauge
        self.sessions = one(
            "kefu_sessions",
            "Sessions by life: active (5 min), idle (15 min), dormant (30 min)",
            "life",
        )
        self.replies_left = one(
            "kefu_reply_quota_customers",
            "Customers of a channel with quotas, by how many messages they may still be sent",
            "channel",
            "left",
        )
        self.clients = one("kefu_clients", "Clients by heartbeat: online, offline", "state")
        self.processes = one("kefu_processes", "Processes by sign of life: alive, lost", "state")
        self.alert = one("kefu_alert_firing", "1 while an alert of the service fires", "alert")

    def _recent(self) -> None:
        one = self._gauge
        self.messages = one("kefu_messages_last_hour", "Customers' messages of the last hour")
        self.response = one(
            "kefu_response_last_hour_seconds", "Average wait for an answer in the last hour"
        )
        self.wait = one(
            "kefu_handoff_wait_last_hour_seconds",
            "Average wait for a person's first word in the last hour",
        )
        self.shares = one(
            "kefu_last_hour_ratio",
            "Shares of the last hour, 0 to 1: resolution and slow of answers, handoff of turns",
            "share",
        )
        self.confidence = one(
            "kefu_confidence_last_hour_ratio", "Average confidence of answers in the last hour"
        )
        self.tokens = one("kefu_tokens_last_day", "Tokens of models within 24 hours", "provider")
        self.cost = one("kefu_cost_last_day_yuan", "Estimated cost of models within 24 hours")

    async def refresh(self) -> None:
        """Before each scrape. Raises what the database raises."""
        self._show_own()
        now = self._clock()
        if now - self._read < MIN_S:
            return
        self._read = now

        def unit(connection: Connection) -> None:
            self._show_waiting(standing.read(connection, now=now))
            self._show_quota(standing.replies_left(connection, now=now))
            self._show_processes(connection, now)
            self._show_alerts(connection)
            hour = figures.total(connection, since=now - HOUR_S, until=now + 1)
            self._show_hour(hour)
            self._show_models(last_day(connection, now))

        await self._database.read(unit)

    def _show_own(self) -> None:
        readings = self._machine.last
        if readings is not None:
            for name in ("cpu", "memory", "disk"):
                used = getattr(readings, f"{name}_percent")
                self.machine.labels(name).set(round(used / 100, 4))
        for one in self._outside.stands():
            self.provider_open.labels(one.name).set(1 if one.open else 0)
            if one.used is not None:
                left = round(max(0.0, 1 - one.used), 4)
                self.provider_tokens_left.labels(one.name).set(left)

    def _show_waiting(self, now: standing.Standing) -> None:
        self.queue.set(now.conversations)
        self.queue_age.set(now.queue_age)
        self.outbox.set(now.pending)
        self.outbox_age.set(now.outbox_age)
        self.dead.labels("parked").set(now.parked)
        self.dead.labels("dead").set(now.dead)
        self.handoffs.labels("waiting").set(now.waiting)
        self.handoffs.labels("taken").set(now.with_people)
        self.wait_age.set(now.wait_age)
        for life in ("active", "idle", "dormant"):
            self.sessions.labels(life).set(getattr(now, life))
        self.clients.labels("online").set(now.clients_online)
        self.clients.labels("offline").set(now.clients_offline)

    def _show_quota(self, found: Mapping[tuple[str, int], int]) -> None:
        self.replies_left.clear()
        for (channel, left), customers in found.items():
            self.replies_left.labels(channel, str(left)).set(customers)

    def _show_processes(self, connection: Connection, now: float) -> None:
        known = processes.known(connection)
        alive = sum(1 for one in known if now - one.seen <= FRESH_S)
        self.processes.labels("alive").set(alive)
        self.processes.labels("lost").set(len(known) - alive)

    def _show_alerts(self, connection: Connection) -> None:
        found = alerts.standings(connection)
        for name in AlertName:
            stands = found.get(name)
            fires = stands is not None and stands.state is AlertState.FIRING
            self.alert.labels(name.value).set(1 if fires else 0)

    def _show_hour(self, hour: Sums) -> None:
        self.messages.set(hour.messages)
        self.response.set((hour.response_avg_ms or 0.0) / 1_000)
        self.wait.set(hour.wait_ms / 1_000 / hour.waits if hour.waits else 0.0)
        self.shares.labels("resolution").set(hour.resolution_rate or 0.0)
        self.shares.labels("slow").set(hour.slow_rate or 0.0)
        self.shares.labels("handoff").set(hour.handoff_rate or 0.0)
        self.confidence.set(hour.confidence / hour.answers if hour.answers else 0.0)

    def _show_models(self, calls: Mapping[tuple[str, str], ModelSums]) -> None:
        self.tokens.clear()
        tokens: dict[str, int] = {}
        for (provider, _), sums in calls.items():
            tokens[provider] = tokens.get(provider, 0) + sums.tokens
        for provider, number in tokens.items():
            self.tokens.labels(provider).set(number)
        self.cost.set(round(cost_of(calls, self._rates).total, 6))
