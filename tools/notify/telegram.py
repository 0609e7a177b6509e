"""A Telegram bot (reference others.md, 1).

It takes no id of a message: where its answer is lost, the notice that is sent again is shown twice.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from tools import http_errors
from tools.http_errors import JSON_HEADERS, MAX_RETRY_AFTER_S, error_of_response
from tools.notify.protocol import StaffNotice
from tools.notify.robots import json_body, read_object
from tools.notify.wording import fitting, headline, plain, sendable, utf16_units

log = logging.getLogger(__name__)
PEER = "telegram"
MAX_TEXT_UNITS = 4_096
"""UTF-16 code units of what is shown, without the marks."""
_SPECIAL = re.compile(r"[_*\[\]()~`>#+\-=|{}.!\\]")
_MENTION = re.compile(r"@(?=\w)")
_SHOWN_CHARS = 200
_ADVICE = (
    ("chat not found", "找不到会话,请核对 NOTIFICATION_CHANNEL 的 ID,并先给机器人发一条消息"),
    ("bot was blocked", "收件人屏蔽了机器人"),
    ("can't initiate", "收件人要先给机器人发一条消息"),
    ("bot was kicked", "机器人已被移出群"),
)
_STATUS_ADVICE = {401: "令牌无效,请更新 TELEGRAM_TOKEN", 404: "令牌无效,请更新 TELEGRAM_TOKEN"}


def markdown(text: str) -> str:
    """``text`` as MarkdownV2 that shows it and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def marked(notice: StaffNotice) -> str:
    """The notice in MarkdownV2, its head bold, no longer than a message may be."""
    head, shown = headline(notice), _shown(notice)
    if not shown.startswith(head):  # cut within its head, or with a mention in it
        return markdown(shown)
    return f"*{markdown(head)}*{markdown(shown.removeprefix(head))}"


def _shown(notice: StaffNotice) -> str:
    return fitting(quiet(plain(notice)), MAX_TEXT_UNITS, utf16_units)


def quiet(text: str) -> str:
    """Words of customers mention nobody of a group: @name would, escaped or not."""
    return _MENTION.sub("@\u2060", sendable(text))


class _Unparsed(PeerRejected):
    """Our marks were not understood."""


class _Moved(PeerRejected):
    """The group has become a supergroup, ``chat``."""

    def __init__(self, chat: int) -> None:
        self.chat = chat
        super().__init__(PEER, f"群已升级,新的 ID 是 {chat}")


class TelegramBot:
    """Sends to one chat. ``base``: without a slash at its end. ``timeout``: seconds for one whole
    call. ``http`` belongs to the caller. The token is in no error."""

    def __init__(
        self, base: str, token: str, chat: str, http: httpx.AsyncClient, timeout: float = 10.0
    ) -> None:
        self._url, self._token = f"{base}/bot{token}", token
        self._chat: int | str = chat if chat.startswith("@") else int(chat)
        self._http, self._timeout = http, timeout

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        """Raises PeerUnavailable (try again) or PeerRejected."""
        try:
            await self._follow({"text": marked(notice), "parse_mode": "MarkdownV2"})
        except _Unparsed as error:
            log.error("a notice is sent as plain text: %s", error)
            await self._follow({"text": _shown(notice)})

    async def _follow(self, text: Mapping[str, str]) -> None:
        try:
            await self._call(text)
        except _Moved as moved:
            log.warning("NOTIFICATION_CHANNEL: telegram:%s is %s now", self._chat, moved.chat)
            self._chat = moved.chat
            await self._call(text)

    async def check(self) -> str:
        """The bot's name, where it and its chat are known; nothing is sent. Raises PeerUnavailable
        or PeerRejected."""
        about = (await self._ask("getMe", {})).get("result")
        await self._ask("getChat", {"chat_id": self._chat})
        return str(about.get("username", "")) if isinstance(about, dict) else ""

    async def _call(self, text: Mapping[str, str]) -> None:
        # A preview would fetch what a customer's address points to.
        quietly = {"link_preview_options": {"is_disabled": True}}
        await self._ask("sendMessage", {"chat_id": self._chat, **text, **quietly})

    async def _ask(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        response, answer = await http_errors.exchange(
            self._http,
            "POST",
            f"{self._url}/{method}",
            peer=PEER,
            timeout=self._timeout,
            headers=JSON_HEADERS,
            content=json_body(arguments),
        )
        # A proxy may repeat what it was called with.
        told = read_object(answer.replace(self._token.encode(), b"***"))
        problem = judged(told, response)
        if problem is not None:
            raise problem
        return told


def judged(answer: Mapping[str, Any], response: httpx.Response) -> PeerError | None:
    """None where the message was taken."""
    if answer.get("ok") is True:
        return None
    status, said = response.status_code, answer.get("description")
    if answer.get("ok") is not False or not isinstance(said, str):
        problem = error_of_response(PEER, response, reason="no answer of Telegram's")
        return problem or PeerUnavailable(PEER, "its answer is not Telegram's", status=status)
    told = answer.get("parameters")
    facts = told if isinstance(told, dict) else {}
    reason = " ".join(said.split())[:_SHOWN_CHARS]
    if status == 429:
        return PeerUnavailable(PEER, reason, status=status, retry_after=_seconds(facts))
    if isinstance(facts.get("migrate_to_chat_id"), int):
        return _Moved(facts["migrate_to_chat_id"])
    if status >= 500:
        return PeerUnavailable(PEER, reason, status=status)
    if "can't parse entities" in said:
        return _Unparsed(PEER, reason, status=status)
    advice = next((what for sign, what in _ADVICE if sign in said), _STATUS_ADVICE.get(status))
    return PeerRejected(PEER, f"{advice} ({reason})" if advice else reason, status=status)


def _seconds(facts: Mapping[str, Any]) -> float | None:
    wait = facts.get("retry_after")
    if not isinstance(wait, int | float) or isinstance(wait, bool):
        return None
    return min(max(float(wait), 0.0), MAX_RETRY_AFTER_S)
