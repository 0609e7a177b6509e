"""Service, simulated Tianwang and simulated customers, and what happens between them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service, running_service

JsonObject = dict[str, Any]
SECRET = "callback-secret"
PATIENCE_S = 20.0


class StepFailed(AssertionError):
    """Something that had to happen did not, or happened otherwise; the text is for a reader."""


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)


class Stage:
    """Helpers block until what they ask for is there, or raise StepFailed."""

    def __init__(self, service: Service, sandbox: SandboxServer, client: httpx.Client) -> None:
        self.service, self.sandbox, self._client = service, sandbox, client

    def hand_over(self, scenario: str, *, in_seconds: float = 60.0, **task: Any) -> JsonObject:
        """Tianwang sends one of seed 000's tasks; returns the task as it was sent."""
        order = {"scenario": scenario, "task": task, "in_seconds": in_seconds}
        answer = self.sandbox.post("/_sandbox/tianwang/send", order)
        sent: JsonObject = answer["sent"]
        expected = {
            "code": 200,
            "message": "任务接收成功",
            "data": {"task_id": sent["task_id"], "status": "pending"},
        }
        check(answer["answer"] == expected, f"任务没有被接收:{answer['answer']}")
        return sent

    def customer_says(self, customer: str, text: str, **fields: Any) -> None:
        """In the customer's own chat, unless ``chat_id`` is given."""
        chat = fields.pop("chat_id", customer)
        said = self.sandbox.say(chat, text, sender_id=customer, wait=PATIENCE_S, **fields)
        check(said["state"] == "delivered", f"消息没有送达客服系统:{said}")

    def messages(self, chat: str, *, at_least: int) -> list[JsonObject]:
        """What the chat was shown, in order; ``received``: how often each arrived."""
        found = self.sandbox.chat(chat, at_least=at_least, wait=PATIENCE_S)
        check(len(found) >= at_least, f"{chat} 只收到 {len(found)} 条消息")
        return found

    def shown_to(self, chat: str, *, at_least: int) -> list[str]:
        return [message["text"] for message in self.messages(chat, at_least=at_least)]

    def status(self, task_id: str) -> JsonObject:
        response = self._client.get(f"/api/task/status/{task_id}")
        check(response.status_code == 200, f"查询任务失败:{response.text}")
        data: JsonObject = response.json()["data"]
        return data

    def ended(self, task_id: str) -> JsonObject:
        """The task, once it has come to an end."""
        ends = time.monotonic() + PATIENCE_S
        while (task := self.status(task_id))["status"] in ("pending", "triggered"):
            check(time.monotonic() < ends, f"任务一直是 {task['status']} 状态")
            time.sleep(0.05)
        return task

    def callbacks(self, task_id: str, *, at_least: int = 1) -> list[JsonObject]:
        path = "/_sandbox/tianwang/callbacks"
        page = self.sandbox.get(path, task_id=task_id, at_least=at_least, wait=PATIENCE_S)
        found: list[JsonObject] = page["callbacks"]
        check(len(found) >= at_least, f"天网只收到 {len(found)} 个回调")
        return found


@contextmanager
def running_stage(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """On free ports, with its data under ``folder``; callbacks are signed."""
    secret = {"TIANWANG_CALLBACK_SECRET": SECRET}
    with (
        running_sandbox() as sandbox,
        running_service(
            folder / "data", sandbox_url=sandbox.url, env=secret | dict(env or {})
        ) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        sandbox.set_target(service.url)
        sandbox.put("/_sandbox/tianwang/secret", {"secret": SECRET})
        yield Stage(service, sandbox, client)
