"""`kefu kb versions`, `undo` and `rollback`: every change of the knowledge can be taken back."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, DataDir, print_json, settings_for
from api.cli.knowledge import editor, follow, progress_bar, run, say_lag

if TYPE_CHECKING:
    from engine.bootstrap import Knowledge
    from knowledge.jobs import ImportSummary
    from storage.knowledge_versions import VersionRow

PAGE = 200
KINDS = {
    "import": "导入",
    "rebuild": "重建",
    "edit": "编辑",
    "learned": "学习",
    "rollback": "撤销",
}


def versions(
    limit: Annotated[int, typer.Option(min=1, help="Most versions shown.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="Versions skipped.")] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The changes of the knowledge base, newest first."""
    found = run(settings_for(data_dir), lambda k: k.base.versions(limit, offset))
    if as_json:
        print_json([row._asdict() for row in found])
        return
    for row in found:
        counts = f"新增 {row.added} 更新 {row.updated} 移除 {row.removed}"
        kind = KINDS.get(row.kind, row.kind)
        typer.echo(f"{row.id}  {kind}  {row.created_at}  {counts}  {row.by}  {row.note}".rstrip())
    if not found:
        typer.echo("还没有任何版本")


def undo(
    version: Annotated[int, typer.Argument(min=1, help="The version to take back.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also give up what was changed since.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Restore what one version changed, as a new version.

    Of an accepted answer the suggestion is withdrawn, too, and its questions wait again.
    """

    async def work(knowledge: "Knowledge") -> "ImportSummary":
        if not force and await _withdrawn(knowledge, version):
            newest = (await knowledge.base.versions(limit=1))[0]
            return _summary_of(newest)
        return await knowledge.base.undo(version, by=editor(), force=force)

    _change(work, data_dir, as_json=as_json)


def rollback(
    version: Annotated[int, typer.Argument(min=0, help="The version to go back to; 0: empty.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Undo every version after this one, as one new version."""
    _change(lambda k: k.base.rollback(version, by=editor()), data_dir, as_json=as_json)


def _change(
    work: "Callable[[Knowledge], Coroutine[Any, Any, ImportSummary]]",
    data_dir: DataDir,
    *,
    as_json: bool,
) -> None:
    with progress_bar(hidden=as_json) as bar:

        async def whole(knowledge: "Knowledge") -> "tuple[ImportSummary, int]":
            return await work(knowledge), await follow(knowledge, bar)

        summary, lag = run(settings_for(data_dir), whole)
    if as_json:
        print_json({"summary": asdict(summary), "lag": lag})
        return
    if summary.version is None:
        typer.echo("知识库已经是那个样子,没有变化")
    else:
        typer.echo(
            f"版本 {summary.version}:新增 {summary.added},更新 {summary.updated},"
            f"移除 {summary.removed}"
        )
    say_lag(lag)


async def _withdrawn(knowledge: "Knowledge", version: int) -> bool:
    """Whether ``version`` was an accepted suggestion that has now been taken back."""
    if (await knowledge.base.version(version)).kind != "learned":
        return False
    suggestion = await _suggestion_of(knowledge, version)
    if suggestion is None:
        return False
    await knowledge.learning.undo(suggestion, by=editor())
    return True


async def _suggestion_of(knowledge: "Knowledge", version: int) -> int | None:
    seen = 0
    while True:
        page = await knowledge.learning.suggestions(state="approved", limit=PAGE, offset=seen)
        for suggestion in page.items:
            if suggestion.version_id == version:
                return suggestion.id
        seen += len(page.items)
        if not page.items or seen >= page.total:
            return None


def _summary_of(row: "VersionRow") -> "ImportSummary":
    from knowledge.jobs import ImportSummary

    return ImportSummary(row.id, row.added, row.updated, row.unchanged, row.removed)
