"""One immutable part of the index, as memory maps over its folder."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.errors import KnowledgeError
from knowledge.documents import Entry
from knowledge.segments.build import unpack
from knowledge.segments.ranges import T, places_of, ranges
from knowledge.segments.store import open_folder
from knowledge.segments.wordings import record_id
from knowledge.terms import Codes, Floats, Ints, Keys, Rows

Kinds = NDArray[np.uint8]
BLOCK = 32


class Units(NamedTuple):
    """Texts of entries. ``owner``: place of the entry in what was asked for, ascending."""

    owner: Ints
    kind: Kinds
    codes: Codes


class UnitVectors(NamedTuple):
    """``matrix`` has a row per wording; ``owner`` as in `Units`."""

    owner: Ints
    kind: Kinds
    matrix: Floats


class Postings(NamedTuple):
    """Where each asked term stands in ``post_rows``; empty runs for terms that are not there."""

    starts: Ints
    ends: Ints


class Segment:
    """Rows are numbers within the segment. Raises KnowledgeError when the folder is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        meta, arrays = open_folder(folder)
        try:
            self.rows: int = meta["rows"]
            self.categories: list[str] = meta["categories"]
            self.category: Rows = arrays["category"]
            self.length: Floats = arrays["length"]
            self.post_rows: Rows = arrays["post_rows"]
            self.post_counts: NDArray[np.uint8] = arrays["post_counts"]
            self.term_keys: Keys = arrays["term_keys"]
            self.term_start: Ints = arrays["term_start"]
            self.vectors: NDArray[np.float16] = arrays["vectors"]
            self.vector_start: Ints = arrays["vector_start"]
            self.arrays = arrays
            sound = self._is_sound()
        except KeyError as error:
            raise KnowledgeError(str(folder), f"this part of the index lacks {error}") from error
        if not sound:
            raise KnowledgeError(str(folder), "the arrays of this part of the index disagree")

    def _is_sound(self) -> bool:
        spans = (
            ("blob_start", "blob", self.rows),
            ("unit_start", "unit_kind", self.rows),
            ("vector_start", "vectors", self.rows),
            ("code_start", "codes", len(self.arrays["unit_kind"])),
            ("extra_start", "extras", len(self.arrays["unit_kind"])),
            ("term_start", "post_rows", self.term_keys.size),
        )
        return all(
            len(self.arrays[starts]) == count + 1
            and self.arrays[starts][-1] == len(self.arrays[of])
            for starts, of, count in spans
        )

    def postings(self, keys: Keys) -> Postings:
        places, found = places_of(self.term_keys, keys)
        if not self.term_keys.size:
            return Postings(places, places)
        starts = np.where(found, self.term_start[places], 0)
        return Postings(starts, np.where(found, self.term_start[places + 1], 0))

    def entry(self, row: int) -> Entry:
        start, end = self.arrays["blob_start"][row : row + 2].tolist()
        return unpack(self.arrays["blob"][start:end].tobytes())

    def rows_of_id(self, digest: int) -> list[int]:
        return self._lookup("id", digest)

    def rows_of_wording(self, digest: int) -> list[int]:
        return self._lookup("exact", digest)

    def _lookup(self, name: str, digest: int) -> list[int]:
        keys = self.arrays[f"{name}_keys"]
        wanted = np.uint64(digest)
        start = int(np.searchsorted(keys, wanted))
        end = int(np.searchsorted(keys, wanted, side="right"))
        rows: list[int] = self.arrays[f"{name}_rows"][start:end].tolist()
        return rows

    def units(self, rows: Ints) -> Units:
        starts = self.arrays["unit_start"]
        lows, highs = starts[rows], starts[rows + 1]
        units = ranges(lows, highs)
        owner = np.repeat(np.arange(rows.size), highs - lows)
        values, bounds = _runs(self.arrays["codes"], self.arrays["code_start"], units)
        extras, extra_bounds = _runs(self.arrays["extras"], self.arrays["extra_start"], units)
        codes = Codes(values, bounds, extras, extra_bounds)
        return Units(owner, self.arrays["unit_kind"][units], codes)

    def unit_vectors(self, rows: Ints) -> UnitVectors:
        lows, highs = self.vector_start[rows], self.vector_start[rows + 1]
        places = ranges(lows, highs)
        owner = np.repeat(np.arange(rows.size), highs - lows)
        matrix = self.vectors[places].astype(np.float32)
        return UnitVectors(owner, self.arrays["vector_kind"][places], matrix)

    def records(self, row: int, entry_id: str) -> dict[str, NDArray[np.float16]]:
        """The names and vectors of the wordings of ``row``, which is the entry ``entry_id``."""
        start, end = self.vector_start[row : row + 2].tolist()
        kinds = self.arrays["vector_kind"][start:end].tolist()
        digests = self.arrays["vector_hash"][start:end].tolist()
        names = (record_id(entry_id, kind, told) for kind, told in zip(kinds, digests, strict=True))
        return dict(zip(names, self.vectors[start:end], strict=True))

    def id_rows(self, digests: Keys) -> tuple[Ints, Ints]:
        """Which of ``digests`` (of entry ids) are here, and their rows."""
        places, found = places_of(self.arrays["id_keys"], digests)
        hits = np.flatnonzero(found)
        return hits, self.arrays["id_rows"][places[hits]].astype(np.int64)

    @cached_property
    def blocks(self) -> Floats:
        """A column a vector, `BLOCK` of them together, padded with zeros: a product with one of
        these is below the size for which BLAS wakes (and spins) all cores."""
        rows, width = self.vectors.shape
        padded = np.zeros((rows + -rows % BLOCK, width), np.float32)
        padded[:rows] = self.vectors
        return np.ascontiguousarray(padded.reshape(-1, BLOCK, width).transpose(0, 2, 1))


def _runs(values: NDArray[T], starts: Ints, numbers: Ints) -> tuple[NDArray[T], Ints]:
    lows, highs = starts[numbers], starts[numbers + 1]
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(highs - lows)))
    return values[ranges(lows, highs)], bounds
