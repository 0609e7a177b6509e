"""Figures, checked against cases that can be counted by hand; and the files they come from."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from domain.decisions import Evidence, Retrieval
from domain.errors import KnowledgeError
from knowledge.documents import make_entry
from knowledge.embedding import HashedNgramEmbedder
from knowledge.evaluation import Judged, Question, ask_all, auroc, figures
from knowledge.evaluation_files import read_faq, read_queries, read_set
from knowledge.model import RankingModel
from knowledge.trial import coverage_curve, figures_json, try_model


def judged(gold: str | None, confidence: float, *ids: str, seconds: float = 0.0) -> Judged:
    evidence = tuple(Evidence(name, "", "", "") for name in ids)
    return Judged(gold, Retrieval("", confidence, evidence), seconds)


CASES = [
    judged("a", 0.9, "a", "b", seconds=0.001),  # answered, right
    judged("a", 0.8, "b", "a", seconds=0.002),  # answered, wrong: second place
    judged("a", 0.3, "a", seconds=0.003),  # right, but handed over
    judged("a", 0.6, "b", "c", "d", "a", seconds=0.004),  # fourth place, asked back
    judged(None, 0.8, "a", seconds=0.005),  # answered though nobody knows
    judged(None, 0.1, "a", seconds=0.006),  # rightly handed over
]


def test_figures_are_what_is_counted_by_hand() -> None:
    found = figures(CASES)
    assert (found.questions, found.inside) == (6, 4)
    assert found.recall_at_1 == pytest.approx(2 / 4)
    assert found.recall_at_3 == pytest.approx(3 / 4)
    assert found.mrr_at_10 == pytest.approx((1 + 1 / 2 + 1 + 1 / 4) / 4)
    assert found.precision == pytest.approx(1 / 3)
    assert found.coverage == pytest.approx(3 / 6)
    assert found.answered_inside == pytest.approx(2 / 4)
    assert found.false_answers == pytest.approx(1 / 2)
    assert found.wrong_handoffs == pytest.approx(1 / 4)
    # Inside 0.9 0.8 0.3 0.6 against outside 0.8 and 0.1: 5 of 8 pairs, and one drawn.
    assert found.auroc == pytest.approx(5.5 / 8)
    assert found.p50_ms == pytest.approx(3.5)


def test_thresholds_move_who_is_answered_and_who_is_handed_over() -> None:
    found = figures(CASES, answer_at=0.85, hand_over_below=0.2)
    assert found.coverage == pytest.approx(1 / 6)
    assert (found.precision, found.false_answers, found.wrong_handoffs) == (1.0, 0.0, 0.0)


def test_coverage_at_a_precision_is_the_longest_run_that_reaches_it() -> None:
    right = [judged("a", 0.9 - n / 100, "a") for n in range(18)]
    wrong = [judged("a", 0.5 - n / 100, "b") for n in range(22)]
    found = figures([*right, *wrong])
    assert found.coverage_90 == pytest.approx(20 / 40)
    assert found.coverage_80 == pytest.approx(22 / 40)


def test_coverage_is_not_read_off_a_handful() -> None:
    assert figures([judged("a", 0.9, "a")] * 9).coverage_90 == 0.0
    assert figures([judged("a", 0.9, "a")] * 10).coverage_90 == 1.0


def test_calibration_is_perfect_where_confidence_is_the_share_that_is_right() -> None:
    honest = [judged("a", 0.75, "a")] * 3 + [judged("a", 0.75, "b")]
    assert figures(honest).calibration_error == pytest.approx(0.0)
    boasting = [judged("a", 0.95, "b")] * 4
    assert figures(boasting).calibration_error == pytest.approx(0.95)
    (only,) = figures(honest).bins
    assert (only.low, only.questions, only.right) == (0.7, 4, 0.75)


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [([2.0, 3.0], [1.0], 1.0), ([1.0], [2.0], 0.0), ([1.0], [1.0], 0.5), ([], [1.0], 0.5)],
)
def test_auroc_counts_pairs(
    inside: Sequence[float], outside: Sequence[float], expected: float
) -> None:
    assert auroc(inside, outside) == expected  # type: ignore[arg-type]


def test_the_curve_is_the_precision_of_the_surest() -> None:
    items = [judged("a", 0.9, "a")] * 5 + [judged("a", 0.1, "b")] * 5
    curve = coverage_curve(items)
    assert curve[:5] == (1.0,) * 5
    assert curve[9] == pytest.approx(0.5)
    assert curve == tuple(sorted(curve, reverse=True))


def test_what_nothing_was_asked_of_has_no_figure() -> None:
    entries = [make_entry("能退货吗", "能。", source="a"), make_entry("几点开门", "九", source="b")]
    trial = try_model(RankingModel.load(), entries, [Question("可以退货吗", entries[0].id)])
    found = figures_json(trial)
    assert found["auroc"] is None
    assert found["false_answer_rate"] is None
    assert found["recall@1"] == 1.0
    assert found["p50_ms"] > 0.0


def test_another_embedder_is_asked_when_given() -> None:
    entries = [make_entry(f"问题{n}怎么办", "", source=str(n)) for n in range(5)]
    texts: list[str] = []

    class Listening(HashedNgramEmbedder):
        def embed(self, wanted: Sequence[str]):  # type: ignore[no-untyped-def]
            texts.extend(wanted)
            return super().embed(wanted)

    asked = [Question("问题3咋办", entries[3].id)]
    found = ask_all(RankingModel.load(), entries, asked, embedder=Listening(64))
    assert "问题3咋办" in texts
    assert found[0].gold == entries[3].id


def test_passages_wordings_and_numbers_as_ids_are_read(tmp_path: Path) -> None:
    faq, queries = tmp_path / "faq.jsonl", tmp_path / "queries.jsonl"
    rows: list[dict[str, object]] = [
        {"id": "p", "question": None, "answer": "西湖在杭州。", "alts": []},
        {"id": 7, "question": "能退货吗", "alts": ["可以退吗", "可以退吗"], "more": 1},
    ]
    faq.write_text("\ufeff" + "\n\n".join(map(_line, rows)), "utf-8")
    queries.write_text(
        _line({"query": "退", "gold_id": 7}) + _line({"query": "?", "gold_id": None})
    )
    found = read_set("x", faq, queries)
    passage, question = found.entries
    assert (passage.id, passage.question, passage.answer) == ("p", "", "西湖在杭州。")
    assert (question.id, question.aliases, question.answer) == ("7", ("可以退吗",), "")
    assert [item.gold for item in found.questions] == ["7", None]


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ('{"id": "a", "question": "q"}\n{broken', ":2", "不是 JSON"),
        ("[]", ":1", "应为"),
        ('{"question": "q"}', ":1", "缺少 id"),
        ('{"id": "a"}', ":1", "至少要有一个"),
        ('{"id": "a", "question": 3}', ":1", "question 应为字符串"),
        ('{"id": "a", "question": "q", "alts": "b"}', ":1", "alts"),
        ('{"id": "a", "question": "q"}\n\n{"id": "a", "question": "r"}', ":3", "重复"),
        ("", "", "没有任何条目"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_by_its_line(
    tmp_path: Path, text: str, where: str, reason: str
) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(KnowledgeError) as refused:
        read_faq(path)
    assert refused.value.source == f"{path}{where}"
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ('{"query": "q"}', ":1", "缺少 gold_id"),
        ('{"query": null, "gold_id": null}', ":1", "缺少 query"),
        ('{"query": "q", "gold_id": "b"}', ":1", "'b' 不在 FAQ"),
        ('{"query": "q", "gold_id": true}', ":1", "gold_id"),
        ("\n", "", "没有任何问题"),
    ],
)
def test_a_query_that_cannot_be_used_is_named_by_its_line(
    tmp_path: Path, text: str, where: str, reason: str
) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(KnowledgeError) as refused:
        read_queries(path, {"a"})
    assert refused.value.source == f"{path}{where}"
    assert reason in refused.value.reason


def test_files_that_are_not_there_or_not_text_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="无法读取"):
        read_faq(tmp_path / "none")
    (tmp_path / "gbk").write_bytes("能退货吗".encode("gbk"))
    with pytest.raises(KnowledgeError, match="UTF-8"):
        read_faq(tmp_path / "gbk")


def _line(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
