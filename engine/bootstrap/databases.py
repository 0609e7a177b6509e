"""The database and the data folder, opened for one process."""

from pathlib import Path

from domain.errors import ConfigurationError, KnowledgeError
from engine.protection.keys import adopt, field_keys
from engine.settings import Settings
from knowledge.lock import FolderLock
from storage.database import Database
from storage.migrate import migrate


def lock_data_folder(settings: Settings) -> FolderLock | None:
    """On SQLite one process owns the data folder; PostgreSQL is made for many."""
    if not settings.database_dsn().startswith("sqlite"):
        return None
    try:
        return FolderLock(settings.data_dir.expanduser())
    except KnowledgeError as error:
        raise ConfigurationError(
            "KEFU_DATA_DIR",
            f"{str(settings.data_dir)!r}: {error.reason}",
            "a data folder that no other process uses, or DATABASE_URL=postgresql://…",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "KEFU_DATA_DIR",
            f"{str(settings.data_dir)!r}: {error.strerror}",
            "a folder that can be written",
        ) from error


def open_database(settings: Settings) -> Database:
    """The database, migrated and started. Raises ConfigurationError if it cannot be reached."""
    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///"):
        Path(dsn.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    keys = field_keys(settings)
    database = Database(dsn, synchronous=settings.sqlite_synchronous, keys=keys)
    try:
        migrate(database.engine)
        adopt(database.engine, keys)
    except ConfigurationError:
        database.close()
        raise
    except Exception as error:
        database.close()
        raise ConfigurationError(
            "DATABASE_URL",
            f"the database cannot be used ({type(error).__name__})",
            "a reachable server or a writable file",
        ) from error
    database.start()
    return database
