"""`kefu keys` and `kefu retention`: what is kept of customers, how, and for how long. On the
database itself, beside a running service too."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for

if TYPE_CHECKING:
    from engine.protection.sweep import Protection
    from storage.database import Database
    from storage.protection import Step

T = TypeVar("T")
OWNER = "kefu command"

keys = typer.Typer(help="Keys that names, phones and addresses are sealed with.")


@keys.command()
def new(
    key_id: Annotated[str, typer.Argument(help="Letters, digits, - and _; e.g. k2.")] = "k1",
) -> None:
    """Print an entry for KEFU_FIELD_KEYS; it is kept nowhere."""
    from storage.sealed import new_key, parse_keys

    entry = new_key(key_id)
    parse_keys(entry)
    typer.echo(entry)


@keys.command()
def show(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The keys in use, never what they are, and how far sealing anew has come."""
    from storage import protection

    async def work(database: "Database", _: "Protection") -> list[protection.KeyState]:
        return await database.read(protection.states)

    found = _with_protection(data_dir, work)
    if as_json:
        print_json({"keys": [asdict(one) for one in found]})
        return
    if not found:
        typer.echo("没有密钥:姓名、电话和地址按原样存放。生成一个:kefu keys new")
    for one in found:
        role = "当前" if one.state == "current" else "旧"
        done = "全部数据已用它加密" if one.place == protection.DONE else "还有数据待加密"
        progress = (
            f"{done},已重新加密 {one.resealed} 行" if one.state == "current" else "只用于读取"
        )
        output().print(f"{one.id}\t{role}\t{progress}\t自 {one.first_seen_at}")


@keys.command()
def rotate(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Seal every row with the first key of KEFU_FIELD_KEYS; goes on where it was broken off."""
    from storage import protection

    seen = {"rows": 0, "resealed": 0, "unreadable": 0}

    def on_step(step: "Step") -> None:
        seen["rows"] += step.looked_at
        seen["resealed"] += step.changed
        seen["unreadable"] += step.unreadable
        if not as_json and step.looked_at:
            typer.echo(f"{step.place}\t已检查 {seen['rows']} 行,已加密 {seen['resealed']} 行")

    async def work(database: "Database", sweep: "Protection") -> tuple[str, ...]:
        if database.keys.ids:
            await database.write(protection.begin_again)
            await sweep.reseal(on_step)
        return database.keys.ids

    ids = _with_protection(data_dir, work)
    if as_json:
        print_json({"key": ids[0] if ids else None, **seen})
    elif not ids:
        typer.echo("没有密钥,没有可做的。生成一个:kefu keys new")
    elif seen["unreadable"]:
        typer.echo(f"有 {seen['unreadable']} 个值用不在设置里的密钥加密,未改动")
    else:
        typer.echo(f"全部数据都用 {ids[0]} 加密了;其余密钥可以从 KEFU_FIELD_KEYS 中去掉")
    if seen["unreadable"]:
        raise typer.Exit(1)


def retention(
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete now; otherwise only count.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What is older than its retention; the service deletes it every hour by itself."""
    from engine.protection.sweep import retention_days

    async def work(_: "Database", sweep: "Protection") -> dict[str, int]:
        if apply:
            return await sweep.sweep()
        return {one.table: one.rows for one in await sweep.old() if one.rows}

    days = retention_days(settings_for(data_dir))
    rows = _with_protection(data_dir, work)
    if as_json:
        print_json({"applied": apply, "days": days, "rows": rows})
        return
    for kind, kept in days.items():
        output().print(f"{kind}\t{f'保留 {kept:g} 天' if kept else '一直保留'}")
    for table, count in rows.items():
        output().print(f"{table}\t{count} 行{'已删除' if apply else '已过期'}")
    if not rows:
        typer.echo("没有过期的数据")


def _with_protection(
    data_dir: Path | None, work: Callable[["Database", "Protection"], Awaitable[T]]
) -> T:
    from engine.bootstrap import open_database
    from engine.protection.sweep import Protection, retention_days

    settings = settings_for(data_dir)
    database = open_database(settings)

    async def run() -> T:
        return await work(database, Protection(database, retention_days(settings), owner=OWNER))

    try:
        return asyncio.run(run())
    finally:
        database.close()
