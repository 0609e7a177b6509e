"""A mail server on a port of its own, and a mailbox for whoever gets mail."""

import logging
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, ClassVar

from pydantic import Field

from sandbox.notice_peer import Body, Limit, Notice, NoticePeer
from sandbox.peer import Sandbox
from sandbox.smtp import HOST, Account, Manners, SmtpServer

log = logging.getLogger(__name__)
_SHOWN_HEADERS = ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Priority")


class Login(Body):
    """None: anybody may send. The password is never shown."""

    user: str | None = Field(default=None, max_length=254)
    password: str = Field(default="", max_length=254)


class Recipients(Body):
    """Addresses that do not exist here."""

    refused: tuple[str, ...] = Field(default=(), max_length=1_000)


class MailPeer(NoticePeer):
    """A mail that comes again under its Message-ID is shown once, as mail programs do."""

    name = "mail"
    title = "邮件"
    summary = (
        "收件用的 SMTP 服务器(另一个端口):账号、收件人、4xx 与 5xx、断线;"
        "同一 Message-ID 只显示一次。"
    )
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("收到的邮件", "/_sandbox/mail/notices"),
        ("服务器地址", "/_sandbox/mail/server"),
    )
    default_limit = Limit(per_minute=0)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._server = SmtpServer(sandbox, self.name, self.take)
        self._port: int | None = None
        self.admin.add_api_route("/server", self.server, methods=["GET"])
        self.admin.add_api_route("/account", self.set_account, methods=["PUT"])
        self.admin.add_api_route("/recipients", self.set_recipients, methods=["PUT"])
        self._forget()

    async def start(self) -> None:
        wanted = self.sandbox.settings.smtp_port
        if wanted is None:
            return
        try:
            self._port = await self._server.start(wanted)
        except OSError as error:
            # All other peers can be used without it.
            log.warning("no mail: port %s cannot be had (%s)", wanted, error.strerror)

    async def stop(self) -> None:
        await self._server.stop()

    def take(self, sender: str, recipients: list[str], content: bytes) -> None:
        parsed = BytesParser(policy=policy.default).parsebytes(content)
        assert isinstance(parsed, EmailMessage)
        body = parsed.get_body(("plain", "html"))
        text = str(body.get_content()) if body is not None else ""
        headers = {name: str(parsed[name]) for name in _SHOWN_HEADERS if parsed[name]}
        for to in recipients:
            title = headers.get("Subject", "")
            notice = Notice(
                to=to,
                title=title,
                text=text.replace("\r\n", "\n").rstrip("\n"),
                sent={"headers": headers, "envelope_from": sender},
            )
            known = headers.get("Message-ID")
            self.show(notice, item_id=f"{known} {to}" if known else None)

    async def server(self) -> dict[str, Any]:
        """Where it listens; port None: nowhere."""
        return {"host": HOST, "port": self._port}

    async def set_account(self, body: Login) -> dict[str, bool]:
        account = Account(body.user, body.password) if body.user else None
        self._server.manners.account = account
        return {"configured": account is not None}

    async def set_recipients(self, body: Recipients) -> dict[str, Any]:
        self._server.manners.refused = frozenset(body.refused)
        return body.model_dump()

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"port": self._port}

    async def reset(self) -> None:
        await super().reset()
        self._forget()

    def _forget(self) -> None:
        self._server.manners = Manners(too_often=self._is_too_often)

    def _is_too_often(self) -> bool:
        return not self.limiter.take("mail", self.limit.per_minute, self.limit.window_s)
