"""What the console lists is found by scope and by words, on both databases."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from domain.errors import NotFound
from storage import console
from storage.approvals import NewApproval, open_approval
from storage.clock import iso
from storage.console import Page, Slice
from storage.database import Database
from storage.orders import NewOrder, OrderBook

ALL, ONE, WIDE, OTHER = ("*",), ("api:shop",), ("api",), ("api:else",)
AT = iso(0)


def _fill(connection: Connection) -> None:
    for account in ("shop", "else"):
        values = {"id": f"c_{account}", "account": account, "contact": f"api:{account}:u1"}
        connection.execute(
            text(
                "INSERT INTO conversations (id, channel, account, chat_id, sender_id, contact_id,"
                " customer_name, mode, session_no, session_last_ts, received, lease_until, fence,"
                " attempts, failures, created_at, last_active_at) VALUES (:id, 'api', :account,"
                " 'u1', 'u1', :contact, '100%张', 'bot', 0, 0, 1, 0, 0, 0, 0, :at, :at)"
            ),
            values | {"at": AT},
        )
        connection.execute(
            text(
                "INSERT INTO messages (contact_id, content, role, received_at, channel, account,"
                " channel_message_id, conversation_id, kind, event, sent_ts, received_ts, route,"
                " status) VALUES (:contact, '我要 50% 的 Discount_A', 'user', :at, 'api', :account,"
                " 'm1', :id, 'text', '', 0, 0, 'poll', 'handled')"
            ),
            values | {"at": AT},
        )
        connection.execute(
            text(
                "INSERT INTO outbox (message_id, queue, kind, channel, account, conversation_id,"
                " turn_id, payload, status, attempts, next_attempt_at, lease_until, created_at,"
                " task_run) VALUES (:id, :id, 'reply', 'api', :account, :id, 't', '{}', 'dead', 1,"
                " 0, 0, :at, 0)"
            ),
            values | {"at": AT},
        )
        connection.execute(
            text(
                "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status,"
                " created_at) VALUES (:id, '[]', 'x', 3, 'parked', :at)"
            ),
            values | {"at": AT},
        )
        order = NewOrder(values["id"], values["contact"], values["id"], "背景换成_白色")
        OrderBook().create(connection, order, actor="test", now=time.time())
        asked = NewApproval({"items": [], "total": 1, "floor": 1}, (), "多少钱", 1.0)
        open_approval(
            connection,
            asked,
            conversation_id=values["id"],
            contact_id=values["contact"],
            turn_id="t",
            now=1.0,
        )


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.engine.begin() as connection:
        _fill(connection)
        yield connection


def _lists(connection: Connection, scopes: tuple[str, ...]) -> list[Page]:
    part = Slice(scopes)
    return [
        console.deliveries(connection, part, "dead"),
        console.dead_letters(connection, part, None),
        console.approvals(connection, part, "pending"),
        console.orders(connection, part, ["draft"], ""),
        console.messages(connection, part, "discount"),
        console.customers(connection, part, "张"),
    ]


@pytest.mark.parametrize(("scopes", "rows"), [(ALL, 2), (WIDE, 2), (ONE, 1), (("wecom",), 0)])
def test_every_list_holds_what_is_in_scope_and_nothing_else(
    scopes: tuple[str, ...], rows: int, connection: Connection
) -> None:
    assert [len(page.items) for page in _lists(connection, scopes)] == [rows] * 6
    waits = {"approvals": rows, "deliveries": rows, "parked": rows}
    assert console.counts(connection, scopes) == waits


def test_a_row_out_of_scope_is_not_there(connection: Connection) -> None:
    ids = {
        "delivery": console.deliveries(connection, Slice(ONE), "dead").items[0]["id"],
        "dead_letter": console.dead_letters(connection, Slice(ONE), None).items[0]["id"],
        "approval": console.approvals(connection, Slice(ONE), None).items[0]["id"],
        "order": console.orders(connection, Slice(ONE), (), "").items[0]["id"],
    }
    for table, number in ids.items():
        console.require(connection, table, number, ONE, "id")
        console.require(connection, table, number, ALL, "id")
        for scopes, wanted in ((OTHER, number), (ALL, 10**9), ((), number)):
            with pytest.raises(NotFound):
                console.require(connection, table, wanted, scopes, "id")


def test_signs_of_a_pattern_are_sought_as_they_are(connection: Connection) -> None:
    part = Slice(ALL)
    assert len(console.messages(connection, part, "50% 的").items) == 2
    assert len(console.messages(connection, part, "discount_a").items) == 2
    assert console.messages(connection, part, "discountxa").items == ()
    assert console.messages(connection, part, "5%0").items == ()
    assert console.customers(connection, part, "1_0%").items == ()
    assert len(console.orders(connection, part, (), "成_白").items) == 2
    assert console.orders(connection, part, (), "' OR 1=1 --").items == ()


def test_a_page_says_whether_there_is_another(connection: Connection) -> None:
    first = console.orders(connection, Slice(ALL, 1, 0), (), "")
    last = console.orders(connection, Slice(ALL, 1, 1), (), "")
    assert (len(first.items), first.more) == (1, True)
    assert (len(last.items), last.more) == (1, False)
    assert first.items[0]["id"] > last.items[0]["id"]
