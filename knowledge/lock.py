"""One process per embedded index folder: Chroma does not show one process another's vectors."""

import fcntl
import os
from pathlib import Path

from domain.errors import KnowledgeError

LOCK_NAME = "kefu.lock"


class FolderLock:
    """Held from creation until ``release`` or the death of the process.

    Raises KnowledgeError naming the holder's process id when the folder is taken.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK_NAME
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise KnowledgeError(
                str(folder),
                f"the index is in use by process {holder}; stop it, or import through it, or use"
                " a Chroma server",
            ) from error
        os.truncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
