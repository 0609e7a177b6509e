"""What rules would have done: they are held against past conversations, and nothing is done.

What a customer wrote is read as the turn read it, messages that were answered together as one.
Intent and feeling are judged anew, without a model; of the customer is known what is known now.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from domain.decisions import CustomerFacts
from domain.intents import Intent, Sentiment
from domain.placeholders import masked
from domain.rule_triggers import Occasion
from domain.rules import RuleHit, RuleSet
from graphs.classifier.model import IntentClassifier
from graphs.classifier.sentiment import feeling
from storage.rules import PastMessage

MAX_EXAMPLE_CHARS = 80
_INTENT_OF_RULE = {"human_request": Intent.HUMAN, "complaint": Intent.COMPLAINT}


@dataclass(frozen=True, slots=True)
class PastTurn:
    conversation_id: str
    contact_id: str
    channel: str
    account: str
    text: str
    at_ts: float


def turns_of(messages: Iterable[PastMessage]) -> list[PastTurn]:
    """Messages that one turn answered are one; oldest first."""
    groups: dict[str, list[PastMessage]] = {}
    for one in messages:
        groups.setdefault(one.turn_id or f"message {one.id}", []).append(one)
    return [
        PastTurn(
            group[-1].conversation_id,
            group[-1].contact_id,
            group[-1].channel,
            group[-1].account,
            "\n".join(one.content for one in group),
            group[-1].at_ts,
        )
        for group in groups.values()
    ]


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one set of rules makes of a turn: rules by id with the word, and what follows."""

    rules: Mapping[str, str]
    handed: str = ""
    replied: str = ""


@dataclass(slots=True)
class _Reader:
    """One set of rules, and what rests in which conversation."""

    rules: RuleSet
    paused: dict[str, dict[str, float]] = field(default_factory=dict)

    def read(self, occasion: Occasion, hit: RuleHit | None, conversation: str) -> _Heard:
        resting = self.paused.get(conversation, {})
        fired = self.rules.fired(occasion, resting)
        found = {one.trigger.id: one.word for one in fired}
        if hit is not None:
            found.setdefault(hit.rule or hit.category, hit.word)
        ends = {
            one.trigger.id: occasion.now + 60 * one.trigger.pause_minutes
            for one in fired
            if one.trigger.pause_minutes
        }
        if ends:
            self.paused[conversation] = resting | ends
        handed = hit.rule or hit.category if hit is not None and hit.action == "handoff" else ""
        replied = ""
        for one in fired:
            kinds = {step.kind for step in one.trigger.then}
            handed = handed or (one.trigger.id if "handoff" in kinds else "")
            replied = replied or (one.trigger.id if kinds & {"reply", "template"} else "")
        return _Heard(found, handed, "" if handed else replied)


@dataclass(slots=True)
class _Tally:
    fired: int = 0
    present: int = 0
    added: int = 0
    removed: int = 0
    conversations: set[str] = field(default_factory=set)
    examples: list[dict[str, str]] = field(default_factory=list)


class PastReading:
    """Both sets of rules over one past, turn by turn in their order."""

    def __init__(
        self,
        proposed: RuleSet,
        present: RuleSet,
        classifier: IntentClassifier,
        *,
        zone: tzinfo = UTC,
        examples: int = 5,
    ) -> None:
        self._proposed, self._present = _Reader(proposed), _Reader(present)
        self._classifier, self._zone, self._examples = classifier, zone, examples
        self._tallies: dict[str, _Tally] = {}
        self._upset: dict[str, int] = {}
        self._judged: tuple[PastTurn, Occasion] | None = None
        self._handed, self._replied = _Tally(), _Tally()
        self.turns = 0

    def read(self, turns: Sequence[PastTurn], people: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes some tenths of a millisecond for each: not for the event loop."""
        for turn in turns:
            self._read(turn, people.get(turn.contact_id, {}))
        self.turns += len(turns)

    def _read(self, turn: PastTurn, known: Mapping[str, Any]) -> None:
        after, before = (
            self._heard(reader, turn, known) for reader in (self._proposed, self._present)
        )
        for rule in after.rules.keys() | before.rules.keys():
            tally = self._tallies.setdefault(rule, _Tally())
            word = after.rules.get(rule, before.rules.get(rule, ""))
            self._count(tally, turn, rule in after.rules, rule in before.rules, word)
        self._count(self._handed, turn, bool(after.handed), bool(before.handed), after.handed)
        self._count(self._replied, turn, bool(after.replied), bool(before.replied), after.replied)

    def _heard(self, reader: _Reader, turn: PastTurn, known: Mapping[str, Any]) -> _Heard:
        hit = reader.rules.match(turn.text, contact_id=turn.contact_id)
        occasion = self._occasion(turn, known)
        if hit is not None and hit.category in _INTENT_OF_RULE:
            intent = _INTENT_OF_RULE[hit.category]
            occasion = replace(occasion, intent=intent, intent_confidence=1.0)
        return reader.read(occasion, hit, turn.conversation_id)

    def _occasion(self, turn: PastTurn, known: Mapping[str, Any]) -> Occasion:
        """Judged once for both sets."""
        if self._judged is not None and self._judged[0] is turn:
            return self._judged[1]
        prediction = self._classifier.predict(turn.text)
        felt = feeling(turn.text).sentiment
        upset = self._upset.get(turn.conversation_id, 0) + 1 if felt is Sentiment.NEGATIVE else 0
        self._upset[turn.conversation_id] = upset
        occasion = Occasion(
            text=turn.text,
            intent=prediction.intent,
            intent_confidence=prediction.confidence,
            sentiment=felt,
            at=datetime.fromtimestamp(turn.at_ts, self._zone),
            upset=upset,
            customer=CustomerFacts(contact_id=turn.contact_id, **known),
            channel=turn.channel,
            account=turn.account,
        )
        self._judged = (turn, occasion)
        return occasion

    def _count(self, tally: _Tally, turn: PastTurn, now: bool, before: bool, word: str) -> None:
        if not now and not before:
            return
        tally.fired += now
        tally.present += before
        tally.added += now and not before
        tally.removed += before and not now
        if now:
            tally.conversations.add(turn.conversation_id)
        if len(tally.examples) < self._examples:
            change = "both" if now and before else "added" if now else "removed"
            tally.examples.append(self._example(turn, change, word))

    def _example(self, turn: PastTurn, change: str, word: str) -> dict[str, str]:
        at = datetime.fromtimestamp(turn.at_ts, self._zone)
        text = " ".join(masked(turn.text).split())
        return {
            "text": text[:MAX_EXAMPLE_CHARS],
            "word": masked(word)[:MAX_EXAMPLE_CHARS],
            "change": change,
            "channel": turn.channel,
            "at": at.isoformat(timespec="seconds"),
        }

    def result(self) -> dict[str, Any]:
        """The rules that would have acted or did, the most frequent first."""
        named = _named(self._present.rules) | _named(self._proposed.rules)
        ordered = sorted(self._tallies.items(), key=lambda one: (-one[1].fired, one[0]))
        return {
            "turns": self.turns,
            "rules": [named.get(rule, _unnamed(rule)) | _shown(tally) for rule, tally in ordered],
            "handed_over": _shown(self._handed),
            "replied": _shown(self._replied),
        }


def _shown(tally: _Tally) -> dict[str, Any]:
    return {
        "fired": tally.fired,
        "present": tally.present,
        "added": tally.added,
        "removed": tally.removed,
        "conversations": len(tally.conversations),
        "examples": tally.examples,
    }


def _named(rules: RuleSet) -> dict[str, dict[str, Any]]:
    words = {
        entry.id or entry.category: {
            "id": entry.id or entry.category,
            "name": entry.category,
            "kind": "words",
            "does": [entry.action],
        }
        for entry in rules.file.rules
    }
    triggers = {
        one.id: {
            "id": one.id,
            "name": one.name,
            "kind": "trigger",
            "does": [step.tool or step.kind for step in one.then],
        }
        for one in rules.file.triggers
    }
    return words | triggers


def _unnamed(rule: str) -> dict[str, Any]:
    return {"id": rule, "name": rule, "kind": "words", "does": ["handoff"]}
