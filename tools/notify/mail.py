"""Notices by mail: SMTP over TLS.

A notice's Message-ID stays the same at every attempt: who reads the mail sees a repetition as one.
"""

import asyncio
import contextlib
import hashlib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from tools.notify.protocol import StaffNotice
from tools.notify.wording import fitting, headline, plain

PEER = "mail"
MAX_TEXT_BYTES = 64 * 1_024
MAX_SUBJECT_CHARS = 120
Security = Literal["tls", "starttls", "none"]
PORTS: dict[Security, int] = {"tls": 465, "starttls": 587, "none": 25}
_SHOWN_CHARS = 200
_PARTING_S = 2.0
_PRIORITIES = {"high": "1", "low": "5"}


@dataclass(frozen=True, slots=True)
class MailServer:
    """``port`` 0: the usual one of ``security``. ``tls``: whom to believe; None: the system."""

    host: str
    port: int = 0
    security: Security = "tls"
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None


class MailSender:
    """Writes to one address. ``timeout``: seconds for one whole delivery."""

    def __init__(self, server: MailServer, sender: str, to: str, timeout: float = 30.0) -> None:
        self._server, self._sender, self._to = server, sender, to
        self._timeout = timeout

    async def send(self, notice: StaffNotice, at: datetime) -> None:
        """Raises PeerUnavailable (try again) or PeerRejected."""
        message = mail_of(notice, sender=self._sender, to=self._to, at=at)
        await self._talk(message)

    async def check(self) -> None:
        """The server takes our name and password; nothing is sent. Raises as `send` does."""
        await self._talk(None)

    async def _talk(self, message: EmailMessage | None) -> None:
        client = self._client()
        try:
            await self._deliver(client, message)
            # It is taken: how the server parts from us changes nothing.
            with contextlib.suppress(SMTPException, OSError):
                await client.quit(timeout=_PARTING_S)
        finally:
            client.close()

    async def _deliver(self, client: aiosmtplib.SMTP, message: EmailMessage | None) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
                if message is not None:
                    await client.send_message(message, sender=self._sender, recipients=[self._to])
        except (SMTPException, OSError) as error:
            raise judged(error) from None

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port or PORTS[server.security],
            username=server.user or None,
            password=server.password or None,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=server.tls if server.security != "none" else None,
            local_hostname=self._sender.rpartition("@")[2],
            timeout=self._timeout,
        )


def mail_of(notice: StaffNotice, *, sender: str, to: str, at: datetime) -> EmailMessage:
    """Plain text: nothing that a customer writes is read as HTML."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"], message["To"] = sender, to
    # One line: a line break would begin another header.
    message["Subject"] = fitting(headline(notice), MAX_SUBJECT_CHARS, len)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id(notice.notice_id, sender=sender, to=to)
    message["Auto-Submitted"] = "auto-generated"
    if notice.priority in _PRIORITIES:
        message["X-Priority"] = _PRIORITIES[notice.priority]
    text = fitting(plain(notice), MAX_TEXT_BYTES, lambda part: len(part.encode()))
    message.set_content(text, charset="utf-8", cte="base64")
    return message


def message_id(notice_id: str, *, sender: str, to: str) -> str:
    digest = hashlib.blake2b(f"{notice_id}\n{to}".encode("utf-8", "replace"), digest_size=16)
    return f"<{digest.hexdigest()}@{sender.rpartition('@')[2]}>"


def judged(error: SMTPException | OSError) -> PeerError:
    """4xx may succeed later, 5xx will not; a connection that fails may."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return judged(error.recipients[0])
    # The library has no class of its own for a server without STARTTLS or AUTH.
    if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is SMTPException:
        return PeerRejected(PEER, f"服务器不支持 SMTP_SECURITY 或登录 ({_line(error.message)})")
    if isinstance(error, SMTPResponseException) and 400 <= error.code <= 599:
        return _of_code(error)
    if _is_certificate(error):
        return PeerUnavailable(PEER, "证书不可信,请核对 SMTP_HOST,或设置 SMTP_CA_FILE")
    if isinstance(error, TimeoutError):
        return PeerUnavailable(PEER, "gave no answer in time")
    return PeerUnavailable(PEER, f"connection failed ({type(error).__name__})")


def _of_code(error: SMTPResponseException) -> PeerError:
    reason = f"{error.code} {_line(error.message)}"
    if error.code < 500:
        return PeerUnavailable(PEER, reason)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        reason = f"登录被拒绝,请核对 SMTP_USER 与 SMTP_PASSWORD ({reason})"
    return PeerRejected(PEER, reason)


def _is_certificate(error: BaseException) -> bool:
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return any(isinstance(one, ssl.SSLCertVerificationError) for one in causes)


def _line(text: object) -> str:
    return " ".join(str(text).split())[:_SHOWN_CHARS]
