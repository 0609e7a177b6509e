"""Evidence that may be repeated: what documents say, without what they order."""

from dataclasses import replace
from typing import Any

from domain.claims import Source
from domain.decisions import Evidence
from domain.instructions import gives_orders, informing_part


def trusted_evidence(retrieval: dict[str, Any] | None) -> list[Evidence]:
    """The evidence of a Retrieval as dict, best first, each up to where it begins to give orders.

    Empty if nothing remains of the best: the confidence was in that one.
    """
    given = [Evidence(**item) for item in (retrieval or {}).get("evidence", ())]
    kept = [replace(item, answer=informing_part(item.answer)) for item in given]
    if not kept or not _is_usable(kept[0]):
        return []
    return [item for item in kept if _is_usable(item)]


def _is_usable(item: Evidence) -> bool:
    return bool(item.answer) and not gives_orders(item.question)


def as_sources(evidence: list[Evidence]) -> list[Source]:
    return [Source(item.question, item.answer) for item in evidence]
