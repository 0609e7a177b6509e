"""A backup: every row and the files of the data folder, of a running service; and back.

A folder, or one file where its name ends in .tar::

    manifest.json           what is in it, with a digest of every file
    rows/<table>.jsonl.gz   `storage.copies`: of one moment, for SQLite and PostgreSQL alike
    files/…                 the data folder without database, locks and keys

The index of the knowledge is copied before the rows, so that it is never ahead of them; it catches
up from the rows. Pictures are copied after them: a row's picture is there. Keys stay out: what they
seal is worth nothing to who finds a backup, and who restores needs them from elsewhere.
"""

import contextlib
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from sqlalchemy import make_url

from domain.errors import ConfigurationError, KnowledgeError, StorageError
from engine.knowledge import CHROMA_FOLDER, INDEX_FOLDER
from engine.settings import Settings
from engine.settings.settings import field_names
from knowledge.lock import LOCK_NAME, FolderLock
from storage import copies
from storage.clock import iso
from storage.copies import RowsCopy, TableCopy, digest
from storage.database import Database

FORMAT = 1
MANIFEST, ROWS, FILES = "manifest.json", "rows", "files"
KEYS = ".key"
_INDEX_TRIES = 5
_SQLITE_FILES = ("", "-wal", "-shm", "-journal")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """``settings``: names of those that were set; ``left_out``: files that hold keys."""

    created_at: str
    database: str
    rows: RowsCopy
    files: dict[str, str]
    settings: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def row_count(self) -> int:
        return sum(table.rows for table in self.rows.tables)

    def as_json(self) -> bytes:
        return orjson.dumps({"format": FORMAT, **asdict(self)}, option=orjson.OPT_INDENT_2)


def back_up(settings: Settings, target: Path, progress: Progress) -> Backup:
    """Beside a running service, or without one. ``target`` must not exist. Raises StorageError."""
    if target.exists():
        raise StorageError(f"{str(target)!r} is there already; a backup overwrites nothing")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    database = Database(settings.database_dsn())
    try:
        partial.mkdir(mode=0o700, parents=True)
        backup = _copy_all(settings, database, partial, progress)
        (partial / MANIFEST).write_bytes(backup.as_json())
        if target.suffix == ".tar":
            progress("打包")
            _pack(partial, target)
        else:
            partial.rename(target)
        return backup
    except OSError as error:
        raise StorageError(f"the backup cannot be written: {error}") from error
    finally:
        database.close()
        shutil.rmtree(partial, ignore_errors=True)


def restore(settings: Settings, source: Path, progress: Progress, *, force: bool) -> Backup:
    """In place of what is there, which must be nothing unless ``force``; no process may run on it.
    Everything is checked before anything is changed, and rows are changed all at once. Raises
    StorageError, ConfigurationError."""
    data_dir = settings.data_dir.expanduser()
    with _quiet(settings), _opened(source, data_dir) as folder:
        backup = _read(folder, progress)
        database = Database(settings.database_dsn())
        try:
            if not force:
                _check_empty(database, data_dir)
            staged = _stage(folder, backup, data_dir, progress)
            copies.copy_in(database.engine, backup.rows, folder / ROWS, _of_table(progress))
            _put_in_place(staged, data_dir)
            return backup
        except OSError as error:
            raise StorageError(f"the backup cannot be restored: {error}") from error
        finally:
            database.close()


def _of_table(progress: Progress) -> copies.Progress:
    return lambda name, rows: progress(f"{name} {rows}")


# Copying


def _copy_all(settings: Settings, database: Database, folder: Path, progress: Progress) -> Backup:
    data_dir, files = settings.data_dir.expanduser(), folder / FILES
    files.mkdir()
    progress("知识索引")
    _copy_index(data_dir / INDEX_FOLDER, files / INDEX_FOLDER)
    rows = copies.copy_out(database.engine, folder / ROWS, _of_table(progress))
    progress("文件")
    left_out = _copy_files(data_dir, files, _database_files(database))
    made = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): digest(path) for path in made}
    kind = database.engine.dialect.name
    return Backup(iso(time.time()), kind, rows, digests, _set(settings), left_out)


def _set(settings: Settings) -> tuple[str, ...]:
    given = (name for name in settings.model_fields_set if getattr(settings, name) is not None)
    return tuple(sorted(field_names(name)[0] for name in given))


def _copy_index(source: Path, target: Path) -> None:
    """Parts that its writer merges away while we copy are no longer named: then once more."""
    for tries_left in reversed(range(_INDEX_TRIES)):
        try:
            manifest = orjson.loads((source / "manifest.json").read_bytes())
        except FileNotFoundError:
            return
        shutil.rmtree(target, ignore_errors=True)
        try:
            _copy_parts(source, target, manifest)
        except FileNotFoundError:
            if tries_left:
                continue
            raise
        return


def _copy_parts(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    target.mkdir(parents=True)
    for part in manifest["parts"]:
        shutil.copytree(source / part["segment"], target / part["segment"])
        if part["deleted"]:
            shutil.copy2(source / part["deleted"], target / part["deleted"])
        # The vectors of an embedded Chroma stay behind; they are added anew from the segments.
        part["indexed"] = False
    (target / "manifest.json").write_bytes(orjson.dumps(manifest))


def _database_files(database: Database) -> set[Path]:
    file = make_url(database.url).database
    if not database.is_sqlite or not file:
        return set()
    return {Path(f"{file}{suffix}").resolve() for suffix in _SQLITE_FILES}


def _copy_files(data_dir: Path, files: Path, database: set[Path]) -> tuple[str, ...]:
    """Returns what is left out. A file that vanishes meanwhile was nobody's any more."""
    left_out = []
    for path in sorted(data_dir.rglob("*")):
        inside = path.relative_to(data_dir)
        skipped = inside.parts[0] == INDEX_FOLDER or path.resolve() in database
        if skipped or not path.is_file() or path.name == LOCK_NAME or _is_half(inside):
            continue
        if path.suffix == KEYS:
            left_out.append(inside.as_posix())
            continue
        (files / inside).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(path, files / inside)
    return tuple(left_out)


def _is_half(inside: Path) -> bool:
    """What is being written has a name with a dot, until it is whole."""
    return any(part.startswith(".") for part in inside.parts)


def _pack(folder: Path, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".backup-", delete=False) as file:
        try:
            with tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(folder, arcname=".")
            os.link(file.name, target)
        finally:
            Path(file.name).unlink()


# Restoring


@contextlib.contextmanager
def _quiet(settings: Settings) -> Iterator[None]:
    """While no process of ours works on the database."""
    if not settings.database_dsn().startswith("sqlite"):
        database = Database(settings.database_dsn())
        try:
            others = copies.others_connected(database.engine)
        finally:
            database.close()
        if others:
            raise StorageError(f"{others} other connections use the database; stop every process")
        yield
        return
    try:
        lock = FolderLock(settings.data_dir.expanduser())
    except KnowledgeError as error:
        raise ConfigurationError("KEFU_DATA_DIR", error.reason, "no running service") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _opened(source: Path, data_dir: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".restoring-") as folder:
        try:
            with tarfile.open(source) as archive:
                _unpack(archive, Path(folder))
        except (tarfile.TarError, OSError) as error:
            raise StorageError(f"{str(source)!r} is no backup: {error}") from error
        yield Path(folder)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Plain files and folders below ``folder``; raises TarError for anything else. The filters of
    `tarfile` are not in every Python 3.11."""
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{member.name!r} is outside of its folder")
        target = folder / path
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        content = archive.extractfile(member) if member.isfile() else None
        if content is None:
            raise tarfile.TarError(f"{member.name!r} is no plain file")
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)


def _read(folder: Path, progress: Progress) -> Backup:
    """Raises StorageError for what is no whole backup."""
    progress("校验")
    try:
        told = orjson.loads((folder / MANIFEST).read_bytes())
        if told.pop("format") != FORMAT:
            raise StorageError("the backup was made by another version")
        tables = tuple(
            TableCopy(**one | {"columns": tuple(one["columns"])}) for one in told["rows"]["tables"]
        )
        lists = {name: tuple(told[name]) for name in ("settings", "left_out")}
        backup = Backup(**told | lists | {"rows": RowsCopy(told["rows"]["revision"], tables)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{MANIFEST} cannot be read: {error}") from error
    for name, expected in backup.files.items():
        path = folder / name
        if ".." in PurePosixPath(name).parts or not path.is_file() or digest(path) != expected:
            raise StorageError(f"the backup is damaged: {name!r}")
    for table in backup.rows.tables:
        if f"{ROWS}/{table.name}{copies.SUFFIX}" not in backup.files:
            raise StorageError(f"the backup is damaged: rows of {table.name!r} are missing")
    return backup


def _check_empty(database: Database, data_dir: Path) -> None:
    filled = copies.anything_in(database.engine)
    if filled:
        shown = ", ".join(filled[:5])
        raise StorageError(f"the database is not empty ({shown} …); --force replaces all of it")
    kept = _database_files(database)
    for path in data_dir.glob("[!.]*"):
        if path.resolve() not in kept and path.name != LOCK_NAME and path.suffix != KEYS:
            raise StorageError(f"{str(path)!r} is there already; --force replaces it")


def _stage(folder: Path, backup: Backup, data_dir: Path, progress: Progress) -> Path:
    """The files, on the disk on which they are to be: what is left are renames."""
    progress("文件")
    staged = data_dir / f".restored-{os.getpid()}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name, expected in backup.files.items():
        inside = PurePosixPath(name)
        if inside.parts[0] != FILES:
            continue
        target = staged.joinpath(*inside.parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, target)
        if digest(target) != expected:
            raise StorageError(f"{str(target)!r} was not written as it was read")
    return staged


def _put_in_place(staged: Path, data_dir: Path) -> None:
    """Keys that are there stay."""
    # Whatever the backup has of it, vectors that are there are of another knowledge.
    shutil.rmtree(data_dir / INDEX_FOLDER / CHROMA_FOLDER, ignore_errors=True)
    for path in sorted(staged.iterdir()):
        target = data_dir / path.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(path, target)
    shutil.rmtree(staged)
