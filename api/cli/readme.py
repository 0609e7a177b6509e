"""`kefu readme`: the parts of the READMEs that are made from the code.

A part stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``.
"""

import re
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")


def readme(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if out of date.")
    ] = False,
) -> None:
    """Rewrite the generated parts of the READMEs."""
    parts = generated_parts()
    outdated = [name for name in READMES if not _is_current(ROOT / name, parts)]
    if check:
        for name in outdated:
            typer.echo(f"{name} is out of date; run: make readme", err=True)
        raise typer.Exit(1 if outdated else 0)
    for name in outdated:
        path = ROOT / name
        path.write_text(fill(path.read_text("utf-8"), parts), "utf-8")
        typer.echo(f"{name} rewritten")


def generated_parts() -> dict[str, str]:
    """By name: the graph's picture, and the settings."""
    from engine.settings import settings_markdown
    from graphs.conversation import build_conversation_graph

    picture = build_conversation_graph().get_graph().draw_mermaid()
    return {"graph": f"```mermaid\n{picture.strip()}\n```", "settings": settings_markdown().strip()}


def fill(text: str, parts: dict[str, str]) -> str:
    """``text`` with every part replaced. Raises ConfigurationError where a marker is missing."""
    for name, content in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
        text, count = pattern.subn(lambda m, c=content: f"{m[1]}\n{c}\n\n{m[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise ConfigurationError(
                "README", f"{count} parts named {name!r}", f"one between {begin} and {end}"
            )
    return text


def _is_current(path: Path, parts: dict[str, str]) -> bool:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(
            str(path), f"cannot be read ({error.strerror})", "a checkout of the repository"
        ) from error
    return fill(text, parts) == text
