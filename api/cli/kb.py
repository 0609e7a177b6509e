"""`kefu kb`: import, search, list and export knowledge.

Importing writes rows; a running service follows them. Where none runs, the command brings the
index up to date itself.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import adapt, learning, versions
from api.cli.console import AsJson, DataDir, output, print_json, printable, settings_for
from api.cli.knowledge import editor, follow, opened, progress_bar, reporter, run, say_lag
from domain.errors import KnowledgeError

if TYPE_CHECKING:
    from rich.progress import Progress

    from domain.decisions import Route
    from engine.bootstrap import Knowledge
    from engine.settings import Settings
    from knowledge.answers import Explanation
    from knowledge.base import Document, StoredEntry
    from knowledge.documents import LoadReport
    from knowledge.jobs import ImportSummary

kb = typer.Typer(
    help="Knowledge: import, search, versions, unknown questions.", no_args_is_help=True
)
kb.command()(adapt.adapt)
kb.command("versions")(versions.versions)
kb.command()(versions.undo)
kb.command()(versions.rollback)
kb.command()(learning.unknown)
kb.command()(learning.answer)
kb.command()(learning.suggestions)
kb.command()(learning.accept)
kb.command()(learning.reject)
kb.command()(learning.withdraw)

PAGE = 1_000
SHOWN_FAILURES = 50
SHOWN_SIGNALS = 8
ROUTES: dict[str, str] = {"answer": "直接回答", "clarify": "先反问", "handoff": "转人工"}

Category = Annotated[str | None, typer.Option(help="Only this category.")]


@dataclass(frozen=True, slots=True)
class _Wanted:
    refresh: bool
    rebuild: bool
    category: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Done:
    """``summary`` None: nothing could be read. ``lag``: what the index still lacks."""

    report: "LoadReport"
    summary: "ImportSummary | None" = None
    gone: frozenset[str] = frozenset()
    lag: int = 0


@kb.command("import")
def import_(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files or folders: Markdown, text, Word, Excel, PDF, CSV, JSONL, HTML, pictures.",
            show_default=False,
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of all entries; default: as the files say.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Tag for all entries; may be repeated.")
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Remove entries that left these files, and files that left a folder."
        ),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="The base holds exactly these files; the index is new."),
    ] = False,
    samples: Annotated[bool, typer.Option("--samples", help="Import the sample bases.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import files into the knowledge base; exit code 1 if something could not be used."""
    if not paths and not samples:
        raise typer.BadParameter("name a file or folder, or use --samples", param_hint="PATH")
    settings = settings_for(data_dir)
    wanted = _Wanted(refresh, rebuild, category, tuple(tag or ()))
    with _sources(paths or [], samples=samples) as sources, progress_bar(hidden=as_json) as bar:
        done = asyncio.run(_import(settings, sources, wanted, bar))
    _show_import(done, as_json=as_json)
    if done.report.failures:
        raise typer.Exit(1)


@kb.command()
def search(
    query: Annotated[str, typer.Argument(help="A customer's question.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=50, help="Number of entries.")] = None,
    category: Category = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what the scores and the confidence are made of.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What the knowledge base says to a question, and how sure it is."""
    settings = settings_for(data_dir)
    found = run(settings, lambda k: _search(k, query, category, top_k))
    route = _route(settings, found.retrieval.confidence)
    if as_json:
        shown = found.as_dict() if explain else asdict(found.retrieval)
        print_json({**shown, "decision": route})
    else:
        _show_search(found, route, explain=explain)


@kb.command("list")
def list_(
    category: Category = None,
    document: Annotated[str | None, typer.Option(help="Only entries of this document.")] = None,
    text: Annotated[str | None, typer.Option(help="Only entries that contain this.")] = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="The documents instead of the entries.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most entries shown.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Entries skipped.")] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The entries of the knowledge base, by document."""
    settings = settings_for(data_dir)
    if documents:
        _show_documents(run(settings, lambda k: k.base.documents()), as_json=as_json)
        return
    total, page = run(
        settings,
        lambda k: k.base.entries(
            category=category, document=document, text=text, limit=limit, offset=offset
        ),
    )
    if as_json:
        items = [asdict(entry) for entry in page]
        print_json({"total": total, "limit": limit, "offset": offset, "items": items})
        return
    for entry in page:
        typer.echo(f"{entry.id}  {entry.category}  {entry.question}  ({entry.source})")
    typer.echo(f"共 {total} 条,显示 {len(page)} 条(从第 {offset + 1} 条起)")


@kb.command()
def export(
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; default: standard output.")
    ] = None,
    category: Category = None,
    data_dir: DataDir = None,
) -> None:
    """All entries as JSON lines, which `kefu kb import` reads back."""
    entries = run(settings_for(data_dir), lambda k: _all_entries(k, category))
    text = "".join(_line(entry) for entry in entries)
    if to is None:
        typer.echo(text, nl=False)
        return
    try:
        to.write_text(text, "utf-8")
    except OSError as error:
        raise KnowledgeError(str(to), f"无法写入:{error.strerror}") from error
    output(errors=True).print(f"已导出 {len(entries)} 条到 {to}")


@kb.command()
def rebuild(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make the index anew from the knowledge base, vectors included."""
    settings = settings_for(data_dir)
    with progress_bar(hidden=as_json) as bar:
        entries, revision = run(settings, lambda k: _rebuild(settings, k, bar))
    if as_json:
        print_json({"entries": entries, "revision": revision})
    else:
        typer.echo(f"索引已重建:{entries} 条知识,修订 {revision}")


# Import


@contextlib.contextmanager
def _sources(paths: Sequence[Path], *, samples: bool) -> Iterator[list[Path]]:
    from engine.bootstrap import SAMPLES

    with contextlib.ExitStack() as stack:
        shipped = [stack.enter_context(resources.as_file(SAMPLES))] if samples else []
        yield [*paths, *shipped]


async def _import(
    settings: "Settings", paths: Sequence[Path], wanted: _Wanted, bar: "Progress"
) -> _Done:
    from knowledge.documents import load_paths
    from knowledge.origins import gone_documents, note_of

    report = await asyncio.to_thread(
        load_paths, paths, wanted.category, tags=wanted.tags, progress=reporter(bar, "读取文件")
    )
    if not report.entries:  # a rebuild would leave an empty base
        return _Done(report)
    async with opened(settings, create=True) as knowledge:
        gone: frozenset[str] = frozenset()
        if wanted.refresh:
            gone = await gone_documents(knowledge.base.database, paths, report)
        summary = await knowledge.base.import_entries(
            report.entries,
            refresh=report.documents | gone if wanted.refresh else (),
            rebuild=wanted.rebuild,
            by=editor(),
            note=note_of(paths),
            progress=reporter(bar, "写入知识"),
        )
        lag = await follow(knowledge, bar)
        if wanted.rebuild and knowledge.follower.is_writer:
            await _renew_index(knowledge, bar)
        return _Done(report, summary, gone, lag)


def _show_import(done: _Done, *, as_json: bool) -> None:
    report, summary = done.report, done.summary
    if as_json:
        failures = [{"source": printable(f.source), "reason": f.reason} for f in report.failures]
        print_json(
            {
                "documents": sorted(map(printable, report.documents)),
                "gone": sorted(map(printable, done.gone)),
                "summary": asdict(summary) if summary else None,
                "failures": failures,
                "lag": done.lag,
            }
        )
        return
    if summary is None:
        typer.echo("没有可导入的内容,知识库未改动。")
    else:
        made = f";版本 {summary.version}" if summary.version else ";没有变化"
        typer.echo(
            f"{len(report.documents)} 个文件,{len(report.entries)} 条问答:新增 {summary.added},"
            f"更新 {summary.updated},未变 {summary.unchanged},移除 {summary.removed}{made}"
        )
        say_lag(done.lag)
    _show_failures(report.failures)


def _show_failures(failures: Sequence[KnowledgeError]) -> None:
    for failure in failures[:SHOWN_FAILURES]:
        typer.echo(f"未导入 {printable(failure.source)}:{failure.reason}", err=True)
    hidden = len(failures) - SHOWN_FAILURES
    if hidden > 0:
        typer.echo(f"……另有 {hidden} 处未导入,完整列表见 --json", err=True)


async def _rebuild(
    settings: "Settings", knowledge: "Knowledge", bar: "Progress"
) -> tuple[int, int]:
    await asyncio.to_thread(knowledge.follower.sync, reporter(bar, "更新索引"))
    if not knowledge.follower.is_writer:
        raise KnowledgeError(
            str(settings.data_dir),
            f"索引由正在运行的进程维护(通常是 {settings.address()} 的服务);先停止它再重建",
        )
    await _renew_index(knowledge, bar)
    return knowledge.follower.corpus.size, knowledge.follower.revision


async def _renew_index(knowledge: "Knowledge", bar: "Progress") -> None:
    """Beside the old one, which serves until the new one is whole."""
    await asyncio.to_thread(knowledge.follower.rebuild, reporter(bar, "重建索引"))
    await asyncio.to_thread(knowledge.follower.drain)


# Reading


async def _search(
    knowledge: "Knowledge", query: str, category: str | None, top_k: int | None
) -> "Explanation":
    return await knowledge.retriever.explain(query, category=category, top_k=top_k)


def _route(settings: "Settings", confidence: float) -> "Route":
    if confidence >= settings.answer_threshold:
        return "answer"
    return "clarify" if confidence >= settings.clarify_threshold else "handoff"


def _show_search(found: "Explanation", route: "Route", *, explain: bool) -> None:
    retrieval = found.retrieval
    exact = ",原句命中" if retrieval.exact else ""
    typer.echo(f"置信度 {retrieval.confidence:.3f}:{ROUTES[route]}{exact}")
    if explain and found.query:
        typer.echo(f"问句:{_signals(found.query)}")
    for number, item in enumerate(retrieval.evidence, start=1):
        where = f"{item.source} {item.position}".rstrip()
        typer.echo(f"\n[{number}] {item.question}  (得分 {item.score:.3f},{where})")
        typer.echo(item.answer)
        if explain and number <= len(found.signals):
            typer.echo(f"    {_signals(found.signals[number - 1])}")


def _signals(signals: dict[str, float]) -> str:
    """The strongest; all are in --json."""
    shown = sorted(signals.items(), key=lambda pair: -abs(pair[1]))[:SHOWN_SIGNALS]
    return "  ".join(f"{name}={value:.3f}" for name, value in shown)


def _show_documents(found: "list[Document]", *, as_json: bool) -> None:
    if as_json:
        print_json({"total": len(found), "items": [asdict(document) for document in found]})
        return
    for document in found:
        categories = "、".join(document.categories)
        typer.echo(f"{document.name}  {document.entries} 条  {categories}  {document.changed_at}")
    typer.echo(f"共 {len(found)} 个文件")


async def _all_entries(knowledge: "Knowledge", category: str | None) -> "list[StoredEntry]":
    found: list[StoredEntry] = []
    while True:
        total, page = await knowledge.base.entries(category=category, limit=PAGE, offset=len(found))
        found += page
        if not page or len(found) >= total:
            return found


def _line(entry: "StoredEntry") -> str:
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
