"""Which tasks does a message fire? Pure; for many tasks there is an index over their keywords.

The rule of agreement, with examples, is in ``docs/triggers.md``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick

from domain.agreement import Speech, keyword_of
from domain.tasks import (
    PAYMENT_EVENT,
    PAYMENT_WORDS,
    Match,
    Matching,
    Said,
    Trigger,
    TriggerKind,
    WatchedTask,
)
from domain.trigger_text import trigger_key

__all__ = ["TaskIndex", "match", "trigger_key"]

UNBUILT_KEYS = 256
"""New keywords are looked for one by one up to this many, or a sixteenth of those known."""
_UNBUILT_SHARE = 16


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a trigger wants to hear; equal for every task that waits for the same."""

    keywords: tuple[str, ...]
    matching: Matching
    is_fact: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    keyword: str
    rest: str


def match(task: WatchedTask, said: Said) -> Match | None:
    """Does ``said`` fire ``task``? time_reach is never fired by a message.

    An event is not the customer's words: only a payment, and only customer_payment, is fired by it.
    """
    if not _counts(task, said):
        return None
    if said.event:
        return Match(task, "", "") if _is_payment(task.trigger, said) else None
    heard = _hear(_wanted(task.trigger), Speech(said.text))
    return Match(task, heard.keyword, heard.rest) if heard else None


class TaskIndex:
    """Pending tasks by their keywords and customers; not thread-safe.

    A message costs one pass over its text plus the tasks whose keywords are in it and whose
    customer it is from, however many others are pending. What it finds is what `match` finds.
    """

    def __init__(self, tasks: Iterable[WatchedTask] = ()) -> None:
        self._tasks: dict[str, WatchedTask] = {}
        self._waiting: dict[str, dict[str, dict[_Wanted, dict[str, WatchedTask]]]] = {}
        self._on_payment: dict[str, dict[str, WatchedTask]] = {}
        self._built: tuple[str, ...] = ()
        self._is_built: frozenset[str] = frozenset()
        self._unbuilt: dict[str, None] = {}
        for task in tasks:
            self._post(task)
        self._build()

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def add(self, task: WatchedTask) -> None:
        """A task of the same id is replaced."""
        self._post(task)
        if len(self._unbuilt) > max(UNBUILT_KEYS, len(self._built) // _UNBUILT_SHARE):
            self._build()

    def discard(self, task_id: str) -> None:
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        trigger = task.trigger
        if trigger.kind is TriggerKind.CUSTOMER_PAYMENT:
            paying = self._on_payment[trigger.customer_id]
            del paying[task_id]
            if not paying:
                del self._on_payment[trigger.customer_id]
        wanted = _wanted(trigger)
        for key in _keys(wanted):
            self._withdraw(key, trigger.customer_id, wanted, task_id)
        known = len(self._built) + len(self._unbuilt)
        if known - len(self._waiting) > max(UNBUILT_KEYS, known // 2):
            self._build()

    def matches(self, said: Said) -> list[Match]:
        """Every task that ``said`` fires, in the order in which they act."""
        customers = tuple(dict.fromkeys((said.sender_id, said.contact_id, "")))
        if said.event:
            found = list(self._paid(said, customers))
        else:
            found = list(self._heard(said, customers))
        found.sort(key=lambda one: one.task.order)
        return found

    def _paid(self, said: Said, customers: Iterable[str]) -> Iterator[Match]:
        for customer in customers:
            for task in self._on_payment.get(customer, {}).values():
                if _counts(task, said) and _is_payment(task.trigger, said):
                    yield Match(task, "", "")

    def _heard(self, said: Said, customers: Iterable[str]) -> Iterator[Match]:
        speech = Speech(said.text)
        verdicts: dict[_Wanted, _Heard | None] = {}
        seen: set[tuple[str, _Wanted]] = set()
        for key in self._keys_in(speech):
            waiting = self._waiting[key]
            for customer in customers:
                for wanted, tasks in waiting.get(customer, {}).items():
                    if (customer, wanted) in seen:
                        continue
                    seen.add((customer, wanted))
                    if wanted not in verdicts:
                        verdicts[wanted] = _hear(wanted, speech)
                    yield from _fired(tasks.values(), said, verdicts[wanted])

    def _keys_in(self, speech: Speech) -> Iterator[str]:
        haystack = speech.reading.haystack
        found = self._automaton.find_matches_as_indexes(haystack, overlapping=True)
        for at in dict.fromkeys(index for index, _, _ in found):
            if self._built[at] in self._waiting:
                yield self._built[at]
        yield from (key for key in self._unbuilt if key in haystack)

    def _post(self, task: WatchedTask) -> None:
        self.discard(task.task_id)
        self._tasks[task.task_id] = task
        trigger = task.trigger
        if trigger.kind is TriggerKind.CUSTOMER_PAYMENT:
            self._on_payment.setdefault(trigger.customer_id, {})[task.task_id] = task
        wanted = _wanted(trigger)
        for key in _keys(wanted):
            if key not in self._is_built:
                self._unbuilt[key] = None
            groups = self._waiting.setdefault(key, {}).setdefault(trigger.customer_id, {})
            groups.setdefault(wanted, {})[task.task_id] = task

    def _withdraw(self, key: str, customer: str, wanted: _Wanted, task_id: str) -> None:
        """The automaton keeps the key until it is built anew."""
        customers = self._waiting[key]
        groups = customers[customer]
        del groups[wanted][task_id]
        if not groups[wanted]:
            del groups[wanted]
        if not groups:
            del customers[customer]
        if not customers:
            del self._waiting[key]
            self._unbuilt.pop(key, None)

    def _build(self) -> None:
        self._built = tuple(self._waiting)
        self._is_built = frozenset(self._built)
        self._unbuilt = {}
        self._automaton = AhoCorasick(self._built)


def _fired(tasks: Iterable[WatchedTask], said: Said, heard: _Heard | None) -> Iterator[Match]:
    if heard is None:
        return
    for task in tasks:
        if _counts(task, said):
            yield Match(task, heard.keyword, heard.rest)


def _counts(task: WatchedTask, said: Said) -> bool:
    """Is ``said`` by the customer that ``task`` waits for, and not older than the task?"""
    trigger = task.trigger
    if said.received_at < task.received_at or trigger.kind is TriggerKind.TIME_REACH:
        return False
    customer = trigger.customer_id
    if customer and customer not in (said.sender_id, said.contact_id):
        return False
    if not customer and trigger.kind is TriggerKind.SPECIFIED_CUSTOMER_REPLY:
        return False
    name, told = trigger.customer_name, said.sender_name
    return not (name and told) or trigger_key(name) == trigger_key(told)


def _is_payment(trigger: Trigger, said: Said) -> bool:
    return trigger.kind is TriggerKind.CUSTOMER_PAYMENT and said.event == PAYMENT_EVENT


def _wanted(trigger: Trigger) -> _Wanted:
    pays = trigger.kind is TriggerKind.CUSTOMER_PAYMENT
    return _Wanted(trigger.keywords or (PAYMENT_WORDS if pays else ()), trigger.matching, pays)


def _keys(wanted: _Wanted) -> set[str]:
    return {keyword.key for keyword in map(keyword_of, wanted.keywords)} - {""}


def _hear(wanted: _Wanted, speech: Speech) -> _Heard | None:
    """Which of the keywords is met, and what is said besides them."""
    keywords = [keyword_of(one) for one in wanted.keywords]
    if wanted.matching is Matching.EXACT:
        met = next(filter(speech.equals, keywords), None)
        return _Heard(met.text, "") if met else None
    agreement = speech.agreement(keywords, is_fact=wanted.is_fact)
    if wanted.matching is Matching.AGREEMENT:
        met = agreement.keyword if agreement else None
    else:
        met = next(filter(speech.contains, keywords), None)
    if met is None:
        return None
    return _Heard(met.text, speech.rest(agreement.spans if agreement else ()))
