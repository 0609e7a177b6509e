"""A mail server that keeps what it gets (RFC 5321, 3207, 4954), and plays faults by command."""

import asyncio
import base64
import binascii
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.faults import AnswerFault, CutFault, GarbageFault, StatusFault
from sandbox.journal import Entry
from sandbox.peer import Sandbox

HOST = "127.0.0.1"
LINE_BYTES = 64 * 1_024
IDLE_S = 60.0
_BROKEN = (asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Account:
    user: str
    password: str


@dataclass(slots=True)
class Envelope:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Manners:
    """``account``: who may send; None: anybody. ``refused``: recipients that do not exist.
    ``too_often``: asked before each mail is taken, True: come back later."""

    account: Account | None = None
    refused: frozenset[str] = frozenset()
    too_often: Callable[[], bool] = lambda: False


class HangUp(Exception):
    """The connection ends here, without a word."""


class SmtpServer:
    """``take``: gets sender, recipients and content of each mail. ``tls``: offered as STARTTLS, or
    with ``implicit`` spoken from the first byte."""

    def __init__(
        self,
        sandbox: Sandbox,
        peer: str,
        take: Callable[[str, list[str], bytes], None],
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
    ) -> None:
        self.sandbox, self.peer, self.take = sandbox, peer, take
        self.manners = Manners()
        self.upgrade = None if implicit else tls
        self._implicit = tls if implicit else None
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """The port that it listens on. Raises OSError."""
        self._server = await asyncio.start_server(
            self._serve, HOST, port, limit=LINE_BYTES, ssl=self._implicit
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        sessions = list(self._sessions)
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            async with asyncio.timeout(None) as patience:
                await _Session(self, reader, writer, patience).run()
        except (HangUp, OSError, TimeoutError, *_BROKEN):
            pass
        except asyncio.CancelledError:
            pass  # `stop`; asyncio's streams would call a cancelled session an error
        finally:
            self._sessions.discard(session)
            writer.transport.abort()


class _Session:
    def __init__(
        self,
        server: SmtpServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience: asyncio.Timeout,
    ) -> None:
        self._server, self._sandbox = server, server.sandbox
        self._reader, self._writer, self._patience = reader, writer, patience
        self._envelope = Envelope()
        self._is_known = False

    async def run(self) -> None:
        """Raises HangUp, or what ends a connection."""
        if not await self._struck("connect"):
            await self._say(220, "sandbox ESMTP")
        while True:
            verb, _, rest = (await self._line()).partition(" ")
            if verb.upper() == "QUIT":
                await self._say(221, "2.0.0 bye")
                await self._writer.drain()
                self._writer.close()
                return
            await self._command(verb.upper(), rest.strip())

    async def _command(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO":
                await self._say(250, *self._extensions())
            case "HELO" | "NOOP":
                await self._say(250, "ok")
            case "RSET":
                self._envelope = Envelope()
                await self._say(250, "2.0.0 ok")
            case "STARTTLS" if self._server.upgrade is not None:
                await self._say(220, "2.0.0 ready")
                await self._writer.start_tls(self._server.upgrade)
            case "AUTH":
                await self._authenticate(rest)
            case "MAIL" | "RCPT":
                await self._address(verb, rest)
            case "DATA":
                await self._data()
            case _:
                await self._say(502, "5.5.1 not implemented")

    def _extensions(self) -> list[str]:
        secured = self._writer.get_extra_info("sslcontext") is not None
        offered = ["sandbox", "8BITMIME", f"SIZE {self._sandbox.settings.max_body_bytes}"]
        offered += ["STARTTLS"] if self._server.upgrade is not None and not secured else []
        return [*offered, *(["AUTH PLAIN LOGIN"] if self._server.manners.account else [])]

    async def _authenticate(self, rest: str) -> None:
        if await self._struck("auth"):
            return
        mechanism, _, given = rest.partition(" ")
        account = self._server.manners.account
        if account is None or mechanism.upper() not in {"PLAIN", "LOGIN"}:
            await self._say(504, "5.5.4 unknown mechanism")
            return
        if mechanism.upper() == "PLAIN":
            told = _plain(given or await self._asked(""))
            said = tuple(told.split("\0")[1:])
        else:
            user = _plain(given or await self._asked("VXNlcm5hbWU6"))
            said = (user, _plain(await self._asked("UGFzc3dvcmQ6")))
        self._is_known = said == (account.user, account.password)
        if self._is_known:
            await self._say(235, "2.7.0 ok")
        else:
            await self._say(535, "5.7.8 Error: authentication failed")

    async def _asked(self, challenge: str) -> str:
        await self._say(334, challenge)
        return await self._line()

    async def _address(self, verb: str, rest: str) -> None:
        if await self._struck(verb.lower()):
            return
        address = rest.partition("<")[2].partition(">")[0]
        manners = self._server.manners
        if manners.account is not None and not self._is_known:
            await self._say(530, "5.7.0 authentication required")
        elif verb == "MAIL":
            self._envelope = Envelope(address)
            await self._say(250, "2.1.0 ok")
        elif self._envelope.sender is None:
            await self._say(503, "5.5.1 MAIL first")
        elif address in manners.refused:
            await self._say(550, "5.1.1 no such user")
        else:
            self._envelope.recipients.append(address)
            await self._say(250, "2.1.5 ok")

    async def _data(self) -> None:
        sender, recipients = self._envelope.sender, self._envelope.recipients
        if sender is None or not recipients:
            await self._say(503, "5.5.1 RCPT first")
            return
        await self._say(354, "go ahead")
        content = await self._content()
        self._envelope = Envelope()
        entry = self._entry("data", content)
        try:
            await self._take(sender, recipients, content, entry)
        finally:
            await self._sandbox.journal.settle(entry)

    async def _take(self, sender: str, recipients: list[str], content: bytes, entry: Entry) -> None:
        struck = self._sandbox.faults.strike(self._server.peer, "data")
        entry.delay_seconds = struck.delay
        await self._pause(struck.delay)
        fault = struck.fault
        loses = fault is not None and fault.kind == "lost_answer"
        if fault is not None and not loses:
            entry.fault = fault.kind
            await self._play(fault)
            return
        if len(content) > self._sandbox.settings.max_body_bytes:
            entry.status, entry.accepted = 552, False
            await self._say(552, "5.3.4 too big")
            return
        if self._server.manners.too_often():
            entry.status, entry.accepted = 451, False
            await self._say(451, "4.7.1 try again later")
            return
        self._server.take(sender, recipients, content)
        entry.status, entry.accepted, entry.answered = 250, True, not loses
        if loses:
            entry.fault = "lost_answer"
            raise HangUp
        await self._say(250, "2.0.0 queued")

    async def _content(self) -> bytes:
        """Bounded: what is over the limit is read and dropped."""
        lines, size = [], 0
        limit = self._sandbox.settings.max_body_bytes
        while (line := await self._bytes()) != b".\r\n":
            size += len(line)
            if size <= limit + LINE_BYTES:
                lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    async def _struck(self, kind: str) -> bool:
        """Whether a fault has answered."""
        struck = self._sandbox.faults.strike(self._server.peer, kind)
        await self._pause(struck.delay)
        if struck.fault is None:
            return False
        entry = self._entry(kind, b"")
        entry.fault = struck.fault.kind
        await self._sandbox.journal.settle(entry)
        await self._play(struck.fault)
        return True

    async def _play(self, fault: AnswerFault) -> None:
        match fault:
            case StatusFault():
                await self._say(fault.params.status, "injected by the sandbox")
                return
            case GarbageFault():
                self._writer.write(fault.params.body.encode() + b"\r\n")
            case CutFault():
                self._writer.write(b"25")
            case _ if fault.kind == "hang":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._reader.read(), IDLE_S)
            case _:
                raise HangUp
        await self._writer.drain()
        self._writer.close()
        raise HangUp

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _entry(self, kind: str, body: bytes) -> Entry:
        return self._sandbox.journal.open(
            peer=self._server.peer,
            kind=kind,
            method="SMTP",
            path=f"/{self._server.peer}/{kind}",
            query=b"",
            headers=[],
            body=body,
        )

    async def _bytes(self) -> bytes:
        """Raises TimeoutError where nobody says anything for long."""
        self._patience.reschedule(asyncio.get_running_loop().time() + IDLE_S)
        line = await self._reader.readuntil(b"\n")
        self._patience.reschedule(None)
        return line

    async def _line(self) -> str:
        return (await self._bytes()).decode("utf-8", "replace").rstrip("\r\n")

    async def _say(self, code: int, *lines: str) -> None:
        parts = [f"{code}-{line}" for line in lines[:-1]] + [f"{code} {lines[-1]}"]
        self._writer.write("".join(f"{part}\r\n" for part in parts).encode())
        await self._writer.drain()


def _plain(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
