import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from sandbox.__main__ import main
from sandbox.app import create_app
from sandbox.peer import Peer, Place, Sandbox
from sandbox.peers import PEERS
from sandbox.settings import SandboxSettings
from tests.sandbox_server import SandboxServer, running_sandbox

ROOT = Path(__file__).resolve().parents[2]


def test_index_page_names_every_peer_in_chinese(sandbox_server: SandboxServer) -> None:
    page = sandbox_server.client.get(sandbox_server.url + "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "沙箱" in page.text
    for peer in PEERS:
        assert peer.title in page.text
        assert f"/{peer.name}" in page.text


def test_links_of_the_index_page_work(sandbox_server: SandboxServer) -> None:
    paths = [path for peer in PEERS for _, path in peer.links]
    paths += ["/_sandbox/health", "/_sandbox/journal", "/_sandbox/faults", "/docs"]
    for path in paths:
        headers = {"authorization": "Bearer k"}
        assert (
            sandbox_server.client.get(sandbox_server.url + path, headers=headers).status_code == 200
        ), path


def test_notice_is_kept_once_and_shown_with_its_count(sandbox_server: SandboxServer) -> None:
    notice = {
        "notice_id": "n1",
        "title": "转人工",
        "text": "客户投诉",
        "priority": "high",
        "conversation_id": "c_1",
        "reason": "complaint",
    }
    verdicts = [
        sandbox_server.client.post(sandbox_server.staff_url, json=notice).json() for _ in range(2)
    ]
    assert verdicts == [
        {"accepted": True, "duplicate": False},
        {"accepted": True, "duplicate": True},
    ]
    (shown,) = sandbox_server.notices()
    assert {name: shown[name] for name in notice} == notice
    assert shown["received"] == 2


def test_unusable_notice_is_refused(sandbox_server: SandboxServer) -> None:
    answer = sandbox_server.client.post(sandbox_server.staff_url, json={"title": "t"})
    assert (answer.status_code, answer.json()["accepted"]) == (422, False)
    assert sandbox_server.notices() == []


def test_reset_forgets_everything(sandbox_server: SandboxServer) -> None:
    sandbox_server.script("x", "y")
    sandbox_server.fault("model", "refuse")
    sandbox_server.client.post(
        sandbox_server.staff_url, json={"notice_id": "n", "title": "t", "text": "x"}
    )
    sandbox_server.reset()
    assert sandbox_server.journal() == sandbox_server.faults() == sandbox_server.notices() == []
    assert sandbox_server.get("/_sandbox/model/script") == {"scripts": []}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_lets_go_of_hanging_requests_at_once(stop: signal.Signals) -> None:
    with running_sandbox() as sandbox:
        sandbox.fault("model", "hang")
        sandbox.model_latency(3600)
        failures: list[Exception] = []

        def hang() -> None:
            try:
                sandbox.client.get(sandbox.model_url() + "/models", timeout=30)
            except httpx.TransportError as error:
                failures.append(error)

        client = threading.Thread(target=hang)
        client.start()
        sandbox.journal("model", at_least=1, wait=10)
        started = time.perf_counter()
        sandbox.process.send_signal(stop)
        sandbox.process.wait(timeout=10)
        client.join(timeout=5)
        assert time.perf_counter() - started < 3
    assert len(failures) == 1


def test_sandbox_ends_with_its_parent() -> None:
    with running_sandbox() as sandbox:
        assert sandbox.process.stdin is not None
        sandbox.process.stdin.close()
        assert sandbox.process.wait(timeout=10) == 0


def test_ready_line_tells_a_person_where_to_go() -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--target", "http://127.0.0.1:7000/"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        rest = process.stdout.read()
    assert "沙箱已就绪:http://127.0.0.1:" in line
    assert "发往 http://127.0.0.1:7000\n" in line
    assert rest == ""
    assert process.returncode in (0, -signal.SIGTERM)


def test_what_prevents_the_start_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert main(["--target", "nowhere"]) == 2
    assert main(["--host", "0.0.0.0"]) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert "--allow-remote" in third
    assert "in use" in first
    assert "'nowhere'" in second


def test_app_is_made_with_defaults_and_serves_every_peer() -> None:
    paths = create_app().openapi()["paths"]
    assert {"/webhook/deliver", "/staff/notice", "/model/v1/chat/completions"} <= set(paths)
    assert "/_sandbox/faults" in paths


def test_settings_with_a_senseless_target_are_refused() -> None:
    with pytest.raises(ValueError, match="'ftp://x'"):
        create_app(SandboxSettings(target="ftp://x"))


def test_peer_names_are_unique_and_found_by_their_path() -> None:
    sandbox = create_app().sandbox
    peers: list[Peer] = [kind(sandbox) for kind in PEERS]
    assert len({peer.name for peer in peers}) == len(peers)
    for peer in peers:
        assert peer.knows(peer.locate(f"/{peer.name}/v1/models").peer)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/model/v1/chat/completions", Place("model", "chat")),
        ("/model/deepseek/v1/chat/completions", Place("model/deepseek", "chat")),
        ("/model/claude/v1/messages", Place("model/claude", "messages")),
        ("/model/v1/messages", Place("model", "messages")),
        ("/model/a/v1/embeddings/", Place("model/a", "embeddings")),
        ("/model", Place("model", "unknown")),
        ("/model/x", Place("model", "unknown")),
    ],
)
def test_provider_and_kind_are_read_from_the_path(path: str, place: Place) -> None:
    sandbox: Sandbox = create_app().sandbox
    model = next(kind(sandbox) for kind in PEERS if kind.name == "model")
    assert model.locate(path) == place
