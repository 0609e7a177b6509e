"""`kefu`: every command in a file of its own; each imports what it needs when it runs."""

import sys
from typing import NoReturn

import typer

from api.cli.agent import agent
from api.cli.backup import backup, restore
from api.cli.campaign import campaign
from api.cli.chat import chat
from api.cli.client import client
from api.cli.customer import customer
from api.cli.doctor import doctor
from api.cli.evaluate import evaluate
from api.cli.kb import kb
from api.cli.order import order
from api.cli.prices import prices
from api.cli.protection import keys, retention
from api.cli.readme import readme
from api.cli.rules import rules
from api.cli.sandbox import sandbox
from api.cli.serve import serve
from api.cli.task import task
from api.cli.token import token
from api.cli.wecom import wecom
from api.cli.worker import worker
from domain.errors import KefuError

cli = typer.Typer(
    name="kefu",
    help="Kefu Graph: AI customer-service engine for WeChat, WeCom and shop channels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command()(serve)
cli.command()(worker)
cli.command()(sandbox)
cli.command()(chat)
cli.add_typer(kb, name="kb")
cli.add_typer(evaluate, name="eval")
cli.add_typer(task, name="task")
cli.add_typer(order, name="order")
cli.add_typer(campaign, name="campaign")
cli.add_typer(prices, name="prices")
cli.add_typer(rules, name="rules")
cli.add_typer(wecom, name="wecom")
cli.add_typer(customer, name="customer")
cli.add_typer(agent, name="agent")
cli.add_typer(client, name="client")
cli.command()(backup)
cli.command()(restore)
cli.add_typer(keys, name="keys", no_args_is_help=True)
cli.command()(retention)
cli.command()(doctor)
cli.command()(token)
cli.command(hidden=True)(readme)


def app() -> NoReturn:
    """Errors that we raise on purpose end in one line, not in a stack trace."""
    try:
        cli()
    except KefuError as error:
        print(f"kefu: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)
