"""Rows that a command changes by itself, without a running service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from api.cli.console import DataDir, settings_for

if TYPE_CHECKING:
    from engine.settings import Settings
    from storage.database import Database

R = TypeVar("R")
T = TypeVar("T")


def with_records(
    data_dir: DataDir,
    records: "Callable[[Settings, Database], R]",
    work: Callable[[R], Awaitable[T]],
) -> T:
    """What ``work`` gives, done on the database of ``data_dir`` through ``records``."""
    from domain.errors import InvalidInput
    from engine.bootstrap import open_database

    settings = settings_for(data_dir)
    database = open_database(settings)

    async def run() -> T:
        return await work(records(settings, database))

    try:
        return asyncio.run(run())
    except InvalidInput as error:
        raise typer.BadParameter(error.reason) from None
    finally:
        database.close()
