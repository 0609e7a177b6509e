"""`kefu rules`: the rules that the running service uses; what a file would do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import PEER, Answer, Url, asked, refuse, service_at
from domain.errors import PeerUnavailable

RULES = "/api/v1/rules"
_KINDS = {"words": "词条", "trigger": "触发"}

rules = typer.Typer(help="The rules: check a file, show, reload, dry-run.", no_args_is_help=True)
File = Annotated[
    Path, typer.Argument(help="A rules file.", exists=True, dir_okay=False, readable=True)
]


@rules.command()
def check(file: File) -> None:
    """Whether the service could use this file; no service is needed."""
    from engine.rules.build import default_templates
    from engine.rules.checking import checked_rules
    from tools.catalog import catalogue
    from tools.registry import ToolRegistry

    found = checked_rules(_text(file), ToolRegistry(catalogue()), default_templates())
    used = sum(one.enabled for one in found.file.triggers)
    typer.echo(
        f"可以使用:{len(found.file.rules)} 组词条,{used} 条触发规则"
        f"(另有 {len(found.file.triggers) - used} 条停用),指纹 {found.fingerprint}"
    )


@rules.command()
def show(url: Url = "", as_json: AsJson = False) -> None:
    """What the running service uses, and what each rule did in the last seven days."""
    found = asked(url, "GET", RULES)
    if as_json:
        print_json(found)
    else:
        _print(found)


@rules.command()
def reload(url: Url = "", as_json: AsJson = False) -> None:
    """Take the file now; the service does so by itself within seconds."""
    found = asked(url, "POST", f"{RULES}/reload")
    if as_json:
        print_json(found)
    else:
        _print(found)


@rules.command("dry-run")
def dry_run(
    file: Annotated[
        Path | None, typer.Argument(help="A rules file; left out: the rules in use.", exists=True)
    ] = None,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="Days back from now.")] = 7,
    channel: Annotated[str, typer.Option(help="Of one channel only.")] = "",
    account: Annotated[str, typer.Option(help="Of one account only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Messages at most.")] = 20_000,
    examples: Annotated[int, typer.Option(min=0, max=20, help="Examples of each rule.")] = 3,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """What these rules would have done in past conversations; nothing is done."""
    until = datetime.now(UTC)
    wanted: dict[str, Any] = {
        "since": (until - timedelta(days=days)).isoformat(),
        "until": until.isoformat(),
        "limit": limit,
        "examples": examples,
    }
    wanted |= {name: value for name, value in (("channel", channel), ("account", account)) if value}
    if file is not None:
        wanted["content"] = _text(file)
    with service_at(url) as service:
        found = _run(service, wanted)
    if as_json:
        print_json(found)
    else:
        _print_run(found)


def _run(service: httpx.Client, wanted: dict[str, Any]) -> Answer:
    address = str(service.base_url).rstrip("/")
    headers = {"Content-Type": "application/json"}
    body = orjson.dumps(wanted)
    try:
        with service.stream("POST", f"{RULES}/dry-run", content=body, headers=headers) as response:
            if not response.is_success:
                response.read()
                refuse(orjson.loads(response.content))
            for line in response.iter_lines():
                event = orjson.loads(line)
                if event["event"] == "result":
                    return dict(event)
                if event["event"] == "error":
                    refuse(event)
                typer.echo(f"已读 {event['read']}/{event['total']} 条消息", err=True)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise PeerUnavailable(PEER, f"{address} 没有回应({type(error).__name__})") from error
    raise PeerUnavailable(PEER, f"{address} 的回答中断了")


def _print_run(found: Answer) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("规则", "名称", "类型", "会触发", "会话", "现在", "新增", "减少")
    for one in found["rules"]:
        numbers = (one[name] for name in ("fired", "conversations", "present", "added", "removed"))
        kind = _KINDS[one["kind"]]
        table.add_row(one["id"], escape(one["name"]), kind, *(str(number) for number in numbers))
    output().print(table)
    for one in found["rules"]:
        for example in one["examples"]:
            mark = {"added": "+", "removed": "-", "both": " "}[example["change"]]
            typer.echo(f"{mark} {one['id']}: {example['text']}")
    handed = found["handed_over"]
    typer.echo(
        f"共 {found['turns']} 轮({found['messages']} 条消息);转人工 {handed['present']} → "
        f"{handed['fired']}" + ("" if found["complete"] else ";已达上限,未读完")
    )


def _print(found: Answer) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("规则", "名称", "类型", "启用", "动作", "近 7 天", "失败")
    for one in found["rules"]:
        table.add_row(
            one["id"],
            escape(one["name"]),
            _KINDS[one["kind"]],
            "是" if one["enabled"] else "否",
            ", ".join(one["does"]),
            str(one["fired"]),
            str(one["failed"]),
        )
    output().print(table)
    file = found["file"] or "随产品附带"
    typer.echo(
        f"第 {found['version']} 版({found['source']},{found['author']},{found['at']}),{file}"
    )
    if found["refused"]:
        refused = found["refused"]
        typer.echo(f"注意:不能使用,仍用上面的规则。{refused['field']}:{refused['reason']}")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter("不是 UTF-8 文本", param_hint="FILE") from None
