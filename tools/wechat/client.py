"""Calls of an official account that are made for customers (reference wechat_official.md, 7)."""

from collections.abc import Mapping

from tools.wx.api import JsonObject, WxApi

SEND = "/cgi-bin/message/custom/send"
TEMPLATE = "/cgi-bin/message/template/send"
TICKET = "/cgi-bin/ticket/getticket"


class WechatClient:
    """Every method raises PeerUnavailable or PeerRejected. The platform takes no id of a message:
    one whose answer was lost may be shown twice."""

    def __init__(self, api: WxApi) -> None:
        self.api = api

    async def send_text(self, to: str, content: str) -> None:
        await self._send(to, "text", {"content": content})

    async def send_image(self, to: str, media_id: str) -> None:
        await self._send(to, "image", {"media_id": media_id})

    async def send_template(
        self, to: str, template_id: str, data: Mapping[str, str], *, key: str, url: str = ""
    ) -> str:
        """The platform's id of it. ``key``: at most 32 characters; the same again within minutes
        is not sent twice."""
        body: JsonObject = {
            "touser": to,
            "template_id": template_id,
            "client_msg_id": key,
            "data": {name: {"value": value} for name, value in data.items()},
        }
        if url:
            body["url"] = url
        answer = await self.api.post(TEMPLATE, body)
        return str(answer.get("msgid", ""))

    async def _send(self, to: str, kind: str, content: JsonObject) -> None:
        await self.api.post(SEND, {"touser": to, "msgtype": kind, kind: content})
