"""Backups: what was there is there again, on either database, and never half of it."""

import asyncio
import base64
import contextlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import MetaData, create_engine, select, text

from domain.errors import ConfigurationError, StorageError
from engine.backup import MANIFEST, Backup, back_up, restore
from engine.bootstrap import build_knowledge, open_database
from engine.protection.keys import FILE as KEY
from engine.settings import Settings, load_settings
from knowledge.lock import FolderLock
from storage import inbox
from storage.database import Database, normalise_url
from tests.databases import fresh_postgres_database
from tests.engine.processes import a_message
from tests.service import sample_data

PICTURE = b"\x89PNG of nobody"
Make = Callable[[str], Settings]


def quiet(_done: str) -> None:
    pass


def settings_at(data_dir: Path, url: str | None) -> Settings:
    secret = SecretStr(url) if url is not None else None
    keys = SecretStr(f"tests:{base64.b64encode(bytes(32)).decode()}")
    return load_settings(env_files=None, data_dir=data_dir, database_url=secret, field_keys=keys)


@pytest.fixture
def make(tmp_path: Path, postgres_url: str) -> Iterator[Make]:
    """Settings of a place that holds nothing yet, on SQLite or PostgreSQL."""
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def made(kind: str) -> Settings:
            folder = tmp_path / f"place{next(count)}"
            if kind == "sqlite":
                return settings_at(folder, None)
            return settings_at(folder, stack.enter_context(fresh_postgres_database(postgres_url)))

        yield made


def fill(settings: Settings) -> None:
    """Knowledge with its index, a message that waits, bytes, a number that is none, a picture."""
    data_dir = settings.data_dir
    shutil.copytree(sample_data(), data_dir)
    if not settings.database_dsn().startswith("sqlite"):
        sample = settings_at(sample_data(), None)
        back_up(sample, data_dir.with_name("samples"), quiet)
        (data_dir / "kefu.db").unlink()
        restore(settings, data_dir.with_name("samples"), quiet, force=True)
    (data_dir / "pictures" / "ab").mkdir(parents=True)
    (data_dir / "pictures" / "ab" / "picture").write_bytes(PICTURE)
    (data_dir / "secret.key").write_text("never in a backup")
    database = open_database(settings)
    try:
        asyncio.run(_receive(database))
    finally:
        database.close()


async def _receive(database: Database) -> None:
    await database.write(lambda c: inbox.receive(c, a_message("备份前的问题 🙂\u2028第二行")))
    await database.write(
        lambda c: c.execute(text("UPDATE conversations SET due_at = :inf"), {"inf": float("inf")})
    )


def rows_of(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    engine = create_engine(normalise_url(settings.database_dsn()))
    try:
        with engine.connect() as connection:
            found = MetaData()
            found.reflect(connection)
            return {
                table.name: sorted(
                    (tuple(row) for row in connection.execute(select(table))), key=repr
                )
                for table in found.sorted_tables
            }
    finally:
        engine.dispose()


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("sqlite", "sqlite", "backup"),
        ("sqlite", "postgresql", "backup.tar"),
        ("postgresql", "postgresql", "backup.tar"),
        ("postgresql", "sqlite", "backup"),
    ],
)
def test_what_was_there_is_there_again(
    make: Make, tmp_path: Path, source: str, target: str, name: str
) -> None:
    before, after = make(source), make(target)
    fill(before)
    made = back_up(before, tmp_path / name, quiet)
    restored = restore(after, tmp_path / name, quiet, force=False)
    assert restored == made
    assert made.row_count > 100
    assert rows_of(after) == rows_of(before)
    assert (after.data_dir / "pictures" / "ab" / "picture").read_bytes() == PICTURE
    assert not list(after.data_dir.glob(".res*"))


def test_the_restored_index_answers_without_being_made_anew(make: Make, tmp_path: Path) -> None:
    before, after = make("sqlite"), make("sqlite")
    fill(before)
    back_up(before, tmp_path / "backup", quiet)
    restore(after, tmp_path / "backup", quiet, force=False)
    shutil.copy(before.data_dir / KEY, after.data_dir)  # it is kept apart from backups
    segments = {p.name for p in (after.data_dir / "knowledge").glob("segment-*")}
    assert segments == {p.name for p in (before.data_dir / "knowledge").glob("segment-*")}

    async def search() -> tuple[float, int]:
        database = open_database(after)
        knowledge = build_knowledge(after, database)
        try:
            found = await knowledge.retriever.search("充电桩怎么安装")
            await asyncio.to_thread(knowledge.follower.drain)
            return found.confidence, await asyncio.to_thread(
                knowledge.follower._state.vectors.count
            )
        finally:
            await knowledge.aclose()
            await asyncio.to_thread(database.close)

    confidence, vectors = asyncio.run(search())
    assert confidence > 0.5
    # Chroma's folder was left behind: its vectors came from the segments.
    assert vectors > 100
    assert segments == {p.name for p in (after.data_dir / "knowledge").glob("segment-*")}


def test_keys_and_locks_stay_out(make: Make, tmp_path: Path) -> None:
    before = make("sqlite")
    fill(before)
    made = back_up(before, tmp_path / "backup", quiet)
    inside = files_of(tmp_path / "backup")
    assert "secret.key" in made.left_out
    assert not [name for name in inside if name.endswith((".key", ".lock", ".db"))]
    assert not [name for name, content in inside.items() if b"never in a backup" in content]
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_place_that_is_not_empty_is_left_alone_without_force(
    make: Make, tmp_path: Path, kind: str
) -> None:
    before, there = make("sqlite"), make(kind)
    fill(before)
    back_up(before, tmp_path / "backup", quiet)
    fill(there)
    rows, files = rows_of(there), files_of(there.data_dir / "pictures")
    with pytest.raises(StorageError, match="not empty"):
        restore(there, tmp_path / "backup", quiet, force=False)
    assert (rows_of(there), files_of(there.data_dir / "pictures")) == (rows, files)
    restore(there, tmp_path / "backup", quiet, force=True)
    assert rows_of(there) == rows_of(before)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_that_does_not_fit_changes_no_row(make: Make, tmp_path: Path, kind: str) -> None:
    there = make(kind)
    fill(there)
    back_up(there, tmp_path / "backup", quiet)
    rows = rows_of(there)
    manifest = tmp_path / "backup" / MANIFEST
    told = json.loads(manifest.read_text("utf-8"))
    (messages,) = (one for one in told["rows"]["tables"] if one["name"] == "messages")
    messages["rows"] += 1
    manifest.write_text(json.dumps(told), "utf-8")
    with pytest.raises(StorageError, match="'messages' has 1 rows instead of 2"):
        restore(there, tmp_path / "backup", quiet, force=True)
    assert rows_of(there) == rows


def test_one_changed_byte_is_seen_before_anything_is_touched(make: Make, tmp_path: Path) -> None:
    before, after = make("sqlite"), make("sqlite")
    fill(before)
    back_up(before, tmp_path / "backup", quiet)
    picture = tmp_path / "backup" / "files" / "pictures" / "ab" / "picture"
    picture.write_bytes(PICTURE[:-1] + b"!")
    with pytest.raises(StorageError, match="damaged: 'files/pictures/ab/picture'"):
        restore(after, tmp_path / "backup", quiet, force=False)
    assert not (after.data_dir / "pictures").exists()


def test_a_backup_of_a_newer_version_is_refused(make: Make, tmp_path: Path) -> None:
    before, after = make("sqlite"), make("sqlite")
    fill(before)
    back_up(before, tmp_path / "backup", quiet)
    manifest = tmp_path / "backup" / MANIFEST
    told = json.loads(manifest.read_text("utf-8"))
    told["rows"]["revision"] = "9999"
    manifest.write_text(json.dumps(told), "utf-8")
    with pytest.raises(StorageError, match="newer version: 9999"):
        restore(after, tmp_path / "backup", quiet, force=False)


def test_nothing_is_overwritten_by_a_backup(make: Make, tmp_path: Path) -> None:
    before = make("sqlite")
    fill(before)
    (tmp_path / "backup.tar").write_text("yesterday's")
    with pytest.raises(StorageError, match="overwrites nothing"):
        back_up(before, tmp_path / "backup.tar", quiet)
    assert (tmp_path / "backup.tar").read_text() == "yesterday's"


def packed(file: Path, name: str) -> Path:
    """An archive beside ``file`` that has it under this name."""
    archive = file.with_name("evil.tar")
    with tarfile.open(archive, "w") as opened:
        opened.add(file, arcname=name)
    return archive


def test_a_file_that_leaves_its_folder_is_no_backup(make: Make, tmp_path: Path) -> None:
    (tmp_path / "payload").write_text("{}")
    evil = packed(tmp_path / "payload", "../../payload-outside")
    with pytest.raises(StorageError, match="is no backup"):
        restore(make("sqlite"), evil, quiet, force=False)
    assert not (tmp_path.parent / "payload-outside").exists()


def test_a_link_is_no_part_of_a_backup(make: Make, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    evil = packed(tmp_path / "link", "link")
    with pytest.raises(StorageError, match="no plain file"):
        restore(make("sqlite"), evil, quiet, force=False)


def test_no_backup_is_put_under_a_running_process(make: Make, tmp_path: Path) -> None:
    before, sqlite, server = make("sqlite"), make("sqlite"), make("postgresql")
    fill(before)
    back_up(before, tmp_path / "backup", quiet)
    lock = FolderLock(sqlite.data_dir)
    with pytest.raises(ConfigurationError):
        restore(sqlite, tmp_path / "backup", quiet, force=True)
    lock.release()
    database = open_database(server)
    with pytest.raises(StorageError, match="stop every process"):
        restore(server, tmp_path / "backup", quiet, force=True)
    database.close()


def test_a_backup_of_a_busy_service_is_of_one_moment(make: Make, tmp_path: Path) -> None:
    """Conversations count the messages that they received: the two tables agree in the copy."""
    for kind in ("sqlite", "postgresql"):
        before, after = make(kind), make(kind)
        fill(before)
        made = asyncio.run(_beside_writing(before, tmp_path / kind))
        restore(after, tmp_path / kind, quiet, force=False)
        engine = create_engine(normalise_url(after.database_dsn()))
        with engine.connect() as connection:
            messages = connection.execute(text("SELECT count(*) FROM messages")).scalar_one()
            counted = connection.execute(text("SELECT sum(received) FROM conversations"))
            assert messages == counted.scalar_one()
        engine.dispose()
        assert made.row_count > 100


async def _beside_writing(settings: Settings, target: Path) -> Backup:
    database = open_database(settings)
    done = asyncio.Event()

    async def write() -> int:
        count = 0
        while not done.is_set():
            message = a_message(f"{count}", chat=f"忙{count % 3}")
            await database.write(partial(inbox.receive, message=message))
            count += 1
        return count

    writing = asyncio.create_task(write())
    try:
        made = await asyncio.to_thread(back_up, settings, target, quiet)
    finally:
        done.set()
        count = await writing
        await asyncio.to_thread(database.close)
    assert count > 0
    return made
