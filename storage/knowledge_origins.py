"""Which documents the imports of some versions have left in the base."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, text

VERSIONS_AT_ONCE = 2_000
_DOCUMENTS = text(
    """
    SELECT DISTINCT e.document FROM knowledge_changes c
    JOIN knowledge_entries e ON e.id = c.entry_id
    WHERE c.version_id IN :versions AND NOT EXISTS (
        SELECT 1 FROM knowledge_changes l
        WHERE l.entry_id = c.entry_id AND l.revision > c.revision AND l.version_id NOT IN :versions
    )
    """
).bindparams(bindparam("versions", expanding=True))


def documents_of(connection: Connection, versions: Sequence[int]) -> set[str]:
    """Of entries that no other version has touched since. ``versions``: at most
    VERSIONS_AT_ONCE, of which older ones are left out."""
    if not versions:
        return set()
    newest = sorted(versions)[-VERSIONS_AT_ONCE:]
    return {row[0] for row in connection.execute(_DOCUMENTS, {"versions": newest})}
