"""The index of the knowledge base at size: ``python -m tests.bench.knowledge_scale --entries N …``.

Entries are made from templates and a large vocabulary whose words are drawn by Zipf's law, one
question and one short answer each. Figures go to the terminal as Markdown.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

from knowledge.documents import Entry
from knowledge.embedding import HashedNgramEmbedder
from knowledge.feed import Change
from knowledge.follower import IndexFollower
from knowledge.segments.corpus import Corpus
from knowledge.terms import Floats, Keys, encode, strengths, term_keys

DIMENSIONS = 256
THREADS = 4
CANDIDATES = 30
VOCABULARY = 40_000
PAGE = 10_000
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
        draw = np.random.default_rng(numbers.start + 1)
        points = draw.random((len(numbers), 8)) * self._cumulated[-1]
        words = np.searchsorted(self._cumulated, points).tolist()
        return [
            self._entry(number, [self._words[i] for i in chosen])
            for number, chosen in zip(numbers, words, strict=True)
        ]

    def _entry(self, number: int, words: Sequence[str]) -> Entry:
        question = QUESTIONS[number % len(QUESTIONS)].format(a=words[0], b=words[1], c=words[2])
        slots = dict(zip("abcde", words[3:], strict=True))
        answer = ANSWERS[number % len(ANSWERS)].format(**slots)
        category = f"类别{number % 20}"
        return Entry(f"k_{number:012d}", question, answer, (), category, (), "faq.md#问答")


def measure(size: int, folder: Path, chroma: str) -> None:
    source, embedder = Invented(size), HashedNgramEmbedder(DIMENSIONS)
    follower = IndexFollower(source, folder / "segments", embedder, chroma or folder / "chroma")
    started = time.perf_counter()
    follower.open()
    follower.sync()
    imported = time.perf_counter() - started
    print(f"\n### {size:,} entries\n\n- import: {size / imported:,.0f} entries/s", flush=True)
    follower._merger.drain()
    print(f"- merged after {time.perf_counter() - started:,.1f} s from the start", flush=True)
    follower.drain()
    indexed = time.perf_counter() - started
    print(f"- all vectors in Chroma after {indexed:,.1f} s from the start", flush=True)
    follower.close()
    for part in ("segments", "chroma")[: 1 if chroma else 2]:
        print(f"- disk, {part}: {_megabytes(folder / part):,.0f} MB", flush=True)
    command = [sys.executable, "-m", "tests.bench.knowledge_scale", "--read", str(folder)]
    subprocess.run([*command, "--entries", str(size), "--chroma", chroma], check=True)


def read(size: int, folder: Path, chroma: str) -> None:
    """In a fresh process: what a restarted service takes, and how fast it answers."""
    process = psutil.Process()
    before = process.memory_info().rss
    source, embedder = Invented(size), HashedNgramEmbedder(DIMENSIONS)
    queries = [entry.question for entry in source._entries(range(500))]
    started = time.perf_counter()
    follower = IndexFollower(source, folder / "segments", embedder, chroma or folder / "chroma")
    follower.open()
    keyword, vector, texts = _calls(follower.corpus, embedder, queries)
    keyword(0)
    print(f"- restart to first keyword answer: {(time.perf_counter() - started) * 1e3:,.0f} ms")
    follower.drain()
    vector(0)
    print(f"- restart to first vector answer: {(time.perf_counter() - started) * 1e3:,.0f} ms")
    print("\n| call | threads | p50 ms | p99 ms | calls/s |\n|---|---|---|---|---|")
    for name, call in (
        ("keyword_candidates", keyword),
        ("vector_candidates", vector),
        ("units + unit_vectors", texts),
        ("all three", lambda number: (keyword(number), vector(number), texts(number))),
    ):
        _closed_loop(call, 200, THREADS)
        for threads in (1, THREADS):
            figures = _closed_loop(call, 2_000, threads)
            print(f"| {name} | {threads} | {figures}", flush=True)
    print(f"\n- memory: {_private(process, before):,.0f} MB, of which maps of files do not count")
    print(f"- recall@20 of the vector side: {_recall(follower.corpus, embedder, queries):.3f}")
    follower.close()


def _calls(
    corpus: Corpus, embedder: HashedNgramEmbedder, queries: Sequence[str]
) -> tuple[Callable[[int], object], Callable[[int], object], Callable[[int], object]]:
    vectors = embedder.embed(queries)
    terms = [_terms(corpus, query) for query in queries]
    found = [corpus.keyword_candidates(*terms[0], CANDIDATES).rows]

    def keyword(number: int) -> object:
        found[0] = corpus.keyword_candidates(*terms[number % len(terms)], CANDIDATES).rows
        return found

    def vector(number: int) -> object:
        return corpus.vector_candidates(vectors[number % len(vectors)], 20)

    def texts(number: int) -> object:
        rows = np.unique(np.concatenate((found[0], (found[0] * 7 + number) % corpus.rows)))
        return corpus.units(rows), corpus.unit_vectors(rows)

    return keyword, vector, texts


def _terms(corpus: Corpus, query: str) -> tuple[Keys, Floats]:
    keys = np.unique(term_keys(encode([query]))[0])
    frequency = corpus.document_frequency(keys)
    rarity = np.log1p((corpus.size - frequency + 0.5) / (frequency + 0.5))
    return keys, (rarity * strengths(keys)).astype(np.float32)


def _closed_loop(call: Callable[[int], object], calls: int, concurrency: int) -> str:
    numbers = itertools.count()
    taken: list[float] = []

    def work() -> None:
        while (number := next(numbers)) < calls:
            started = time.perf_counter()
            call(number)
            taken.append(time.perf_counter() - started)

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = calls / (time.perf_counter() - started)
    p50, p99 = np.percentile(taken, (50, 99)) * 1e3
    return f"{p50:.2f} | {p99:.2f} | {rate:,.0f} |"


def _recall(corpus: Corpus, embedder: HashedNgramEmbedder, queries: Sequence[str]) -> float:
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


def _private(process: psutil.Process, before: int) -> float:
    info = process.memory_info()
    return (info.rss - info.shared) / 1e6


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--chroma", default="", help="the URL of a server, instead of a folder")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.entries[0], options.read, options.chroma)
        return
    for size in options.entries:
        folder = Path(tempfile.mkdtemp(prefix="kefu-scale-", dir=os.environ.get("KEFU_BENCH_DIR")))
        try:
            measure(size, folder, options.chroma)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
