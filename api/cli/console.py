"""What the commands share: the data folder's option, settings, and plain output.

Knowledge and customers' words are printed as they are: rich's markup is off, since they may
contain brackets.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console

if TYPE_CHECKING:
    from engine.settings import Settings

DataDir = Annotated[Path | None, typer.Option(help="Data folder; default ./data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_for(data_dir: Path | None) -> "Settings":
    """Raises ConfigurationError for the first unusable setting."""
    from engine.settings import load_settings

    return load_settings() if data_dir is None else load_settings(data_dir=data_dir)


def output(*, errors: bool = False) -> Console:
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=errors)


def print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def printable(name: str) -> str:
    """A file's name that is no UTF-8 (GBK, say) would otherwise stop the output."""
    return name.encode("utf-8", "replace").decode()
