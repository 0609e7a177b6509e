"""`kefu customer`: look at customers, tag, merge, hand out and erase them.

Everything goes over HTTP to the running service. Exit code 1: the service refused; 2: it could not
be asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import PEER, Url, asked, refuse, service_at
from domain.customers import Level, State
from domain.errors import PeerUnavailable

if TYPE_CHECKING:
    from rich.table import Table

PATH = "/api/v1/customers"
LEVELS = {"white": "白名单", "gray": "灰名单", "black": "黑名单"}
SHARES = {"satisfaction": "满意度", "activity": "活跃度", "value": "价值"}

customer = typer.Typer(
    help="Customers: list, show, tag, set a level, merge, export, erase.", no_args_is_help=True
)
CustomerId = Annotated[int, typer.Argument(help="The customer's number.", min=1)]


@customer.command("list")
def list_(
    level: Annotated[Level | None, typer.Option(help="Only of this level.")] = None,
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    tag: Annotated[str, typer.Option(help="Only with this tag.")] = "",
    search: Annotated[
        str, typer.Option(help="A part of a name or contact id, a whole telephone number.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Customers, the last active first."""
    wanted = {"level": level, "state": state, "tag": tag, "search": search, "cursor": cursor}
    query = {name: str(value) for name, value in wanted.items() if value}
    found = asked(url, "GET", PATH, query=query | {"limit": limit})
    if as_json:
        print_json(found)
        return
    output().print(_table(found["items"]))
    if found["next_cursor"]:
        typer.echo(f"还有更多:--cursor {found['next_cursor']}")


@customer.command()
def show(customer_id: CustomerId, url: Url = "", as_json: AsJson = False) -> None:
    """One customer, with the arithmetic of the score."""
    _print(asked(url, "GET", f"{PATH}/{customer_id}"), as_json)


@customer.command()
def tag(
    customer_id: CustomerId,
    add: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Add tags and take others away."""
    body = {"add": add or [], "remove": remove or []}
    _print(asked(url, "POST", f"{PATH}/{customer_id}/tags", body), as_json)


@customer.command()
def level(
    customer_id: CustomerId,
    name: Annotated[str, typer.Argument(help="white, gray or black; auto: as the score says.")],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Decide on a level, whatever the score says."""
    _print(asked(url, "PATCH", f"{PATH}/{customer_id}", {"level": name}), as_json)


@customer.command()
def deal(
    customer_id: CustomerId,
    key: Annotated[str, typer.Argument(help="Names the deal for good.")],
    amount: Annotated[float, typer.Argument(help="In yuan.", min=0)],
    note: Annotated[str, typer.Option(help="A word on it.")] = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Something was bought elsewhere."""
    body = {"key": key, "amount": amount, "note": note}
    _print(asked(url, "POST", f"{PATH}/{customer_id}/deals", body), as_json)


@customer.command()
def merge(
    customer_id: CustomerId,
    other: Annotated[int, typer.Argument(help="Who is this customer, too.", min=1)],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Two customers are one person: the first speaks for both."""
    _merged(asked(url, "POST", f"{PATH}/{customer_id}/merge", {"other": other}), as_json)


@customer.command()
def unmerge(
    customer_id: CustomerId,
    number: Annotated[int, typer.Argument(help="The merge's number, as `show` lists it.", min=1)],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Undo a merge."""
    _merged(asked(url, "POST", f"{PATH}/{customer_id}/unmerge", {"merge": number}), as_json)


@customer.command()
def export(
    customer_id: CustomerId,
    out: Annotated[Path, typer.Option(help="File to write; it must not be there yet.")],
    url: Url = "",
) -> None:
    """Everything that is kept of a customer, as one JSON document."""
    with (
        service_at(url) as service,
        _streamed(service, f"{PATH}/{customer_id}/export") as pieces,
    ):
        try:
            with out.open("xb") as file:
                out.chmod(0o600)
                for piece in pieces:
                    file.write(piece)
        except FileExistsError:
            raise typer.BadParameter(f"{out} 已经存在", param_hint="--out") from None
    typer.echo(f"已导出到 {out}")


@customer.command()
def erase(
    customer_id: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Forget a customer in every table, for good."""
    found = asked(url, "GET", f"{PATH}/{customer_id}")
    if not yes:
        who = f"{found['name'] or '-'}({found['contact_id']})"
        typer.confirm(f"删除客户 {who} 的全部数据?无法恢复", abort=True, err=True)
    body = {"contact_id": found["contact_id"]}
    done = asked(url, "POST", f"{PATH}/{customer_id}/erase", body)
    if as_json:
        print_json(done)
        return
    typer.echo(f"已删除 {sum(done['rows'].values())} 行、{done['files']} 个文件")
    typer.echo(f"审计日志中的代号:{done['digest']}")


@contextmanager
def _streamed(service: httpx.Client, path: str) -> Iterator[Iterator[bytes]]:
    try:
        with service.stream("GET", path) as response:
            if response.is_error:
                response.read()
                refuse(response.json())
            yield response.iter_bytes()
    except httpx.HTTPError as error:
        reason = f"{service.base_url} 没有回应({type(error).__name__})"
        raise PeerUnavailable(PEER, reason) from error


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    output().print(_table([found]))
    if found["fixed"]:
        typer.echo("  * 分级由人工指定")
    counted = found["standing"]
    for name, weight in (("satisfaction", 40), ("activity", 30), ("value", 30)):
        basis = _basis(name, counted) if name in counted["known"] else "没有数据,按中性值"
        typer.echo(f"  {SHARES[name]} {counted[name]:.2f} × {weight}({basis})")
    for one in found["contacts"]:
        typer.echo(f"  联系人 {one['id']} {one['contact_id']}")
    for one in found["merges"]:
        undone = ",已撤销" if one["undone_at"] else ""
        typer.echo(f"  合并 {one['id']} {one['other_id']} → {one['person_id']}{undone}")


def _basis(name: str, counted: dict[str, Any]) -> str:
    if name == "satisfaction":
        return f"好评 {counted['positive']} / 评价 {counted['judged']}"
    if name == "activity":
        return f"近 30 天 {counted['recent_messages']} / 全部 {counted['messages']} 条消息"
    return f"成交 {counted['paid']:g} 元 / 平均客单价 {counted['average_deal']:g} 元"


def _merged(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    done = "已撤销合并" if found["undone_at"] else "已合并"
    typer.echo(f"{done} {found['id']}:{found['other_id']} → {found['person_id']}")


def _table(items: list[dict[str, Any]]) -> "Table":
    from rich.table import Column, Table

    whole = [Column(title, no_wrap=True) for title in ("编号", "名称", "分级", "评分", "阶段")]
    rest = [Column(title, overflow="fold") for title in ("标签", "最近活跃")]
    table = Table(*whole, *rest)
    for one in items:
        fixed = "*" if one["fixed"] else ""
        table.add_row(
            str(one["id"]),
            one["name"] or one["contact_id"],
            LEVELS[one["level"]] + fixed,
            str(one["score"]),
            one["state_name"],
            "、".join(one["tags"]),
            one["last_active_at"][:16].replace("T", " "),
        )
    return table
