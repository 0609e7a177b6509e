"""A delivered order is told of by a template message too, where one is set."""

import json
from typing import Any

from domain.ids import contact_id, conversation_id
from domain.orders import OrderStatus, Workflow
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.quoting import requoting
from storage.orders import NewOrder, OrderBook
from tests.engine.orders.desk import PRICES, TASKS, WORDS
from tests.engine.wechat.account import APP_ID, Account, ask, serving

FILE = "https://shop.example/done.zip"


def desk_of(account: Account) -> OrderDesk:
    notices = account.wechat.order_notices()
    return OrderDesk(
        account.database,
        OrderBook(),
        tasks=TASKS,
        requote=requoting(PRICES),
        words=WORDS,
        policy=DeskPolicy(
            channels=frozenset({"wechat"}),
            on_delivered=notices.delivered if notices is not None else None,
        ),
        on_queues=account.parts.wake_queues,
    )


async def delivered(account: Account) -> dict[str, Any]:
    await account.send(ask("早"))
    desk, who = desk_of(account), ("wechat", APP_ID)
    order = await desk.create(
        NewOrder(
            key="test:1",
            contact_id=contact_id(*who, "o1"),
            conversation_id=conversation_id(*who, "o1", "o1"),
            requirement="抠图,换成白底",
            service="cutout",
            status=OrderStatus.QUOTED,
            workflow=Workflow.DESIGN,
            images=("https://shop.example/a.png",),
        ),
        actor="turn",
    )
    await desk.confirm(order["id"], actor="staff", tell=False)
    done = await desk.deliver(order["id"], [FILE], actor="staff")
    await account.quiet()
    return done


async def test_a_delivered_order_is_told_of_by_the_chosen_template_once(database_url: str) -> None:
    fields = {"order": "character_string1", "status": "phrase2"}
    chosen: dict[str, Any] = {"wechat_order_template": "tpl-1", "wechat_order_fields": fields}
    async with serving(database_url, **chosen) as account:
        order = await delivered(account)
        (body,) = account.platform.paths("/cgi-bin/message/template/send")
        sent = json.loads(body)
        assert (sent["touser"], sent["template_id"]) == ("o1", "tpl-1")
        assert sent["data"] == {
            "character_string1": {"value": str(order["id"])},
            "phrase2": {"value": "已完成，请查收"},
        }
        assert len(sent["client_msg_id"]) <= 32
        assert len(account.platform.phone("o1").pushed) == 2, "the words and the file as well"


async def test_without_a_template_none_is_sent(account: Account) -> None:
    await delivered(account)
    assert account.platform.paths("/cgi-bin/message/template/send") == []
    assert len(account.platform.phone("o1").pushed) == 2
