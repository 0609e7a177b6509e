"""The sandbox as a real server in its own process, for every test that needs peers.

>>> from tests.sandbox_server import SandboxServer, running_sandbox

Helpers block. The sandbox is another process, so a plain call is safe on an event loop; a helper
that waits for something which the same loop must do belongs in ``asyncio.to_thread``.
"""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

JsonObject = dict[str, Any]

_ROOT = Path(__file__).resolve().parent.parent
_READY_PREFIX = "READY "
_START_SECONDS = 60.0
_END = "\0"


class SandboxServer:
    """A running sandbox. ``url`` has no trailing slash; ``client`` talks to it from tests."""

    def __init__(
        self, url: str, process: "subprocess.Popen[str]", journal_file: Path | None
    ) -> None:
        self.url = url
        self.process = process
        self.journal_file = journal_file
        self.client = httpx.Client(base_url=url, timeout=30.0, trust_env=False)

    # Addresses -----------------------------------------------------------------------------

    def model_url(self, name: str | None = None) -> str:
        """Base URL of an OpenAI-compatible provider; its peer name is ``model[/name]``."""
        return f"{self.url}/model/{name}/v1" if name else f"{self.url}/model/v1"

    def anthropic_url(self, name: str) -> str:
        """Base URL of an Anthropic-native provider (clients add ``/v1/messages``)."""
        return f"{self.url}/model/{name}"

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/webhook/deliver"

    @property
    def staff_url(self) -> str:
        return f"{self.url}/staff/notice"

    @property
    def rerank_url(self) -> str:
        return f"{self.url}/rerank/v1"

    # Journal -------------------------------------------------------------------------------

    def journal(
        self,
        peer: str | None = None,
        *,
        kind: str | None = None,
        since: int = 0,
        limit: int = 1000,
        at_least: int = 0,
        wait: float = 0.0,
    ) -> list[JsonObject]:
        """Requests received after ``since``; waits up to ``wait`` seconds for ``at_least``."""
        page = self.get(
            "/_sandbox/journal",
            peer=peer,
            kind=kind,
            since=since,
            limit=limit,
            at_least=at_least,
            wait=wait,
        )
        return list(page["entries"])

    def clear_journal(self) -> None:
        self.delete("/_sandbox/journal")

    # Faults --------------------------------------------------------------------------------

    def fault(
        self,
        peer: str,
        kind: str,
        *,
        count: int | None = None,
        rate: float | None = None,
        request_kind: str | None = None,
        **params: Any,
    ) -> str:
        """Inject a fault; without ``count`` it stays until cleared. Returns its id."""
        body: JsonObject = {"peer": peer, "kind": kind, "params": params}
        body |= {"count": count} if count is not None else {}
        body |= {"rate": rate} if rate is not None else {}
        body |= {"request_kind": request_kind} if request_kind is not None else {}
        return str(self.post("/_sandbox/faults", body)["id"])

    def faults(self) -> list[JsonObject]:
        return list(self.get("/_sandbox/faults")["faults"])

    def clear_faults(self, peer: str | None = None) -> None:
        self.delete("/_sandbox/faults", peer=peer)

    # Model ---------------------------------------------------------------------------------

    def script(self, match: str = "", reply: str | None = None, **fields: Any) -> None:
        """Script a reply: ``tool_calls``, ``latency``, ``times``, ``peer``, ``finish_reason``."""
        body: JsonObject = {"match": match, **fields}
        body |= {"reply": reply} if reply is not None else {}
        self.post("/_sandbox/model/script", body)

    def clear_scripts(self) -> None:
        self.delete("/_sandbox/model/script")

    def model_latency(self, seconds: float, **fields: Any) -> None:
        self.post("/_sandbox/model/latency", {"seconds": seconds, **fields})

    # Webhook -------------------------------------------------------------------------------

    def set_target(self, url: str) -> None:
        """Where simulated customers' messages go: the service under test."""
        self.put("/_sandbox/target", {"url": url})

    def set_webhook_secret(self, secret: str | None) -> None:
        self.put("/_sandbox/webhook/secret", {"secret": secret})

    def say(self, chat_id: str, text: str, *, wait: float = 0.0, **fields: Any) -> JsonObject:
        """A customer writes; with ``wait`` returns once delivered or after that many seconds."""
        return self.post(
            "/_sandbox/webhook/say", {"chat_id": chat_id, "text": text, **fields}, wait=wait
        )

    def say_batch(self, messages: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
        body = {"messages": [dict(message) for message in messages]}
        return list(self.post("/_sandbox/webhook/say/batch", body)["messages"])

    def outgoing(self, *, wait: float = 0.0) -> JsonObject:
        """Counts and latest messages; ``wait`` gives pending ones that long to be delivered."""
        return self.get("/_sandbox/webhook/outgoing", wait=wait)

    def chats(self) -> list[JsonObject]:
        return list(self.get("/_sandbox/webhook/chats")["chats"])

    def chat(self, chat_id: str, *, at_least: int = 0, wait: float = 0.0) -> list[JsonObject]:
        """What the customer of ``chat_id`` was shown, in order."""
        path = f"/_sandbox/webhook/chats/{chat_id}"
        return list(self.get(path, at_least=at_least, wait=wait)["messages"])

    # Staff ---------------------------------------------------------------------------------

    def notices(self, *, at_least: int = 0, wait: float = 0.0) -> list[JsonObject]:
        return list(self.get("/_sandbox/staff/notices", at_least=at_least, wait=wait)["notices"])

    # Whole ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything: journal, faults, scripts, chats, notices, what was to be said."""
        self.post("/_sandbox/reset", {})

    def journal_lines(self) -> list[JsonObject]:
        """The journal file's lines, also after the sandbox has gone."""
        assert self.journal_file is not None, "start it with journal_file=..."
        return [json.loads(line) for line in self.journal_file.read_text("utf-8").splitlines()]

    def kill(self) -> None:
        """End the process the hard way (SIGKILL)."""
        self.process.kill()
        self.process.wait(timeout=10)

    def get(self, path: str, **query: Any) -> JsonObject:
        return _object(self.client.get(path, params=_given(query), timeout=_patience(query)))

    def post(self, path: str, body: object, **query: Any) -> JsonObject:
        return _object(
            self.client.post(path, json=body, params=_given(query), timeout=_patience(query))
        )

    def put(self, path: str, body: object) -> JsonObject:
        return _object(self.client.put(path, json=body))

    def delete(self, path: str, **query: Any) -> JsonObject:
        return _object(self.client.delete(path, params=_given(query)))

    def close(self) -> None:
        self.client.close()


def _given(query: Mapping[str, Any]) -> JsonObject:
    return {name: value for name, value in query.items() if value is not None}


def _patience(query: Mapping[str, Any]) -> float:
    return 30.0 + float(query.get("wait", 0.0))


def _object(response: httpx.Response) -> JsonObject:
    assert response.is_success, f"{response.request.url}: {response.status_code} {response.text}"
    answer: JsonObject = response.json()
    return answer


def _pump(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(_END)


def _ready_url(lines: "queue.SimpleQueue[str]") -> str:
    said: list[str] = []
    while True:
        line = lines.get(timeout=_START_SECONDS)
        if line.startswith(_READY_PREFIX):
            return str(json.loads(line.removeprefix(_READY_PREFIX))["url"])
        if line == _END:
            raise RuntimeError("the sandbox did not start:\n" + "\n".join(said))
        said.append(line)


def _arguments(target: str | None, journal_file: Path | None, extra: Sequence[str]) -> list[str]:
    arguments = [sys.executable, "-m", "sandbox", "--port", "0", "--json-ready", "--with-parent"]
    arguments += ["--target", target] if target else []
    arguments += ["--journal-file", str(journal_file)] if journal_file else []
    return arguments + list(extra)


@contextmanager
def running_sandbox(
    target: str | None = None, *, journal_file: Path | None = None, extra: Sequence[str] = ()
) -> Iterator[SandboxServer]:
    """A sandbox on a free loopback port; ends with the block, or with the test process."""
    process = subprocess.Popen(
        _arguments(target, journal_file, extra),
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True)
    reader.start()
    server: SandboxServer | None = None
    try:
        server = SandboxServer(_ready_url(lines), process, journal_file)
        yield server
        _stop(process)
        reader.join(timeout=5)
        _complain_of_errors(lines)
    finally:
        if server is not None:
            server.close()
        _stop(process)
        reader.join(timeout=5)
        process.stdin.close()
        process.stdout.close()


def _complain_of_errors(lines: "queue.SimpleQueue[str]") -> None:
    """A sandbox that failed inside must not go unnoticed."""
    said = []
    while not lines.empty():
        said.append(lines.get())
    output = "\n".join(line for line in said if line != _END)
    if "Traceback" in output:
        raise RuntimeError("the sandbox failed inside:\n" + output)


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    """One sandbox for the whole run."""
    with running_sandbox() as server:
        yield server


@pytest.fixture
def sandbox_server(shared_sandbox: SandboxServer) -> SandboxServer:
    """The run's sandbox, emptied for this test. Import both fixtures in a ``conftest.py``."""
    shared_sandbox.reset()
    return shared_sandbox
