"""Template messages that tell a customer of the official account how an order stands."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from graphs.orders import service_of
from storage import outbox
from storage.clock import iso
from storage.orders import OrderRow
from storage.outbox import NewDelivery
from storage.recipients import RecipientRow
from tools.wechat.messages import CHANNEL

TEMPLATE = "template"
"""Kind of their deliveries: they need no open window and spend nothing of it."""
_DELIVERED = "已完成，请查收"


class OrderNotices:
    """``fields``: which field of the template shows order, service, status and time."""

    def __init__(
        self, app_id: str, template_id: str, fields: Mapping[str, str], zone: tzinfo
    ) -> None:
        self._app_id, self._template_id = app_id, template_id
        self._fields, self._zone = dict(fields), zone

    def delivered(
        self, connection: Connection, to: RecipientRow, order: OrderRow, now: float
    ) -> tuple[str, ...]:
        """Into the outbox, once for what was delivered; its queue."""
        if (to.channel, to.account) != (CHANNEL, self._app_id):
            return ()
        what = hashlib.blake2b(json.dumps(order.deliverables).encode(), digest_size=8).hexdigest()
        key = f"wechat:order:{order.id}:{what}"
        notice = NewDelivery(
            message_id=key,
            queue=key,
            kind=TEMPLATE,
            channel=to.channel,
            account=to.account,
            conversation_id=to.conversation_id,
            turn_id="",
            payload={
                "to": to.sender_id,
                "template_id": self._template_id,
                "data": self._data(order, _DELIVERED, now),
                "created_at": now,
            },
        )
        return (key,) if outbox.add(connection, [notice], iso(now)) else ()

    def _data(self, order: OrderRow, status: str, now: float) -> dict[str, str]:
        shown = {
            "order": str(order.id),
            "service": service_of(order),
            "status": status,
            "time": f"{datetime.fromtimestamp(now, self._zone):%Y-%m-%d %H:%M}",
        }
        return {self._fields[name]: value for name, value in shown.items() if name in self._fields}
