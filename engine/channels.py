"""From a row of the outbox to a call of a peer's client."""

from typing import Any

from domain.errors import PeerRejected
from storage.outbox import Delivery
from tools.notify.client import StaffNotifier
from tools.notify.protocol import StaffNotice
from tools.tianwang.client import CallbackClient
from tools.tianwang.protocol import CallbackEvent, callback_body
from tools.webhook.client import WebhookClient
from tools.webhook.protocol import OutboundText
from tools.wecom.robot import GroupRobot, notice_markdown


class WebhookChannel:
    def __init__(self, client: WebhookClient) -> None:
        self._client = client

    async def deliver(self, delivery: Delivery) -> None:
        payload = delivery.payload
        await self._client.deliver(
            OutboundText(
                message_id=delivery.message_id,
                conversation_id=delivery.conversation_id,
                account=delivery.account,
                chat_id=payload["chat_id"],
                to=payload["to"],
                text=payload["text"],
                turn_id=delivery.turn_id,
                created_at=payload["created_at"],
                attachments=_attachments(payload),
            )
        )


def _attachments(payload: dict[str, Any]) -> tuple[dict[str, str], ...]:
    if not payload.get("url"):
        return ()
    return ({"kind": payload["type"], "url": payload["url"], "name": payload.get("name", "")},)


class CallbackChannel:
    """Tianwang is told how a task ended."""

    def __init__(self, client: CallbackClient) -> None:
        self._client = client

    async def deliver(self, delivery: Delivery) -> None:
        event = CallbackEvent(**delivery.payload)
        await self._client.deliver(event.event_id, callback_body(event))


class StaffChannel:
    def __init__(self, notifier: StaffNotifier) -> None:
        self._notifier = notifier

    async def deliver(self, delivery: Delivery) -> None:
        payload = delivery.payload
        priority = payload["priority"]
        if priority not in ("low", "normal", "high"):
            raise PeerRejected("staff", f"unknown priority {priority!r}")
        await self._notifier.notify(
            StaffNotice(
                notice_id=delivery.message_id,
                title=payload["title"],
                text=payload["text"],
                priority=priority,
                conversation_id=delivery.conversation_id,
                reason=payload["reason"],
            )
        )


class RobotChannel:
    """Notices to staff through a group robot of WeCom. It takes no id of a message, so at least
    once is what can be had: a notice whose answer was lost is shown again."""

    def __init__(self, robot: GroupRobot) -> None:
        self._robot = robot

    async def deliver(self, delivery: Delivery) -> None:
        payload = delivery.payload
        await self._robot.send(notice_markdown(payload["title"], payload["text"]))
