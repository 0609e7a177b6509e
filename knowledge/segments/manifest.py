"""What of a folder is the index: one small file, replaced as a whole."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import orjson

from domain.errors import KnowledgeError
from knowledge.segments.corpus import Part
from knowledge.segments.segment import Segment
from knowledge.segments.store import write_durably

FORMAT = 1
MANIFEST = "manifest.json"
DELETED_SUFFIX = ".deleted.npy"


@dataclass(frozen=True, slots=True)
class Manifest:
    """``revision``: of the source, up to which changes are in; ``embedder`` made the vectors;
    ``stale``: names of vectors that are still to be removed from the vector store."""

    revision: int
    embedder: Mapping[str, Any]
    parts: Sequence[Part]
    stale: Sequence[str] = ()


def read_manifest(folder: Path, opened: Mapping[str, Segment]) -> Manifest | None:
    """None where there is none. Raises KnowledgeError when it, or a part, is missing or damaged."""
    path = folder / MANIFEST
    try:
        data = orjson.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise KnowledgeError(str(path), "the index was written by another version")
        parts = [_part(folder, told, opened) for told in data["parts"]]
        return Manifest(int(data["revision"]), data["embedder"], parts, data.get("stale", ()))
    except FileNotFoundError as error:
        if Path(error.filename) == path:
            return None
        raise KnowledgeError(str(path), f"a part of the index is gone: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(str(path), f"the index's manifest is damaged: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """With the parts' files of deleted rows, which are part of what it returns."""
    parts = [_with_deleted_file(folder, part) for part in manifest.parts]
    told = [
        {"segment": part.segment.name, "deleted": part.deleted_file, "indexed": part.indexed}
        for part in parts
    ]
    data = {
        "format": FORMAT,
        "revision": manifest.revision,
        "embedder": manifest.embedder,
        "parts": told,
        "stale": list(manifest.stale),
    }
    write_durably(folder / MANIFEST, orjson.dumps(data))
    return replace(manifest, parts=parts)


def files_of(manifest: Manifest) -> set[str]:
    names = {name for part in manifest.parts for name in (part.segment.name, part.deleted_file)}
    return names | {MANIFEST}


def _part(folder: Path, told: Mapping[str, Any], opened: Mapping[str, Segment]) -> Part:
    name, deleted_file = str(told["segment"]), str(told["deleted"])
    segment = opened.get(name) or Segment(folder / name)
    deleted = np.zeros(0, np.int64)
    if deleted_file:
        deleted = np.load(folder / deleted_file).astype(np.int64)
        if deleted.size and not 0 <= deleted[0] <= deleted[-1] < segment.rows:
            raise KnowledgeError(str(folder / deleted_file), "it speaks of rows that are not there")
    return Part(segment, deleted, bool(told["indexed"]), deleted_file)


def _with_deleted_file(folder: Path, part: Part) -> Part:
    if part.deleted_file or not part.deleted.size:
        return part
    name = f"{token_hex(8)}{DELETED_SUFFIX}"
    buffer = io.BytesIO()
    np.save(buffer, part.deleted.astype(np.int32))
    write_durably(folder / name, buffer.getvalue())
    return replace(part, deleted_file=name)
