"""Whether an answer is what a script expects. Pure: the answer of a turn in, what is wrong out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.decisions import Action
from domain.text import fold
from engine.regressions.script import Expect

_HAS_NONE = "无"
MAX_SHOWN_CHARS = 200
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """``check``: the expectation's name; what it wants and what there is, in a reader's words."""

    check: str
    wanted: str
    got: str

    @property
    def sentence(self) -> str:
        return f"{self.check} 应为 {self.wanted}，实际是 {self.got}"


def failures(expect: Expect, answer: Answer) -> list[Failure]:
    """``answer``: as `engine.answers.build_answer` makes it."""
    found: list[Failure] = []
    for name in expect.model_fields_set:
        wanted = getattr(expect, name)
        if wanted is not None:
            found += _CHECKS[name](wanted, answer)
    order = list(Expect.model_fields)
    return sorted(found, key=lambda one: order.index(one.check))


def expectation_of(answer: Answer) -> Expect:
    """What a right answer gives to expect: its kind, what it stands on, its price, its hand-over.
    Its words are not among it: wordings take turns."""
    reason, quote = handoff_of(answer), answer.get("quote")
    cited = [str(entry["question"]) for entry in answer.get("citations") or ()][:1]
    found: dict[str, Any] = {
        "decision": answer["decision"],
        "evidence": cited or None,
        "quote": quote["total"] if quote else None,
        "handoff": reason,
    }
    return Expect.model_validate({key: value for key, value in found.items() if value is not None})


def handoff_of(answer: Answer) -> str | None:
    """Why a person was called; None: nobody was."""
    if answer["action"] != Action.ESCALATE.value:
        return None
    reasons = (answer.get("risk") or {}).get("reasons") or [""]
    return str(reasons[0])


def stands_on(answer: Answer) -> list[dict[str, Any]]:
    """The entries that it cites, or where it cites none, those that were found."""
    return list(answer.get("citations") or answer.get("evidence") or ())


def _decision(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    return _one_of("decision", wanted, str(answer["decision"]))


def _intent(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    return _one_of("intent", [str(one) for one in wanted], str(answer["intent"]))


def _one_of(check: str, wanted: Sequence[str], got: str) -> list[Failure]:
    return [] if got in wanted else [Failure(check, " 或 ".join(wanted), got or _HAS_NONE)]


def _contains(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    said = fold(answer["content"])
    missing = [one for one in wanted if fold(one) not in said]
    return [Failure("contains", f"含「{one}」", _shown(answer)) for one in missing]


def _absent(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    said = fold(answer["content"])
    there = [one for one in wanted if fold(one) in said]
    return [Failure("absent", f"不含「{one}」", _shown(answer)) for one in there]


def _evidence(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    entries = stands_on(answer)
    missing = [one for one in wanted if not any(_is(one, entry) for entry in entries)]
    got = "；".join(f"{entry['question']}（{entry['source']}）" for entry in entries)
    return [Failure("evidence", one, got or _HAS_NONE) for one in missing]


def _is(wanted: str, entry: Mapping[str, Any]) -> bool:
    source = str(entry["source"])
    named = {str(entry["id"]), source, source.partition("#")[0]}
    return wanted in named or fold(wanted) == fold(str(entry["question"]))


def _min_confidence(wanted: float, answer: Answer) -> list[Failure]:
    got = float(answer["confidence"])
    return [] if got >= wanted else [Failure("min_confidence", f"至少 {wanted:g}", f"{got:.3f}")]


def _quote(wanted: float | str, answer: Answer) -> list[Failure]:
    quote = answer.get("quote")
    got = f"{quote['total']:g} 元（{quote['service_name']}）" if quote else _HAS_NONE
    if wanted == "no":
        return [Failure("quote", _HAS_NONE, got)] if quote else []
    right = quote is not None and round(quote["total"] * 100) == round(float(wanted) * 100)
    return [] if right else [Failure("quote", f"{float(wanted):g} 元", got)]


def _handoff(wanted: str, answer: Answer) -> list[Failure]:
    reason = handoff_of(answer)
    got = _HAS_NONE if reason is None else f"转人工（{reason}）"
    if wanted == "no":
        return [] if reason is None else [Failure("handoff", _HAS_NONE, got)]
    if wanted == "any":
        return [] if reason is not None else [Failure("handoff", "转人工", got)]
    return [] if reason == wanted else [Failure("handoff", f"转人工（{wanted}）", got)]


def _passes(wanted: Sequence[str], answer: Answer) -> list[Failure]:
    passed: Iterable[str] = answer.get("nodes") or ()
    missing = [one for one in wanted if one not in passed]
    return [Failure("passes", one, " → ".join(passed) or _HAS_NONE) for one in missing]


def _shown(answer: Answer) -> str:
    said = " ".join(str(answer["content"]).split())
    short = said[:MAX_SHOWN_CHARS] + ("…" if len(said) > MAX_SHOWN_CHARS else "")
    return f"「{short}」" if short else f"没有回复（{answer['action']}）"


_CHECKS: dict[str, Callable[[Any, Answer], list[Failure]]] = {
    "decision": _decision,
    "intent": _intent,
    "contains": _contains,
    "absent": _absent,
    "evidence": _evidence,
    "min_confidence": _min_confidence,
    "quote": _quote,
    "handoff": _handoff,
    "passes": _passes,
}
