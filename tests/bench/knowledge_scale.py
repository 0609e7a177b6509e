"""The whole search at size: ``python -m tests.bench.knowledge_scale --entries N …``.

Entries are made from templates and a large vocabulary whose words are drawn by Zipf's law, one
question and one short answer each; the queries ask the same in other words. With ``--keep FOLDER``
the index stays there, and serves the next time. Figures go to the terminal as Markdown.
"""

import argparse
import asyncio
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from knowledge.answers import Ask
from knowledge.documents import Entry
from knowledge.embedding import Embedder
from knowledge.features import POOL, make_query
from knowledge.feed import Change
from knowledge.follower import IndexFollower
from knowledge.model import RankingModel
from knowledge.retrieval import Retriever, Sight
from knowledge.segments import corpus as corpus_module
from knowledge.segments.corpus import Corpus

CONCURRENCIES = (1, 4, 16)
SEARCHES, ROUNDS = 1_500, 3
WARM_UP = 200
VOCABULARY = 40_000
RECALL_QUERIES = 100
QUESTIONS = (
    "{a}{b}怎么{c}",
    "{a}的{b}要多少钱",
    "请问{a}能不能{c}{b}",
    "{a}{b}什么时候可以{c}",
    "为什么{a}不能{c}",
    "{c}{a}需要哪些{b}",
    "{a}和{b}有什么区别",
    "{a}{c}失败了怎么办，{b}还在吗",
)
ANSWERS = (
    "{a}支持{c}，请在{d}里选择{b}，{e}个工作日内完成。",
    "您好，{b}的{c}需要先确认{d}，{a}会在{e}后联系您。",
    "可以的，{a}与{b}都按{d}处理，{c}时请保留{e}。",
)


class Invented:
    """A source of ``size`` entries, the same ones each time."""

    def __init__(self, size: int) -> None:
        self._size = size
        draw = random.Random(11)
        characters = [chr(0x4E00 + number) for number in range(3_000)]
        share = 1.0 / np.arange(1, len(characters) + 1) ** 0.8
        self._words = [
            "".join(draw.choices(characters, share.tolist(), k=draw.choice((2, 2, 2, 3, 4))))
            for _ in range(VOCABULARY)
        ]
        self._cumulated = np.cumsum(1.0 / np.arange(1, VOCABULARY + 1))

    def queries(self, count: int) -> list[str]:
        """Asked with the words of an entry each, in another template."""
        numbers = range(min(self._size, count))
        chosen = self._chosen(numbers)
        return [
            QUESTIONS[(number + 3) % len(QUESTIONS)].format(a=words[0], b=words[1], c=words[2])
            for number, words in zip(numbers, chosen, strict=True)
        ]

    def newest_revision(self) -> int:
        return self._size

    def count(self) -> int:
        return self._size

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        numbers = range(revision, min(self._size, revision + limit))
        entries = self._entries(numbers)
        return [
            Change(number + 1, entry.id, entry)
            for number, entry in zip(numbers, entries, strict=True)
        ]

    def entries_after(self, entry_id: str, limit: int) -> list[Entry]:
        start = int(entry_id.removeprefix("k_")) + 1 if entry_id else 0
        return self._entries(range(start, min(self._size, start + limit)))

    def _entries(self, numbers: range) -> list[Entry]:
        return [
            self._entry(number, words)
            for number, words in zip(numbers, self._chosen(numbers), strict=True)
        ]

    def _chosen(self, numbers: range) -> list[list[str]]:
        draw = np.random.default_rng(numbers.start + 1)
        points = draw.random((len(numbers), 8)) * self._cumulated[-1]
        words = np.searchsorted(self._cumulated, points).tolist()
        return [[self._words[i] for i in chosen] for chosen in words]

    def _entry(self, number: int, words: Sequence[str]) -> Entry:
        question = QUESTIONS[number % len(QUESTIONS)].format(a=words[0], b=words[1], c=words[2])
        slots = dict(zip("abcde", words[3:], strict=True))
        answer = ANSWERS[number % len(ANSWERS)].format(**slots)
        category = f"类别{number % 20}"
        return Entry(f"k_{number:012d}", question, answer, (), category, (), "faq.md#问答")


def build(size: int, folder: Path, chroma: str, model: RankingModel) -> None:
    source = Invented(size)
    follower = IndexFollower(
        source, folder / "segments", model.encoder, chroma or folder / "chroma"
    )
    started = time.perf_counter()
    follower.open()
    follower.sync()
    imported = time.perf_counter() - started
    print(f"- import: {size / imported:,.0f} entries/s, then found by their words", flush=True)
    follower.drain()
    follower.drain()  # a merge notes what the vectors' thread has written
    indexed = time.perf_counter() - started
    print(f"- all vectors in Chroma after {indexed:,.1f} s from the start", flush=True)
    follower.close()


async def read(size: int, folder: Path, chroma: str, model: RankingModel) -> None:
    """In a fresh process: what a restarted service takes, and how fast it answers."""
    source = Invented(size)
    queries = source.queries(max(SEARCHES, WARM_UP))
    started = time.perf_counter()
    follower = IndexFollower(
        source, folder / "segments", model.encoder, chroma or folder / "chroma"
    )
    retriever = Retriever(follower, model)
    await retriever.search(queries[0])
    print(f"- restart to first answer: {(time.perf_counter() - started) * 1e3:,.0f} ms")
    await asyncio.to_thread(follower.drain)
    print(f"- restart to both sides: {(time.perf_counter() - started) * 1e3:,.0f} ms")
    await _closed_loop(retriever, queries[:WARM_UP], 4)
    sight = retriever.sight
    assert sight is not None
    print(f"- one search, CPU of its thread: {await asyncio.to_thread(_alone, sight, queries)}")
    print("\n| concurrency | p50 ms | p99 ms | searches/s |\n|---|---|---|---|")
    for concurrency in CONCURRENCIES:
        rounds = [await _closed_loop(retriever, queries, concurrency) for _ in range(ROUNDS)]
        p50, p99, rate = np.median(rounds, axis=0)
        print(f"| {concurrency} | {p50:.2f} | {p99:.2f} | {rate:,.0f} |", flush=True)
    info = psutil.Process().memory_info()
    print(f"\n- memory: {(info.rss - info.shared) / 1e6:,.0f} MB, and {info.shared / 1e6:,.0f} MB")
    print("  of maps of files, which the system takes back when it needs them")
    await asyncio.to_thread(_quality, sight.corpus, model.encoder, queries[:RECALL_QUERIES])
    await retriever.aclose()


async def _closed_loop(
    retriever: Retriever, queries: Sequence[str], concurrency: int
) -> tuple[float, float, float]:
    numbers = itertools.count()
    taken: list[float] = []

    async def ask() -> None:
        while (number := next(numbers)) < len(queries):
            started = time.perf_counter()
            await retriever.search(queries[number])
            taken.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(concurrency)))
    rate = len(queries) / (time.perf_counter() - started)
    p50, p99 = np.percentile(taken, (50, 99)) * 1e3
    return float(p50), float(p99), rate


def _alone(sight: Sight, queries: Sequence[str]) -> str:
    taken = []
    for query in queries[:500]:
        started = time.thread_time()
        sight.search(Ask(query, (), None, 3))
        taken.append(time.thread_time() - started)
    p50, p99 = np.percentile(taken, (50, 99)) * 1e3
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def _quality(corpus: Corpus, embedder: Embedder, queries: Sequence[str]) -> None:
    print(f"- recall@20 of the vector side: {_vector_recall(corpus, embedder, queries):.3f}")
    first, all_of_them = _keyword_recall(corpus, embedder, queries)
    print(f"- keyword side against the full scan: first {first:.3f}, of {POOL} {all_of_them:.3f}")


def _keyword_recall(
    corpus: Corpus, embedder: Embedder, queries: Sequence[str]
) -> tuple[float, float]:
    budget, firsts, shares = corpus_module.POSTING_BUDGET, [], []
    for query in (make_query(corpus, embedder, [(text, 1.0)]) for text in queries):
        asked = query.keys[query.known], query.asked[query.known], POOL
        found = corpus.keyword_candidates(*asked)
        corpus_module.POSTING_BUDGET = sys.maxsize
        full = corpus.keyword_candidates(*asked)
        corpus_module.POSTING_BUDGET = budget
        if full.rows.size:
            firsts.append(bool(np.isclose(found.scores[:1], full.scores[:1]).all()))
            shares.append(float(np.isin(full.rows, found.rows).mean()))
    return float(np.mean(firsts)), float(np.mean(shares))


def _vector_recall(corpus: Corpus, embedder: Embedder, queries: Sequence[str]) -> float:
    """Of the entries with the 20 nearest wordings by exact comparison."""
    vectors = embedder.embed(queries[:RECALL_QUERIES])
    best = [np.full(corpus.rows, -1.0, np.float32) for _ in vectors]
    for start in range(0, corpus.rows, 20_000):
        rows = np.arange(start, min(start + 20_000, corpus.rows))
        found = corpus.unit_vectors(rows)
        products = found.matrix @ vectors.T
        starts = np.searchsorted(found.owner, np.arange(rows.size))
        for number, scores in enumerate(np.maximum.reduceat(products, starts, axis=0).T):
            best[number][rows] = scores
    shares = []
    for vector, scores in zip(vectors, best, strict=True):
        least = np.partition(scores, -20)[-20]
        got = corpus.vector_candidates(vector, 20).rows
        shares.append(np.count_nonzero(scores[got] >= least - 1e-3) / 20)
    return float(np.mean(shares))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(size: int, folder: Path, options: argparse.Namespace) -> None:
    print(f"\n### {size:,} entries\n", flush=True)
    model = RankingModel.load(options.model)
    if not (folder / "segments").is_dir():
        build(size, folder, options.chroma, model)
    for part in ("segments", "chroma")[: 1 if options.chroma else 2]:
        print(f"- disk, {part}: {_megabytes(folder / part):,.0f} MB", flush=True)
    command = [sys.executable, "-m", "tests.bench.knowledge_scale", "--read", str(folder)]
    command += ["--entries", str(size), "--chroma", options.chroma]
    command += ["--model", str(options.model)] if options.model else []
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--chroma", default="", help="the URL of a server, instead of a folder")
    parser.add_argument("--model", type=Path, help="a model's file, instead of the shipped one")
    parser.add_argument("--keep", type=Path, help="where indexes are kept, and found again")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        model = RankingModel.load(options.model)
        asyncio.run(read(options.entries[0], options.read, options.chroma, model))
        return
    for size in options.entries:
        if options.keep:
            measure(size, options.keep / str(size), options)
            continue
        folder = Path(tempfile.mkdtemp(prefix="kefu-scale-", dir=os.environ.get("KEFU_BENCH_DIR")))
        try:
            measure(size, folder, options)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
