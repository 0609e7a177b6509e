"""Where imported documents came from, told from the notes of the versions that brought them.

A refresh of a folder must know which documents it held the last time, so that those that are gone
go from the base too, and no others.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from knowledge.documents import LoadReport
from storage import knowledge_versions
from storage.database import Database
from storage.knowledge_origins import documents_of

PAGE = 500
_BETWEEN = " | "


def note_of(paths: Iterable[Path]) -> str:
    """The note of an import of ``paths``."""
    return _BETWEEN.join(str(path.absolute()) for path in paths)


async def gone_documents(
    database: Database, paths: Sequence[Path], report: LoadReport
) -> frozenset[str]:
    """Documents that earlier imports of the folders among ``paths`` brought, and whose files are
    no more. A file that is there and could not be read keeps its knowledge."""
    folders = [path.absolute() for path in paths if path.is_dir()]
    if not folders or not report.documents:
        return frozenset()
    versions = await _versions_from(database, folders)
    known = await database.read(lambda c: documents_of(c, versions))
    failed = {failure.source.partition(":")[0] for failure in report.failures}
    return frozenset(
        name
        for name in known - report.documents - failed
        if not any((folder / name).exists() for folder in folders)
    )


async def _versions_from(database: Database, folders: Sequence[Path]) -> list[int]:
    """Imports of the folders, or of single files in them."""
    found: list[int] = []
    for offset in range(0, 1_000_000, PAGE):
        page = await _page(database, offset)
        found += [row.id for row in page if _came_from(row.note, folders)]
        if len(page) < PAGE:
            break
    return found


async def _page(database: Database, offset: int) -> list[knowledge_versions.VersionRow]:
    return await database.read(lambda c: knowledge_versions.list_versions(c, PAGE, offset))


def _came_from(note: str, folders: Sequence[Path]) -> bool:
    origins = [Path(part) for part in note.split(_BETWEEN)]
    return any(folder in (origin, origin.parent) for origin in origins for folder in folders)
