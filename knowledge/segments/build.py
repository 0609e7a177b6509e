"""From entries and their vectors to a segment's folder, a whole batch at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from knowledge.documents import Entry
from knowledge.segments.ranges import bounds_of
from knowledge.segments.store import Array, FolderWriter
from knowledge.segments.wordings import SHORT_ANSWER_CHARS, UnitKind, units_of
from knowledge.terms import Codes, Keys, Rows, encode, term_keys, text_hash, wording_key

QUESTION_REPEATS = 2
"""A word of the question or an alias counts like this many in the answer."""
MAX_COUNT = 255
_TEXT_BITS = np.uint64(1)
_ROW_BITS = np.uint64(32)


def build_segment(
    folder: Path, entries: Sequence[Entry], vectors: NDArray[np.floating[Any]]
) -> None:
    """``vectors``: a row for each of the entries' wordings (`wordings_of`), in their order."""
    units = [unit for entry in entries for unit in units_of(entry)]
    kinds = np.fromiter((unit.kind for unit in units), np.uint8, len(units))
    sizes = np.fromiter((len(entry.aliases) + 2 for entry in entries), np.int64, len(entries))
    codes = encode([unit.text for unit in units])
    with FolderWriter(folder) as writer:
        for name, values in {
            **_entry_arrays(entries),
            **_unit_arrays(codes, kinds, sizes),
            **_posting_arrays(codes, kinds, sizes),
            **_vector_arrays(units, kinds, sizes),
            "vectors": vectors.astype(np.float16),
        }.items():
            writer.append(name, values)
        categories, numbers = _categories(entries)
        writer.append("category", numbers)
        writer.finish({"rows": len(entries), "categories": categories})


def pack(entry: Entry) -> bytes:
    return orjson.dumps(
        [
            entry.id,
            entry.question,
            entry.answer,
            entry.aliases,
            entry.category,
            entry.tags,
            entry.source,
            entry.position,
            entry.content_hash,
        ]
    )


def unpack(blob: bytes | memoryview) -> Entry:
    (ident, question, answer, aliases, category, tags, source, position, digest) = orjson.loads(
        blob
    )
    return Entry(
        ident, question, answer, tuple(aliases), category, tuple(tags), source, position, digest
    )


def sorted_lookup(keys: Keys, rows: Rows) -> tuple[Keys, Rows]:
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


def _entry_arrays(entries: Sequence[Entry]) -> dict[str, Array]:
    blobs = [pack(entry) for entry in entries]
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    ids = np.fromiter((text_hash(entry.id) for entry in entries), np.uint64, len(entries))
    id_keys, id_rows = sorted_lookup(ids, np.arange(len(entries), dtype=np.int32))
    exact_keys, exact_rows = _exact(entries)
    return {
        "blob": np.frombuffer(b"".join(blobs), np.uint8),
        "blob_start": bounds_of(lengths),
        "id_keys": id_keys,
        "id_rows": id_rows,
        "exact_keys": exact_keys,
        "exact_rows": exact_rows,
    }


def _exact(entries: Sequence[Entry]) -> tuple[Keys, Rows]:
    pairs = [
        (key, row)
        for row, entry in enumerate(entries)
        for key in {text_hash(wording_key(text)) for text in (entry.question, *entry.aliases)}
    ]
    keys = np.fromiter((key for key, _ in pairs), np.uint64, len(pairs))
    return sorted_lookup(keys, np.fromiter((row for _, row in pairs), np.int32, len(pairs)))


def _unit_arrays(codes: Codes, kinds: NDArray[np.uint8], sizes: Array) -> dict[str, Array]:
    return {
        "unit_start": bounds_of(sizes),
        "unit_kind": kinds,
        "codes": codes.values,
        "code_start": codes.bounds,
        "extras": codes.extras,
        "extra_start": codes.extra_bounds,
    }


def _posting_arrays(codes: Codes, kinds: NDArray[np.uint8], sizes: Array) -> dict[str, Array]:
    """Postings by key, then row. A term of the question counts `QUESTION_REPEATS` times."""
    keys, units = term_keys(codes)
    vocabulary, numbers = np.unique(keys, return_inverse=True)
    row_of_unit = np.repeat(np.arange(sizes.size, dtype=np.uint64), sizes)
    is_wording = (kinds != UnitKind.ANSWER).astype(np.uint64)
    packed = numbers.astype(np.uint64) << (_ROW_BITS + _TEXT_BITS)
    packed |= row_of_unit[units] << _TEXT_BITS
    packed |= is_wording[units]
    packed.sort()
    places = packed >> _TEXT_BITS
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1]))[: packed.size])
    repeats = 1 + (packed & _TEXT_BITS).astype(np.int64) * (QUESTION_REPEATS - 1)
    counts = np.add.reduceat(repeats, starts) if starts.size else repeats
    rows = (places[starts] & np.uint64((1 << 32) - 1)).astype(np.int32)
    terms = (places[starts] >> _ROW_BITS).astype(np.int64)
    return {
        "term_keys": vocabulary,
        "term_start": np.searchsorted(terms, np.arange(vocabulary.size + 1)),
        "post_rows": rows,
        "post_counts": np.minimum(counts, MAX_COUNT).astype(np.uint8),
        "length": np.bincount(rows, weights=counts, minlength=sizes.size).astype(np.float32),
    }


def _vector_arrays(
    units: Sequence[Any], kinds: NDArray[np.uint8], sizes: Array
) -> dict[str, Array]:
    lengths = np.fromiter((len(unit.text) for unit in units), np.int64, len(units))
    short = (lengths > 0) & (lengths <= SHORT_ANSWER_CHARS)
    has_vector = (kinds != UnitKind.ANSWER) | short
    chosen = np.flatnonzero(has_vector)
    row_of_unit = np.repeat(np.arange(sizes.size), sizes)
    per_row = np.bincount(row_of_unit[chosen], minlength=sizes.size)
    hashes = (text_hash(units[number].text) for number in chosen.tolist())
    return {
        "vector_start": bounds_of(per_row),
        "vector_kind": kinds[chosen],
        "vector_hash": np.fromiter(hashes, np.uint64, chosen.size),
    }


def _categories(entries: Sequence[Entry]) -> tuple[list[str], Rows]:
    names = sorted({entry.category for entry in entries})
    number_of = {name: number for number, name in enumerate(names)}
    numbers = (number_of[entry.category] for entry in entries)
    return names, np.fromiter(numbers, np.int32, len(entries))
