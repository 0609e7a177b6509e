"""A customer who was erased is nowhere: looked for in every column of every table."""

import json
import time

import pytest
from sqlalchemy import Connection, insert, text

from domain.errors import InvalidInput, NotFound
from domain.messages import InboundMessage
from storage import customer_erasures, inbox
from storage.customer_erasures import Erasure, erase
from storage.customer_merges import merge, unmerge
from storage.database import Database
from storage.history import rows
from storage.holdings import APART, HOLDINGS, IMPERSONAL, trail_of
from tests.storage.everyone import HELD, TABLES, Somebody, fill, found_in, orphans

NOW = time.time()
GONE, STAYS = Somebody(1), Somebody(2)
_STAY = {holding.table for holding in HOLDINGS if holding.erased}


@pytest.fixture
async def filled(database: Database) -> Database:
    def unit(connection: Connection) -> None:
        for who in (GONE, STAYS):
            fill(connection, who)

    await database.write(unit)
    return database


async def erased(database: Database, who: Somebody = GONE) -> Erasure:
    return await database.write(
        lambda c: erase(c, who.contact, actor="boss", now=NOW, wording_of=str.strip)
    )


def test_every_table_says_what_it_holds_of_customers() -> None:
    held = set(HELD)
    assert held | APART | IMPERSONAL == set(TABLES)
    assert not held & APART
    assert not (held | APART) & IMPERSONAL


async def test_the_search_finds_a_customer_in_every_table_before(filled: Database) -> None:
    found = await filled.read(lambda c: found_in(c, GONE.needles))
    assert {table for table, _ in found} >= set(HELD) - {"learned_sightings"}


async def test_nothing_that_names_an_erased_customer_is_left_in_any_table(
    filled: Database,
) -> None:
    done = await erased(filled)
    await filled.write(lambda c: customer_erasures.finish(c, done.id, now=NOW))
    assert await filled.read(lambda c: found_in(c, GONE.needles)) == set()


async def test_erasing_one_customer_takes_nothing_from_another(filled: Database) -> None:
    before = await filled.read(lambda c: found_in(c, STAYS.needles))
    counts = await filled.read(_counts)
    await erased(filled)
    assert await filled.read(lambda c: found_in(c, STAYS.needles)) == before
    after = await filled.read(_counts)
    assert {t: counts[t] - after[t] for t in HELD if t not in _STAY} == {
        t: 2 if t == "effects" else 1 for t in HELD if t not in _STAY
    } | {"effects": 2}


async def test_no_row_refers_to_one_that_is_gone(filled: Database) -> None:
    await erased(filled)
    assert await filled.read(orphans) == set()


async def test_the_number_of_an_erased_message_is_not_given_again(filled: Database) -> None:
    newest = "SELECT MAX(id) AS id FROM messages"
    before = (await filled.read(lambda c: rows(c, newest)))[0]["id"]
    await erased(filled, STAYS)
    message = InboundMessage("web", "shop", "m-new", "chat", "somebody", "你好", received_at=NOW)
    receipt = await filled.write(lambda c: inbox.receive(c, message))
    assert receipt.row_id > before


async def test_a_campaign_for_an_erased_customer_is_for_nobody_and_not_for_everybody(
    filled: Database,
) -> None:
    segment = json.dumps({"levels": [], "contacts": [GONE.contact]})
    row = {"name": "x", "text": "x", "segment": segment, "created_at": "", "updated_at": ""}

    def add(connection: Connection) -> None:
        connection.execute(insert(TABLES["campaigns"]).values(row))

    await filled.write(add)
    done = await erased(filled)
    (left,) = await filled.read(lambda c: rows(c, "SELECT segment FROM campaigns"))
    assert json.loads(left["segment"])["contacts"] == [done.digest]


async def test_sums_stay_without_a_name(filled: Database) -> None:
    await erased(filled)
    deals = await filled.read(lambda c: rows(c, "SELECT contact_id FROM deals ORDER BY contact_id"))
    calls = await filled.read(lambda c: rows(c, "SELECT turn_id FROM model_calls ORDER BY turn_id"))
    assert [row["contact_id"] for row in deals] == ["", STAYS.contact]
    assert [row["turn_id"] for row in calls] == ["", STAYS.turn]


async def test_the_audit_log_keeps_that_it_was_done_and_a_digest_only(filled: Database) -> None:
    done = await erased(filled)
    log = await filled.read(
        lambda c: rows(c, "SELECT actor, action, subject, detail FROM audit ORDER BY id DESC")
    )
    assert (log[0]["actor"], log[0]["action"]) == ("boss", "customer.erase")
    assert log[0]["subject"] == done.digest
    assert json.loads(log[0]["detail"])["rows"]["messages"] == 1
    assert sum(row["subject"] == done.digest for row in log) == 3


async def test_files_to_remove_are_kept_until_they_are_removed(filled: Database) -> None:
    done = await erased(filled)
    assert done.files.pictures == (GONE.picture,)
    waiting = await filled.read(customer_erasures.unfinished)
    assert [one.files for one in waiting] == [done.files]
    await filled.write(lambda c: customer_erasures.finish(c, done.id, now=NOW))
    assert await filled.read(customer_erasures.unfinished) == []


async def test_a_picture_that_somebody_else_ordered_work_on_stays(filled: Database) -> None:
    def shared(connection: Connection) -> None:
        connection.execute(
            text("UPDATE image_tasks SET pictures = :it WHERE id = :id"),
            {"it": json.dumps([GONE.picture]), "id": STAYS.order},
        )

    await filled.write(shared)
    assert (await erased(filled)).files.pictures == ()
    assert await filled.read(lambda c: rows(c, "SELECT 1 FROM pictures WHERE sha256 <> ''"))


async def test_a_question_that_others_asked_too_stays_in_their_words(filled: Database) -> None:
    def shared(connection: Connection) -> None:
        connection.execute(text("UPDATE unknown_questions SET cluster_id = 1"))
        connection.execute(
            text("UPDATE question_clusters SET wordings = :both WHERE id = 1"),
            {"both": json.dumps([_asked(GONE), _asked(STAYS)])},
        )

    await filled.write(shared)
    await erased(filled)
    found = await filled.read(lambda c: rows(c, "SELECT * FROM question_clusters WHERE id = 1"))
    assert json.loads(found[0]["wordings"]) == [_asked(STAYS)]
    assert found[0]["representative"] == _asked(STAYS)
    assert (found[0]["count"], found[0]["customers"]) == (1, 1)


async def test_knowledge_that_was_accepted_stays_and_forgets_where_it_came_from(
    filled: Database,
) -> None:
    await filled.write(
        lambda c: (
            c.execute(
                text("UPDATE learned_knowledge SET state = 'approved', question = '几点开门'")
            ).rowcount
        )
    )
    await erased(filled)
    found = await filled.read(
        lambda c: rows(c, "SELECT source_session, wordings FROM learned_knowledge WHERE id = 1")
    )
    assert found == [{"source_session": "", "wordings": "[]"}]


async def test_every_contact_of_a_merged_person_is_erased(filled: Database) -> None:
    await filled.write(lambda c: merge(c, GONE.contact, STAYS.contact, actor="boss", now=NOW))
    done = await erased(filled, STAYS)
    await filled.write(lambda c: customer_erasures.finish(c, done.id, now=NOW))
    assert await filled.read(lambda c: found_in(c, [*GONE.needles, *STAYS.needles])) == set()
    assert await filled.read(orphans) == set()


async def test_a_merge_and_its_undoing_leave_no_row_without_its_customer(
    filled: Database,
) -> None:
    made = await filled.write(
        lambda c: merge(c, GONE.contact, STAYS.contact, actor="boss", now=NOW)
    )
    assert await filled.read(orphans) == set()
    trail = await filled.read(lambda c: trail_of(c, STAYS.contact))
    assert trail is not None
    assert set(trail.contact) == {GONE.contact, STAYS.contact}
    assert set(trail.conversation) == {GONE.conversation, STAYS.conversation}
    assert set(trail.order) == {GONE.order, STAYS.order}
    await filled.write(lambda c: unmerge(c, made.id, actor="boss", now=NOW))
    assert await filled.read(orphans) == set()
    trail = await filled.read(lambda c: trail_of(c, STAYS.contact))
    assert trail is not None
    assert trail.conversation == (STAYS.conversation,)


async def test_a_turn_under_way_is_waited_for(filled: Database) -> None:
    await filled.write(
        lambda c: (
            c.execute(
                text("UPDATE conversations SET lease_until = :until"), {"until": NOW + 30}
            ).rowcount
        )
    )
    with pytest.raises(InvalidInput) as refused:
        await erased(filled)
    assert refused.value.status == 409
    assert ("messages", "content") in await filled.read(lambda c: found_in(c, GONE.needles))


async def test_a_customer_whom_nobody_knows_cannot_be_erased(database: Database) -> None:
    with pytest.raises(NotFound):
        await erased(database)


def _asked(who: Somebody) -> str:
    return f"{who.marker} unknown_questions.content"


def _counts(connection: Connection) -> dict[str, int]:
    return {
        name: int(connection.execute(text(f'SELECT COUNT(*) FROM "{name}"')).scalar_one())
        for name in TABLES
    }
