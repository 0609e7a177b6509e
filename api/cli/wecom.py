"""`kefu wecom`: what is set up at WeCom by its API alone.

Nothing there accepts a friend request: a contact way that skips verification does without one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tools.wecom.contacts import ContactsClient, ContactWay

T = TypeVar("T")

wecom = typer.Typer(help="WeCom: contact ways of members.", no_args_is_help=True)
contact_way = typer.Typer(
    help="QR codes by which customers add members; WeCom has no call that accepts a request.",
    no_args_is_help=True,
)
wecom.add_typer(contact_way, name="contact-way")


@contact_way.command()
def add(
    users: Annotated[list[str], typer.Argument(help="UserIDs of members, up to 100.")],
    state: Annotated[
        str, typer.Option("--state", help="Comes back with each customer: where the code hangs.")
    ] = "",
    remark: Annotated[str, typer.Option("--remark", help="For yourself.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Members accept each customer by hand.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a code; customers who scan it are added without anybody accepting them."""
    made = _call(
        data_dir,
        lambda client: client.add_way(users, skip_verify=not verify, state=state, remark=remark),
    )
    _show([made], as_json=as_json)


@contact_way.command("list")
def list_ways(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The codes that were made by the API; the admin pages do not show them."""
    _show(list(_call(data_dir, lambda client: client.ways())), as_json=as_json)


@contact_way.command()
def remove(
    config_id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """The code stops working; customers who came by it stay."""
    _call(data_dir, lambda client: client.remove_way(config_id))
    typer.echo(f"已删除 {config_id}")


def _call(data_dir: "Path | None", ask: "Callable[[ContactsClient], Awaitable[T]]") -> T:
    import httpx

    from engine.wecom.build import direct_api
    from tools.wecom.contacts import ContactsClient

    settings = settings_for(data_dir)

    async def run() -> T:
        async with httpx.AsyncClient() as http:
            return await ask(ContactsClient(direct_api(settings, http)))

    return asyncio.run(run())


def _show(ways: "list[ContactWay]", *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(way) for way in ways])
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("编号", "成员", "渠道", "备注", "免验证", "二维码")
    for way in ways:
        verified = "是" if way.skip_verify else "否"
        shown = (way.config_id, "、".join(way.users), way.state, way.remark, verified, way.qr_code)
        table.add_row(*map(escape, shown))
    output().print(table)
