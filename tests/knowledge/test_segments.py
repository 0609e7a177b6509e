"""Segments and the corpus over them, against plain arithmetic over the same entries."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from domain.errors import KnowledgeError
from knowledge.documents import Entry, make_entry
from knowledge.embedding import HashedNgramEmbedder
from knowledge.segments import corpus as corpus_module
from knowledge.segments.build import build_segment
from knowledge.segments.corpus import K1, B, Corpus, Found, Part
from knowledge.segments.merge import merge_segments, with_merged
from knowledge.segments.segment import Segment
from knowledge.segments.tiers import MAX_PARTS, parts_to_merge
from knowledge.segments.wordings import UnitKind, record_ids, wordings_of
from knowledge.terms import Floats, Ints, Keys, encode, term_keys, wording_key

EMBEDDER = HashedNgramEmbedder(64)
TOPICS = ("充电桩", "发票", "退货", "安装费", "会员卡", "E03故障", "快递", "保修期")
ASKED = ("多少钱", "怎么办理", "什么时候到", "可以取消吗", "在哪里看")


def entries(count: int, start: int = 0) -> list[Entry]:
    return [
        make_entry(
            f"{TOPICS[n % len(TOPICS)]}{ASKED[n % len(ASKED)]}第{n}种",
            f"{TOPICS[n * 3 % len(TOPICS)]}的答复，编号{n}，" + "详情请看说明。" * (n % 40),
            source=f"faq.md#{n}",
            aliases=[f"{TOPICS[n % len(TOPICS)]}{n}号"] * (n % 2),
            category="甲" if n % 3 else "乙",
        )
        for n in range(start, start + count)
    ]


def segment_of(folder: Path, given: Sequence[Entry]) -> Segment:
    texts = [wording.text for entry in given for wording in wordings_of(entry)]
    build_segment(folder, given, EMBEDDER.embed(texts))
    return Segment(folder)


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    """Three segments of 60 entries in all, 7 of them deleted."""
    given = entries(60)
    cuts = (given[:30], given[30:50], given[50:])
    made = [segment_of(tmp_path / f"s{number}", cut) for number, cut in enumerate(cuts)]
    return [
        Part(made[0], np.array([0, 7, 29])),
        Part(made[1], np.array([3, 4, 5, 6])),
        Part(made[2]),
    ]


def live(corpus: Corpus) -> list[Entry]:
    return corpus.entries(corpus.live_rows())


def asked(corpus: Corpus, text: str) -> tuple[Keys, Floats]:
    keys = np.unique(term_keys(encode([text]))[0])
    frequency = corpus.document_frequency(keys)
    rarity = np.log1p((corpus.size - frequency + 0.5) / (frequency + 0.5))
    return keys, rarity.astype(np.float32)


def counts_of(entry: Entry) -> Counter[int]:
    wordings = term_keys(encode([entry.question, *entry.aliases]))[0].tolist()
    return Counter(wordings * 2) + Counter(term_keys(encode([entry.answer]))[0].tolist())


def plain_bm25(given: Sequence[Entry], keys: Keys, weights: Floats) -> dict[str, float]:
    bags = {entry.id: counts_of(entry) for entry in given}
    average = sum(sum(bag.values()) for bag in bags.values()) / len(bags)
    scores = {}
    for ident, bag in bags.items():
        norm = K1 * (1 - B + B * sum(bag.values()) / average)
        scores[ident] = math.fsum(
            weight * bag[key] * (K1 + 1) / (bag[key] + norm)
            for key, weight in zip(keys.tolist(), weights.tolist(), strict=True)
            if bag[key]
        )
    return scores


QUERIES = ("充电桩多少钱", "E03 故障怎么办理", "第12种", "会员卡", "没有这样的词彙")


@pytest.mark.parametrize("query", QUERIES)
def test_keyword_scores_are_bm25_with_the_question_counted_twice(
    parts: list[Part], query: str
) -> None:
    corpus = Corpus(parts)
    keys, weights = asked(corpus, query)
    want = plain_bm25(live(corpus), keys, weights)
    found = corpus.keyword_candidates(keys, weights, limit=100)
    assert by_id(corpus, found) == pytest.approx({k: v for k, v in want.items() if v > 0}, rel=1e-4)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("query", QUERIES)
def test_the_limit_keeps_the_best(parts: list[Part], query: str) -> None:
    corpus = Corpus(parts)
    keys, weights = asked(corpus, query)
    everything = corpus.keyword_candidates(keys, weights, limit=100)
    few = corpus.keyword_candidates(keys, weights, limit=5)
    assert few.scores.tolist() == everything.scores[:5].tolist()


@pytest.mark.parametrize("query", QUERIES[:4])
def test_terms_beyond_the_budget_still_count_for_the_entries_that_are_found(
    parts: list[Part], query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(parts)
    keys, weights = asked(corpus, query)
    monkeypatch.setattr(corpus_module, "POSTING_BUDGET", 20)
    found = corpus.keyword_candidates(keys, weights, limit=5)
    assert found.rows.size
    exact = corpus.bm25(found.rows, keys, weights)
    assert found.scores.tolist() == pytest.approx(exact.tolist(), rel=1e-5)


@pytest.mark.parametrize("small", [0, 1_000], ids=["filtered", "listed"])
def test_a_category_gives_its_own_entries_with_the_same_scores(
    parts: list[Part], small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SMALL_CATEGORY", small)
    corpus = Corpus(parts)
    keys, weights = asked(corpus, "充电桩多少钱")
    everything = corpus.keyword_candidates(keys, weights, limit=100)
    own = [n for n, e in enumerate(corpus.entries(everything.rows)) if e.category == "乙"]
    found = corpus.keyword_candidates(keys, weights, 100, "乙")
    assert sorted(found.rows.tolist()) == sorted(everything.rows[own].tolist())
    assert found.scores.tolist() == pytest.approx(everything.scores[own].tolist(), rel=1e-5)
    assert not corpus.keyword_candidates(keys, weights, 100, "丙").rows.size


def test_entries_are_found_by_id_and_by_exact_wording_and_deleted_ones_are_not(
    parts: list[Part],
) -> None:
    corpus, given = Corpus(parts), entries(60)
    gone = {0, 7, 29, 33, 34, 35, 36}
    assert corpus.size == 53
    for number, entry in enumerate(given):
        row = corpus.row_of(entry.id)
        if number in gone:
            assert row is None
            assert not corpus.exact(wording_key(entry.question)).size
            continue
        assert row is not None
        assert corpus.entry(row) == entry
        for wording in (entry.question, *entry.aliases):
            assert row in corpus.exact(wording_key(f"请问{wording}？"))


def test_units_are_the_texts_of_the_rows_in_the_order_asked(parts: list[Part]) -> None:
    corpus = Corpus(parts)
    rows: Ints = np.array([55, 2, 41, 3, 50, 1])
    units = corpus.units(rows)
    want = [
        (number, text)
        for number, entry in enumerate(corpus.entries(rows))
        for text in (entry.question, *entry.aliases, entry.answer)
    ]
    assert units.owner.tolist() == [number for number, _ in want]
    fresh = encode([text for _, text in want])
    for name in ("values", "bounds", "extras", "extra_bounds"):
        assert np.array_equal(getattr(units.codes, name), getattr(fresh, name)), name
    assert Counter(units.kind.tolist())[UnitKind.ANSWER] == len(rows)


def test_unit_vectors_are_those_of_the_wordings(parts: list[Part]) -> None:
    corpus = Corpus(parts)
    rows: Ints = np.array([55, 2, 41, 39])
    got = corpus.unit_vectors(rows)
    want = [
        (number, kind, text)
        for number, entry in enumerate(corpus.entries(rows))
        for kind, text in wordings_of(entry)
    ]
    assert got.owner.tolist() == [number for number, _, _ in want]
    assert got.kind.tolist() == [kind for _, kind, _ in want]
    assert np.allclose(got.matrix, EMBEDDER.embed([text for *_, text in want]), atol=1e-3)


def test_nothing_asked_gives_nothing(parts: list[Part]) -> None:
    none = np.zeros(0, np.int64)
    for corpus in (Corpus(), Corpus(parts)):
        assert len(corpus.units(none).codes) == 0
        assert not corpus.unit_vectors(none).owner.size
        keys = np.zeros(0, np.uint64)
        assert not corpus.keyword_candidates(keys, np.zeros(0, np.float32), 5).rows.size
        assert not corpus.vector_candidates(np.zeros(64, np.float32), 5).rows.size
    assert not Corpus().exact("x").size


@pytest.mark.parametrize("category", [None, "乙"])
def test_nearest_vectors_are_exact_in_a_small_corpus(
    parts: list[Part], category: str | None
) -> None:
    corpus = Corpus(parts)
    (vector,) = EMBEDDER.embed(["发票怎么办理"])
    nearness = {
        entry.id: max(
            float(vector @ row) for row in EMBEDDER.embed([w.text for w in wordings_of(entry)])
        )
        for entry in live(corpus)
        if category in (None, entry.category)
    }
    found = corpus.vector_candidates(vector, 8, category)
    assert found.scores.tolist() == pytest.approx(
        sorted(nearness.values(), reverse=True)[:8], abs=2e-3
    )
    for entry, score in zip(corpus.entries(found.rows), found.scores.tolist(), strict=True):
        assert score == pytest.approx(nearness[entry.id], abs=2e-3)


class Remembered:
    """An approximate index that knows what it is told."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def nearest(self, vectors: Floats, limit: int) -> list[list[str]]:
        return [self.names[:limit] for _ in vectors]


def test_a_large_corpus_asks_the_approximate_index_and_compares_what_that_lacks_itself(
    parts: list[Part],
) -> None:
    given = entries(60)
    told = [given[10], given[12], given[7], make_entry("没有", "了", source="x.md")]
    nearest = Remembered([name for entry in told for name in record_ids(entry)])
    first, second, third = parts
    known = [Part(p.segment, p.deleted, indexed=True) for p in (first, second)]
    corpus = Corpus([*known, third], nearest, exact_vectors=25)
    (vector,) = EMBEDDER.embed([given[10].question])
    found = corpus.vector_candidates(vector, 20)
    ids = {entry.id for entry in corpus.entries(found.rows)}
    assert {given[10].id, given[12].id} <= ids
    assert given[7].id not in ids
    assert ids - {given[10].id, given[12].id} <= {entry.id for entry in given[50:]}
    assert len(ids) > 2
    assert found.scores[0] == pytest.approx(1.0, abs=2e-3)


def test_vectors_of_another_embedder_are_not_compared(parts: list[Part]) -> None:
    corpus = Corpus(parts, blind=16)
    vector = np.full(16, 0.25, np.float32)
    assert not corpus.vector_candidates(vector, 5).rows.size
    assert not (corpus.unit_vectors(np.array([1, 2])).matrix @ vector).any()


def by_id(corpus: Corpus, found: Found) -> dict[str, float]:
    ids = [entry.id for entry in corpus.entries(found.rows)]
    return dict(zip(ids, found.scores.tolist(), strict=True))


def test_a_merge_changes_nothing_but_the_numbers_of_rows(parts: list[Part], tmp_path: Path) -> None:
    before = Corpus(parts)
    moved = merge_segments(tmp_path / "merged", parts)
    after = Corpus([Part(Segment(tmp_path / "merged"))])
    assert live(after) == live(before)
    assert after.average_length == pytest.approx(before.average_length)
    for query in QUERIES:
        keys, weights = asked(after, query)
        want, got = (c.keyword_candidates(keys, weights, 100) for c in (before, after))
        assert by_id(after, got) == pytest.approx(by_id(before, want), rel=1e-5)
    for number, part in enumerate(parts):
        for row in range(part.segment.rows):
            new = int(moved[number][row])
            assert (new == -1) == (row in part.deleted)
            assert new == -1 or after.entry(new) == part.segment.entry(row)
    old, new_rows = before.live_rows(), after.live_rows()
    assert np.array_equal(before.units(old).codes.values, after.units(new_rows).codes.values)
    assert np.array_equal(before.unit_vectors(old).matrix, after.unit_vectors(new_rows).matrix)
    assert after.exact(wording_key(entries(60)[12].question)).size == 1


def test_what_is_deleted_while_its_segment_is_merged_stays_deleted(
    parts: list[Part], tmp_path: Path
) -> None:
    moved = merge_segments(tmp_path / "merged", parts[:2])
    merged = Segment(tmp_path / "merged")
    later = Part(parts[1].segment, np.array([3, 4, 5, 6, 9, 11]))
    now = with_merged([parts[0], later, parts[2]], parts[:2], moved, merged)
    assert now is not None
    assert [part.segment.name for part in now] == ["merged", "s2"]
    want = Corpus([parts[0], later, parts[2]])
    assert live(Corpus(now)) == live(want)


def test_a_merge_of_what_is_there_no_more_is_for_nothing(parts: list[Part], tmp_path: Path) -> None:
    moved = merge_segments(tmp_path / "merged", parts[:2])
    assert with_merged(parts[1:], parts[:2], moved, Segment(tmp_path / "merged")) is None


def test_deleted_entries_leave_the_frequencies_with_the_merge(
    parts: list[Part], tmp_path: Path
) -> None:
    merge_segments(tmp_path / "merged", parts)
    corpus = Corpus([Part(Segment(tmp_path / "merged"))])
    bags = [counts_of(entry) for entry in live(corpus)]
    keys = np.unique(term_keys(encode(["充电桩的发票第12种"]))[0])
    want = [sum(key in bag for bag in bags) for key in keys.tolist()]
    assert corpus.document_frequency(keys).tolist() == want


def damages(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".npy")


@pytest.mark.parametrize("kind", ["missing", "cut", "changed", "no meta"])
def test_a_damaged_segment_is_refused(tmp_path: Path, kind: str) -> None:
    names = [path.name for path in damages(segment_of(tmp_path / "model", entries(3)).folder)]
    for name in names:
        folder = tmp_path / f"{kind}-{name}"
        segment_of(folder, entries(3))
        path, data = folder / name, (folder / name).read_bytes()
        if kind == "missing":
            path.unlink()
        elif kind == "cut":
            path.write_bytes(data[:-1])
        elif kind == "changed":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        else:
            (folder / "meta.json").unlink()
        with pytest.raises(KnowledgeError, match="damaged"):
            Segment(folder)


def test_small_parts_are_merged_when_they_are_many_and_a_large_one_is_left(
    tmp_path: Path,
) -> None:
    large = Part(segment_of(tmp_path / "large", entries(200)))
    small = [
        Part(segment_of(tmp_path / f"small{n}", entries(2, 300 + 2 * n))) for n in range(MAX_PARTS)
    ]
    assert parts_to_merge([large, *small[1:]]) == []
    assert parts_to_merge([large, *small]) == small
    worn = Part(large.segment, np.arange(120))
    assert parts_to_merge([worn, small[0]]) == [worn]
