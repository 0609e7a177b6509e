import json
import random
from pathlib import Path

import httpx
import pytest

from sandbox.changes import Changes
from sandbox.journal import Entry, Journal
from sandbox.masking import MASK, masked_body, masked_query
from tests.sandbox_server import SandboxServer, running_sandbox


def journal(max_entries: int = 10, max_bytes: int = 1_000_000, max_body: int = 1_000) -> Journal:
    return Journal(
        max_entries=max_entries,
        max_bytes=max_bytes,
        max_body_bytes=max_body,
        changes=Changes(),
    )


def record(book: Journal, body: bytes = b"", peer: str = "model") -> Entry:
    return book.open(
        peer=peer, kind="chat", method="POST", path="/", query=b"", headers=[], body=body
    )


def test_journal_over_its_entries_drops_the_oldest_and_says_so() -> None:
    book = journal(max_entries=3)
    for _ in range(5):
        record(book)
    assert [entry.seq for entry in book.select()] == [3, 4, 5]
    assert book.dropped == 2


def test_journal_over_its_bytes_drops_but_keeps_the_latest() -> None:
    book = journal(max_bytes=5_000, max_body=10_000)
    for _ in range(4):
        record(book, b"x" * 4_000)
    summary = book.summary()
    assert (summary["entries"], summary["dropped"]) == (1, 3)
    assert [entry.seq for entry in book.select()] == [4]


def test_since_is_exclusive_also_after_drops_and_clearing() -> None:
    book = journal(max_entries=4)
    for _ in range(6):
        record(book)
    assert [entry.seq for entry in book.select(since=4)] == [5, 6]
    assert [entry.seq for entry in book.select(since=1)] == [3, 4, 5, 6]
    assert list(book.select(since=99)) == []
    book.clear()
    record(book)
    assert [entry.seq for entry in book.select(since=6)] == [7]


def test_long_body_is_cut_and_marked() -> None:
    entry = record(journal(max_body=10), b'{"text": "0123456789"}').as_dict()
    assert entry["body"] == '{"text": "'
    assert (entry["body_truncated"], entry["body_bytes"]) == (True, 22)


@pytest.mark.parametrize("cut", range(40))
def test_secret_across_the_size_cap_is_masked_too(cut: int) -> None:
    entry = record(journal(max_body=cut), b'{"corpsecret": "top-secret-value"}')
    assert b"top-s" not in entry.body


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"access_token": "abc", "n": 1}', b'{"access_token": "***", "n": 1}'),
        (b'{"a": {"appSecret":"a\\"b"}}', b'{"a": {"appSecret":"***"}}'),
        (b'{"max_tokens": 5, "text": "secret"}', b'{"max_tokens": 5, "text": "secret"}'),
    ],
)
def test_secrets_in_json_bodies_are_masked_and_nothing_else(body: bytes, kept: bytes) -> None:
    assert masked_body(body) == kept


def test_secrets_in_queries_are_masked() -> None:
    assert masked_query(b"access_token=abc&x=1&corpsecret=d") == (
        f"access_token={MASK}&x=1&corpsecret={MASK}"
    )


def test_requests_are_journalled_in_order_with_keys_masked(sandbox_server: SandboxServer) -> None:
    key = f"sk-{random.getrandbits(64):x}"
    for number in range(3):
        sandbox_server.client.post(
            sandbox_server.model_url("a") + "/chat/completions?access_token=" + key,
            json={"model": "m", "messages": [{"role": "user", "content": f"问{number}"}]},
            headers={"authorization": f"Bearer {key}", "x-api-key": key, "cookie": key},
        )
    entries = sandbox_server.journal("model/a")
    assert [entry["body"]["messages"][0]["content"] for entry in entries] == ["问0", "问1", "问2"]
    assert [entry["seq"] for entry in entries] == sorted(entry["seq"] for entry in entries)
    assert entries[0]["headers"]["authorization"] == "Bearer ***"
    assert entries[0]["status"] == 200
    assert key not in json.dumps(entries)


def test_journal_is_filtered_paged_and_cleared(sandbox_server: SandboxServer) -> None:
    for number in range(3):
        notice = {"notice_id": f"n{number}", "title": "t", "text": "x"}
        sandbox_server.client.post(sandbox_server.staff_url, json=notice)
    sandbox_server.client.get(sandbox_server.model_url() + "/models")
    assert len(sandbox_server.journal("staff")) == 3
    assert [entry["peer"] for entry in sandbox_server.journal(kind="models")] == ["model"]
    page = sandbox_server.get("/_sandbox/journal", peer="staff", limit=2)
    rest = sandbox_server.get("/_sandbox/journal", peer="staff", since=page["next"])
    assert [e["body"]["notice_id"] for e in page["entries"] + rest["entries"]] == ["n0", "n1", "n2"]
    sandbox_server.clear_journal()
    assert sandbox_server.journal() == []


def test_wrong_address_is_found_in_the_journal(sandbox_server: SandboxServer) -> None:
    assert (
        sandbox_server.client.post(sandbox_server.url + "/modle/v1/chat/completions").status_code
        == 404
    )
    assert (
        sandbox_server.client.post(
            sandbox_server.url + "/model/v2/chat", content=b"\xff\xfe"
        ).status_code
        == 404
    )
    first, second = sandbox_server.journal()
    assert (first["peer"], first["status"]) == ("unknown", 404)
    assert (second["peer"], second["kind"], second["body"]) == (
        "model/v2",
        "unknown",
        "\ufffd\ufffd",
    )


def test_journal_file_has_every_answered_request_even_after_a_kill(tmp_path: Path) -> None:
    with running_sandbox(journal_file=tmp_path / "deep" / "journal.jsonl") as sandbox:
        sandbox.fault("staff", "refuse", count=1)
        with pytest.raises(httpx.RemoteProtocolError):
            sandbox.client.post(sandbox.staff_url, json={"notice_id": "n0"})
        for number in range(1, 6):
            notice = {"notice_id": f"n{number}", "title": "t", "text": "x"}
            sandbox.client.post(sandbox.staff_url, json=notice)
        sandbox.kill()
        lines = sandbox.journal_lines()
    assert [line["body"]["notice_id"] for line in lines] == [f"n{n}" for n in range(6)]
    assert [line["status"] for line in lines] == [None, 200, 200, 200, 200, 200]


def test_bounded_journal_of_a_server_reports_its_drops() -> None:
    with running_sandbox(extra=["--journal-entries", "5"]) as sandbox:
        with httpx.Client() as client:
            for _ in range(12):
                client.get(sandbox.model_url() + "/models")
        assert len(sandbox.journal()) == 5
        assert sandbox.get("/_sandbox/health")["journal"]["dropped"] == 7


def test_hundred_bodies_of_limit_size_do_not_fill_the_memory(
    sandbox_server: SandboxServer,
) -> None:
    notice = {"notice_id": "n", "title": "t", "text": "x" * 20_001}
    with httpx.Client() as client:
        for _ in range(100):
            assert client.post(sandbox_server.staff_url, json=notice).status_code == 422
    summary = sandbox_server.get("/_sandbox/health")["journal"]
    assert summary["bytes"] < 100 * 25_000


def test_body_over_the_limit_is_refused_with_413(sandbox_server: SandboxServer) -> None:
    answer = sandbox_server.client.post(
        sandbox_server.model_url() + "/chat/completions",
        content=b"x" * (16 * 1024 * 1024 + 1),
        headers={"authorization": "Bearer k"},
        timeout=30,
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["message"]
