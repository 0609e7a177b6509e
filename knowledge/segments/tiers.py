"""Which segments to merge: few large ones serve best, and a row should move few times."""

from collections.abc import Sequence

from knowledge.segments.corpus import Part

MAX_PARTS = 3
GROWTH = 4
"""A segment joins a merge of the smaller ones when it is at most so many times their sum."""
DELETED_SHARE = 0.25


def parts_to_merge(parts: Sequence[Part]) -> list[Part]:
    """In their order; empty: none. A single one is to be written anew without its deleted rows."""
    worn = [part for part in parts if part.deleted.size > part.segment.rows * DELETED_SHARE]
    chosen = {id(part) for part in worn}
    if len(parts) > MAX_PARTS:
        total = 0
        for number, part in enumerate(sorted(parts, key=lambda part: part.size)):
            enough = len(parts) - number + 1 <= MAX_PARTS
            if enough and part.size > total * GROWTH:
                break
            chosen.add(id(part))
            total += part.size
    return [part for part in parts if id(part) in chosen]
