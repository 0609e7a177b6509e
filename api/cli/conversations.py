"""`kefu eval conversations`: scripted conversations through the real graph, checked."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text as Line

from api.cli.console import AsJson, DataDir, output, print_json, printable, settings_for

if TYPE_CHECKING:
    from rich.console import Console

    from engine.regressions.replay import Played, Report
    from engine.regressions.script import ReadScript
    from engine.settings import Settings

MAX_SAID_CHARS = 60


def conversations(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…",
            help="Scripts (.yaml), or folders of them; default: those saved from the console.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="With the sample knowledge, not the data folder's.")
    ] = False,
    models: Annotated[
        bool, typer.Option("--models", help="Ask the configured models; else knowledge answers.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Replay scripted conversations and check what they expect; exit code 1 where one fails.

    Nothing of the data folder changes, no message reaches a customer, and a service may run on the
    same folder meanwhile. The format is described in docs/reviews.md.
    """
    from engine.logs import configure_logging
    from engine.regressions.files import regressions_folder
    from engine.regressions.script import read_scripts, script_files

    settings = settings_for(data_dir)
    configure_logging("ERROR", settings.log_json, secrets=settings.secret_values())
    files = script_files(paths or [regressions_folder(settings)])
    scripts = [script for file in files for script in read_scripts(file)]
    report = asyncio.run(_replay(settings, scripts, samples=samples, models=models, quiet=as_json))
    if as_json:
        print_json(report.as_json())
    else:
        _sum_up(report)
    if report.failed:
        raise typer.Exit(1)


async def _replay(
    settings: "Settings",
    scripts: "Sequence[ReadScript]",
    *,
    samples: bool,
    models: bool,
    quiet: bool,
) -> "Report":
    from engine.regressions.stage import replaying_alone

    console = output()

    def told(played: "Played") -> None:
        if not quiet:
            _show(console, played)

    async with replaying_alone(settings, samples=samples, models=models) as replayer:
        return await replayer.play_all(scripts, told)


def _show(console: "Console", played: "Played") -> None:
    mark = ("通过  ", "green") if played.passed else ("失败  ", "red")
    where = f"{printable(played.file)}:{played.line}"
    console.print(Line.assemble(mark, f"{played.name}  ", (where, "dim")))
    if played.error:
        console.print(Line.assemble("      ", (played.error, "red")))
    for turn in played.turns:
        for failure in turn.failures:
            said = " ".join(turn.said.split())[:MAX_SAID_CHARS]
            console.print(Line.assemble("      ", (f"第 {turn.line} 行「{said}」：", "cyan")))
            console.print(Line.assemble("        ", failure.sentence))


def _sum_up(report: "Report") -> None:
    turns = sum(len(one.turns) for one in report.played)
    typer.echo(
        f"{len(report.played)} 段对话，{turns} 轮：{len(report.played) - report.failed} 段通过，"
        f"{report.failed} 段失败，用时 {report.seconds:.1f} 秒"
    )
