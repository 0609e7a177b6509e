"""The feed that followers read, and drafts that die, on SQLite and PostgreSQL."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

import storage.knowledge_tables  # noqa: F401  registers its tables with Row.metadata
from storage import knowledge, knowledge_versions
from storage.database import Database
from storage.knowledge import EntryRow
from storage.knowledge_versions import Draft, DraftLost, Step, Target
from storage.tables import NAMING, Row
from tests.databases import fresh_postgres_database, open_database

NOW = 1_800_000_000.0


def an_entry(number: int, answer: str = "七天内可退") -> EntryRow:
    return EntryRow(f"k{number:04}", f"问题{number}", answer, content_hash=answer)


def target_of(*entries: EntryRow) -> Target:
    return Target({entry.id: entry for entry in entries})


def commit_now(connection: Connection, target: Target, draft_id: int = -1) -> int:
    """Commits what differs, as one unit; the version's number."""
    seen = knowledge.newest_revision(connection)
    known = knowledge.find_known(connection, list(target.rows))
    steps = [target.step(key, known.get(key)) for key in target.rows]
    done = knowledge_versions.commit_steps(
        connection,
        Draft(draft_id, "me", "edit"),
        target,
        [step for step in steps if step is not None],
        seen=seen,
        unchanged=0,
        now=NOW,
    )
    assert done.version is not None
    return done.version


def staged(draft: Draft, *entries: EntryRow) -> list[dict[str, object]]:
    steps = [Step(entry.id, "added", entry) for entry in entries]
    return [knowledge_versions.step_values(draft, step, "2027-01-15") for step in steps]


class Follower:
    """Keeps a copy of the base by the feed, as an index does."""

    def __init__(self, database: Database, page: int = 7) -> None:
        self.copy: dict[str, EntryRow] = {}
        self.revision = 0
        self._page = page
        self._engine = database.engine

    def catch_up(self) -> None:
        with self._engine.connect().execution_options(kefu_write=False) as connection:
            while self._read(connection):
                pass

    def _read(self, connection: Connection) -> bool:
        with connection.begin():
            changes = knowledge.changes_since(connection, self.revision, self._page)
        for change in changes:
            assert change.revision > self.revision
            self.revision = change.revision
            if change.row is None:
                self.copy.pop(change.entry_id, None)
            else:
                self.copy[change.entry_id] = change.row
        return bool(changes)


def everything(connection: Connection) -> dict[str, EntryRow]:
    return {row.id: row for row in knowledge.entries_page(connection, "", 10_000)}


async def test_tables_and_migrations_agree(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        ours = {"include_name": _is_ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=ours), _tables()))

    assert await database.read(differences) == []


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or str(name).startswith("knowledge_")


def _tables() -> MetaData:
    ours = MetaData(naming_convention=NAMING)
    for table in Row.metadata.sorted_tables:
        if table.name.startswith("knowledge_"):
            table.to_metadata(ours)
    return ours


async def test_the_feed_gives_each_entry_once_in_its_newest_state(database: Database) -> None:
    await database.write(lambda c: commit_now(c, target_of(an_entry(1), an_entry(2))))
    await database.write(lambda c: commit_now(c, target_of(an_entry(1, "不可退"))))
    await database.write(lambda c: commit_now(c, Target({"k0002": None})))

    changes = await database.read(lambda c: knowledge.changes_since(c, 0, 100))

    assert [(change.entry_id, change.row and change.row.answer) for change in changes] == [
        ("k0001", "不可退"),
        ("k0002", None),
    ]
    newest = await database.read(knowledge.newest_revision)
    assert changes[-1].revision == newest
    assert await database.read(lambda c: knowledge.changes_since(c, newest, 100)) == []


async def test_a_page_of_outdated_changes_is_not_taken_for_the_end(database: Database) -> None:
    for number in range(10):
        target = target_of(an_entry(1, f"第{number}版"))
        await database.write(partial(commit_now, target=target))
    follower = Follower(database, page=2)

    await asyncio.to_thread(follower.catch_up)

    assert follower.copy["k0001"].answer == "第9版"


async def test_followers_miss_nothing_while_many_write(database_url: str, tmp_path: Path) -> None:
    """Four writers with connections of their own, as processes have them, and one reader."""
    with open_database(database_url) as database:
        writers = [
            threading.Thread(target=_write_some, args=(database, number)) for number in range(4)
        ]
        follower = Follower(database)
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            await asyncio.to_thread(follower.catch_up)
        await asyncio.to_thread(follower.catch_up)
        assert follower.copy == await database.read(everything)
        assert len(follower.copy) > 10


def _write_some(database: Database, writer: int) -> None:
    chance = random.Random(writer)
    with database.engine.connect() as connection:
        for turn in range(25):
            entries = [an_entry(chance.randrange(60), f"{writer}.{turn}") for _ in range(3)]
            with connection.begin():
                commit_now(connection, target_of(*entries), -1 - writer)
                time.sleep(chance.random() * 0.003)  # between the numbering and the commit


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    with fresh_postgres_database(postgres_url) as url, open_database(url) as database:
        yield database


async def test_on_postgresql_a_revision_shows_only_after_all_lower_ones(
    postgres: Database,
) -> None:
    def second() -> None:
        with postgres.engine.begin() as other:
            commit_now(other, target_of(an_entry(2)), -2)

    with postgres.engine.connect() as slow, slow.begin():
        commit_now(slow, target_of(an_entry(1)))
        waiting = asyncio.create_task(asyncio.to_thread(second))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert await postgres.read(lambda c: knowledge.changes_since(c, 0, 10)) == []
    await waiting

    changes = await postgres.read(lambda c: knowledge.changes_since(c, 0, 10))
    assert [change.entry_id for change in changes] == ["k0001", "k0002"]


async def test_only_one_draft_is_open_and_a_stale_one_is_forgotten(database: Database) -> None:
    first, second = Draft(-1, "a", "import", by="小王"), Draft(-2, "b", "import")

    def begin(connection: Connection, draft: Draft, now: float) -> object:
        return knowledge_versions.open_draft(connection, draft, now=now, lease_s=30)

    assert await database.write(lambda c: begin(c, first, NOW)) is None
    other = await database.write(lambda c: begin(c, second, NOW + 29))
    assert isinstance(other, knowledge_versions.OpenDraft)
    assert (other.owner, other.by) == ("a", "小王")
    assert await database.write(lambda c: begin(c, second, NOW + 31)) is None


async def test_an_import_that_was_taken_for_dead_writes_nothing(database: Database) -> None:
    late, heir = Draft(-1, "a", "import"), Draft(-2, "b", "import")
    values = staged(late, an_entry(1))
    target = target_of(an_entry(1))

    def begin(connection: Connection) -> None:
        knowledge_versions.open_draft(connection, late, now=NOW, lease_s=30)
        knowledge_versions.stage(connection, late, values, until=NOW + 30)

    await database.write(begin)
    await database.write(lambda c: knowledge_versions.open_draft(c, heir, now=NOW + 60, lease_s=30))

    with pytest.raises(DraftLost):
        await database.write(lambda c: knowledge_versions.stage(c, late, values, until=NOW + 90))
    with pytest.raises(DraftLost):
        await database.write(lambda c: _commit(c, late, target, staged=1))
    assert await database.read(everything) == {}
    assert await database.write(_sweep) == (-1, "k0001")
    assert await database.read(_count_staged) == 0


async def test_staged_rows_that_a_crash_of_the_server_took_are_noticed(database: Database) -> None:
    draft = Draft(-1, "a", "import")

    def begin(connection: Connection) -> None:
        knowledge_versions.open_draft(connection, draft, now=NOW, lease_s=30)
        values = staged(draft, an_entry(1), an_entry(2))
        knowledge_versions.stage(connection, draft, values, until=NOW + 30)
        connection.execute(text("DELETE FROM knowledge_staged WHERE entry_id = 'k0001'"))

    await database.write(begin)

    with pytest.raises(DraftLost):
        await database.write(
            lambda c: _commit(c, draft, target_of(an_entry(1), an_entry(2)), staged=2)
        )
    assert await database.read(everything) == {}


async def test_a_sweep_leaves_the_open_draft_alone(database: Database) -> None:
    draft = Draft(-1, "a", "import")

    def begin(connection: Connection) -> None:
        knowledge_versions.open_draft(connection, draft, now=NOW, lease_s=30)
        knowledge_versions.stage(connection, draft, staged(draft, an_entry(1)), until=NOW + 30)

    await database.write(begin)

    assert await database.write(_sweep) is None
    assert await database.read(_count_staged) == 1


async def test_versions_are_numbered_in_the_order_of_their_commits(database: Database) -> None:
    """An import that began before an edit and ended after it is the later version."""
    draft = Draft(-5, "a", "import")

    def begin(connection: Connection) -> None:
        knowledge_versions.open_draft(connection, draft, now=NOW, lease_s=30)
        knowledge_versions.stage(connection, draft, staged(draft, an_entry(1)), until=NOW + 30)

    await database.write(begin)
    edit = await database.write(lambda c: commit_now(c, target_of(an_entry(2))))
    imported = await database.write(lambda c: _commit(c, draft, target_of(an_entry(1)), staged=1))

    assert edit == 1
    assert imported.version is not None
    assert imported.version > edit
    versions = await database.read(lambda c: knowledge_versions.list_versions(c, 10, 0))
    assert [version.id for version in versions] == [imported.version, edit]


def _commit(
    connection: Connection, draft: Draft, target: Target, *, staged: int
) -> knowledge_versions.Committed:
    return knowledge_versions.commit(
        connection, draft, target, seen=0, staged=staged, unchanged=0, now=NOW
    )


def _sweep(connection: Connection) -> object:
    return knowledge_versions.sweep(connection, (-(2**62), ""), 100)


def _count_staged(connection: Connection) -> int:
    return int(connection.execute(text("SELECT COUNT(*) FROM knowledge_staged")).scalar_one())
