"""What rules do in a turn: the calls of their tools, and what these did as rows of its commit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection

from engine.metrics import Metrics
from engine.rules.checking import ROLE
from graphs.context import MakeRuleCall, RuleAct
from storage.database import Database
from storage.effects import Cause, apply
from storage.inbox import Claim
from storage.rules import Firing, note_firings
from storage.tasks import TaskBook
from storage.turns import TurnCommit
from tools.registry import Caller, Recipient, ToolCall

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleWork:
    """Of one run: the rules that acted, and what their tools did."""

    firings: tuple[Firing, ...] = ()
    acts: tuple[RuleAct, ...] = ()


NO_RULES = RuleWork()


class TurnRules:
    """``channels``: those that deliver."""

    def __init__(
        self,
        database: Database,
        book: TaskBook,
        metrics: Metrics,
        *,
        zone: tzinfo,
        channels: frozenset[str],
    ) -> None:
        self._database, self._book, self._metrics = database, book, metrics
        self._zone, self._channels = zone, channels

    def caller(self, claim: Claim, turn_id: str, now: float) -> MakeRuleCall:
        """Rules act for whoever wrote; the turn makes each of their acts one of a kind."""
        to = Recipient(
            conversation_id=claim.conversation_id,
            channel=claim.channel,
            account=claim.account,
            chat_id=claim.chat_id,
            sender_id=claim.sender_id,
            contact_id=claim.contact_id,
            name=claim.customer.name,
        )

        def make(rule: str, key: str) -> ToolCall:
            return ToolCall(
                caller=Caller(ROLE, f"rule:{rule}"),
                key=f"{turn_id}:rule:{key}",
                now=now,
                database=self._database,
                zone=self._zone,
                recipient=to,
                channels=self._channels,
            )

        return make

    def commit(
        self,
        connection: Connection,
        claim: Claim,
        turn: TurnCommit,
        work: RuleWork,
        shown_in: str,
    ) -> list[str]:
        """Returns queues to wake."""
        turn_id, now = turn.turn_id, turn.ended
        note_firings(connection, work.firings, turn_id=turn_id, channel=claim.channel, now=now)
        queues: list[str] = []
        for one in work.acts:
            cause = Cause(
                actor=f"rule:{one.rule}",
                turn_id=turn_id,
                conversation_id=claim.conversation_id,
                contact_id=claim.contact_id,
                shown_in=shown_in,
            )
            applied = apply(
                connection,
                one.act.effects,
                key=f"{turn_id}:rule:{one.key}",
                cause=cause,
                now=now,
                book=self._book,
                channels=self._channels,
            )
            queues += applied.queues
        return queues

    def committed(self, work: RuleWork) -> None:
        for firing in work.firings:
            self._metrics.rules_fired.labels(firing.kind, firing.rule_id).inc()
        for one in work.acts:
            if one.act.error:
                self._metrics.rule_act_failures.labels(one.rule, one.tool).inc()
                log.error("rule %s: %s failed: %s", one.rule, one.tool, one.act.error)


def work_of(found: dict[str, Any], acts: Sequence[RuleAct]) -> RuleWork:
    """``found``: the run's classification."""
    errors: dict[str, str] = {}
    for one in acts:
        if one.act.error:
            errors.setdefault(one.rule, one.act.error[:500])
    fired = (found.get("triggers") or {}).get("fired", ())
    firings = [Firing(one["id"], "trigger", errors.get(one["id"], "")) for one in fired]
    rule = found.get("rule")
    if rule is not None:
        name = rule.get("id") or rule["category"]
        if all(one.rule_id != name for one in firings):
            firings.append(Firing(name, "words"))
    return RuleWork(tuple(firings), tuple(acts))
