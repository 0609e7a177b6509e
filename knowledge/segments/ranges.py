"""Arithmetic on runs of an array that are given by their starts and ends."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from knowledge.terms import Ints

T = TypeVar("T", bound=np.generic)


def bounds_of(lengths: NDArray[np.integer]) -> Ints:
    """``0, lengths[0], lengths[0] + lengths[1], …``"""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def ranges(starts: Ints, ends: Ints) -> Ints:
    """``starts[0]..ends[0]-1, starts[1]..``, concatenated."""
    lengths = ends - starts
    shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    numbers: Ints = np.arange(shifts.size) + shifts
    return numbers


def places_of(sorted_keys: NDArray[T], wanted: NDArray[T]) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each of ``wanted`` stands, and whether it does."""
    if not sorted_keys.size:
        return np.zeros(wanted.size, np.int64), np.zeros(wanted.size, np.bool_)
    places = np.minimum(np.searchsorted(sorted_keys, wanted), sorted_keys.size - 1)
    return places, sorted_keys[places] == wanted
