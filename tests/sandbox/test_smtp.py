"""The simulated mail server speaks SMTP, and misbehaves as told."""

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.__main__ import parse, settings_from
from tests.sandbox_server import SandboxServer, running_sandbox

FROM, TO = "kefu@shop.example", "desk@shop.example"
MAIL = f"From: {FROM}\r\nTo: {TO}\r\nSubject: x\r\n\r\nhello\r\n"


@contextmanager
def client_of(sandbox: SandboxServer) -> Iterator[smtplib.SMTP]:
    port = sandbox.get("/_sandbox/mail/server")["port"]
    client = smtplib.SMTP("127.0.0.1", port, timeout=10)
    try:
        yield client
    finally:
        client.close()


def say(client: smtplib.SMTP, *commands: str) -> list[int]:
    return [client.docmd(command)[0] for command in commands]


def texts(sandbox: SandboxServer) -> list[str]:
    return [one["text"] for one in sandbox.get("/_sandbox/mail/notices")["notices"]]


def test_a_mail_is_kept_for_each_of_its_readers(sandbox_server: SandboxServer) -> None:
    with client_of(sandbox_server) as client:
        client.sendmail(FROM, [TO, "b@shop.example"], MAIL)
        assert client.quit()[0] == 221
    found = sandbox_server.get("/_sandbox/mail/notices")["notices"]
    assert [(one["to"], one["title"], one["text"]) for one in found] == [
        (TO, "x", "hello"),
        ("b@shop.example", "x", "hello"),
    ]
    (entry,) = sandbox_server.journal("mail")
    assert (entry["kind"], entry["method"], entry["status"], entry["accepted"]) == (
        "data",
        "SMTP",
        250,
        True,
    )


def test_commands_out_of_their_order_are_refused(sandbox_server: SandboxServer) -> None:
    with client_of(sandbox_server) as client:
        said = say(client, "DATA", "RCPT TO:<a@b>", "VRFY a", "STARTTLS", "AUTH PLAIN AAAA", "NOOP")
        assert said == [503, 503, 502, 502, 504, 250]
        assert say(client, "MAIL FROM:<a@b>", "RSET", "RCPT TO:<a@b>") == [250, 250, 503]


def test_who_has_an_account_logs_in_first(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/mail/account", {"user": "kefu", "password": "密码"})
    with client_of(sandbox_server) as client:
        assert say(client, f"MAIL FROM:<{FROM}>") == [530]
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("kefu", "wrong")
    with client_of(sandbox_server) as client:
        client.ehlo()
        assert client.docmd("AUTH PLAIN", "AGtlZnUA5a+G56CB")[0] == 235
        client.sendmail(FROM, TO, MAIL)
    assert texts(sandbox_server) == ["hello"]


def test_a_reader_who_does_not_exist_is_refused_alone(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/mail/recipients", {"refused": ["b@shop.example"]})
    with client_of(sandbox_server) as client:
        refused = client.sendmail(FROM, [TO, "b@shop.example"], MAIL)
    assert refused == {"b@shop.example": (550, b"5.1.1 no such user")}
    assert texts(sandbox_server) == ["hello"]


def test_more_than_the_limit_is_to_come_back_later(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/mail/limit", {"per_minute": 1})
    with client_of(sandbox_server) as client:
        client.sendmail(FROM, TO, MAIL)
        with pytest.raises(smtplib.SMTPDataError) as often:
            client.sendmail(FROM, TO, MAIL)
    assert often.value.smtp_code == 451
    assert texts(sandbox_server) == ["hello"]


@pytest.mark.parametrize("kind", ["connect", "mail", "rcpt", "data"])
def test_a_command_gets_the_status_that_was_ordered(
    sandbox_server: SandboxServer, kind: str
) -> None:
    sandbox_server.fault("mail", "status", request_kind=kind, count=1, status=451)
    with pytest.raises(smtplib.SMTPException, match="451"), client_of(sandbox_server) as client:
        client.sendmail(FROM, TO, MAIL)
    assert texts(sandbox_server) == []
    with client_of(sandbox_server) as client:
        client.sendmail(FROM, TO, MAIL)
    assert [entry["fault"] for entry in sandbox_server.journal("mail")] == ["status", None]


@pytest.mark.parametrize("fault", ["refuse", "empty", "cut_stream", "garbage", "lost_answer"])
def test_a_mail_whose_answer_is_broken_may_have_been_taken(
    sandbox_server: SandboxServer, fault: str
) -> None:
    sandbox_server.fault("mail", fault, request_kind="data", count=1)
    with pytest.raises(smtplib.SMTPException), client_of(sandbox_server) as client:
        client.sendmail(FROM, TO, MAIL)
    assert texts(sandbox_server) == (["hello"] if fault == "lost_answer" else [])


def test_a_line_without_end_ends_the_connection_and_nothing_else(
    sandbox_server: SandboxServer,
) -> None:
    port = sandbox_server.get("/_sandbox/mail/server")["port"]
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        pytest.raises(ConnectionError),
    ):
        send_without_end(raw)
    with client_of(sandbox_server) as client:
        client.sendmail(FROM, TO, MAIL)
    assert texts(sandbox_server) == ["hello"]


def send_without_end(raw: socket.socket) -> None:
    for _ in range(1_000):
        raw.sendall(b"x" * 65_536)


def test_a_mail_that_is_too_big_is_not_kept(sandbox_server: SandboxServer) -> None:
    with client_of(sandbox_server) as client:
        with pytest.raises(smtplib.SMTPResponseException) as big:
            client.sendmail(FROM, TO, MAIL + "x" * 900 + ("y" * 900 + "\r\n") * 19_000)
        assert big.value.smtp_code == 552
    assert texts(sandbox_server) == []


@pytest.mark.parametrize(
    ("arguments", "port"),
    [([], 6062), (["--port", "7000"], 7001), (["--port", "0"], 0), (["--smtp-port", "2525"], 2525)],
)
def test_it_listens_on_the_port_after_the_sandbox_s(arguments: list[str], port: int) -> None:
    assert settings_from(parse(arguments)).smtp_port == port


def test_a_port_that_is_taken_costs_the_mail_only(sandbox_server: SandboxServer) -> None:
    taken = sandbox_server.get("/_sandbox/mail/server")["port"]
    with running_sandbox(extra=["--smtp-port", str(taken)]) as other:
        assert other.get("/_sandbox/mail/server")["port"] is None
        assert other.get("/_sandbox/health")["status"] == "ok"
