"""`kefu task`: hand tasks to the running service, look at them, cancel and retry them.

Everything goes over HTTP, the way Tianwang goes. Exit code 1: the service refused; 2: it could not
be asked.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import httpx
import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import Answer, Url, answer_of, service_at
from api.tianwang.addresses import CANCEL, LIST, RECEIVE, RETRY, STATUS
from domain.tasks import TaskStatus

if TYPE_CHECKING:
    from rich.table import Table

MAX_FILE_BYTES = 32 * 1024 * 1024
STATES = {
    "pending": "待触发",
    "triggered": "执行中",
    "completed": "已完成",
    "failed": "失败",
    "cancelled": "已取消",
    "expired": "已过期",
}
TRIGGERS = {
    "specified_customer_reply": "指定客户回复",
    "customer_reply": "客户回复",
    "customer_keyword": "客户关键词",
    "customer_payment": "客户付款",
    "time_reach": "定时",
}
LABELS = {
    "task_id": "任务编号",
    "type": "类型",
    "status": "状态",
    "priority": "优先级",
    "retry_count": "已重试",
    "created_at": "接收时间",
    "created_by": "创建人",
    "triggered_at": "触发时间",
    "completed_at": "结束时间",
    "error_message": "错误或原因",
}

task = typer.Typer(help="Tasks of Tianwang: send, list, show, cancel, retry.", no_args_is_help=True)
TaskId = Annotated[str, typer.Argument(help="The task's id.", show_default=False)]


@task.command()
def send(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(help="JSON: a task or a list of them; - for stdin.", metavar="FILE"),
    ],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Hand tasks to the service; sending one again changes nothing."""
    orders = _orders(file.read(MAX_FILE_BYTES + 1))
    answers: list[Answer] = []
    with service_at(url) as service:
        for order in orders:
            answers.append(_ask(service, "POST", RECEIVE, order))
            if not as_json:
                _say_state(answers[-1], order)
    if as_json:
        print_json(answers if len(answers) != 1 else answers[0])
    if any(answer["code"] != 200 for answer in answers):
        raise typer.Exit(1)


@task.command("list")
def list_(
    customer: Annotated[str, typer.Option(help="Only this customer's.")] = "",
    status: Annotated[TaskStatus | None, typer.Option(help="Only with this status.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page.")] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=200, help="Tasks on a page.")] = 20,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Tasks, the newest first."""
    query = {"page": page, "page_size": page_size}
    chosen = {"customer_id": customer, "status": status.value if status else ""}
    with service_at(url) as service:
        answer = _ask(service, "GET", LIST, query=query | {k: v for k, v in chosen.items() if v})
    found = _data(answer)
    if as_json:
        print_json(found)
        return
    if found["tasks"]:
        output().print(_table(found["tasks"]))
    typer.echo(f"共 {found['total']} 个任务,第 {found['page']} 页,本页 {len(found['tasks'])} 个")


@task.command()
def show(task_id: TaskId, url: Url = "", as_json: AsJson = False) -> None:
    """Where a task stands."""
    with service_at(url) as service:
        found = _data(_ask(service, "GET", f"{STATUS}/{quote(task_id, safe='')}"))
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, label in LABELS.items():
        table.add_row(label, _shown(name, found[name]))
    output().print(table)


@task.command()
def cancel(
    task_id: TaskId,
    reason: Annotated[str, typer.Option(help="Why; kept with the task.")] = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Take back a task that has not fired."""
    _change(CANCEL, {"task_id": task_id, "reason": reason}, url, as_json=as_json)


@task.command()
def retry(task_id: TaskId, url: Url = "", as_json: AsJson = False) -> None:
    """Carry out the action of a failed task once more."""
    _change(RETRY, {"task_id": task_id}, url, as_json=as_json)


def _change(path: str, body: Answer, url: str, *, as_json: bool) -> None:
    with service_at(url) as service:
        answer = _ask(service, "POST", path, body)
    state = _data(answer)
    if as_json:
        print_json(state)
    else:
        _say_state(answer, body)


# What is sent


def _orders(content: bytes) -> list[Any]:
    """Raises BadParameter for what is no JSON; what is no task the service says itself."""
    if len(content) > MAX_FILE_BYTES:
        raise typer.BadParameter(f"超过 {MAX_FILE_BYTES} 字节", param_hint="FILE")
    try:
        read = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise typer.BadParameter("不是 UTF-8 编码", param_hint="FILE") from None
    except (ValueError, RecursionError) as error:
        where = f"第 {error.lineno} 行" if isinstance(error, json.JSONDecodeError) else str(error)
        raise typer.BadParameter(f"不是合法的 JSON({where})", param_hint="FILE") from None
    orders = read if isinstance(read, list) else [read]
    if not orders:
        raise typer.BadParameter("没有任务", param_hint="FILE")
    return orders


def _no_number(name: str) -> None:
    raise ValueError(f"{name} 不是 JSON 的数字")


# The service


def _ask(
    service: httpx.Client,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: dict[str, Any] | None = None,
) -> Answer:
    """The service's envelope, a refusal's too. Raises PeerUnavailable, ConfigurationError."""
    content = None if method == "GET" else json.dumps(body).encode()
    _, answer = answer_of(service, method, path, content, query=query, usable=_is_envelope)
    return answer


def _is_envelope(answer: Answer) -> bool:
    return isinstance(answer.get("code"), int)


def _data(answer: Answer) -> Answer:
    """Of a success; a refusal ends the command."""
    if answer["code"] != 200:
        typer.echo(answer["message"], err=True)
        raise typer.Exit(1)
    data: Answer = answer["data"]
    return data


# What is shown


def _say_state(answer: Answer, asked: Any) -> None:
    if answer["code"] == 200:
        state = answer["data"]
        typer.echo(f"{state['task_id']}  {answer['message']}  {_shown('status', state['status'])}")
        return
    named = asked.get("task_id", "-") if isinstance(asked, dict) else "-"
    typer.echo(f"{named}  {answer['message']}", err=True)


def _table(tasks: list[Answer]) -> "Table":
    """Ids are shown whole, whatever else has to break: they are what the other commands take."""
    from rich.table import Column, Table

    whole = [Column(title, no_wrap=True) for title in ("任务编号", "状态", "接收时间")]
    rest = [Column(title, overflow="fold") for title in ("客户", "触发", "动作", "说明")]
    table = Table(*whole, *rest)
    for row in tasks:
        table.add_row(
            row["task_id"],
            _shown("status", row["status"]),
            _shown("created_at", row["created_at"])[len("2026-") : -len(":00")],
            row["customer_name"] or row["customer_id"] or "-",
            TRIGGERS.get(row["trigger_type"], row["trigger_type"] or "-"),
            row["action_type"] or "-",
            _shown("error_message", row["error_message"]),
        )
    return table


def _shown(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if name == "status":
        return STATES.get(value, str(value))
    return str(value).replace("T", " ") if name.endswith("_at") else str(value)
