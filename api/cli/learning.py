"""`kefu kb unknown`, `answer`, `suggestions`, `accept`, `reject`, `withdraw`: what nobody could
answer, and what people answered."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, DataDir, print_json, settings_for
from api.cli.knowledge import editor, follow, progress_bar, run, say_lag

if TYPE_CHECKING:
    from engine.bootstrap import Knowledge
    from knowledge.learning import Suggestion
    from knowledge.unknown import ClusterPage, ClusterView

MAX_SWEEPS = 100
CLUSTER_STATES = {"open": "待回答", "answered": "已回答", "dismissed": "不处理"}
SUGGESTION_STATES = {
    "pending": "待审核",
    "approved": "已入库",
    "rejected": "已拒绝",
    "dropped": "已丢弃",
    "undone": "已撤回",
}


class ClusterChoice(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    DISMISSED = "dismissed"


class SuggestionChoice(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DROPPED = "dropped"
    UNDONE = "undone"


Limit = Annotated[int, typer.Option(min=1, max=1_000, help="Most shown.")]
Offset = Annotated[int, typer.Option(min=0, help="Skipped.")]
SuggestionId = Annotated[int, typer.Argument(min=1, help="The suggestion's number.")]


def unknown(
    state: Annotated[ClusterChoice, typer.Option(help="Which clusters.")] = ClusterChoice.OPEN,
    limit: Limit = 50,
    offset: Offset = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Questions that nobody could answer, gathered by meaning, the most frequent first."""

    async def work(knowledge: "Knowledge") -> "ClusterPage":
        for _ in range(MAX_SWEEPS):
            if not (await knowledge.questions.sweep()).more:
                break
        return await knowledge.questions.clusters(state=state.value, limit=limit, offset=offset)

    page = run(settings_for(data_dir), work)
    if as_json:
        items = [asdict(cluster) for cluster in page.items]
        print_json({"total": page.total, "limit": limit, "offset": offset, "items": items})
        return
    for cluster in page.items:
        _show_cluster(cluster)
    typer.echo(f"共 {page.total} 组")


def answer(
    cluster: Annotated[int, typer.Argument(min=1, help="The cluster's number.")],
    text: Annotated[str, typer.Argument(help="The answer, as customers will read it.")],
    question: Annotated[
        str | None, typer.Option(help="How the entry asks; default: the most central wording.")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Let it wait for review instead of using it at once.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answer all questions of a cluster: the answer becomes knowledge."""
    _act(
        lambda k: k.learning.answer_cluster(
            cluster, text, by=editor(), question=question, accept=not review
        ),
        data_dir,
        as_json=as_json,
    )


def suggestions(
    state: Annotated[SuggestionChoice | None, typer.Option(help="Which; default: all.")] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only duplicates, contradictions and the like.")
    ] = False,
    limit: Limit = 50,
    offset: Offset = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answers that people gave and that may become knowledge, newest first."""
    page = run(
        settings_for(data_dir),
        lambda k: k.learning.suggestions(
            state=state.value if state else None, flagged=flagged, limit=limit, offset=offset
        ),
    )
    if as_json:
        items = [asdict(suggestion) for suggestion in page.items]
        print_json({"total": page.total, "limit": limit, "offset": offset, "items": items})
        return
    for suggestion in page.items:
        _show_suggestion(suggestion)
    typer.echo(f"共 {page.total} 条建议")


def accept(
    suggestion: SuggestionId,
    question: Annotated[str | None, typer.Option(help="Edited question.")] = None,
    answer: Annotated[str | None, typer.Option(help="Edited answer.")] = None,
    replaces: Annotated[
        str | None, typer.Option(help="Id of the entry whose answer this is to be.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a suggestion into the knowledge base."""
    _act(
        lambda k: k.learning.accept(
            suggestion, by=editor(), question=question, answer=answer, replaces=replaces
        ),
        data_dir,
        as_json=as_json,
    )


def reject(
    suggestion: SuggestionId,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a suggestion."""
    _act(
        lambda k: k.learning.reject(suggestion, by=editor(), reason=reason),
        data_dir,
        as_json=as_json,
    )


def withdraw(
    suggestion: SuggestionId,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take an accepted suggestion out of the knowledge base again."""
    _act(lambda k: k.learning.undo(suggestion, by=editor()), data_dir, as_json=as_json)


def _act(
    work: "Callable[[Knowledge], Coroutine[Any, Any, Suggestion]]",
    data_dir: DataDir,
    *,
    as_json: bool,
) -> None:
    with progress_bar(hidden=as_json) as bar:

        async def whole(knowledge: "Knowledge") -> "tuple[Suggestion, int]":
            return await work(knowledge), await follow(knowledge, bar)

        done, lag = run(settings_for(data_dir), whole)
    if as_json:
        print_json({**asdict(done), "lag": lag})
        return
    _show_suggestion(done)
    if done.version_id:
        typer.echo(f"知识 {done.entry_id},版本 {done.version_id}")
    say_lag(lag)


def _show_cluster(cluster: "ClusterView") -> None:
    state = CLUSTER_STATES[cluster.state]
    missed = f",回答后又被问 {cluster.missed} 次" if cluster.missed else ""
    typer.echo(
        f"{cluster.id}  {state}  {cluster.representative}"
        f"  ({cluster.count} 次,{cluster.customers} 位客户{missed},最近 {cluster.last_at})"
    )
    for wording in cluster.wordings:
        if wording != cluster.representative:
            typer.echo(f"      {wording}")


def _show_suggestion(suggestion: "Suggestion") -> None:
    state = SUGGESTION_STATES[suggestion.state]
    reason = f",{suggestion.reason}" if suggestion.reason else ""
    typer.echo(
        f"{suggestion.id}  {state}  {suggestion.question}"
        f"  (置信度 {suggestion.confidence:.2f},{suggestion.count} 次,"
        f"{suggestion.answered_by}{reason})"
    )
    typer.echo(f"      {suggestion.answer}")
    for flag in suggestion.flags:
        about = flag.entry_id or (f"建议 {flag.suggestion_id}" if flag.suggestion_id else "")
        typer.echo(f"      ! {flag.kind} {about} {flag.detail}".rstrip())
