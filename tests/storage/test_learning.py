"""Clusters and suggestions as rows, on SQLite and PostgreSQL."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from storage import clusters, learning
from storage.database import Database
from storage.learning import NewSuggestion, SuggestionRow
from storage.learning_tables import LearnedKnowledge
from storage.tables import Row

SEED_STATISTICS = """
SELECT COUNT(*) as count, SUBSTRING(content, 1, 30) as question_preview FROM unknown_questions
GROUP BY question_preview ORDER BY count DESC LIMIT 10;
"""
OURS = {
    "unknown_questions",
    "question_clusters",
    "learning_revision",
    "learned_knowledge",
    "learned_sightings",
}


def ask(connection: Connection, content: str, contact: str = "u1", at: str = "2026-11-21") -> int:
    row = connection.execute(
        text(
            "INSERT INTO unknown_questions"
            " (content, contact_id, conversation_id, confidence, created_at)"
            " VALUES (:content, :contact, 'c1', 0.1, :at) RETURNING id"
        ),
        {"content": content, "contact": contact, "at": at},
    ).first()
    assert row is not None
    return int(row[0])


def a_suggestion(**changes: str) -> NewSuggestion:
    values = {
        "question": "能开专票吗",
        "answer": "可以开专票。",
        "question_key": "q1",
        "answer_key": "a1",
        "source": "agent",
        "answered_by": "小王",
        "conversation_id": "c1",
        "type": "产品咨询",
        "at": "2026-11-21",
    }
    return NewSuggestion(**(values | changes))


def pending(connection: Connection) -> SuggestionRow:
    row = learning.add(connection, a_suggestion())
    return learning.judge(
        connection,
        row.id,
        confidence=0.75,
        satisfaction=None,
        given=None,
        count=1,
        wordings=[],
        flags=[],
        reason="",
        state="pending",
        cluster_id=None,
    )


async def test_the_migrated_tables_are_the_declared_ones(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, kind, _: kind != "table" or name in OURS},
        )
        found = compare_metadata(context, Row.metadata)
        return [one for one in found if any(name in repr(one) for name in OURS)]

    assert await database.read(differences) == []


async def test_learned_knowledge_has_seed_003s_columns(database: Database) -> None:
    seed = "id question answer confidence type source_session auto_approved useful_count created_at"
    assert list(LearnedKnowledge.model_fields)[:9] == seed.split()
    await database.read(
        lambda c: c.execute(text(f"SELECT {seed.replace(' ', ', ')} FROM learned_knowledge")).all()
    )


async def test_seed_004s_statistics_work_as_printed(database: Database) -> None:
    long = "我想问一下你们家的那个充电桩到底能不能装在没有固定车位的露天停车场里面呢谢谢"

    def unit(connection: Connection) -> None:
        for content in (long, "能装露天吗", "能装露天吗"):
            ask(connection, content)

    await database.write(unit)
    rows = await database.read(lambda c: c.execute(text(SEED_STATISTICS)).all())
    assert [tuple(row) for row in rows] == [(2, "能装露天吗"), (1, long[:30])]


async def test_a_cluster_counts_questions_and_distinct_customers(database: Database) -> None:
    def unit(connection: Connection) -> clusters.ClusterRow | None:
        for at, contact in (("2026-01-02", "u1"), ("2026-01-03", "u2"), ("2026-01-01", "u1")):
            ask(connection, "能装露天吗", contact, at)
        revision = clusters.take_revision(connection)
        made = clusters.create(
            connection,
            revision=revision,
            representative="能装露天吗",
            wordings=["能装露天吗"],
            at="2026-01-02",
        )
        for question in clusters.unassigned(connection, 10):
            assert clusters.assign(connection, question, made, revision=revision)
            assert not clusters.assign(connection, question, made, revision=revision)
        return clusters.find(connection, made)

    found = await database.write(unit)
    assert found is not None
    assert (found.count, found.customers) == (3, 2)
    assert (found.first_at, found.last_at) == ("2026-01-01", "2026-01-03")
    assert await database.read(lambda c: clusters.unassigned(c, 10)) == []


async def test_only_changed_clusters_are_read_again(database: Database) -> None:
    def unit(connection: Connection) -> tuple[list[int], int]:
        made = [
            clusters.create(
                connection,
                revision=clusters.take_revision(connection),
                representative=name,
                wordings=[name],
                at="2026-01-01",
            )
            for name in ("一", "二")
        ]
        seen = clusters.revision(connection)
        clusters.set_state(
            connection, made[1], "dismissed", revision=clusters.take_revision(connection)
        )
        return made, seen

    made, seen = await database.write(unit)
    changed = await database.read(lambda c: clusters.changed_since(c, seen))
    assert [row.id for row in changed] == made[1:]


async def test_old_and_surplus_open_clusters_expire(database: Database) -> None:
    def unit(connection: Connection) -> tuple[int, int, list[str]]:
        for day in range(1, 7):
            clusters.create(
                connection,
                revision=clusters.take_revision(connection),
                representative=f"问题{day}",
                wordings=[],
                at=f"2026-01-0{day}",
            )
        first = clusters.expire(connection, before="2026-01-03", keep=3)
        again = clusters.expire(connection, before="2026-01-03", keep=3)
        _, rows = clusters.listing(
            connection,
            state="open",
            order="last_at",
            min_count=0,
            missed=False,
            limit=10,
            offset=0,
        )
        return first, again, [row.representative for row in rows]

    assert await database.write(unit) == (3, 0, ["问题6", "问题5", "问题4"])


async def test_one_pair_is_one_row_and_one_conversation_one_sighting(database: Database) -> None:
    def unit(connection: Connection) -> tuple[bool, list[bool]]:
        first, second = (learning.add(connection, a_suggestion()) for _ in range(2))
        seen = [
            learning.see(
                connection, first.id, conversation_id=chat, answered_by="小王", at="2026-11-21"
            )
            for chat in ("c1", "c1", "c2")
        ]
        return first.id == second.id, seen

    assert await database.write(unit) == (True, [True, False, True])


def begin(connection: Connection, suggestion: int, by: str) -> SuggestionRow | None:
    return learning.begin(
        connection, suggestion, "accept", by=by, until=10.0, target="{}", previous=None
    )


def approve(connection: Connection, row: SuggestionRow) -> SuggestionRow | None:
    return learning.approve(
        connection,
        row,
        question="问",
        answer="答",
        entry_id="k_1",
        version_id=7,
        auto=False,
        at="2026-11-21",
    )


async def test_an_act_is_begun_by_one_person_and_ended_once(database: Database) -> None:
    row = await database.write(pending)
    first = await database.write(lambda c: begin(c, row.id, "甲"))
    assert first is not None
    assert await database.write(lambda c: begin(c, row.id, "乙")) is None
    done = await database.write(lambda c: approve(c, first))
    assert done is not None
    assert (done.state, done.reviewed_by, done.version_id) == ("approved", "甲", 7)
    assert await database.write(lambda c: approve(c, first)) is None


async def test_an_act_whose_time_is_over_is_taken_over_by_one(database: Database) -> None:
    row = await database.write(pending)
    begun = await database.write(lambda c: begin(c, row.id, "甲"))
    assert begun is not None
    assert await database.read(lambda c: learning.stalled(c, 9.0, 10)) == []
    (stalled,) = await database.read(lambda c: learning.stalled(c, 11.0, 10))
    taken = [
        await database.write(lambda c: learning.take_over(c, stalled, now=11.0, until=20.0))
        for _ in range(2)
    ]
    assert [one is not None for one in taken] == [True, False]


async def test_an_older_attempt_cannot_end_a_newer_one(database: Database) -> None:
    row = await database.write(pending)
    old = await database.write(lambda c: begin(c, row.id, "甲"))
    assert old is not None
    assert await database.write(lambda c: learning.release(c, old))
    new = await database.write(lambda c: begin(c, row.id, "乙"))
    assert new is not None
    assert await database.write(lambda c: approve(c, old)) is None
    assert await database.write(lambda c: approve(c, new)) is not None


async def test_use_is_counted_for_approved_suggestions_only(database: Database) -> None:
    row = await database.write(pending)
    begun = await database.write(lambda c: begin(c, row.id, "甲"))
    assert begun is not None
    await database.write(lambda c: learning.useful(c, ["k_1"]))
    await database.write(lambda c: approve(c, begun))
    await database.write(lambda c: learning.useful(c, ["k_1", "k_1", "k_2"]))
    found = await database.read(lambda c: learning.find(c, row.id))
    assert found is not None
    assert found.useful_count == 1
