"""Protected fields: sealed in the rows, read with any of the keys, found by name, sealed anew."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from domain.errors import ConfigurationError
from domain.messages import InboundMessage
from storage import console, desk_views, inbox, kf_names, protection
from storage.console import Slice
from storage.database import Database
from storage.desk_views import Wanted
from storage.protection import DONE
from storage.reviews import TurnRecord, find_record, keep_record, packed
from storage.sealed import FieldKeys, new_key, parse_keys, seal, unseal

OLD, NEW = FieldKeys([("k1", b"1" * 32)]), FieldKeys([("k2", b"2" * 32), ("k1", b"1" * 32)])
NAME = "欧阳锦屏"


@contextlib.contextmanager
def opened(url: str, keys: FieldKeys) -> Iterator[Database]:
    database = Database(url, synchronous="NORMAL", keys=keys)
    database.start()
    try:
        yield database
    finally:
        database.close()


def a_message(name: str, chat: str = "chat") -> InboundMessage:
    return InboundMessage(
        "web", "shop", f"m-{chat}-{name}", chat, chat, "你好", sender_name=name, received_at=1_000.0
    )


async def received(database: Database, name: str, chat: str = "chat") -> None:
    await database.write(lambda c: inbox.receive(c, a_message(name, chat)))


async def read_name(database: Database, row: dict[str, Any]) -> str:
    return await database.read(lambda c: unseal(c, row["customer_name"]))


async def stored(database: Database, sql: str) -> list[dict[str, Any]]:
    def read(connection: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(text(sql)).mappings()]

    return await database.read(read)


NAMES = "SELECT customer_name, name_index FROM conversations ORDER BY id"


async def test_a_name_is_sealed_in_its_row_and_read_by_who_claims(database_url: str) -> None:
    with opened(database_url, OLD) as database:
        await received(database, NAME)
        (row,) = await stored(database, NAMES)
        assert NAME not in str(row)
        assert row["customer_name"].startswith("sealed:k1:")
        claimed = await database.write(
            lambda c: inbox.claim(
                c, a_message(NAME).conversation, owner="t", now=2_000.0, lease_s=9, merge_limit=9
            )
        )
        assert claimed is not None
        assert claimed.customer.name == NAME


async def test_the_same_name_is_sealed_differently_each_time(database_url: str) -> None:
    with opened(database_url, OLD) as database:
        sealed = {await database.read(lambda c: seal(c, NAME)) for _ in range(3)}
    assert len(sealed) == 3


async def test_what_was_written_before_there_were_keys_is_read_as_it_is(database_url: str) -> None:
    with opened(database_url, FieldKeys()) as database:
        await received(database, NAME)
        assert (await stored(database, NAMES))[0]["customer_name"] == NAME
    with opened(database_url, OLD) as database:
        assert await database.read(lambda c: unseal(c, NAME)) == NAME


async def test_a_name_without_its_key_is_empty_and_breaks_nothing(database_url: str) -> None:
    with opened(database_url, OLD) as database:
        sealed = await database.read(lambda c: seal(c, NAME))
    with opened(database_url, FieldKeys([("k9", b"9" * 32)])) as database:
        assert await database.read(lambda c: unseal(c, sealed)) == ""


@pytest.mark.parametrize("told", ["sealed:", "sealed:k1:", "sealed:k1:!!", "sealed:none:AAAA"])
async def test_a_customer_who_is_called_like_something_sealed_breaks_nothing(
    database_url: str, told: str
) -> None:
    with opened(database_url, OLD) as database:
        await received(database, told)
        (row,) = await stored(database, NAMES)
        assert await database.read(lambda c: unseal(c, row["customer_name"])) == told


@pytest.mark.parametrize("keys", [FieldKeys(), OLD, NEW], ids=["none", "one", "two"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (NAME, 1),
        ("锦屏", 1),
        ("欧阳", 1),
        ("欧", 1),
        ("屏锦", 0),
        ("Xiao", 1),
        ("xiao", 1),
        ("k1", 0),
    ],
)
async def test_a_customer_is_found_by_parts_of_the_name(
    database_url: str, keys: FieldKeys, query: str, found: int
) -> None:
    with opened(database_url, keys) as database:
        for name, chat in ((NAME, "one"), ("Xiao Yu", "two"), ("张若澜", "three")):
            await received(database, name, chat)
        page = await database.read(lambda c: console.customers(c, Slice(("*",)), query))
        rows = await database.read(
            lambda c: desk_views.page(c, Wanted("all", "", ("*",), search=query))
        )
        names = [one["customer_name"] for one in page.items]
        assert len(names) == len(rows) == found
        assert all(query.lower() in name.lower() for name in names)


async def test_a_name_that_a_platform_tells_later_is_sealed_too(database_url: str) -> None:
    with opened(database_url, OLD) as database:
        message = InboundMessage("wecom_kf", "kf", "m1", "wm1", "wm1", "你好", received_at=1_000.0)
        await database.write(lambda c: inbox.receive(c, message))
        await database.write(lambda c: kf_names.name(c, "wm1", NAME))
        (row,) = await stored(database, NAMES)
        assert row["customer_name"].startswith("sealed:k1:")
        assert row["name_index"]


async def test_every_row_is_sealed_anew_in_batches_that_go_on_where_they_ended(
    database_url: str,
) -> None:
    with opened(database_url, FieldKeys()) as database:
        for number in range(7):
            await received(database, f"{NAME}{number}", f"c{number}")
    with opened(database_url, OLD) as database:
        assert await database.write(lambda c: protection.adopt(c, OLD, at="2026")) == []
        first = await database.write(lambda c: protection.reseal(c, limit=3))
        assert first.place.startswith("conversations")
    with opened(database_url, OLD) as database:
        changed = first.changed + await resealed(database)
        rows = await stored(database, NAMES)
        assert all(row["customer_name"].startswith("sealed:k1:") for row in rows)
        assert all(row["name_index"] for row in rows)
        assert changed == 7
    with opened(database_url, NEW) as database:
        assert await database.write(lambda c: protection.adopt(c, NEW, at="2026")) == []
        assert await resealed(database) == 7
        rows = await stored(database, NAMES)
        assert all(row["customer_name"].startswith("sealed:k2:") for row in rows)
        names = [await read_name(database, row) for row in rows]
        assert sorted(names) == [f"{NAME}{number}" for number in range(7)]


async def resealed(database: Database) -> int:
    changed = 0
    while (step := await database.write(lambda c: protection.reseal(c, limit=3))).place != DONE:
        changed += step.changed
    return changed + step.changed


async def test_what_no_key_opens_is_left_as_it_is(database_url: str) -> None:
    with opened(database_url, OLD) as database:
        await received(database, NAME)
        before = await stored(database, NAMES)
    other = FieldKeys([("k9", b"9" * 32)])
    with opened(database_url, other) as database:
        await database.write(lambda c: protection.adopt(c, other, at="2026"))
        unreadable = 0
        while (step := await database.write(lambda c: protection.reseal(c, limit=9))).place != DONE:
            unreadable += step.unreadable
        assert unreadable + step.unreadable == 1
        assert await stored(database, NAMES) == before


async def test_a_key_that_rows_need_is_missed(database: Database) -> None:
    assert await database.write(lambda c: protection.adopt(c, OLD, at="2026")) == []
    other = FieldKeys([("k1", b"x" * 32)])
    assert await database.write(lambda c: protection.adopt(c, FieldKeys(), at="2026")) == ["k1"]
    assert await database.write(lambda c: protection.adopt(c, other, at="2026")) == ["k1"]
    assert await database.write(lambda c: protection.adopt(c, NEW, at="2026")) == []
    await database.write(protection.retire)
    assert await database.write(lambda c: protection.adopt(c, NEW, at="2026")) == []
    states = await database.read(protection.states)
    assert [(one.id, one.state) for one in states] == [("k2", "current"), ("k1", "old")]


async def test_the_steps_of_a_turn_are_sealed_whole(database_url: str) -> None:
    kept = TurnRecord("t1", 1_000.0, NAME.encode(), "msgpack", b"base of the turn")
    with opened(database_url, OLD) as database:
        await database.write(lambda c: keep_record(c, packed(kept)))
        (row,) = await stored(database, "SELECT body, base FROM turn_records")
        assert bytes(row["body"]).startswith(b"sealed:k1:")
        assert bytes(row["base"]).startswith(b"sealed:k1:")
        assert await database.read(lambda c: find_record(c, "t1")) == kept
    with opened(database_url, FieldKeys([("k9", b"9" * 32)])) as database:
        assert await database.read(lambda c: find_record(c, "t1")) is None


def test_a_key_that_was_made_can_be_used() -> None:
    keys = parse_keys(f"{new_key('k2')}, {new_key('k1')}")
    assert keys.ids == ("k2", "k1")
    assert keys.unseal(keys.seal(NAME)) == NAME


@pytest.mark.parametrize(
    "told",
    [
        "k1",
        "k1:AAAA",
        f":{base64.b64encode(b'1' * 32).decode()}",
        f"K 1:{base64.b64encode(b'1' * 32).decode()}",
        f"k1:{base64.b64encode(b'1' * 31).decode()}",
        ",".join([f"k1:{base64.b64encode(b'1' * 32).decode()}"] * 2),
    ],
)
def test_an_unusable_key_is_refused_without_being_shown(told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_keys(told)
    assert "MTEx" not in str(refused.value)
