"""Several segments into one, without their deleted rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from knowledge.segments.build import sorted_lookup
from knowledge.segments.corpus import Part
from knowledge.segments.ranges import bounds_of, ranges
from knowledge.segments.segment import Segment
from knowledge.segments.store import FolderWriter
from knowledge.terms import Ints, Keys, Rows

POSTINGS_AT_ONCE = 4_000_000
ROWS_AT_ONCE = 16_384


def merge_segments(folder: Path, parts: Sequence[Part]) -> list[Rows]:
    """Of each part its rows' new numbers, -1 for those that are gone."""
    kept = [_kept(part) for part in parts]
    moved = _moved(parts, kept)
    sources = list(zip([part.segment for part in parts], kept, moved, strict=True))
    with FolderWriter(folder) as writer:
        for segment, rows, _ in sources:
            for start in range(0, rows.size, ROWS_AT_ONCE):
                _copy_rows(writer, segment, rows[start : start + ROWS_AT_ONCE])
        _write_starts(writer, sources)
        _write_lookups(writer, sources)
        _write_postings(writer, sources)
        categories = _write_categories(writer, sources)
        writer.finish({"rows": sum(rows.size for rows in kept), "categories": categories})
    return moved


def with_merged(
    parts: Sequence[Part], merged: Sequence[Part], moved: Sequence[Rows], segment: Segment
) -> list[Part] | None:
    """``parts`` with ``segment`` for those it was made of, less what was deleted meanwhile. None
    where some of them are there no more."""
    now = {part.segment.name: part for part in parts}
    sources = [now.get(part.segment.name) for part in merged]
    deleted = [np.zeros(0, np.int64)]
    for source, numbers in zip(sources, moved, strict=True):
        if source is None:
            return None
        gone = numbers[source.deleted]
        deleted.append(gone[gone >= 0].astype(np.int64))
    indexed = all(part.indexed for part in merged)
    one = Part(segment, np.sort(np.concatenate(deleted)), indexed)
    names = {part.segment.name for part in merged}
    rest = [part for part in parts if part.segment.name not in names]
    return [part for part in (one, *rest) if part.size]


Source = tuple[Segment, Ints, Rows]
"""A segment, the rows of it that stay, and all of its rows' new numbers."""


def _kept(part: Part) -> Ints:
    mask = np.ones(part.segment.rows, np.bool_)
    mask[part.deleted] = False
    return np.flatnonzero(mask)


def _moved(parts: Sequence[Part], kept: Sequence[Ints]) -> list[Rows]:
    moved, base = [], 0
    for part, rows in zip(parts, kept, strict=True):
        numbers = np.full(part.segment.rows, -1, np.int32)
        numbers[rows] = np.arange(base, base + rows.size, dtype=np.int32)
        moved.append(numbers)
        base += rows.size
    return moved


def _copy_rows(writer: FolderWriter, segment: Segment, rows: Ints) -> None:
    arrays = segment.arrays
    writer.append("length", segment.length[rows])
    writer.append("blob", arrays["blob"][_inside(arrays["blob_start"], rows)])
    vectors = _inside(segment.vector_start, rows)
    for name in ("vectors", "vector_kind", "vector_hash"):
        writer.append(name, arrays[name][vectors])
    units = _inside(arrays["unit_start"], rows)
    writer.append("unit_kind", arrays["unit_kind"][units])
    writer.append("codes", arrays["codes"][_inside(arrays["code_start"], units)])
    writer.append("extras", arrays["extras"][_inside(arrays["extra_start"], units)])


def _inside(starts: Ints, numbers: Ints) -> Ints:
    return ranges(starts[numbers], starts[numbers + 1])


def _write_starts(writer: FolderWriter, sources: Sequence[Source]) -> None:
    for name in ("blob_start", "unit_start", "vector_start"):
        lengths = [np.diff(segment.arrays[name])[rows] for segment, rows, _ in sources]
        writer.append(name, bounds_of(np.concatenate(lengths)))
    for name in ("code_start", "extra_start"):
        lengths = [
            np.diff(segment.arrays[name])[_inside(segment.arrays["unit_start"], rows)]
            for segment, rows, _ in sources
        ]
        writer.append(name, bounds_of(np.concatenate(lengths)))


def _write_lookups(writer: FolderWriter, sources: Sequence[Source]) -> None:
    for name in ("id", "exact"):
        keys, rows = [], []
        for segment, _, moved in sources:
            numbers = moved[segment.arrays[f"{name}_rows"]]
            keys.append(segment.arrays[f"{name}_keys"][numbers >= 0])
            rows.append(numbers[numbers >= 0])
        sorted_keys, sorted_rows = sorted_lookup(np.concatenate(keys), np.concatenate(rows))
        writer.append(f"{name}_keys", sorted_keys)
        writer.append(f"{name}_rows", sorted_rows)


def _write_categories(writer: FolderWriter, sources: Sequence[Source]) -> list[str]:
    names = sorted({name for segment, _, _ in sources for name in segment.categories})
    number_of = {name: number for number, name in enumerate(names)}
    for segment, rows, _ in sources:
        numbers = np.array([number_of[name] for name in segment.categories], np.int32)
        writer.append("category", numbers[segment.category[rows]])
    return names


def _write_postings(writer: FolderWriter, sources: Sequence[Source]) -> None:
    """By runs of keys, so that memory does not grow with the index."""
    vocabulary = np.unique(np.concatenate([segment.term_keys for segment, _, _ in sources]))
    totals = np.zeros(vocabulary.size, np.int64)
    for segment, _, _ in sources:
        places = np.searchsorted(vocabulary, segment.term_keys)
        totals[places] += np.diff(segment.term_start)
    sizes = []
    for start, end in _runs(totals):
        sizes.append(_write_run(writer, sources, vocabulary[start:end]))
    counts = np.concatenate([*sizes, np.zeros(0, np.int64)])
    writer.append("term_keys", vocabulary[counts > 0])
    writer.append("term_start", bounds_of(counts[counts > 0]))


def _runs(totals: Ints) -> Iterator[tuple[int, int]]:
    ends = np.cumsum(totals)
    start = 0
    while start < totals.size:
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + POSTINGS_AT_ONCE, side="right"))
        end = max(fitting, start + 1)
        yield start, end
        start = end


def _write_run(writer: FolderWriter, sources: Sequence[Source], keys: Keys) -> Ints:
    """How many postings each of ``keys`` has."""
    terms, rows, counts = [], [], []
    for segment, _, moved in sources:
        low = int(np.searchsorted(segment.term_keys, keys[0]))
        high = int(np.searchsorted(segment.term_keys, keys[-1], side="right"))
        starts = segment.term_start[low : high + 1]
        span = slice(starts[0], starts[-1])
        numbers = moved[segment.post_rows[span]]
        places = np.searchsorted(keys, segment.term_keys[low:high])
        terms.append(np.repeat(places, np.diff(starts))[numbers >= 0])
        counts.append(segment.post_counts[span][numbers >= 0])
        rows.append(numbers[numbers >= 0])
    term = np.concatenate(terms)
    order = np.argsort(term, kind="stable")
    writer.append("post_rows", np.concatenate(rows)[order])
    writer.append("post_counts", np.concatenate(counts)[order])
    return np.bincount(term, minlength=keys.size)
