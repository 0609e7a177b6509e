"""`kefu backup` and `kefu restore`: everything in one place, and back."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for

if TYPE_CHECKING:
    from engine.backup import Backup

_WIDTH = 60


def backup(
    target: Annotated[
        Path, typer.Argument(help="A new folder; a name that ends in .tar makes one file.")
    ],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy all rows and files as they are now; the service may run on."""
    from engine.backup import back_up

    made = back_up(settings_for(data_dir), target, _progress())
    _show("已备份", made, as_json=as_json)


def restore(
    source: Annotated[Path, typer.Argument(help="What kefu backup made.", exists=True)],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a database and files that are there.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup back; every process must have ended. Any database of ours takes it."""
    from engine.backup import restore as put_back

    made = put_back(settings_for(data_dir), source, _progress(), force=force)
    _show("已恢复", made, as_json=as_json)


def _show(what: str, made: "Backup", *, as_json: bool) -> None:
    if as_json:
        told = {
            "created_at": made.created_at,
            "database": made.database,
            "revision": made.rows.revision,
            "rows": {table.name: table.rows for table in made.rows.tables},
            "files": len(made.files),
            "settings": list(made.settings),
            "left_out": list(made.left_out),
        }
        print_json(told)
        return
    out = output()
    tables = len(made.rows.tables)
    out.print(f"{what}:{tables} 张表 {made.row_count} 行,{len(made.files)} 个文件")
    out.print(f"备份时间 {made.created_at},来自 {made.database},结构版本 {made.rows.revision}")
    if made.left_out:
        out.print(f"密钥不在备份中,请另行保管:{'、'.join(made.left_out)}")
    if made.settings:
        out.print(f"备份时已设置(值不在备份中):{'、'.join(made.settings)}")


def _progress() -> Callable[[str], None]:
    """On a terminal one line that changes; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda _done: None

    def show(done: str) -> None:
        print(f"  {done:<{_WIDTH}}", end="\r", file=sys.stderr, flush=True)

    return show
