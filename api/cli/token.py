"""`kefu token`: a signed token for a customer, an agent, an operator, a viewer or Tianwang."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from engine.settings import Settings
    from tools.registry import Caller

RoleName = Literal["customer", "agent", "admin", "viewer", "tianwang"]


def token(
    role: Annotated[RoleName, typer.Option(help="Who the bearer is.")],
    subject: Annotated[str, typer.Option(help="The bearer's name, as the audit log shows it.")],
    contact: Annotated[
        str, typer.Option(help="The one customer: CHANNEL:ACCOUNT:ID. Role customer only.")
    ] = "",
    hours: Annotated[
        float, typer.Option(min=0.01, max=8_784, help="How long it is good for.")
    ] = 24,
) -> None:
    """Print a token, to be sent as `Authorization: Bearer …`. Needs SECRET_KEY."""
    from api.identity import Tokens
    from domain.errors import ConfigurationError, InvalidInput
    from engine.clients.secret import signing_secret
    from engine.settings import load_settings
    from tools.registry import Caller, Role

    caller = Caller(Role(role), subject, contact)
    if bool(contact) != (caller.role is Role.CUSTOMER):
        raise typer.BadParameter("--contact goes with --role customer, and only with it")
    settings = load_settings()
    secret = signing_secret(settings, make=False)
    if secret is None:
        raise ConfigurationError(
            "SECRET_KEY", "not set", "a random text, e.g. what `openssl rand -hex 32` prints"
        )
    try:
        made = Tokens(secret.get_secret_value()).issue(caller, now=time.time(), hours=hours)
    except InvalidInput as error:
        raise typer.BadParameter(error.reason) from None
    _note(settings, caller, hours)
    typer.echo(made)


def _note(settings: "Settings", caller: "Caller", hours: float) -> None:
    """In the audit log, where there is one: tokens can be made away from the service too."""
    from engine.bootstrap import open_database
    from storage.audit import record
    from storage.clock import iso

    kind, _, file = settings.database_dsn().partition(":///")
    if kind == "sqlite" and not Path(file).exists():
        return
    database = open_database(settings)
    detail = {"role": caller.role.value, "hours": hours, "contact_id": caller.contact_id}
    try:
        with database.engine.begin() as connection:
            record(
                connection,
                at=iso(time.time()),
                actor="kefu token",
                action="token.issue",
                subject=caller.name,
                detail=detail,
            )
    finally:
        database.close()
