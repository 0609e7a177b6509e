"""What a message costs must not grow with what was stored before it."""

import gc
import importlib
import pkgutil
import re
import sqlite3
from collections.abc import Iterator

import pytest

import storage
from storage.statements import Statement
from tests.databases import open_database

HISTORY = frozenset(
    {
        "approvals",
        "audit",
        "callbacks_seen",
        "campaign_people",
        "checkpoint_writes",
        "checkpoints",
        "conversations",
        "customer_days",
        "customer_tags",
        "customer_verdicts",
        "customers",
        "deals",
        "desk_drafts",
        "desk_events",
        "desk_notes",
        "dispatches",
        "effects",
        "handoffs",
        "heartbeats",
        "image_task_events",
        "image_tasks",
        "knowledge_changes",
        "messages",
        "model_calls",
        "outbox",
        "picture_sources",
        "pictures",
        "question_clusters",
        "reply_windows",
        "reviews",
        "rule_firings",
        "sessions",
        "tasks",
        "tool_calls",
        "turn_records",
        "turns",
        "unknown_questions",
    }
)
SELDOM = {
    "SELECT pictures, deliverables FROM image_tasks": "once an hour, for old pictures",
    "SELECT designer, MAX(id) FROM (SELECT id, designer FROM dispatches": "the newest few",
    "SELECT DISTINCT entry_id FROM knowledge_changes": "once an import, by its index",
    "FROM ( SELECT o.entry_id, o.before, ( SELECT x.revision FROM knowledge_changes": "undoing one",
    "SELECT c.revision, c.entry_id, e.id, e.question": "its sub-query, by revision and limited",
    "WHERE state <> 'open' AND reason NOT IN ('expired', 'merged')": "once a start, the newest few",
    "SELECT SUM(CASE WHEN h.offline_ts IS NULL": "as many heartbeats as clients",
}
_NAMED = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+\d*)")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    file = tmp_path_factory.mktemp("plans") / "kefu.db"
    with open_database(f"sqlite:///{file}"):
        pass
    connection = sqlite3.connect(file)
    yield connection
    connection.close()


def _statements() -> list[str]:
    for module in pkgutil.iter_modules(storage.__path__, "storage."):
        importlib.import_module(module.name)
    made = (one for one in gc.get_objects() if isinstance(one, Statement))
    texts = {" ".join(one._by_dialect["sqlite"].split()) for one in made}
    return sorted(sql for sql in texts if "::" not in sql and " FOR UPDATE" not in sql)


def _partial(tables: sqlite3.Connection) -> set[str]:
    found = tables.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%INDEX% WHERE %'")
    return {row[0] for row in found}


def _scanned(tables: sqlite3.Connection, sql: str, partial: set[str]) -> set[str]:
    """Tables of history that ``sql`` reads from end to end."""
    values = dict.fromkeys(_PARAMETER.findall(sql), 1)
    plan = [row[3] for row in tables.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    names = {alias or table: table for table, alias in _NAMED.findall(sql)}
    scans = (re.match(r"SCAN (\w+)(?:.* INDEX (\w+))?", line) for line in plan)
    found = {str(names.get(scan[1], scan[1])) for scan in scans if scan and scan[2] not in partial}
    return found & HISTORY


def test_no_statement_of_the_hot_path_reads_a_growing_table_from_end_to_end(
    tables: sqlite3.Connection,
) -> None:
    partial, statements = _partial(tables), _statements()
    foreign = ("pg_advisory", "pg_snapshot", "jsonb")
    ours = [sql for sql in statements if not any(word in sql for word in foreign)]
    assert len(ours) > 300
    found = {}
    for sql in ours:
        if any(known in sql for known in SELDOM):
            continue
        if scanned := _scanned(tables, sql, partial):
            found[sql] = scanned
    assert found == {}


def test_a_statement_that_would_is_noticed(tables: sqlite3.Connection) -> None:
    sql = "SELECT 1 FROM messages q WHERE q.turn_id = :turn AND q.role = 'user'"
    assert _scanned(tables, sql, _partial(tables)) == {"messages"}


def test_the_consoles_list_of_all_conversations_reads_as_many_as_it_shows(
    tables: sqlite3.Connection,
) -> None:
    sql = "SELECT c.id FROM conversations c ORDER BY c.last_active_at DESC, c.id DESC LIMIT 5"
    (line,) = [row[3] for row in tables.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert "ix_conversations_last_active_at_id" in line


def test_this_file_knows_the_tables(tables: sqlite3.Connection) -> None:
    names = {row[0] for row in tables.execute("SELECT name FROM sqlite_master")}
    assert names >= HISTORY
