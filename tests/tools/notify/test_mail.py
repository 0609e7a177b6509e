"""Notices by mail, over real sockets and TLS."""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from sandbox.faults import FaultBook, PlainFault, StatusFault, StatusParams
from sandbox.smtp import HOST, Account
from tests.sandbox_server import SandboxServer
from tests.tools.notify.mail_servers import Certificates, certificates, mail_host
from tests.tools.notify.notices import AT, HOSTILE, NOTICE, SEEN, notice
from tools.notify.mail import MAX_SUBJECT_CHARS, MAX_TEXT_BYTES, MailSender, MailServer, mail_of

FROM, TO = "kefu@shop.example", "desk@shop.example"
ACCOUNT = Account("kefu@shop.example", "密码-secret")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


def sender_to(port: int, *, timeout: float = 10.0, **more: Any) -> MailSender:
    given = {"security": "none"} | more
    return MailSender(MailServer(HOST, port, **given), FROM, TO, timeout)


def read(content: bytes) -> EmailMessage:
    parsed = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(parsed, EmailMessage)
    return parsed


def words(message: EmailMessage) -> str:
    return str(message.get_content()).replace("\r\n", "\n").removesuffix("\n")


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_over_tls_with_a_password_the_desk_reads_the_seed_s_words(
    papers: Certificates, security: str
) -> None:
    async with mail_host(papers.server, implicit=security == "tls") as host:
        host.manners(account=ACCOUNT)
        sender = sender_to(
            host.port,
            security=security,
            user=ACCOUNT.user,
            password=ACCOUNT.password,
            tls=papers.trusted(),
        )
        await sender.send(NOTICE, AT)
    ((envelope_from, recipients, content),) = host.taken
    assert (envelope_from, recipients) == (FROM, [TO])
    message = read(content)
    assert (message["From"], message["To"]) == (FROM, TO)
    assert message["Subject"] == "🚨 需要人工介入"
    assert message["Date"] == "Sat, 21 Nov 2026 13:00:00 +0000"
    assert message["X-Priority"] == "1"
    assert message.get_content_type() == "text/plain"
    assert words(message) == SEEN


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(
    papers: Certificates, security: str
) -> None:
    async with mail_host(papers.server, implicit=security == "tls") as host:
        with pytest.raises(PeerUnavailable, match="SMTP_CA_FILE"):
            await sender_to(host.port, security=security, password="p").send(NOTICE, AT)
    assert host.taken == []


async def test_a_password_is_not_sent_to_a_server_without_starttls() -> None:
    async with mail_host() as host:
        host.manners(account=ACCOUNT)
        sender = sender_to(host.port, security="starttls", user="u", password="p")
        with pytest.raises(PeerRejected, match="SMTP_SECURITY"):
            await sender.send(NOTICE, AT)
    assert host.taken == []


async def test_a_notice_that_is_sent_again_is_the_same_mail(sandbox_server: SandboxServer) -> None:
    port = sandbox_server.get("/_sandbox/mail/server")["port"]
    sandbox_server.fault("mail", "lost_answer", request_kind="data", count=1)
    with pytest.raises(PeerUnavailable):
        await sender_to(port).send(NOTICE, AT)
    await sender_to(port).send(NOTICE, AT)
    (found,) = sandbox_server.get("/_sandbox/mail/notices")["notices"]
    assert (found["received"], found["conflicts"], found["text"]) == (2, 0, SEEN)


def test_each_notice_and_each_reader_has_a_message_id_of_its_own() -> None:
    made = [
        mail_of(one, sender=FROM, to=to, at=AT)["Message-ID"]
        for one in (NOTICE, notice("x"))
        for to in (TO, "b@shop.example")
    ]
    assert len(set(made)) == 4
    assert mail_of(NOTICE, sender=FROM, to=TO, at=AT)["Message-ID"] == made[0]
    assert all(one.endswith("@shop.example>") for one in made)


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_words_of_a_customer_make_a_header_or_end_the_mail(title: str, text: str) -> None:
    made = mail_of(notice(text + HOSTILE, title + HOSTILE), sender=FROM, to=TO, at=AT)
    message = read(bytes(made))
    assert message["Bcc"] is None
    assert message["To"] == TO
    assert len(made["Subject"]) <= MAX_SUBJECT_CHARS
    # Folding may put a blank between two encoded words.
    assert "".join(message["Subject"].split()) == "".join(made["Subject"].split())
    assert message.get_content_type() == "text/plain"
    assert all(len(line) <= 998 and line != b"." for line in bytes(made).split(b"\r\n"))


async def test_a_long_notice_is_cut(sandbox_server: SandboxServer) -> None:
    port = sandbox_server.get("/_sandbox/mail/server")["port"]
    await sender_to(port).send(notice("长。\n" * 20_000), AT)
    (found,) = sandbox_server.get("/_sandbox/mail/notices")["notices"]
    assert MAX_TEXT_BYTES - 8 <= len(found["text"].encode()) <= MAX_TEXT_BYTES
    assert found["text"].endswith("…")


async def test_dots_and_line_ends_arrive_as_they_were(sandbox_server: SandboxServer) -> None:
    port = sandbox_server.get("/_sandbox/mail/server")["port"]
    await sender_to(port).send(notice("a\n.\n..\nb"), AT)
    (found,) = sandbox_server.get("/_sandbox/mail/notices")["notices"]
    assert found["text"].endswith("a\n.\n..\nb")


def status(kind: str, code: int) -> StatusFault:
    params = StatusParams(status=code)
    return StatusFault(peer="mail", kind="status", request_kind=kind, params=params)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (status("connect", 421), PeerUnavailable, "421"),
        (status("connect", 554), PeerRejected, "554"),
        (status("auth", 454), PeerUnavailable, "454"),
        (status("auth", 535), PeerRejected, "SMTP_PASSWORD"),
        (status("mail", 451), PeerUnavailable, "451"),
        (status("mail", 550), PeerRejected, "550"),
        (status("rcpt", 450), PeerUnavailable, "450"),
        (status("rcpt", 550), PeerRejected, "550"),
        (status("data", 452), PeerUnavailable, "452"),
        (status("data", 554), PeerRejected, "554"),
        (PlainFault(peer="mail", kind="refuse", request_kind="connect"), PeerUnavailable, "fail"),
        (PlainFault(peer="mail", kind="refuse", request_kind="data"), PeerUnavailable, "fail"),
        (PlainFault(peer="mail", kind="hang", request_kind="rcpt"), PeerUnavailable, "in time"),
    ],
)
async def test_an_answer_says_whether_to_try_again(
    fault: StatusFault | PlainFault, error: type[PeerError], says: str
) -> None:
    async with mail_host() as host:
        book: FaultBook = host.server.sandbox.faults
        host.manners(account=ACCOUNT)
        book.add(fault)
        sender = sender_to(host.port, user=ACCOUNT.user, password=ACCOUNT.password, timeout=0.5)
        with pytest.raises(error, match=says) as raised:
            await sender.send(NOTICE, AT)
        assert raised.value.peer == "mail"
        assert host.taken == []
        book.clear()
        await sender.send(NOTICE, AT)
    assert len(host.taken) == 1


async def test_a_wrong_password_is_in_no_error() -> None:
    async with mail_host() as host:
        host.manners(account=ACCOUNT)
        with pytest.raises(PeerRejected, match="SMTP_USER") as raised:
            await sender_to(host.port, user=ACCOUNT.user, password="wrong-pw").send(NOTICE, AT)
    assert "wrong-pw" not in str(raised.value)


async def test_a_server_that_knows_no_passwords_is_not_tried_again() -> None:
    async with mail_host() as host:
        with pytest.raises(PeerRejected, match="登录"):
            await sender_to(host.port, user="u", password="p").send(NOTICE, AT)
    assert host.taken == []


async def test_who_does_not_exist_is_not_tried_again() -> None:
    async with mail_host() as host:
        host.manners(refused=frozenset({TO}))
        with pytest.raises(PeerRejected, match="550"):
            await sender_to(host.port).send(NOTICE, AT)


async def test_a_server_that_is_away_is_tried_again() -> None:
    async with mail_host() as host:
        port = host.port
    with pytest.raises(PeerUnavailable, match="connection failed"):
        await sender_to(port).send(NOTICE, AT)
