"""`kefu eval`: how good the knowledge's answers are, on questions whose right answer is known.

`kefu eval conversations` is in `api.cli.conversations`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.console import AsJson, DataDir, output, print_json, settings_for
from api.cli.conversations import conversations
from api.cli.knowledge import progress_bar, reporter
from domain.errors import InvalidInput, KnowledgeError

if TYPE_CHECKING:
    from engine.settings import Settings
    from knowledge.embedding import Embedder
    from knowledge.model import RankingModel
    from knowledge.trial import Trial

evaluate = typer.Typer(help="Measure answers against what is right.", no_args_is_help=True)

OFFLINE = "离线"
LABELS = {
    "recall@1": "首条命中 recall@1",
    "recall@3": "前三命中 recall@3",
    "mrr@10": "排名 MRR@10",
    "auroc": "库内库外区分 AUROC",
    "precision": "直接回答的准确率",
    "coverage": "直接回答占全部问题",
    "answered_in_scope": "直接回答占库内问题",
    "false_answer_rate": "误答率(库外却回答)",
    "wrong_handoff_rate": "误转率(首条正确却转人工)",
    "coverage@90": "准确率 90% 时可回答",
    "coverage@80": "准确率 80% 时可回答",
    "calibration_error": "校准误差",
    "p50_ms": "耗时 p50(毫秒)",
    "p99_ms": "耗时 p99(毫秒)",
}


@dataclass(frozen=True, slots=True)
class _Thresholds:
    answer: float
    clarify: float


evaluate.command()(conversations)


@evaluate.command()
def retrieval(
    faq: Annotated[Path, typer.Option(help='Lines {"id","question","answer"?,"alts"?}.')],
    queries: Annotated[Path, typer.Option(help='Lines {"query","gold_id"|null}.')],
    model: Annotated[
        Path | None, typer.Option(help="A model file; default: the one in use in the data folder.")
    ] = None,
    cold: Annotated[bool, typer.Option("--cold", help="The model as it is shipped.")] = False,
    answer_at: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Threshold; default: as set.")
    ] = None,
    clarify_at: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Threshold; default: as set.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Ask every query of a base of exactly these entries; nothing of the data folder changes.

    With KEFU_EMBEDDING_URL configured both are measured, offline and with those embeddings.
    """
    from knowledge.evaluation_files import read_set

    if model is not None and cold:
        raise typer.BadParameter("either --model or --cold", param_hint="--cold")
    settings = settings_for(data_dir)
    levels = _levels(settings, answer_at, clarify_at)
    read = read_set(faq.stem, faq, queries)
    label, chosen = _model(settings, model, cold=cold)
    trials: dict[str, Trial] = {}
    with ExitStack() as stack, progress_bar(hidden=as_json) as bar:
        from knowledge.trial import try_model

        for name, embedder in _embedders(settings, chosen, stack):
            trials[name] = try_model(
                chosen,
                read.entries,
                read.questions,
                embedder=embedder,
                answer_at=levels.answer,
                hand_over_below=levels.clarify,
                progress=reporter(bar, f"提问({name})"),
            )
    if as_json:
        print_json(_as_json(trials, label, levels))
    else:
        _show(trials, label, levels)


def _levels(settings: "Settings", answer: float | None, clarify: float | None) -> _Thresholds:
    answer_at = settings.answer_threshold if answer is None else answer
    if clarify is not None and clarify > answer_at:
        raise InvalidInput("--clarify-at", f"{clarify} 高于直接回答的阈值 {answer_at}")
    clarify_at = min(settings.clarify_threshold, answer_at) if clarify is None else clarify
    return _Thresholds(answer_at, clarify_at)


def _model(settings: "Settings", path: Path | None, *, cold: bool) -> "tuple[str, RankingModel]":
    """With what to call it."""
    from knowledge.adapt import ModelShelf
    from knowledge.model import RankingModel

    if path is not None:
        if not path.is_file():
            raise KnowledgeError(str(path), "没有这个模型文件")
        return path.name, RankingModel.load(path)
    shelf = ModelShelf(settings.data_dir)
    version = 0 if cold else shelf.version()
    if not version:
        return "出厂模型", RankingModel.load(None)
    return f"学习版本 {version}", shelf.current()


def _embedders(
    settings: "Settings", model: "RankingModel", stack: ExitStack
) -> "Iterator[tuple[str, Embedder | None]]":
    from engine.knowledge import build_embedder

    yield OFFLINE, None
    if settings.embedding_url:
        embedder = build_embedder(settings, model)
        close = getattr(embedder, "close", None)
        if close is not None:
            stack.callback(close)
        yield settings.embedding_model, embedder


def _as_json(trials: "dict[str, Trial]", label: str, levels: _Thresholds) -> dict[str, Any]:
    """The offline figures, and those of a configured embedding beside them."""
    from knowledge.trial import figures_json

    found = {name: figures_json(trial) for name, trial in trials.items()}
    offline = found.pop(OFFLINE)
    others = [{"name": name, **figures} for name, figures in found.items()]
    return {
        "model": label,
        "answer_at": levels.answer,
        "clarify_at": levels.clarify,
        **offline,
        "embedding": others[0] if others else None,
    }


def _show(trials: "dict[str, Trial]", label: str, levels: _Thresholds) -> None:
    from rich.table import Table

    from knowledge.trial import figures_json

    found = {name: figures_json(trial) for name, trial in trials.items()}
    offline = found[OFFLINE]
    typer.echo(
        f"{offline['entries']} 条知识,{offline['questions']} 个问题"
        f"(其中库内 {offline['in_scope']} 个);{label};"
        f"≥ {levels.answer:g} 直接回答,≥ {levels.clarify:g} 反问,以下转人工"
    )
    table = Table("指标", *found)
    for key, name in LABELS.items():
        table.add_row(name, *(_shown(key, figures[key]) for figures in found.values()))
    console = output()
    console.print(table)
    for name, figures in found.items():
        console.print(_reliability(name, figures["bins"]))


def _reliability(name: str, bins: list[dict[str, float]]) -> Any:
    from rich.table import Table

    table = Table("置信度", "问题数", "平均置信度", "实际正确", title=f"可靠性({name})")
    for part in bins:
        span = f"{part['from']:.1f} – {part['from'] + 0.1:.1f}"
        shown = f"{part['confidence']:.3f}", f"{part['right']:.3f}"
        table.add_row(span, str(part["questions"]), *shown)
    return table


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.2f}" if key.endswith("_ms") else f"{value:.3f}"
