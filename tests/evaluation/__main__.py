"""``make eval``: the house set and every set of $KEFU_EVAL_DATA, into ``docs/retrieval.md``.

A set is a folder with ``dev/faq.jsonl`` and ``dev/queries.jsonl``, and where there are pairs to
adapt with, ``train/pairs.jsonl``. Without pairs of its own a set is asked of the models that were
adapted to the others, to see that they have forgotten nothing. With KEFU_EMBEDDING_URL configured
each set is measured with those embeddings, too.

``--floors`` prints what ``tests/knowledge/test_quality.py`` holds, and writes nothing.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from api.cli.readme import fill
from engine.knowledge import build_embedder
from engine.settings import load_settings
from knowledge.adapt import Adapted, ModelShelf, adapt, read_pairs
from knowledge.documents import Progress
from knowledge.embedding import Embedder
from knowledge.evaluation_files import EvaluationSet, read_set
from knowledge.model import RankingModel
from knowledge.trial import ask_warm, try_model
from tests.evaluation.house import ROOT, house_sets
from tests.evaluation.noise import floors
from tests.evaluation.tables import Row, evaluation_markdown

PAGE = ROOT / "docs" / "retrieval.md"
PART = "evaluation"
VARIABLE = "KEFU_EVAL_DATA"


@dataclass(frozen=True, slots=True)
class Folder:
    """A set of the outside; ``pairs`` None where there are none."""

    evaluation: EvaluationSet
    pairs: Path | None


@dataclass(slots=True)
class Evaluation:
    """``models``: by the set that it was adapted to."""

    embedding: tuple[str, Embedder] | None = None
    rows: list[Row] = field(default_factory=list)
    models: dict[str, RankingModel] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)

    def try_on(self, item: EvaluationSet, how: str, model: RankingModel) -> None:
        self._try(item, how, model, None)
        if self.embedding is not None:
            name, embedder = self.embedding
            self._try(item, f"{how}, {name}", model, embedder)

    def _try(
        self, item: EvaluationSet, how: str, model: RankingModel, embedder: Embedder | None
    ) -> None:
        with progress(f"{item.name}, {how}") as report:
            trial = try_model(
                model, item.entries, item.questions, embedder=embedder, progress=report
            )
        self.rows.append(Row(item.name, how, trial))


def evaluate(
    folders: Sequence[Folder], done: Evaluation, *, house: Sequence[EvaluationSet]
) -> None:
    shipped = RankingModel.load()
    for item in house:
        done.try_on(item, "cold", shipped)
    for folder in folders:
        done.try_on(folder.evaluation, "cold", shipped)
    for folder in folders:
        if folder.pairs is not None:
            model = _adapted(folder.evaluation.name, folder.pairs, done)
            done.models[folder.evaluation.name] = model
            done.try_on(folder.evaluation, "adapted", model)
    for folder in folders:
        if folder.pairs is None:
            for name, model in done.models.items():
                done.try_on(folder.evaluation, f"adapted to {name}", model)


def _adapted(name: str, pairs: Path, done: Evaluation) -> RankingModel:
    """As ``kefu kb adapt`` does it, in a data folder of its own."""
    with tempfile.TemporaryDirectory(prefix="kefu-eval-") as data_dir:
        shelf = ModelShelf(Path(data_dir))
        with progress(f"{name}, adapting") as report:
            result = adapt(read_pairs([pairs]), shelf, progress=report)
        done.decisions.append(_told(name, result))
        return shelf.current()


def _told(name: str, result: Adapted) -> str:
    before, after = result.before, result.after
    return (
        f"`{name}`: {result.pairs} pairs, {result.seconds:.0f} s; on held-out meanings MRR@10 "
        f"{before.mrr_at_10:.3f} → {after.mrr_at_10:.3f}, AUROC {before.auroc:.3f} → "
        f"{after.auroc:.3f}; {'came into use' if result.version else 'the shipped model stayed'}"
    )


def folders_of(environment: Mapping[str, str]) -> list[Folder]:
    named = environment.get(VARIABLE)
    if not named:
        return []
    found = []
    for folder in sorted(Path(named).iterdir()):
        faq, queries = folder / "dev" / "faq.jsonl", folder / "dev" / "queries.jsonl"
        pairs = folder / "train" / "pairs.jsonl"
        if faq.is_file() and queries.is_file():
            evaluation = read_set(folder.name, faq, queries)
            found.append(Folder(evaluation, pairs if pairs.is_file() else None))
    return found


def note(done: Evaluation) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    told = f"Measured on {day}, {machine}, one search at a time, warm; thresholds 0.75 and 0.55."
    if not done.decisions:
        return told
    return "\n".join([told, "", "Adaptation:", *(f"- {line}" for line in done.decisions)])


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """One line on a terminal, rewritten a few times a second."""
    began, said = time.monotonic(), 0.0
    shown = sys.stderr.isatty()

    def report(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if shown and now - said > 0.3:
            said = now
            left = (now - began) / max(done, 1) * (total - done)
            sys.stderr.write(f"\r\x1b[K{label}: {done} / {total}, {left:.0f} s left")

    yield report
    start = "\r\x1b[K" if shown else ""
    sys.stderr.write(f"{start}{label}: {time.monotonic() - began:.1f} s\n")


def _print_floors() -> None:
    model = RankingModel.load()
    judged = [j for item in house_sets() for j in ask_warm(model, item.entries, item.questions)]
    sys.stdout.write(json.dumps(floors(judged), indent=1) + "\n")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    parser = argparse.ArgumentParser(prog="make eval", description=__doc__)
    parser.add_argument("--floors", action="store_true", help="print the floors, write nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that gets the tables")
    chosen = parser.parse_args(arguments)
    if chosen.floors:
        _print_floors()
        return
    settings = load_settings()
    done = Evaluation()
    if settings.embedding_url:
        embedder = build_embedder(settings, RankingModel.load())
        done.embedding = settings.embedding_model, embedder
    text = chosen.page.read_text("utf-8")
    fill(text, {PART: ""})  # a page without its markers is found before the work, not after it
    evaluate(folders_of(environment), done, house=house_sets())
    tables = evaluation_markdown(done.rows, note(done))
    chosen.page.write_text(fill(text, {PART: tables}), "utf-8")
    sys.stdout.write(f"{tables}\n\n{chosen.page} rewritten\n")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
