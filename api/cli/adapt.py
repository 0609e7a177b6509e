"""`kefu kb adapt`: the search learns from pairs of wordings; every version is kept.

A running service changes over to the model that comes into use by itself, within seconds.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for
from api.cli.knowledge import run

if TYPE_CHECKING:
    from engine.bootstrap import Knowledge
    from engine.settings import Settings
    from knowledge.adapt import Adapted, ModelShelf
    from knowledge.base import StoredEntry
    from knowledge.training import Pair

PAGE = 1_000
LABELS = {
    "recall_at_1": "首条命中 recall@1",
    "mrr_at_10": "排名 MRR@10",
    "auroc": "库内库外区分 AUROC",
    "precision": "直接回答的准确率",
    "coverage": "直接回答占全部问题",
    "coverage_90": "准确率 90% 时可回答",
}
KEPT = "在没有学过的问题上,新模型没有明显更好,继续使用原来的模型"
TAKES_EFFECT = "正在运行的服务会在几秒内自动换用。"

Say = Callable[[str], None]
Report = Callable[[int, int], None]


def adapt(
    more: Annotated[
        list[Path] | None, typer.Argument(help="More files of pairs.", show_default=False)
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", help='Lines {"a","b","label": 0|1}; may be repeated.'),
    ] = None,
    with_entries: Annotated[
        bool, typer.Option("--with-entries", help="Also the base's accepted wordings.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Back to the version before.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="The versions that there are.")] = False,
    use: Annotated[int | None, typer.Option(min=0, help="Use this version; 0: as shipped.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Learn wordings and confidence from pairs, and use it if it is better on unseen questions.

    Exit code 0 also when the model in use stays.
    """
    from knowledge.adapt import ModelShelf

    files = [*(pairs or ()), *(more or ())]
    learning = bool(files) or with_entries
    if sum((learning, undo, list_, use is not None)) != 1:
        raise typer.BadParameter(
            "one of --pairs FILE (or --with-entries), --undo, --list, --use N", param_hint="--pairs"
        )
    settings = settings_for(data_dir)
    shelf = ModelShelf(settings.data_dir)
    if list_:
        _show_versions(shelf, as_json=as_json)
    elif learning:
        _learn(settings, shelf, files, with_entries=with_entries, as_json=as_json)
    else:
        _change(shelf, use, as_json=as_json)


def _learn(
    settings: "Settings",
    shelf: "ModelShelf",
    files: Sequence[Path],
    *,
    with_entries: bool,
    as_json: bool,
) -> None:
    from knowledge.adapt import adapt as learn
    from knowledge.adapt import pairs_of_entries, read_pairs
    from knowledge.lock import FolderLock

    found: list[Pair] = read_pairs(files)
    if with_entries:
        found += pairs_of_entries(run(settings, _entries))
    lock = FolderLock(settings.data_dir.expanduser() / "models")
    try:
        with _progress(hidden=as_json) as (report, say):
            result = learn(found, shelf, progress=report, say=say)
    finally:
        lock.release()
    if as_json:
        print_json(_as_json(result, shelf))
    else:
        _show(result)


async def _entries(knowledge: "Knowledge") -> "list[StoredEntry]":
    found: list[StoredEntry] = []
    while True:
        total, page = await knowledge.base.entries(limit=PAGE, offset=len(found))
        found += page
        if not page or len(found) >= total:
            return found


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[tuple[Report, Say]]:
    """A bar with the time left on a terminal; elsewhere a line a stage."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = output(errors=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("已用"),
        TimeElapsedColumn(),
        TextColumn("剩余"),
        TimeRemainingColumn(),
    )
    shown = not hidden and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("准备", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        def say(text: str) -> None:
            bar.update(task, description=text)
            if not shown and not hidden:
                console.print(text)

        yield report, say


def _as_json(result: "Adapted", shelf: "ModelShelf") -> dict[str, Any]:
    adopted = result.version is not None
    return {
        **asdict(result),
        "adopted": adopted,
        "reason": "" if adopted else KEPT,
        "in_use": shelf.version(),
    }


def _show(result: "Adapted") -> None:
    from rich.table import Table

    typer.echo(
        f"{result.pairs} 对说法,{result.meanings} 个有多种说法的问题,"
        f"用时 {result.seconds:.0f} 秒;以下在没有学过的问题上测得:"
    )
    before, after = asdict(result.before), asdict(result.after)
    table = Table("指标", "原来", "学习后", "变化")
    for key, name in LABELS.items():
        change = after[key] - before[key]
        table.add_row(name, f"{before[key]:.3f}", f"{after[key]:.3f}", f"{change:+.3f}")
    output().print(table)
    if result.version is None:
        typer.echo(f"{KEPT}。")
    else:
        typer.echo(f"新模型更好,已启用版本 {result.version};撤销:kefu kb adapt --undo")
        typer.echo(TAKES_EFFECT)


def _change(shelf: "ModelShelf", use: int | None, *, as_json: bool) -> None:
    """To version ``use``, or back to the one before."""
    version = shelf.undo() if use is None else use
    if use is not None:
        shelf.use(use)
    if as_json:
        print_json({"in_use": version})
        return
    typer.echo(f"现在使用{_named(version)}。{TAKES_EFFECT}")


def _show_versions(shelf: "ModelShelf", *, as_json: bool) -> None:
    current, known = shelf.version(), shelf.versions()
    if as_json:
        print_json({"in_use": current, "versions": known})
        return
    _show_version(0, current, "")
    for item in known:
        before, after = item["before"], item["after"]
        told = f"{item['created_at']}  {item['pairs']} 对说法  MRR@10 " + (
            f"{before['mrr_at_10']:.3f} → {after['mrr_at_10']:.3f}  "
            f"AUROC {before['auroc']:.3f} → {after['auroc']:.3f}"
        )
        _show_version(item["version"], current, told)


def _show_version(version: int, current: int, told: str) -> None:
    mark = "*" if version == current else " "
    typer.echo(f"{mark} {_named(version)}  {told}".rstrip())


def _named(version: int) -> str:
    return f"版本 {version}" if version else "出厂模型"
