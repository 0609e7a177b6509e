"""`kefu order`: look at orders for work on pictures, confirm, deliver, send back and cancel them.

Everything goes over HTTP to the running service. Exit code 1: the service refused; 2: it could not
be asked.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from api.cli.console import AsJson, output, print_json
from api.cli.service import Answer, Url, answer_of, asked, service_at, succeeded
from domain.order_words import STATUSES, WORKFLOWS
from domain.orders import ChangeKind, OrderStatus, Workflow

if TYPE_CHECKING:
    from rich.table import Table

ORDERS, PICTURES = "/api/orders", "/api/pictures"
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_LINE = 60

order = typer.Typer(
    help="Orders for work on pictures: list, show, amend, confirm, deliver, accept, cancel.",
    no_args_is_help=True,
)
OrderId = Annotated[int, typer.Argument(help="The order's number.", min=1, show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Do not tell the customer.")]


@order.command("list")
def list_(
    status: Annotated[
        list[OrderStatus] | None, typer.Option(help="Only with this status; may be repeated.")
    ] = None,
    customer: Annotated[str, typer.Option(help="Only this customer's.")] = "",
    workflow: Annotated[Workflow | None, typer.Option(help="Only of this kind.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page.")] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=200, help="Orders on a page.")] = 20,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Orders, the newest first."""
    query: dict[str, Any] = {"page": page, "page_size": page_size}
    query |= {"customer_id": customer} if customer else {}
    query |= {"workflow": workflow.value} if workflow else {}
    query |= {"status": [one.value for one in status]} if status else {}
    found = asked(url, "GET", ORDERS, query=query)
    if as_json:
        print_json(found)
        return
    if found["items"]:
        output().print(_table(found["items"]))
    typer.echo(f"共 {found['total']} 个订单,第 {found['page']} 页,本页 {len(found['items'])} 个")


@order.command()
def show(order_id: OrderId, url: Url = "", as_json: AsJson = False) -> None:
    """One order: what is wanted, its price, and what happened to it."""
    found = asked(url, "GET", f"{ORDERS}/{order_id}")
    if as_json:
        print_json(found)
        return
    output().print(_facts(found))
    typer.echo("经过:")
    for event in found["events"]:
        detail = json.dumps(event["detail"], ensure_ascii=False)
        typer.echo(f"  {_minute(event['at'])}  {event['kind']}  {event['actor']}  {detail}")


@order.command()
def amend(
    order_id: OrderId,
    requirement: Annotated[str, typer.Argument(help="What is wanted, in one line.")],
    kind: Annotated[ChangeKind, typer.Option(help="How it changes what is there.")] = (
        ChangeKind.CHANGE
    ),
    quiet: Quiet = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Add, change or withdraw a requirement; the price is made anew."""
    body = {"changes": [{"kind": kind.value, "requirement": requirement}]}
    _change(order_id, "amend", body, quiet, url, as_json=as_json)


@order.command()
def confirm(
    order_id: OrderId, quiet: Quiet = False, url: Url = "", as_json: AsJson = False
) -> None:
    """The customer takes the price: work begins."""
    _change(order_id, "confirm", {}, quiet, url, as_json=as_json)


@order.command()
def deliver(
    order_id: OrderId,
    made: Annotated[
        list[str], typer.Argument(help="Addresses, or picture files, which are uploaded.")
    ],
    note: Annotated[str, typer.Option(help="A word to the customer with it.")] = "",
    quiet: Quiet = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Hand over what was made: it goes to the customer."""
    with service_at(url) as service:
        deliverables = [_deliverable(service, one) for one in made]
    body = {"deliverables": deliverables, "note": note}
    _change(order_id, "deliver", body, quiet, url, as_json=as_json)


@order.command()
def accept(order_id: OrderId, quiet: Quiet = False, url: Url = "", as_json: AsJson = False) -> None:
    """The customer is content."""
    _change(order_id, "accept", {}, quiet, url, as_json=as_json)


@order.command()
def rework(
    order_id: OrderId,
    note: Annotated[str, typer.Option(help="What is to be better.")] = "",
    quiet: Quiet = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """What was delivered goes back to whoever made it."""
    _change(order_id, "rework", {"note": note}, quiet, url, as_json=as_json)


@order.command()
def cancel(
    order_id: OrderId,
    reason: Annotated[str, typer.Option(help="Why; kept with the order.")] = "",
    quiet: Quiet = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Call an order off, and its dispatch with it."""
    _change(order_id, "cancel", {"reason": reason}, quiet, url, as_json=as_json)


@order.command()
def assign(
    order_id: OrderId,
    designer: Annotated[str, typer.Argument(help="The designer's name.")],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """To this designer, instead of whoever has it."""
    path = f"{ORDERS}/{order_id}/assign-designer"
    _say(asked(url, "POST", path, {"designer": designer}), as_json=as_json)


def _change(
    order_id: int, what: str, body: Answer, quiet: bool, url: str, *, as_json: bool
) -> None:
    sent = body | {"tell_customer": not quiet}
    _say(asked(url, "POST", f"{ORDERS}/{order_id}/{what}", sent), as_json=as_json)


def _deliverable(service: httpx.Client, made: str) -> str:
    """An address as it is; a file is uploaded and named by its digest."""
    if made.startswith(("http://", "https://")):
        return made
    path = Path(made)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise typer.BadParameter(f"{made} 超过 {MAX_FILE_BYTES} 字节", param_hint="MADE")
        data = path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{made}: {error.strerror}", param_hint="MADE") from None
    stored = succeeded(*answer_of(service, "POST", PICTURES, data, media="image/*"))
    return str(stored["sha256"])


# What is shown


def _say(found: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    typer.echo(f"订单 {found['id']}  {found['status_name']}  {_price(found)}")


def _table(orders: list[Answer]) -> "Table":
    from rich.table import Column, Table

    whole = [Column(title, no_wrap=True) for title in ("订单", "状态", "价格", "客户")]
    rest = [Column(title, overflow="fold") for title in ("设计师", "要求")]
    table = Table(*whole, *rest)
    for row in orders:
        table.add_row(
            str(row["id"]),
            row["status_name"],
            _price(row),
            row["customer_id"],
            row["designer"] or "-",
            _short("；".join(row["requirements"])),
        )
    return table


def _facts(found: Answer) -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    quote_of = found["quote"]
    priced = (
        [f"{item['label']} {item['amount']:g} 元" for item in quote_of["items"]] if quote_of else []
    )
    for label, value in (
        ("订单", f"{found['id']} {found['title']}"),
        ("状态", STATUSES[OrderStatus(found["status"])]),
        ("客户", found["customer_id"]),
        ("方式", WORKFLOWS[Workflow(found["workflow"])]),
        ("价格", _price(found) + (f"（{'，'.join(priced)}）" if priced else "")),
        ("设计师", found["designer"] or "-"),
        ("要求", "\n".join(found["requirements"])),
        ("图片", "\n".join([*found["pictures"], *found["images"]]) or "-"),
        ("成品", "\n".join(found["deliverables"]) or "-"),
        ("创建时间", _minute(found["created_at"])),
    ):
        table.add_row(label, value)
    return table


def _price(found: Answer) -> str:
    if not found["quote"]:
        return "-"
    return f"{found['quote']['total']:g} 元" + ("起" if found["quote"]["estimate"] else "")


def _short(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
