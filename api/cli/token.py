"""`kefu token`: a signed token for a customer, an agent, an operator, a viewer or Tianwang."""

import time
from typing import Annotated, Literal

import typer

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
    from engine.settings import load_settings
    from tools.registry import Caller, Role

    caller = Caller(Role(role), subject, contact)
    if bool(contact) != (caller.role is Role.CUSTOMER):
        raise typer.BadParameter("--contact goes with --role customer, and only with it")
    secret = load_settings().secret_key
    if secret is None:
        raise ConfigurationError(
            "SECRET_KEY", "not set", "a random text, e.g. what `openssl rand -hex 32` prints"
        )
    try:
        made = Tokens(secret.get_secret_value()).issue(caller, now=time.time(), hours=hours)
    except InvalidInput as error:
        raise typer.BadParameter(error.reason) from None
    typer.echo(made)
