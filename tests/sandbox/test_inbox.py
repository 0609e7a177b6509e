"""The page that shows staff's notices from every channel."""

import smtplib
from email.message import EmailMessage

import httpx

from tests.sandbox.test_notice_peers import dingtalk, feishu, telegram, text
from tests.sandbox_server import JsonObject, SandboxServer


def items(sandbox: SandboxServer, **query: object) -> list[JsonObject]:
    return list(sandbox.get("/_sandbox/staff/inbox", **query)["items"])


def mail(sandbox: SandboxServer, message_id: str = "<1@shop.example>") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "kefu@shop.example", "desk@shop.example"
    message["Subject"], message["Message-ID"] = "🚨 需要人工介入", message_id
    message.set_content("用户:小明\n")
    port = sandbox.get("/_sandbox/mail/server")["port"]
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.send_message(message)
    return message


def test_what_came_on_every_channel_is_shown_in_its_order(sandbox_server: SandboxServer) -> None:
    telegram(sandbox_server, chat_id=42, text="一")
    feishu(sandbox_server, text("二"))
    dingtalk(sandbox_server, {"msgtype": "text", "text": {"content": "三"}})
    mail(sandbox_server)
    notice = {"notice_id": "n1", "title": "题", "text": "五"}
    for _ in range(2):
        sandbox_server.client.post(sandbox_server.staff_url, json=notice)
    robot = f"{sandbox_server.url}/wecom/webhook/send?key=k"
    httpx.post(robot, json={"msgtype": "text", "text": {"content": "六"}})
    shown = [
        (one["channel"], one["to"], one["title"], one["text"]) for one in items(sandbox_server)
    ]
    assert shown == [
        ("telegram", "42", "", "一"),
        ("feishu", "群", "", "二"),
        ("dingtalk", "群", "", "三"),
        ("mail", "desk@shop.example", "🚨 需要人工介入", "用户:小明"),
        ("staff", "", "题", "五"),
        ("wecom", "群机器人", "", "六"),
    ]


def test_what_was_refused_is_not_shown(sandbox_server: SandboxServer) -> None:
    telegram(sandbox_server, "no-token", chat_id=42, text="一")
    feishu(sandbox_server, text("二"), at=0)
    sandbox_server.fault("dingtalk", "status", status=500)
    sandbox_server.client.post(f"{sandbox_server.url}/dingtalk/robot/send", json={})
    assert items(sandbox_server) == []


def test_what_comes_later_is_asked_for_by_number(sandbox_server: SandboxServer) -> None:
    for number in range(3):
        telegram(sandbox_server, chat_id=42, text=str(number))
    page = sandbox_server.get("/_sandbox/staff/inbox", limit=2)
    assert [one["text"] for one in page["items"]] == ["0", "1"]
    page = sandbox_server.get("/_sandbox/staff/inbox", after=page["last"], wait=5)
    assert [one["text"] for one in page["items"]] == ["2"]
    last = page["last"]
    sandbox_server.reset()
    assert items(sandbox_server) == []
    telegram(sandbox_server, chat_id=42, text="after the reset")
    (found,) = items(sandbox_server, after=last, wait=5)
    assert found["text"] == "after the reset"


def test_a_mail_that_comes_again_is_shown_once(sandbox_server: SandboxServer) -> None:
    for message_id in ("<1@shop.example>", "<1@shop.example>", "<2@shop.example>"):
        mail(sandbox_server, message_id)
    counts = [one["received"] for one in sandbox_server.get("/_sandbox/mail/notices")["notices"]]
    assert counts == [2, 1]
    assert len(items(sandbox_server)) == 2
