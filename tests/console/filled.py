"""A service in the middle of a day: something to see on every page."""

import io
import time
import uuid
from dataclasses import dataclass

from PIL import Image, ImageDraw
from sqlalchemy import Connection, text

from domain.decisions import Quote, QuoteItem, as_dict
from domain.orders import OrderStatus, Workflow
from storage.approvals import NewApproval, open_approval
from storage.orders import NewOrder, OrderBook
from tests.api.service import Service
from tests.console.talks import Customer, can
from tools.tianwang.protocol import EXAMPLE

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}"


@dataclass(frozen=True, slots=True)
class Filled:
    conversation: str
    bot_conversation: str
    turn: str
    order: int
    task: str


def filled(service: Service) -> Filled:
    bot = Customer(service, "周大福")
    bot.says("充电桩怎么安装？")
    waiting = Customer(service, HOSTILE)
    waiting.says("充电桩怎么安装？")
    waiting.says(f"{HOSTILE} 我要投诉！师傅一直没有来，请转人工")
    Customer(service, "吴小姐").says("你们的月球旅行套餐多少钱一位？")
    can(service, "wl", "物流", "您的订单已经发出，预计三天内送达。")
    turn = _turn_of(service, bot.conversation)
    _judge(service, turn)
    lose(service, bot)
    return Filled(
        waiting.conversation,
        bot.conversation,
        turn,
        _order(service, bot),
        _task(service),
    )


def _turn_of(service: Service, conversation: str) -> str:
    with service.kefu.engine.database.engine.connect() as connection:
        found = connection.execute(
            text("SELECT turn_id FROM turns WHERE conversation_id = :id"), {"id": conversation}
        )
        return str(found.scalar_one())


def _judge(service: Service, turn: str) -> None:
    """Its answer is marked as wrong, its conversation kept as a test."""
    path = f"/api/reviews/turns/{turn}"
    judged = {"fault": "wrong", "correct": "安装请先预约，客服会与您联系。", "note": "步骤已经变了"}
    for act, body in (("mark", judged), ("save", {"replace": True})):
        response = service.client.post(f"{path}/{act}", json=body)
        assert response.status_code == 200, response.text


def lose(service: Service, customer: Customer) -> None:
    """A message to the customer that no attempt has delivered."""
    values = {
        "message": uuid.uuid4().hex,
        "id": customer.conversation,
        "payload": '{"text": "您的快递到了，请到前台领取。"}',
    }
    with service.kefu.engine.database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO outbox (message_id, queue, kind, channel, account, conversation_id,"
                " turn_id, payload, status, attempts, next_attempt_at, lease_until, last_error,"
                " created_at, task_run) VALUES (:message, :message, 'reply', 'api', 'shop', :id,"
                " 't', :payload, 'dead', 5, 0, 0, 'peer: HTTP 500', '2026-01-01T00:00:00+00:00', 0)"
            ),
            values,
        )


def _quote(total: int) -> Quote:
    items = (
        QuoteItem("基础修复", total - 2_000, "按张计费"),
        QuoteItem("模糊严重", 2_000, "清晰度 0.31，低于 0.4"),
    )
    return Quote("restore", "老照片修复", items, total, 5_000, 24, "2026-1")


def picture_bytes() -> bytes:
    """A PNG, 640 wide."""
    picture = Image.new("RGB", (640, 420), "#cfe3da")
    ImageDraw.Draw(picture).ellipse((180, 90, 460, 330), fill="#0a6b58")
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def _order(service: Service, customer: Customer) -> int:
    sent = service.client.post(
        "/api/pictures", content=picture_bytes(), headers={"Content-Type": "image/png"}
    )
    assert sent.status_code in (200, 201), sent.text
    sha256 = sent.json()["sha256"]

    def unit(connection: Connection) -> int:
        head = connection.execute(
            text("SELECT contact_id FROM conversations WHERE id = :id"),
            {"id": customer.conversation},
        )
        contact = str(head.scalar_one())
        order = NewOrder(
            key=uuid.uuid4().hex,
            contact_id=contact,
            conversation_id=customer.conversation,
            requirement="把老照片修清楚\n去掉右下角的折痕\n背景换成白色",
            pictures=(sha256,),
            service="restore",
            workflow=Workflow.DESIGN,
            quote=_quote(7_800),
            status=OrderStatus.QUOTED,
        )
        made, _ = OrderBook().create(connection, order, actor="customer", now=time.time())
        asked = NewApproval(
            quote=_plain(_quote(88_800)),
            reasons=("high_value",),
            request="这批照片 50 张，一共多少钱？",
            expires=time.time() + 3_600,
        )
        open_approval(
            connection,
            asked,
            conversation_id=customer.conversation,
            contact_id=contact,
            turn_id="t_approval",
            now=time.time(),
        )
        return made.id

    return _write(service, unit)


def _write(service: Service, unit: object) -> int:
    with service.kefu.engine.database.engine.begin() as connection:
        made: int = unit(connection)  # type: ignore[operator]
        return made


def _plain(quote: Quote) -> dict[str, object]:
    return as_dict(quote)


def _task(service: Service) -> str:
    number = f"task-{uuid.uuid4().hex[:8]}"
    body = EXAMPLE | {"task_id": number}
    response = service.client.post("/api/task/receive", json=body)
    assert response.status_code == 200, response.text
    return number
