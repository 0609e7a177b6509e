"""`kefu sandbox`: the simulated peers alone."""

import os
import sys
from typing import Annotated

import typer


def sandbox(
    port: Annotated[int, typer.Option(help="Port.")] = 6061,
    target: Annotated[
        str, typer.Option(help="The service that simulated customers write to.")
    ] = "http://127.0.0.1:6060",
) -> None:
    """Run the simulated peers (models, webhook channel, staff) without the service."""
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--target", target]
    os.execv(sys.executable, command)  # noqa: S606 - our own module with our own arguments
