"""Fits ``confidence.json``: ``python -m knowledge.calibrate`` (development only: scikit-learn).

Learns from the sample knowledge and the labelled queries of the tests, split by the entry that
answers (a query and its paraphrases are on one side), and prints held-out figures before it fits
on everything. To hold on knowledge bases unlike the samples, each query is also seen in poorer
ones: with its own entry hidden (an honest near miss) and with aliases taken away; and in one base
with the other shops' entries.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from domain.decisions import Evidence, Retrieval
from domain.text import letters
from knowledge.documents import Entry, load_paths
from knowledge.embedding import Embedder, HashedNgramEmbedder
from knowledge.evaluation import Judged, figures
from knowledge.index import Contents, KnowledgeIndex, Version, wordings_of
from knowledge.keywords import Floats, wording_key
from knowledge.retrieval import Ask, Snapshot, candidate_features
from knowledge.scoring import (
    GATE_FEATURES,
    PARAMETERS,
    RANK_FEATURES,
    ConfidenceModel,
    Logistic,
    gate_row,
)

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "knowledge" / "samples"
QUERIES = ROOT / "tests" / "knowledge" / "data"
FOLDS = 5
HIDDEN_WEIGHT = 0.3
"""A query whose entry is hidden may still be answered by a neighbour: it counts less."""


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    gold: str | None
    fold: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One query against one knowledge base. ``gold`` is a position in ``features``, or -1."""

    query: Query
    features: Floats
    ids: tuple[str, ...]
    gold: int


@dataclass(frozen=True, slots=True)
class Shop:
    """One knowledge base and the queries of its customers."""

    name: str
    entries: tuple[Entry, ...]
    queries: tuple[Query, ...]


def read_shops(samples_folder: Path = SAMPLES, queries_folder: Path = QUERIES) -> list[Shop]:
    """Labelled queries name the heading of an entry in the document of the same name."""
    shops: list[Shop] = []
    for path in sorted(queries_folder.glob("*.jsonl")):
        entries = load_paths([samples_folder / f"{path.stem}.md"]).entries
        ids = {entry.question: entry.id for entry in entries}
        rows = map(json.loads, path.read_text("utf-8").splitlines())
        queries = tuple(
            _query(row["query"], None if row["gold"] is None else ids[row["gold"]]) for row in rows
        )
        shops.append(Shop(path.stem, entries, queries))
    return shops


def _query(text: str, gold: str | None) -> Query:
    return Query(text, gold, crc32((gold or text).encode()) % FOLDS)


def snapshot_of(entries: Sequence[Entry], embedder: Embedder) -> Snapshot:
    wordings = tuple(wording for entry in entries for wording in wordings_of(entry))
    vectors = embedder.embed([wording.text for wording in wordings])
    return Snapshot(Contents(Version(1, 0), tuple(entries), wordings, vectors))


def samples(
    queries: Sequence[Query], entries: Sequence[Entry], embedder: Embedder, index: KnowledgeIndex
) -> Iterator[Sample]:
    """Queries that an exact wording answers never reach the models, and are left out."""
    snapshot = snapshot_of(entries, embedder)
    vectors = embedder.embed([query.text for query in queries])
    for number, query in enumerate(queries):
        if wording_key(query.text) in snapshot.rows_of_key:
            continue
        ask = Ask(query.text, (), None, 3)
        cosines, answers = snapshot.cosines(vectors[number : number + 1], [ask], index)
        texts = [(query.text, 1.0)]
        rows, features = candidate_features(snapshot, ask, texts, cosines[0], answers[0])
        if rows.size:
            ids = tuple(snapshot.entries[row].id for row in rows)
            gold = ids.index(query.gold) if query.gold in ids else -1
            yield Sample(query, features, ids, gold)


def poorer(
    queries: Sequence[Query], entries: Sequence[Entry]
) -> Iterator[tuple[list[Query], list[Entry]]]:
    """The same queries in knowledge bases that lack something."""
    bare = [replace(entry, aliases=entry.aliases[:1]) for entry in entries]
    yield list(queries), bare
    yield list(queries), [replace(entry, aliases=()) for entry in entries]
    for fold in range(2 * FOLDS):
        hidden = {e.id for e in entries if crc32(("hide" + e.id).encode()) % (2 * FOLDS) == fold}
        missing = [
            replace(query, gold=None, weight=HIDDEN_WEIGHT)
            for query in queries
            if query.gold in hidden
        ]
        yield missing, [entry for entry in entries if entry.id not in hidden]


def fit(train: Sequence[Sample]) -> ConfidenceModel:
    rank = _fit_rank(train)
    rows, right, weights = [], [], []
    for sample in train:
        logits = rank.logits(sample.features)
        order = np.argsort(-logits, kind="stable")
        best = sample.features[order[0]]
        rows.append(gate_row(best, logits[order], len(letters(sample.query.text))))
        right.append(order[0] == sample.gold)
        weights.append(sample.query.weight)
    gate = _logistic(GATE_FEATURES, np.array(rows), np.array(right), np.array(weights))
    return ConfidenceModel(rank, gate)


def _fit_rank(train: Sequence[Sample]) -> Logistic:
    """Pairwise: the right entry against each other candidate of the same query."""
    pairs = [
        sample.features[sample.gold] - np.delete(sample.features, sample.gold, axis=0)
        for sample in train
        if sample.gold >= 0 and len(sample.ids) > 1
    ]
    rows = np.concatenate(pairs)
    weights = np.concatenate([np.full(len(pair), 1.0 / len(pair)) for pair in pairs])
    scale = rows.std(axis=0) + 1e-9
    both = np.concatenate((rows, -rows)) / scale
    right = np.arange(len(both)) < len(rows)
    model = LogisticRegression(C=10.0, fit_intercept=False, max_iter=2_000)
    model.fit(both, right, sample_weight=np.concatenate((weights, weights)))
    weights = model.coef_[0] / scale
    # Too few queries name a code to learn that another code never speaks for an entry.
    contradicts = RANK_FEATURES.index("token_contradicts")
    weights[contradicts] = min(weights[contradicts], 0.0)
    return Logistic(RANK_FEATURES, weights, 0.0)


def _logistic(
    names: tuple[str, ...], rows: Floats, right: NDArray[np.bool_], weights: Floats
) -> Logistic:
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression(C=0.3, max_iter=2_000)
    model.fit(scaler.transform(rows), right, sample_weight=weights)
    scaled = model.coef_[0] / scaler.scale_
    return Logistic(names, scaled, float(model.intercept_[0] - scaled @ scaler.mean_))


def judge(sample: Sample, model: ConfidenceModel) -> Judged:
    order, _, confidence = model.decide(sample.features, len(letters(sample.query.text)))
    evidence = tuple(Evidence(sample.ids[number], "", "", "") for number in order)
    return Judged(sample.query.gold, Retrieval(sample.query.text, confidence, evidence))


def report(title: str, judged: Sequence[Judged]) -> None:
    found = figures(judged)
    sys.stdout.write(
        f"{title}: n {found.queries}, recall@1 {found.recall_at_1:.3f}, recall@3"
        f" {found.recall_at_3:.3f}, AUROC {found.auroc:.3f}, at 0.75: precision"
        f" {found.precision:.3f} for {found.coverage:.2f} of queries,"
        f" calibration error {found.calibration_error:.3f}\n"
    )


def main() -> None:
    embedder = HashedNgramEmbedder()
    index = KnowledgeIndex(SAMPLES, embedder, read_only=True)  # never opened: mirrors only
    shops = read_shops()
    full: dict[str, list[Sample]] = {}
    train: list[Sample] = []
    for shop in shops:
        full[shop.name] = list(samples(shop.queries, shop.entries, embedder, index))
        train += full[shop.name]
        for some, base in poorer(shop.queries, shop.entries):
            train += samples(some, base, embedder, index)
    merged = tuple(entry for shop in shops for entry in shop.entries)
    asked = [query for shop in shops for query in shop.queries]
    together = list(samples(asked, merged, embedder, index))
    train += together
    models = [fit([s for s in train if s.query.fold != fold]) for fold in range(FOLDS)]
    held_out = {
        name: [judge(sample, models[sample.query.fold]) for sample in part]
        for name, part in full.items()
    }
    report("held out", [item for part in held_out.values() for item in part])
    for name, part in held_out.items():
        report(f"  {name}", part)
    report("held out, all in one base", [judge(s, models[s.query.fold]) for s in together])
    model = fit(train)
    data = {"rank": model.rank.as_dict(), "gate": model.gate.as_dict()}
    path = Path(__file__).with_name(PARAMETERS)
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
