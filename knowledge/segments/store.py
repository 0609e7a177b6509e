"""A folder of arrays: written once, synced to disk, opened as memory maps.

``meta.json`` is written last and names every array with its shape, size and checksum, so a folder
without it, or one that does not agree with it, is not a segment.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import orjson
from numpy.lib import format as npy
from numpy.typing import NDArray

from domain.errors import KnowledgeError

META = "meta.json"
CHECKED_BYTES = 4 * 1024 * 1024
"""Larger arrays are checked by their size alone: reading gigabytes would delay every start."""

Array = NDArray[Any]


class FolderWriter:
    """Arrays may be appended to in any order; ``finish`` makes the folder complete and durable."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._open: dict[str, _ArrayFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            file.close()

    def append(self, name: str, values: Array) -> None:
        file = self._open.get(name)
        if file is None:
            path = self._folder / f"{name}.npy"
            file = self._open[name] = _ArrayFile(path, values.dtype, values.shape[1:])
        file.append(values)

    def finish(self, meta: Mapping[str, Any]) -> None:
        arrays = {name: file.finish() for name, file in self._open.items()}
        write_durably(self._folder / META, orjson.dumps({**meta, "arrays": arrays}))


class _ArrayFile:
    """An .npy file whose length is not known before its end: the header leaves room for it."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._file: BinaryIO = path.open("wb")
        self._dtype, self._shape = dtype, shape
        self._length = self._checksum = 0
        self._write_header()

    def append(self, values: Array) -> None:
        data = np.ascontiguousarray(values, dtype=self._dtype).reshape(-1).view(np.uint8).data
        self._checksum = zlib.crc32(data, self._checksum)
        self._file.write(data)
        self._length += len(values)

    def finish(self) -> dict[str, int]:
        size = self._file.tell()
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"length": self._length, "size": size, "checksum": self._checksum}

    def close(self) -> None:
        self._file.close()

    def _write_header(self) -> None:
        descr = npy.dtype_to_descr(self._dtype)
        shape = (self._length, *self._shape)
        npy.write_array_header_1_0(
            self._file, {"descr": descr, "fortran_order": False, "shape": shape}
        )


def open_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Its meta data and arrays. Raises KnowledgeError when anything is missing or damaged."""
    try:
        meta = orjson.loads((folder / META).read_bytes())
        arrays = {
            name: _open(folder / f"{name}.npy", told) for name, told in meta["arrays"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(str(folder), f"this part of the index is damaged: {error}") from error
    return meta, arrays


def _open(path: Path, told: Mapping[str, int]) -> Array:
    if path.stat().st_size != told["size"]:
        raise ValueError(f"{path.name} has another size than it was written with")
    # As a plain array: slices of a numpy.memmap cost several times as much.
    array: Array = np.asarray(np.load(path, mmap_mode="r")) if told["length"] else np.load(path)
    if len(array) != told["length"]:
        raise ValueError(f"{path.name} has another length than it was written with")
    if array.nbytes <= CHECKED_BYTES and zlib.crc32(array.tobytes()) != told["checksum"]:
        raise ValueError(f"{path.name} has other contents than it was written with")
    return array


def write_durably(path: Path, data: bytes) -> None:
    """The whole of ``data`` or the file as it was, whatever happens."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
