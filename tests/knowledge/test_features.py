"""Features, and that the shipped weights read them as a person would."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from domain.decisions import Retrieval
from knowledge.documents import Entry, make_entry
from knowledge.encoder import terms_of
from knowledge.evaluation import Question, ask_all
from knowledge.features import ENTRY, Candidates, candidates, make_query, token_match, view_of
from knowledge.fitting import AGAINST, EITHER, corpus_of
from knowledge.model import GATE, RANK, Logistic, RankingModel
from knowledge.retrieval import CONTRADICTED_CONFIDENCE
from tests.evaluation.house import house_sets

NOISE = "丬亍"
"""Unknown characters, so that no query is an entry's very wording."""


@pytest.fixture(scope="module")
def model() -> RankingModel:
    return RankingModel.load()


@pytest.fixture(scope="module")
def base() -> tuple[Entry, ...]:
    """Somebody's telephone company: unseen in training."""
    return next(item for item in house_sets() if item.name == "telecom").entries


def ask(model: RankingModel, entries: Sequence[Entry], *queries: str) -> list[Retrieval]:
    asked = [Question(query, None) for query in queries]
    return [judged.result for judged in ask_all(model, entries, asked)]


def features(model: RankingModel, entries: Sequence[Entry], query: str) -> Candidates:
    with corpus_of(entries, model.encoder) as corpus:
        view = view_of(corpus, model.encoder.vocabulary)
        return candidates(view, make_query(corpus, model.encoder, [(query, 1.0)]))


def value(found: Candidates, name: str, row: int = 0) -> float:
    return float(found.entry[list(found.rows).index(row), ENTRY.index(name)])


def _signed(name: str) -> int:
    plain = name.removesuffix("_lead").removesuffix("_behind")
    return 0 if plain in EITHER else -1 if plain in AGAINST else 1


@pytest.mark.parametrize(("part", "names"), [("rank", RANK), ("gate", GATE), ("scope", GATE)])
def test_no_shipped_weight_speaks_against_its_feature(
    model: RankingModel, part: str, names: tuple[str, ...]
) -> None:
    logistic: Logistic = getattr(model, part)
    signs = np.array([_signed(name) for name in names])
    assert (logistic.weights * signs >= 0.0).all()
    assert np.count_nonzero(logistic.weights) >= 5


def test_more_of_a_question_is_never_less_sure(
    model: RankingModel, base: tuple[Entry, ...]
) -> None:
    """A customer who types more of the very question is not trusted less for it."""
    part = [entry.question[: len(entry.question) // 2] + NOISE for entry in base]
    whole = [entry.question + NOISE for entry in base]
    found = ask(model, base, *part, *whole)
    for entry, less, more in zip(base, found[: len(base)], found[len(base) :], strict=True):
        assert more.evidence[0].id == entry.id
        assert more.confidence >= less.confidence - 0.02


FAULT = make_entry("屏幕显示 E05 怎么办", "过温，等十分钟。", source="a")


def test_another_fault_code_is_not_the_one_that_is_known(
    model: RankingModel, base: tuple[Entry, ...]
) -> None:
    same, other = ask(model, [FAULT, *base], "屏幕显示 E05 咋办呀", "屏幕显示 E03 怎么办")
    assert same.evidence[0].id == FAULT.id
    assert other.confidence < min(same.confidence, CONTRADICTED_CONFIDENCE)


def test_the_surest_model_gives_a_contradicted_entry_no_more_than_a_question_back(
    model: RankingModel,
) -> None:
    sure = replace(model, gate=Logistic(model.gate.weights, model.gate.bias + 100.0))
    same, other = ask(sure, [FAULT], "屏幕显示 E05 咋办呀", "屏幕显示 E03 怎么办")
    assert same.confidence > 0.99
    assert other.evidence[0].id == FAULT.id
    assert other.confidence == CONTRADICTED_CONFIDENCE


@pytest.mark.parametrize(
    ("asked", "known", "expected"),
    [
        ({"e05"}, {"e05"}, (1.0, 0.0)),
        ({"e03"}, {"e05"}, (0.0, 1.0)),  # of one kind, another one
        ({"e03"}, {"wifi"}, (0.0, 0.0)),  # the entry names no code
        ({"e03"}, {"f05"}, (0.0, 0.0)),  # codes of another kind
        ({"7kw"}, {"11kw"}, (0.0, 1.0)),
        ({"7"}, {"11"}, (0.0, 0.0)),  # a bare number is a count
        ({"app", "e03"}, {"app", "e05"}, (0.5, 0.5)),
    ],
)
def test_a_code_contradicts_only_others_of_its_kind(
    asked: set[str], known: set[str], expected: tuple[float, float]
) -> None:
    assert token_match(asked, frozenset(known)) == expected


def test_an_entry_is_seen_by_its_best_wording(model: RankingModel) -> None:
    plain = make_entry("怎么申请退货", "在订单页。", source="a")
    rich = make_entry("怎么申请退货", "在订单页。", source="a", aliases=["东西不想要了"])
    query = "东西不想要了咋整"
    bare, better = (features(model, [entry], query) for entry in (plain, rich))
    assert value(better, "cover") > value(bare, "cover")
    assert value(better, "encoder") > value(bare, "encoder")


def test_a_passage_stands_in_columns_of_its_own(model: RankingModel) -> None:
    answer = "西湖位于杭州市西部，面积 6.39 平方公里。"
    entries = [make_entry("", answer, source="a"), make_entry("西湖多大", answer, source="b")]
    found = features(model, entries, "西湖的面积是多少平方公里")
    assert (value(found, "passage", 0), value(found, "passage", 1)) == (1.0, 0.0)
    assert value(found, "passage_cover", 0) > 0.05
    assert value(found, "passage_cover", 1) == 0.0
    assert value(found, "answer_cover", 0) == 0.0
    assert value(found, "answer_cover", 1) > 0.05


def test_shares_are_shares(model: RankingModel, base: tuple[Entry, ...]) -> None:
    found = features(model, base, "话费余额怎么查")
    shares = ("cover", "covered", "dice", "cover_pairs", "length_ratio", "answer_triples")
    for name in shares:
        column = found.entry[:, ENTRY.index(name)]
        assert (column >= 0.0).all()
        assert (column <= 1.0 + 1e-5).all()
    assert np.isfinite(found.entry).all()
    assert np.isfinite(found.query).all()


def test_the_very_question_covers_all_of_itself(model: RankingModel) -> None:
    entries = [make_entry("怎么申请退货", "", source="a"), make_entry("几点开门", "", source="b")]
    found = features(model, entries, "怎么申请退货")
    for name in ("cover", "covered", "dice", "cosine", "encoder", "length_ratio"):
        assert value(found, name) == pytest.approx(1.0, abs=1e-3)
    assert value(found, "missing") == pytest.approx(0.0, abs=1e-5)


def test_what_only_one_side_has_says_what_was_learned_of_it(model: RankingModel) -> None:
    keys = model.encoder.vocabulary.keys
    learned = replace(
        model.encoder.vocabulary, differing=np.linspace(-1.0, 1.0, keys.size, dtype=np.float32)
    )
    told = replace(model, encoder=replace(model.encoder, vocabulary=learned))
    known, query = "怎么申请退货", "怎么申请换货呢"
    alone = np.setxor1d(terms_of([known]).keys, terms_of([query]).keys)
    entries = [make_entry(known, "", source="a"), make_entry("几点开门", "", source="b")]
    found = features(told, entries, query)
    assert value(found, "differing") == pytest.approx(float(learned.differences(alone).sum()))
    assert value(features(told, entries, known), "differing") == pytest.approx(0.0, abs=1e-5)
    assert value(features(model, entries, query), "differing") == 0.0


def test_hidden_rows_are_no_candidates(model: RankingModel, base: tuple[Entry, ...]) -> None:
    with corpus_of(base, model.encoder) as corpus:
        view = view_of(corpus, model.encoder.vocabulary)
        query = make_query(corpus, model.encoder, [(base[3].question, 1.0)])
        assert 3 in candidates(view, query).rows
        assert 3 not in candidates(view, query, without=np.array([3])).rows


def test_a_category_is_the_only_source(model: RankingModel, base: tuple[Entry, ...]) -> None:
    category = base[0].category
    with corpus_of(base, model.encoder) as corpus:
        view = view_of(corpus, model.encoder.vocabulary)
        query = make_query(corpus, model.encoder, [("怎么办理", 1.0)])
        rows = candidates(view, query, category).rows
    assert rows.size
    assert {base[row].category for row in rows.tolist()} == {category}
