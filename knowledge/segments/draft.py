"""Changes on their way into the index: new segments, and rows that are no more."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.documents import Entry
from knowledge.embedding import Embedder
from knowledge.segments.build import build_segment
from knowledge.segments.corpus import Part
from knowledge.segments.segment import Segment
from knowledge.segments.wordings import record_id, wordings_of
from knowledge.terms import text_hash

SEGMENT_PREFIX = "segment-"
SEGMENT_ROWS = 32_768
EMBED_AT_ONCE = 1_000

Vector = NDArray[np.floating[Any]]
Fetch = Callable[[Sequence[str]], Mapping[str, Vector]]
"""Vectors of records that somebody has embedded before."""


@dataclass(slots=True)
class _Slot:
    segment: Segment
    gone: NDArray[np.bool_]
    before: Part | None

    def part(self) -> Part:
        deleted = np.flatnonzero(self.gone)
        if self.before is not None and deleted.size == self.before.deleted.size:
            return self.before
        return Part(self.segment, deleted, self.before is not None and self.before.indexed)


@dataclass(slots=True)
class _Pending:
    entry: Entry
    vectors: dict[str, Vector]


class Draft:
    """``parts``: what the changes apply to. ``built`` is told of each segment as it is finished.

    ``stale``: names of vectors that no entry has any more; those of before are given. ``discard``
    it where it is not to be.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        parts: Sequence[Part],
        stale: Iterable[str],
        fetch: Fetch,
        built: Callable[[Segment], None],
    ) -> None:
        self._folder, self._embedder = folder, embedder
        self._fetch, self._built = fetch, built
        self._slots = [_slot_of(part) for part in parts]
        self._pending: dict[str, _Pending] = {}
        self._made: list[Path] = []
        self.stale = set(stale)

    def apply(self, changes: Mapping[str, Entry | None]) -> None:
        """The newest states of entries by their ids; None removes one."""
        reusable = self._take_out(changes)
        for entry_id, entry in changes.items():
            if entry_id not in reusable:
                continue
            before = self._pending.pop(entry_id, None)
            if entry is not None:
                vectors = reusable[entry_id] | (before.vectors if before else {})
                self._pending[entry_id] = _Pending(entry, vectors)
            if len(self._pending) >= SEGMENT_ROWS:
                self.flush()

    def finish(self) -> list[Part]:
        self.flush()
        parts = [slot.part() for slot in self._slots]
        return [part for part in parts if part.size]

    def discard(self) -> None:
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)

    def _take_out(self, changes: Mapping[str, Entry | None]) -> dict[str, dict[str, Vector]]:
        """Delete the changed entries' rows; of each change that changes anything the vectors that
        its entry had."""
        ids = list(changes)
        digests = np.fromiter(map(text_hash, ids), np.uint64, len(ids))
        reusable: dict[str, dict[str, Vector]] = {entry_id: {} for entry_id in ids}
        for slot in self._slots:
            hits, rows = slot.segment.id_rows(digests)
            alive = ~slot.gone[rows]
            for hit, row in zip(hits[alive].tolist(), rows[alive].tolist(), strict=True):
                entry_id = ids[hit]
                same = changes[entry_id] == slot.segment.entry(row)
                if same and entry_id not in self._pending:
                    del reusable[entry_id]
                    continue
                records = slot.segment.records(row, entry_id)
                slot.gone[row] = True
                self.stale.update(records)
                reusable[entry_id].update(records)
        return reusable

    def flush(self) -> None:
        if not self._pending:
            return
        pending = list(self._pending.values())
        entries = [one.entry for one in pending]
        folder = self._folder / f"{SEGMENT_PREFIX}{token_hex(8)}"
        self._made.append(folder)
        build_segment(folder, entries, self._vectors(pending))
        segment = Segment(folder)
        self._slots.append(_Slot(segment, np.zeros(segment.rows, np.bool_), None))
        self._pending = {}
        self._built(segment)

    def _vectors(self, pending: Sequence[_Pending]) -> NDArray[np.float16]:
        records = [
            (record_id(one.entry.id, kind, text_hash(text)), text)
            for one in pending
            for kind, text in wordings_of(one.entry)
        ]
        self.stale.difference_update(record for record, _ in records)
        matrix = np.zeros((len(records), self._embedder.dimensions), np.float16)
        kept = {record: vector for one in pending for record, vector in one.vectors.items()}
        missing = _fill(matrix, records, range(len(records)), kept)
        if missing:
            fetched = self._fetch([records[number][0] for number in missing])
            missing = _fill(matrix, records, missing, fetched)
        for start in range(0, len(missing), EMBED_AT_ONCE):
            numbers = missing[start : start + EMBED_AT_ONCE]
            matrix[numbers] = self._embedder.embed([records[number][1] for number in numbers])
        return matrix


def _slot_of(part: Part) -> _Slot:
    gone = np.zeros(part.segment.rows, np.bool_)
    gone[part.deleted] = True
    return _Slot(part.segment, gone, part)


def _fill(
    matrix: NDArray[np.float16],
    records: Sequence[tuple[str, str]],
    numbers: Sequence[int],
    known: Mapping[str, Vector],
) -> list[int]:
    """Write the vectors that are known; the numbers of the others."""
    if not known:
        return list(numbers)
    missing = []
    for number in numbers:
        vector = known.get(records[number][0])
        if vector is None or vector.shape != matrix.shape[1:]:
            missing.append(number)
        else:
            matrix[number] = vector
    return missing
