"""`kefu kb`: import, search, list and export knowledge."""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, DataDir, output, print_json, printable, settings_for
from domain.errors import KnowledgeError

if TYPE_CHECKING:
    from rich.progress import Progress

    from domain.decisions import Retrieval, Route
    from engine.bootstrap import Knowledge
    from engine.settings import Settings
    from knowledge.documents import Entry, LoadReport
    from knowledge.documents import Progress as Report
    from knowledge.index import ImportSummary

kb = typer.Typer(help="Knowledge: import, search, list, export.", no_args_is_help=True)
SHOWN_FAILURES = 50
ROUTES: dict[str, str] = {"answer": "直接回答", "clarify": "先反问", "handoff": "转人工"}

Category = Annotated[str | None, typer.Option(help="Only this category.")]


@kb.command("import")
def import_(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files (.md .txt .csv .jsonl) or folders.", show_default=False),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of all entries; default: as the files say.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Remove entries that left these files.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="The index holds exactly these files afterwards.")
    ] = False,
    samples: Annotated[bool, typer.Option("--samples", help="Import the sample bases.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import files into the knowledge base; exit code 1 if something could not be used."""
    if not paths and not samples:
        raise typer.BadParameter("name a file or folder, or use --samples", param_hint="PATH")
    settings = settings_for(data_dir)
    with _sources(paths or [], samples=samples) as sources, _progress(hidden=as_json) as progress:
        report = _load(sources, category, progress)
        summary = _write(settings, report, progress, refresh=refresh, rebuild=rebuild)
    _show_import(report, summary, as_json=as_json)
    if report.failures:
        raise typer.Exit(1)


@kb.command()
def search(
    query: Annotated[str, typer.Argument(help="A customer's question.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=50, help="Number of entries.")] = None,
    category: Category = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What the knowledge base says to a question, and how sure it is."""
    settings = settings_for(data_dir)
    found = asyncio.run(_search(settings, query, top_k, category))
    route = _route(settings, found.confidence)
    if as_json:
        print_json({**asdict(found), "decision": route})
    else:
        _show_search(found, route)


@kb.command("list")
def list_(
    category: Category = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries shown.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Entries skipped.")] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The entries of the knowledge base, by source."""
    entries = _entries(settings_for(data_dir), category)
    page = entries[offset : offset + limit]
    if as_json:
        items = [asdict(entry) for entry in page]
        print_json({"total": len(entries), "limit": limit, "offset": offset, "items": items})
        return
    for entry in page:
        typer.echo(f"{entry.id}  {entry.category}  {entry.question}  ({entry.source})")
    typer.echo(f"共 {len(entries)} 条,显示 {len(page)} 条(从第 {offset + 1} 条起)")


@kb.command()
def export(
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; default: standard output.")
    ] = None,
    category: Category = None,
    data_dir: DataDir = None,
) -> None:
    """All entries as JSON lines, which `kefu kb import` reads back."""
    entries = _entries(settings_for(data_dir), category)
    text = "".join(_line(entry) for entry in entries)
    if to is None:
        typer.echo(text, nl=False)
        return
    try:
        to.write_text(text, "utf-8")
    except OSError as error:
        raise KnowledgeError(str(to), f"无法写入:{error.strerror}") from error
    output(errors=True).print(f"已导出 {len(entries)} 条到 {to}")


# Import


@contextlib.contextmanager
def _sources(paths: Sequence[Path], *, samples: bool) -> Iterator[list[Path]]:
    from engine.bootstrap import SAMPLES

    with contextlib.ExitStack() as stack:
        shipped = [stack.enter_context(resources.as_file(SAMPLES))] if samples else []
        yield [*paths, *shipped]


@contextlib.contextmanager
def _progress(*, hidden: bool) -> "Iterator[Progress]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console = output(errors=True)
    shown = not hidden and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        yield progress


def _reporter(progress: "Progress", label: str) -> "Report":
    task = progress.add_task(label, total=None)

    def report(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return report


def _load(paths: Sequence[Path], category: str | None, progress: "Progress") -> "LoadReport":
    from knowledge.documents import load_paths

    return load_paths(paths, category, progress=_reporter(progress, "读取文件"))


def _write(
    settings: "Settings",
    report: "LoadReport",
    progress: "Progress",
    *,
    refresh: bool,
    rebuild: bool,
) -> "ImportSummary | None":
    """None where nothing could be read: a rebuild would leave an empty index."""
    if not report.entries:
        return None
    with _opened(settings) as knowledge:
        return knowledge.index.import_entries(
            report.entries,
            refresh=report.documents if refresh else frozenset(),
            rebuild=rebuild,
            progress=_reporter(progress, "写入索引"),
        )


def _show_import(report: "LoadReport", summary: "ImportSummary | None", *, as_json: bool) -> None:
    counts = asdict(summary) if summary else {}
    if as_json:
        failures = [{"source": printable(f.source), "reason": f.reason} for f in report.failures]
        documents = sorted(map(printable, report.documents))
        print_json({"documents": documents, "summary": counts or None, "failures": failures})
        return
    if summary is None:
        typer.echo("没有可导入的内容,知识库未改动。")
    else:
        typer.echo(
            f"{len(report.documents)} 个文件,{len(report.entries)} 条问答:新增 {summary.added},"
            f"更新 {summary.updated},未变 {summary.unchanged},移除 {summary.removed}"
        )
    for failure in report.failures[:SHOWN_FAILURES]:
        typer.echo(f"未导入 {printable(failure.source)}:{failure.reason}", err=True)
    hidden = len(report.failures) - SHOWN_FAILURES
    if hidden > 0:
        typer.echo(f"……另有 {hidden} 处未导入,完整列表见 --json", err=True)


# Reading


async def _search(
    settings: "Settings", query: str, top_k: int | None, category: str | None
) -> "Retrieval":
    from engine.bootstrap import build_knowledge

    knowledge = build_knowledge(settings, read_only=True)
    try:
        return await knowledge.retriever.search(query, category=category, top_k=top_k)
    finally:
        await knowledge.aclose()


def _route(settings: "Settings", confidence: float) -> "Route":
    if confidence >= settings.answer_threshold:
        return "answer"
    return "clarify" if confidence >= settings.clarify_threshold else "handoff"


def _show_search(found: "Retrieval", route: "Route") -> None:
    exact = ",原句命中" if found.exact else ""
    typer.echo(f"置信度 {found.confidence:.3f}:{ROUTES[route]}{exact}")
    for number, item in enumerate(found.evidence, start=1):
        typer.echo(f"\n[{number}] {item.question}  (得分 {item.score:.3f},{item.source})")
        typer.echo(item.answer)


def _entries(settings: "Settings", category: str | None) -> "list[Entry]":
    with _opened(settings, read_only=True) as knowledge:
        entries = knowledge.index.list_entries(category)
    return sorted(entries, key=lambda entry: (entry.source, entry.question))


def _line(entry: "Entry") -> str:
    row: dict[str, Any] = {
        "id": entry.id,
        "question": entry.question,
        "answer": entry.answer,
        "aliases": entry.aliases,
        "category": entry.category,
        "tags": entry.tags,
        "source": entry.source,
    }
    # Readers that split lines as Unicode does must not split inside a value.
    return json.dumps(row, ensure_ascii=False).replace("\x85", "\\u0085") + "\n"


@contextlib.contextmanager
def _opened(settings: "Settings", *, read_only: bool = False) -> "Iterator[Knowledge]":
    """The knowledge of ``settings``. Reading works beside a running service, writing does not."""
    from engine.bootstrap import build_knowledge

    knowledge = build_knowledge(settings, read_only=read_only)
    try:
        yield knowledge
    except KnowledgeError as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise _taken(settings, error) from error
        raise
    finally:
        asyncio.run(knowledge.aclose())


def _taken(settings: "Settings", error: KnowledgeError) -> KnowledgeError:
    from knowledge.lock import LOCK_NAME

    pid = (Path(error.source) / LOCK_NAME).read_text("ascii", "replace").strip()
    return KnowledgeError(
        error.source,
        f"知识库正被进程 {pid} 使用,没有导入任何内容;请先停止该进程(通常是 {settings.address()}"
        " 的服务)再导入,或改用 Chroma 服务(KEFU_CHROMA_URL)",
    )
