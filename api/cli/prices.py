"""`kefu prices`: the price book that the running service uses; check and reload its file."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import Answer, Url, asked

PRICES = "/api/ops/price-book"

prices = typer.Typer(help="The price book: show, check, reload.", no_args_is_help=True)


@prices.command()
def show(url: Url = "", as_json: AsJson = False) -> None:
    """What the running service charges, and whether its file is in order."""
    found = asked(url, "GET", PRICES)
    if as_json:
        print_json(found)
    else:
        _print(found)


@prices.command()
def reload(url: Url = "", as_json: AsJson = False) -> None:
    """Take the file now; the service does so by itself within seconds."""
    found = asked(url, "POST", f"{PRICES}/reload")
    if as_json:
        print_json(found)
        return
    typer.echo("已换成新的价目" if found["changed"] else "价目没有变化")
    _print(found)


@prices.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="A price book.", exists=True, dir_okay=False, readable=True)
    ],
) -> None:
    """Whether the service could use this file; no service is needed."""
    from domain.pricing import PriceBook

    try:
        book = PriceBook.parse(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise typer.BadParameter("不是 UTF-8 文本", param_hint="FILE") from None
    count = len(book.services)
    typer.echo(f"可以使用:版本 {book.version},{count} 个项目,指纹 {book.fingerprint}")


def _print(found: Answer) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("项目", "名称", "单位", "起价", "最低价", "由谁做")
    for one in found["services"]:
        base = f"{one['base']:g}{'起' if one['starting_price'] else ''}"
        table.add_row(
            one["id"],
            escape(one["name"]),
            escape(one["unit"]),
            base,
            f"{one['floor']:g}",
            one["workflow"],
        )
    output().print(table)
    file = found["file"] or "随产品附带"
    typer.echo(f"版本 {found['version']}(指纹 {found['fingerprint']}),{found['since']} 起,{file}")
    if found["refused"]:
        refused = found["refused"]
        typer.echo(f"注意:文件不能使用,仍用上面的价目。{refused['field']}:{refused['reason']}")
