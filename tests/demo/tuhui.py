"""``make tuhui-demo``: seed 001's full example, from a picture to a designer's work."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.demo.stage import (
    PATIENCE_S,
    JsonObject,
    Stage,
    check,
    perform,
    running_servers,
)
from tests.demo.stage import Scenario as StageScenario
from tests.sandbox_server import SandboxServer
from tests.service import Service
from tests.tools.pictures.making import PICTURES

SORRY = "抱歉，这个我做不了，帮您转接设计师看一下，请稍候..."
ARRANGED = "好的,已帮您安排设计师处理,请稍候"
WAITING = "目前设计师都不在线"
DELIVERED = "已处理完成"
ROBOT_PATH = "/wecom/webhook/send"
SEED_CALLS = [
    "GET /tuhui/online/designers",
    "GET /tuhui/dispatch/queue",
    "POST /tuhui/tasks",
    "POST /tuhui/tasks/{id}/assign",
    f"POST {ROBOT_PATH}",
    "POST /webhook/deliver",
]
ROBOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=demo"
"""With a sandbox the service sends to the simulated one."""


class TuhuiStage(Stage):
    """With Tuhui's designers, and the group of WeCom in which they are told of their tasks."""

    def __init__(
        self, service: Service, sandbox: SandboxServer, client: httpx.Client, folder: Path
    ) -> None:
        super().__init__(service, sandbox, client)
        self._folder = folder

    def upload(self, picture: str) -> str:
        """One of the suite's pictures as a real file, through the intake; its address."""
        file = self._folder / f"{picture}.jpg"
        file.write_bytes(PICTURES[picture]())
        with file.open("rb") as opened:
            sent = {"file": (file.name, opened, "image/jpeg")}
            answer = self.client.post("/api/pictures", files=sent)
        check(answer.status_code in (200, 201), f"图片没有上传成功:{answer.text}")
        return f"{self.service.url}/api/pictures/{answer.json()['sha256']}"

    def customer_sends(self, customer: str, text: str, picture: str) -> None:
        attached = [{"kind": "image", "url": self.upload(picture)}]
        self.customer_says(customer, text, attachments=attached)

    def on_line(self, *designers: str) -> None:
        self.sandbox.put("/_sandbox/tuhui/designers", {"designers": list(designers)})

    def tasks_of(self, customer: str) -> list[JsonObject]:
        """Their tasks at Tuhui."""
        tasks = self.sandbox.get("/_sandbox/tuhui/state")["tasks"]
        return [task for task in tasks if task["task_name"] == f"图片处理-{customer[-4:]}"]

    def task_when(
        self, customer: str, holds: Callable[[JsonObject], bool], otherwise: str
    ) -> JsonObject:
        """Their only task, once it is so."""
        ends = time.monotonic() + PATIENCE_S
        while not ((tasks := self.tasks_of(customer)) and holds(tasks[0])):
            check(time.monotonic() < ends, f"{otherwise}:{tasks}")
            time.sleep(0.05)
        check(len(tasks) == 1, f"图绘里有 {len(tasks)} 个任务:{tasks}")
        return tasks[0]

    def designer_does(self, task_id: str, step: str, **body: object) -> JsonObject:
        return self.sandbox.post(f"/_sandbox/tuhui/tasks/{task_id}/{step}", body)

    def designer_made(self, name: str, data: bytes) -> str:
        """A file as the designer uploads it; the address that the customer is to get."""
        path = "/_sandbox/tuhui/files"
        answer = self.sandbox.client.post(path, params={"name": name}, content=data)
        check(answer.is_success, f"成品没有上传成功:{answer.text}")
        return str(answer.json()["url"])

    def group_reads(self, *words: str) -> str:
        """The notice in WeCom's group that has all these words."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            notices = self.sandbox.get("/_sandbox/wecom/notices")["notices"]
            read = [str(one["content"]) for one in notices]
            if found := [one for one in read if all(word in one for word in words)]:
                check(len(found) == 1, f"群里收到 {len(found)} 次:{found}")
                return found[0]
            check(time.monotonic() < ends, f"群里没有这样的通知:{words}")
            time.sleep(0.05)

    def last_request(self) -> int:
        return int(self.sandbox.get("/_sandbox/health")["journal"]["last_seq"])

    def calls(self, since: int, customer: str) -> list[str]:
        """What the service has called for this customer's order since then, in order, without the
        answer of the turn itself and without looks at the task."""
        made = (entry for entry in self.sandbox.journal(since=since) if _is_step(entry, customer))
        return [_named(entry) for entry in made]

    def order_of(self, customer: str) -> JsonObject:
        found = self.client.get("/api/orders", params={"customer_id": customer}).json()["items"]
        check(len(found) == 1, f"订单应有一个:{found}")
        order: JsonObject = found[0]
        return order

    def order_when(self, customer: str, status: str) -> JsonObject:
        ends = time.monotonic() + PATIENCE_S
        while (order := self.order_of(customer))["status"] != status:
            check(time.monotonic() < ends, f"订单一直是{order['status_name']}")
            time.sleep(0.05)
        return order

    def until_handed_over(self, customer: str, designer: str) -> None:
        """The designer has it, and everybody has been told."""
        ends = time.monotonic() + PATIENCE_S
        path = f"/api/orders/{self.order_of(customer)['id']}"
        told = {"what": "tell", "designer": designer}
        while not any(
            told.items() <= event["detail"].items()
            for event in self.client.get(path).json()["events"]
        ):
            check(time.monotonic() < ends, f"没有交到{designer}手里")
            time.sleep(0.05)


Scenario = StageScenario[TuhuiStage]


def _is_step(entry: JsonObject, customer: str) -> bool:
    if entry["peer"] == "webhook":
        return bool(entry["body"]["chat_id"] == customer and entry["body"]["text"] != SORRY)
    if entry["peer"] == "wecom":  # of which it also asks for messages, now and then
        return bool(entry["path"] == ROBOT_PATH)
    return entry["peer"] == "tuhui" and entry["kind"] not in ("task", "file")


def _named(entry: JsonObject) -> str:
    path = "/tuhui/tasks/{id}/assign" if entry["kind"] == "assign" else entry["path"]
    return f"{entry['method']} {path}"


@contextmanager
def running_stage(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[TuhuiStage]:
    """Tuhui tells the service of news, and nobody waits long for a designer who comes."""
    chosen = {"WECOM_ROBOT_URL": ROBOT, "KEFU_TUHUI_WAIT_S": "0.3"} | dict(env or {})
    with running_servers(folder, chosen) as (service, sandbox, client):
        sandbox.put("/_sandbox/tuhui/callback", {"path": "/api/tuhui/callback"})
        yield TuhuiStage(service, sandbox, client, folder)


def full_example(stage: TuhuiStage) -> Iterator[str]:
    """场景一:从一张模糊的图片到设计师交付(种子文档的完整示例)"""
    customer, since = "customer_1234", stage.last_request()
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    yield "客户:这个能做吗 [模糊的海报]"
    check(stage.shown_to(customer, at_least=1)[0] == SORRY, "客户收到的不对")
    yield f"AI:{SORRY}"
    words = stage.shown_to(customer, at_least=2)
    check(words[1:] == [ARRANGED], f"客户收到的不对:{words}")
    task = stage.task_when(customer, lambda task: task["status"] == "assigned", "没有派单")
    designer, task_id = task["assigned_to"], task["task_id"]
    called = stage.calls(since, customer)
    check(called == SEED_CALLS, f"调用的顺序不对:{called}")
    check(task["task_name"] == "图片处理-1234", f"任务名不对:{task['task_name']}")
    yield "查询在线设计师和派单队列:GET /online/designers,GET /dispatch/queue"
    yield f"创建任务:POST /tasks → {task_id}「{task['task_name']}」"
    yield f"分配给 {designer}:POST /tasks/{task_id}/assign"
    notice = stage.group_reads("**新任务派单**", task_id, designer, customer)
    yield "企业微信群机器人:" + notice.replace("\n", " ")
    yield f"AI:{ARRANGED}"
    yield from _worked_on(stage, customer, task)


def _worked_on(stage: TuhuiStage, customer: str, task: JsonObject) -> Iterator[str]:
    task_id, designer = task["task_id"], task["assigned_to"]
    stage.until_handed_over(customer, designer)
    stage.designer_does(task_id, "accept")
    yield f"{designer}接单"
    told = len(stage.shown_to(customer, at_least=1))
    made = PICTURES["poster_event"]()
    url = stage.designer_made("poster.png", made)
    stage.designer_does(task_id, "finish", notes="已修复,请查收", files=[url])
    yield f"{designer}完成并上传成品 {url}"
    word, file = stage.messages(customer, at_least=told + 2)[told:]
    check(DELIVERED in word["text"], f"客户收到的不对:{word['text']}")
    (attached,) = file["attachments"]
    check((attached["kind"], attached["url"]) == ("image", url), f"客户收到的不对:{file}")
    check(httpx.get(attached["url"], trust_env=False).content == made, "成品打不开")
    yield f"AI:{word['text']}"
    yield "客户收到成品图片,能打开,与设计师上传的一致"
    order = stage.order_when(customer, "delivered")
    check(order["deliverables"] == [url], f"订单里没有成品:{order}")
    yield f"订单 {order['id']}:{order['status_name']}"


def nobody_on_line(stage: TuhuiStage) -> Iterator[str]:
    """场景二:没有设计师在线,有人上线后自动派单"""
    customer = "customer_2345"
    stage.on_line()
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    yield "设计师都不在线;客户:这个能做吗 [模糊的海报]"
    sorry, waiting = stage.shown_to(customer, at_least=2)
    check(sorry == SORRY and WAITING in waiting, f"客户收到的不对:{sorry} {waiting}")
    yield f"AI:{waiting}"
    stage.group_reads("新任务待派单", customer)
    check(stage.tasks_of(customer) == [], "没有人在线却创建了任务")
    check(stage.order_of(customer)["status"] == "waiting", "订单没有在等待")
    yield "群里收到「新任务待派单」;图绘里还没有任务,订单在等待"
    stage.on_line("婷婷")
    yield "婷婷上线"
    task = stage.task_when(customer, lambda task: task["assigned_to"] == "婷婷", "没有派给婷婷")
    stage.group_reads("**新任务派单**", task["task_id"], "婷婷")
    words = stage.shown_to(customer, at_least=3)
    check(words[2:] == [ARRANGED], f"客户收到的不对:{words}")
    yield f"任务 {task['task_id']} 派给婷婷,群里已通知"
    yield f"AI:{ARRANGED}"


def refused(stage: TuhuiStage) -> Iterator[str]:
    """场景三:设计师拒单,改派别人"""
    customer = "customer_3456"
    stage.on_line("橘子", "婷婷")
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    words = stage.shown_to(customer, at_least=2)
    task = stage.task_when(customer, lambda task: task["status"] == "assigned", "没有派单")
    first, task_id = task["assigned_to"], task["task_id"]
    yield f"任务 {task_id} 派给{first}"
    stage.designer_does(task_id, "refuse", notes="手上的任务太多")
    yield f"{first}拒单"
    other = "婷婷" if first == "橘子" else "橘子"
    task = stage.task_when(customer, lambda task: task["assigned_to"] == other, "没有改派")
    stage.group_reads("**新任务派单**", task_id, other)
    yield f"同一个任务改派{other},群里已通知{other}"
    yield from _worked_on(stage, customer, task)
    check(stage.shown_to(customer, at_least=4)[:2] == words, "客户看到了改派")
    order = stage.order_of(customer)
    check(order["designer"] == other, f"订单里的设计师不对:{order['designer']}")
    yield "改派没有打扰客户"


SCENARIOS: tuple[Scenario, ...] = (full_example, nobody_on_line, refused)


if __name__ == "__main__":
    sys.exit(perform("图绘、设计师、企业微信与客户", SCENARIOS, running_stage))
