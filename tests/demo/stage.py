"""Service, simulated peers and simulated customers, and what happens between them."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service, running_service

JsonObject = dict[str, Any]
PATIENCE_S = 20.0


class StepFailed(AssertionError):
    """Something that had to happen did not, or happened otherwise; the text is for a reader."""


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)


class Stage:
    """Helpers block until what they ask for is there, or raise StepFailed."""

    def __init__(self, service: Service, sandbox: SandboxServer, client: httpx.Client) -> None:
        self.service, self.sandbox, self.client = service, sandbox, client

    def customer_says(self, customer: str, text: str, **fields: Any) -> None:
        """In the customer's own chat, unless ``chat_id`` is given."""
        chat = fields.pop("chat_id", customer)
        said = self.sandbox.say(chat, text, sender_id=customer, wait=PATIENCE_S, **fields)
        check(said["state"] == "delivered", f"消息没有送达客服系统:{said}")

    def messages(self, chat: str, *, at_least: int) -> list[JsonObject]:
        """What the chat was shown, in order; ``received``: how often each arrived."""
        found = self.sandbox.chat(chat, at_least=at_least, wait=PATIENCE_S)
        shown = "".join(f"\n    {message['text']}" for message in found)
        check(len(found) >= at_least, f"{chat} 只收到 {len(found)} 条消息{shown}")
        return found

    def shown_to(self, chat: str, *, at_least: int) -> list[str]:
        return [message["text"] for message in self.messages(chat, at_least=at_least)]


S = TypeVar("S", bound=Stage)
Scenario = Callable[[S], Iterator[str]]
"""Yields a line for each step once that step has been checked; its first line is its title."""


@contextmanager
def running_servers(
    folder: Path, env: Mapping[str, str]
) -> Iterator[tuple[Service, SandboxServer, httpx.Client]]:
    """On free ports, with the service's data under ``folder``; customers write to the service."""
    with (
        running_sandbox() as sandbox,
        running_service(folder / "data", sandbox_url=sandbox.url, env=env) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        sandbox.set_target(service.url)
        yield service, sandbox, client


def perform(
    peers: str,
    scenarios: Sequence[Scenario[S]],
    running_stage: Callable[[Path], AbstractContextManager[S]],
) -> int:
    """Play them one after the other for somebody to read; the exit code."""
    print(f"正在启动客服系统和沙箱(模拟的{peers})……", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kefu-demo-") as folder,
        running_stage(Path(folder)) as stage,
    ):
        print(f"客服系统 {stage.service.url}   沙箱 {stage.sandbox.url}", flush=True)
        played = [_play(stage, scenario) for scenario in scenarios]
    print(f"\n{len(played)} 个场景全部通过。" if all(played) else "\n有场景没有通过。")
    return 0 if all(played) else 1


def _play(stage: S, scenario: Scenario[S]) -> bool:
    """Whether all of its steps went well; prints each."""
    print(f"\n{scenario.__doc__}", flush=True)
    try:
        for step in scenario(stage):
            print(f"  ✓ {step}", flush=True)
    except StepFailed as error:
        print(f"  ✗ {error}", flush=True)
        return False
    return True
