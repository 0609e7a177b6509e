"""The knowledge base: imports, edits, versions and jobs, on SQLite and PostgreSQL."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from domain.errors import KnowledgeError, NotFound
from knowledge.base import ChangedAgain, ImportSummary, KnowledgeBase, entry_of, row_of
from knowledge.documents import Entry, make_entry
from knowledge.jobs import SILENCE_S, Failure
from storage import knowledge as rows
from storage.database import Database
from tests.knowledge.importing import new_entries

ROOT = Path(__file__).parents[2]


def an_entry(number: int, answer: str = "七天内可退", document: str = "退货.md") -> Entry:
    return make_entry(f"问题{number}", answer, source=document, category=document[:2])


def entries_of(document: str, count: int, answer: str = "七天内可退") -> list[Entry]:
    return [an_entry(number, answer, document) for number in range(count)]


@pytest.fixture
def base(database: Database) -> KnowledgeBase:
    """Three changes are one unit of work, four are staged: both ways are taken everywhere."""
    return KnowledgeBase(database, few=3)


async def contents(base: KnowledgeBase) -> dict[str, Entry]:
    found = await base.database.read(lambda c: rows.entries_page(c, "", 10_000))
    return {row.id: entry_of(row) for row in found}


def by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.id: entry for entry in entries}


async def count(base: KnowledgeBase, table: str) -> int:
    statement = text(f"SELECT COUNT(*) FROM {table}")
    return int(await base.database.read(lambda c: c.execute(statement).scalar_one()))


async def made(change: ImportSummary) -> int:
    assert change.version is not None
    return change.version


# Importing


async def test_an_entry_comes_back_as_it_was_imported(base: KnowledgeBase) -> None:
    entry = make_entry(
        "怎么退货？",
        "七天内可退，运费由买家承担。",
        source="退货.md#流程",
        aliases=("能退吗", "退货 'quoted' \"双\"", "100%退?"),
        category="售后",
        tags=("退货", "运费"),
        position="第 3 页",
    )
    await base.import_entries([entry])
    (found,) = await base.get([entry.id])
    assert entry_of(row_of(found)) == entry
    assert found.useful_count == 0
    assert found.created_at == found.updated_at != ""


async def test_only_what_changed_is_written(database: Database) -> None:
    base = KnowledgeBase(database)
    entries = entries_of("退货.md", 1_000)
    first = await base.import_entries(entries)
    assert (first.added, first.updated, first.unchanged) == (1_000, 0, 0)
    revision = await base.database.read(rows.newest_revision)

    entries[500] = an_entry(500, "十五天内可退")
    second = await base.import_entries(entries)

    assert (second.added, second.updated, second.unchanged, second.removed) == (0, 1, 999, 0)
    changes = await base.database.read(lambda c: rows.changes_since(c, revision, 100))
    assert [change.entry_id for change in changes] == [entries[500].id]


async def test_importing_the_same_again_makes_no_version(base: KnowledgeBase) -> None:
    await base.import_entries(entries_of("退货.md", 5))
    again = await base.import_entries(entries_of("退货.md", 5), refresh={"退货.md"})
    assert again == ImportSummary(None, unchanged=5)
    assert len(await base.versions()) == 1


async def test_refreshing_a_document_removes_what_is_gone_from_it_alone(
    base: KnowledgeBase,
) -> None:
    await base.import_entries([*entries_of("退货.md", 6), *entries_of("物流.md", 5)])
    summary = await base.import_entries(entries_of("退货.md", 2), refresh={"退货.md"})
    assert (summary.removed, summary.unchanged) == (4, 2)
    expected = [*entries_of("退货.md", 2), *entries_of("物流.md", 5)]
    assert await contents(base) == by_id(expected)


async def test_a_document_without_entries_is_refreshed_away(base: KnowledgeBase) -> None:
    await base.import_entries([*entries_of("退货.md", 6), *entries_of("物流.md", 5)])
    assert (await base.import_entries([], refresh={"退货.md"})).removed == 6
    assert await contents(base) == by_id(entries_of("物流.md", 5))


async def test_a_rebuild_leaves_exactly_what_is_given(base: KnowledgeBase) -> None:
    await base.import_entries([*entries_of("退货.md", 6), *entries_of("物流.md", 5)])
    given = [*entries_of("退货.md", 2), *entries_of("安装.md", 4)]
    summary = await base.import_entries(given, rebuild=True, by="小王", note="换季")
    assert (summary.added, summary.removed, summary.unchanged) == (4, 9, 2)
    assert await contents(base) == by_id(given)
    (version, _) = await base.versions()
    assert (version.kind, version.by, version.note) == ("rebuild", "小王", "换季")
    assert (version.added, version.removed, version.unchanged) == (4, 9, 2)


async def test_progress_counts_up_to_all_changes(base: KnowledgeBase) -> None:
    seen: list[tuple[int, int]] = []
    await base.import_entries(
        entries_of("退货.md", 10), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)


async def test_nothing_staged_is_left_behind(base: KnowledgeBase) -> None:
    await base.import_entries(entries_of("退货.md", 10))
    await base.rollback(0, by="小王")
    assert await count(base, "knowledge_staged") == 0


async def test_of_two_imports_at_once_the_second_waits(base: KnowledgeBase) -> None:
    one, other = entries_of("退货.md", 20), entries_of("物流.md", 20)
    await asyncio.gather(base.import_entries(one), base.import_entries(other))
    assert await contents(base) == by_id([*one, *other])
    assert len(await base.versions()) == 2


async def test_two_rebuilds_at_once_leave_what_one_of_them_gave(base: KnowledgeBase) -> None:
    one, other = entries_of("退货.md", 20), entries_of("物流.md", 20)
    await asyncio.gather(
        base.import_entries(one, rebuild=True), base.import_entries(other, rebuild=True)
    )
    assert await contents(base) in (by_id(one), by_id(other))


async def test_an_import_that_waits_too_long_says_who_imports(database: Database) -> None:
    busy = KnowledgeBase(database, few=1)
    impatient = KnowledgeBase(database, few=1, patience_s=0.0)
    refused: list[asyncio.Task[ImportSummary]] = []

    def meanwhile(done: int, total: int) -> None:
        if not refused:
            refused.append(asyncio.create_task(impatient.import_entries(entries_of("物流.md", 2))))

    await busy.import_entries(entries_of("退货.md", 40), by="小王", progress=meanwhile)
    with pytest.raises(KnowledgeError, match=r"另一次导入正在进行.*小王"):
        await refused[0]


async def test_edits_go_on_during_an_import_which_still_has_the_last_word(
    base: KnowledgeBase,
) -> None:
    """What an edit changed meanwhile, the import that commits after it sees."""
    desk = KnowledgeBase(base.database)
    await base.import_entries(entries_of("退货.md", 20))
    edits: list[ImportSummary] = []
    newcomer, untouched = an_entry(99), an_entry(7, document="物流.md")

    def meanwhile(done: int, total: int) -> None:
        if not edits:
            changed = [an_entry(0, "改过"), an_entry(19, "改过"), newcomer, untouched]
            with ThreadPoolExecutor(1) as elsewhere:  # the import waits for its commit
                edits.append(elsewhere.submit(asyncio.run, desk.put(changed, by="小李")).result())

    given = [*entries_of("退货.md", 10, "十五天内可退"), an_entry(19)]
    summary = await base.import_entries(given, refresh={"退货.md"}, progress=meanwhile)

    assert await made(edits[0]) < await made(summary)
    assert await contents(base) == by_id([*given, untouched])


async def test_other_writes_go_on_between_the_batches(base: KnowledgeBase) -> None:
    writing: list[asyncio.Future[int]] = []

    def write_a_message(done: int, total: int) -> None:
        write = base.database.write(lambda c: c.execute(text("DELETE FROM audit")).rowcount)
        writing.append(asyncio.ensure_future(write))

    await base.import_entries(entries_of("退货.md", 90), progress=write_a_message)
    written = sum(one.done() for one in writing)
    await asyncio.gather(*writing)
    assert written > 20


async def test_a_failed_import_leaves_nothing_and_lets_the_next_one_in(
    base: KnowledgeBase,
) -> None:
    def fail(done: int, total: int) -> None:
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError):
        await base.import_entries(entries_of("退货.md", 20), progress=fail)
    assert await contents(base) == {}
    await base.import_entries(entries_of("物流.md", 20))
    assert await contents(base) == by_id(entries_of("物流.md", 20))
    assert await count(base, "knowledge_staged") == 0


async def test_killed_half_way_the_old_base_stands_and_the_next_run_completes(
    database: Database, database_url: str
) -> None:
    base = KnowledgeBase(database)
    old, new = entries_of("退货.md", 30), new_entries(2_000)
    await base.import_entries(old)

    await kill_half_way(database_url, len(new))

    assert await contents(base) == by_id(old)
    assert await count(base, "knowledge_staged") >= 1_000
    started = time.monotonic()
    summary = await base.import_entries(new, rebuild=True)
    assert time.monotonic() - started < 15  # it need not wait for the lease of the dead
    assert (summary.added, summary.removed) == (2_000, 30)
    assert await contents(base) == by_id(new)
    assert await count(base, "knowledge_staged") == 0


async def kill_half_way(url: str, entries: int) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.knowledge.importing", url, str(entries)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), 60)
    finally:
        child.kill()
        await child.communicate()


# Editing, undoing


async def test_an_edit_may_replace_an_entry_by_another_in_one_version(base: KnowledgeBase) -> None:
    await base.put([an_entry(1)], by="小王")
    summary = await base.put([an_entry(2)], by="小王", replaces=[an_entry(1).id])
    assert (summary.added, summary.removed) == (1, 1)
    assert await contents(base) == by_id([an_entry(2)])


async def test_an_entry_without_a_hash_is_told_from_its_edit(base: KnowledgeBase) -> None:
    entry = replace(an_entry(1), content_hash="")
    await base.put([entry], by="小王")
    assert (await base.put([entry], by="小王")).unchanged == 1
    assert (await base.put([replace(entry, answer="不退")], by="小王")).updated == 1


async def test_removing_what_is_not_there_makes_no_version(base: KnowledgeBase) -> None:
    assert await base.remove(["k_none"], by="小王") == ImportSummary()
    assert await base.versions() == []


async def test_undo_restores_exactly_what_the_version_changed(base: KnowledgeBase) -> None:
    before = [*entries_of("退货.md", 8), *entries_of("物流.md", 3)]
    await base.import_entries(before)
    await base.used([before[0].id, before[7].id])
    given = [*entries_of("退货.md", 5, "十五天内可退"), an_entry(50)]
    change = await base.import_entries(given, refresh={"退货.md"})
    await base.put([an_entry(77, document="别的.md")], by="小李")

    undone = await base.undo(await made(change), by="小王")

    assert (undone.added, undone.updated, undone.removed) == (3, 5, 1)
    assert await contents(base) == by_id([*before, an_entry(77, document="别的.md")])
    found = await base.get([before[0].id, before[7].id])
    assert [entry.useful_count for entry in found] == [1, 1]
    assert (await base.versions(limit=1))[0].note == f"撤销版本 {change.version}"


async def test_undo_names_what_was_changed_again_unless_forced(base: KnowledgeBase) -> None:
    first = await made(await base.import_entries(entries_of("退货.md", 5)))
    await base.put([an_entry(3, "改过")], by="小李")

    with pytest.raises(ChangedAgain, match="问题3") as refused:
        await base.undo(first, by="小王")
    assert refused.value.entry_ids == (an_entry(3).id,)
    assert len(await contents(base)) == 5

    await base.undo(first, by="小王", force=True)
    assert await contents(base) == {}


async def test_a_later_change_that_was_undone_does_not_stand_in_the_way(
    base: KnowledgeBase,
) -> None:
    first = await made(await base.import_entries(entries_of("退货.md", 5)))
    later = await made(await base.put([an_entry(3, "改过")], by="小李"))
    await base.undo(later, by="小李")
    await base.undo(first, by="小王")
    assert await contents(base) == {}


async def test_a_rollback_is_undone_like_any_version(base: KnowledgeBase) -> None:
    first = await made(await base.import_entries(entries_of("退货.md", 5)))
    await base.import_entries(entries_of("退货.md", 3, "改过"), refresh={"退货.md"})
    await base.put([an_entry(9)], by="小李")
    latest = await contents(base)

    back = await base.rollback(first, by="小王")
    assert await contents(base) == by_id(entries_of("退货.md", 5))
    assert (await base.versions(limit=1))[0].kind == "rollback"

    await base.undo(await made(back), by="小王")
    assert await contents(base) == latest


async def test_undoing_an_unknown_version_is_not_found(base: KnowledgeBase) -> None:
    for call in (base.undo(7, by="小王"), base.rollback(7, by="小王"), base.changes_of(7)):
        with pytest.raises(NotFound):
            await call


async def test_undos_at_once_restore_the_base_once(base: KnowledgeBase) -> None:
    first = await made(await base.import_entries(entries_of("退货.md", 8)))
    results = await asyncio.gather(
        *(base.undo(first, by="小王") for _ in range(3)), return_exceptions=True
    )
    done = [each for each in results if isinstance(each, ImportSummary)]
    assert [each.removed for each in done if each.version] == [8]
    assert all(isinstance(each, ImportSummary | ChangedAgain) for each in results)
    assert await contents(base) == {}


async def test_a_versions_changes_show_before_and_after(base: KnowledgeBase) -> None:
    await base.import_entries(entries_of("退货.md", 4))
    change = await made(await base.put([an_entry(1, "改过"), an_entry(9)], by="小李"))
    await base.put([an_entry(1, "又改")], by="小李")
    await base.remove([an_entry(9).id], by="小李")

    changes = {each.entry_id: each for each in await base.changes_of(change)}

    edited, added = changes[an_entry(1).id], changes[an_entry(9).id]
    assert edited.before is not None
    assert edited.after is not None
    assert (edited.before.answer, edited.after.answer) == ("七天内可退", "改过")
    assert added.before is None
    assert added.after is not None
    assert not edited.current
    assert not added.current


class Act(NamedTuple):
    """One step of a random history; ``numbers`` are entries, or pick a version."""

    what: Literal["import", "refresh", "rebuild", "put", "remove", "undo", "force", "rollback"]
    numbers: list[int]
    answer: int


acts = st.lists(
    st.builds(
        Act,
        st.sampled_from(
            ("import", "refresh", "rebuild", "put", "remove", "undo", "force", "rollback")
        ),
        st.lists(st.integers(0, 7), max_size=6),
        st.integers(0, 2),
    ),
    min_size=2,
    max_size=10,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=acts)
def test_every_history_can_be_walked_back_exactly(database: Database, history: list[Act]) -> None:
    """A model beside the base; a follower that only reads the feed must agree as well."""
    asyncio.run(_walk(KnowledgeBase(database, few=2), history))


async def _walk(base: KnowledgeBase, history: list[Act]) -> None:
    newest = [version.id for version in await base.versions(limit=1)]
    start = newest[0] if newest else 0
    states = {start: await contents(base)}
    copy, revision = dict(states[start]), await base.database.read(rows.newest_revision)
    for act in history:
        before = await contents(base)
        summary = await _act(base, act, states)
        now = await contents(base)
        if summary is None or summary.version is None:
            assert now == before
            continue
        assert len(now) == len(before) + summary.added - summary.removed
        states[summary.version] = now
        revision = await _follow(base, copy, revision)
        assert copy == now
    for version in sorted(states, reverse=True):
        await base.rollback(version, by="hypothesis")
        assert await contents(base) == states[version]


async def _act(
    base: KnowledgeBase, act: Act, states: dict[int, dict[str, Entry]]
) -> ImportSummary | None:
    """Also checks what each kind of change promises about the result."""
    given = [an_entry(n, f"答{act.answer}", f"文{n % 2}.md") for n in set(act.numbers)]
    version = sorted(states)[sum(act.numbers) % len(states)]
    before = await contents(base)
    match act.what:
        case "import" | "put":
            change = base.import_entries(given) if act.what == "import" else base.put(given, by="")
            summary = await change
            assert await contents(base) == before | by_id(given)
        case "refresh":
            summary = await base.import_entries(given, refresh=["文0.md"])
            kept = {key: entry for key, entry in before.items() if entry.document != "文0.md"}
            assert await contents(base) == kept | by_id(given)
        case "rebuild":
            summary = await base.import_entries(given, rebuild=True)
            assert await contents(base) == by_id(given)
        case "remove":
            gone = {entry.id for entry in given}
            summary = await base.remove(gone, by="")
            assert await contents(base) == {k: e for k, e in before.items() if k not in gone}
        case "rollback":
            summary = await base.rollback(version, by="")
            assert await contents(base) == states[version]
        case "undo" | "force":
            return await _undo(base, version, states, force=act.what == "force")
    return summary


async def _undo(
    base: KnowledgeBase, version: int, states: dict[int, dict[str, Entry]], *, force: bool
) -> ImportSummary | None:
    earlier = [known for known in states if known < version]
    if not earlier:
        return None
    old, left, before = states[max(earlier)], states[version], await contents(base)
    touched = {key for key in old.keys() | left.keys() if old.get(key) != left.get(key)}
    lost = {key for key in touched if before.get(key) != left.get(key)}
    if lost and not force:
        with pytest.raises(ChangedAgain) as refused:
            await base.undo(version, by="")
        assert set(refused.value.entry_ids) == lost
        return None
    summary = await base.undo(version, by="", force=force)
    expected = {key: entry for key, entry in before.items() if key not in touched}
    expected |= {key: old[key] for key in touched if key in old}
    assert await contents(base) == expected
    return summary


async def _follow(base: KnowledgeBase, copy: dict[str, Entry], revision: int) -> int:
    while changes := await base.database.read(_changes(revision)):
        for change in changes:
            copy.pop(change.entry_id, None)
            if change.row is not None:
                copy[change.entry_id] = entry_of(change.row)
        revision = changes[-1].revision
    return revision


def _changes(revision: int) -> Callable[[Connection], list[rows.FeedChange]]:
    return lambda c: rows.changes_since(c, revision, 3)


# Reading


async def test_entries_are_listed_by_category_document_and_text(database: Database) -> None:
    base = KnowledgeBase(database)
    special = make_entry(
        "E03 是什么", "100%是过热", source="充电.md", aliases=("报警e03",), category="故障"
    )
    await base.import_entries([*entries_of("退货.md", 12), special])

    total, page = await base.entries(limit=5, offset=10)
    assert (total, len(page)) == (13, 3)
    pages = [await base.entries(limit=5, offset=offset) for offset in (0, 5, 10)]
    assert len({entry.id for _, found in pages for entry in found}) == 13
    assert (await base.entries(category="退货"))[0] == 12
    assert (await base.entries(document="充电.md"))[0] == 1
    for sought in ("e03", "100%", "过热", "报警"):
        assert [entry.id for entry in (await base.entries(text=sought))[1]] == [special.id]
    for sought in ("1%0", "问题_1"):
        assert (await base.entries(text=sought))[0] == 0
    assert (await base.entries(text="问题", category="故障"))[0] == 0


async def test_documents_and_categories_are_counted(database: Database) -> None:
    now = [1_800_000_000.0]
    base = KnowledgeBase(database, clock=lambda: now[0])
    await base.import_entries([*entries_of("退货.md", 3), *entries_of("物流.md", 2)])
    now[0] += 60
    other = make_entry("运费多少", "十元", source="退货.md#运费", category="价格")
    await base.put([other], by="小王")

    documents = {document.name: document for document in await base.documents()}
    assert documents["退货.md"].categories == {"退货": 3, "价格": 1}
    assert documents["退货.md"].entries == 4
    assert documents["退货.md"].changed_at > documents["物流.md"].changed_at
    assert await base.categories() == {"退货": 3, "物流": 2, "价格": 1}


async def test_use_is_counted_without_a_version(database: Database) -> None:
    base = KnowledgeBase(database)
    await base.import_entries(entries_of("退货.md", 3))
    revision = await database.read(rows.newest_revision)
    for _ in range(3):
        await base.used([an_entry(1).id, "k_none"])
    await base.used([])
    (entry, other) = await base.get([an_entry(1).id, an_entry(2).id])
    assert (entry.useful_count, other.useful_count) == (3, 0)
    assert await database.read(rows.newest_revision) == revision
    await base.put([an_entry(1, "改过")], by="小王")
    assert (await base.get([an_entry(1).id]))[0].useful_count == 3


# Jobs


async def test_a_job_shows_progress_and_outcome(database: Database) -> None:
    base = KnowledgeBase(database)
    job = await base.start_job("import", by="小王", queued=True)
    assert (await base.get_job(job)).state == "queued"
    await base.advance(job, phase="读取", done=3, total=10)
    await base.advance(job, done=4)
    seen = await base.get_job(job)
    assert (seen.state, seen.phase, seen.done, seen.total) == ("running", "读取", 4, 10)
    summary = await base.import_entries(entries_of("退货.md", 2))
    await base.finish_job(job, summary=summary, failures=[KnowledgeError("坏.pdf", "已加密")])
    seen = await base.get_job(job)
    assert (seen.state, seen.done, seen.summary) == ("done", 10, summary)
    assert seen.failures == (Failure("坏.pdf", "已加密"),)
    assert seen.version == summary.version


async def test_a_failed_job_keeps_its_reason(database: Database) -> None:
    base = KnowledgeBase(database)
    job = await base.start_job("import")
    await base.finish_job(job, error=KnowledgeError("知识库", "磁盘已满"))
    seen = await base.get_job(job)
    assert (seen.state, seen.failures) == ("failed", (Failure("知识库", "磁盘已满"),))
    await base.advance(job, done=1)
    assert (await base.get_job(job)).state == "failed"


async def test_a_job_whose_process_died_is_interrupted(database: Database) -> None:
    now = [1_800_000_000.0]
    base = KnowledgeBase(database, clock=lambda: now[0])
    dead, done = await base.start_job("import"), await base.start_job("import")
    await base.finish_job(done)
    now[0] += SILENCE_S + 1
    states = {job.id: job.state for job in await base.list_jobs()}
    assert states == {dead: "interrupted", done: "done"}


async def test_heartbeats_keep_a_silent_job_alive(database: Database) -> None:
    now = [1_800_000_000.0]
    base = KnowledgeBase(database, clock=lambda: now[0])
    job = await base.start_job("import")
    now[0] += SILENCE_S + 1
    assert (await base.get_job(job)).state == "interrupted"
    async with base.alive(job):
        await asyncio.sleep(0)  # the first beat is on its way, and reads come after it
        await database.write(lambda c: None)
    assert (await base.get_job(job)).state == "running"


async def test_an_unknown_job_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await KnowledgeBase(database).get_job("j_none")
